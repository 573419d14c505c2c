#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""arrows.py [--count]: checks that the includes of bpf/ and user/ point only where scripts/arrows.txt allows them.

Fails for an include of a room that is not allowed, a room that the table does not list, a table that does not lead
downwards, and for headers that include each other in a circle. --count: prints how many includes
lead from room to room.
"""
import collections
import os
import re
import sys

TABLE = "scripts/arrows.txt"
# Where the build looks for "..." besides the file's own folder, by the part of the tree (Makefile: INCLUDES,
# BPF_FLAGS).
ROOTS = {"bpf": ["bpf", "include"], "user": ["user", "include"]}
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]')


faults = []


def add_fault(text):
    faults.append(text)


def table():
    """Returns the rooms that each room may include."""
    allowed = {}
    with open(TABLE) as lines:
        for number, line in enumerate(lines, 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            for room in words[1:]:
                if room in allowed:
                    add_fault(f"{TABLE}:{number}: {words[0]} -> {room} leads upwards")
            allowed[words[0]] = set(words[1:])
    return allowed


def sources(root):
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.join(folder, name)


def included(path, root):
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            for base in ROOTS[root] + [os.path.dirname(path)]:
                target = os.path.normpath(os.path.join(base, found[1]))
                if os.path.exists(target):
                    yield number, target
                    break


def circle(graph):
    """Returns a list of files that include each other in turn, or None."""
    state = {}

    def visit(file, way):
        state[file] = "open"
        for target in graph[file]:
            if state.get(target) == "open":
                return way[way.index(target):] + [target]
            if target not in state:
                found = visit(target, way + [target])
                if found:
                    return found
        state[file] = "done"
        return None

    for file in sorted(graph):
        if file not in state:
            found = visit(file, [file])
            if found:
                return found
    return None


def main():
    allowed = table()
    arrows = collections.Counter()
    for root in ROOTS:
        graph = collections.defaultdict(set)
        for path in sources(root):
            room = os.path.dirname(path)
            if room not in allowed:
                add_fault(f"{path}: {TABLE} does not know the room {room}")
                continue
            for number, target in included(path, root):
                other = os.path.dirname(target)
                graph[path].add(target)
                if not target.startswith(root + "/") or other == room:
                    continue
                arrows[room, other] += 1
                if other not in allowed[room]:
                    add_fault(f"{path}:{number}: includes {target}, but {room} may not include {other} ({TABLE})")
        found = circle(graph)
        if found:
            add_fault("a circle of includes: " + " -> ".join(found))
    if "--count" in sys.argv[1:]:
        for (room, other), count in sorted(arrows.items()):
            print(f"{count:4} {room} -> {other}")
        print(f"{len(arrows)} arrows between {len({r for arrow in arrows for r in arrow})} rooms, {sum(arrows.values())} includes")
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


main()

# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The manual's table of accepted differences, as the tests read it.

In the section "DIFFERENCES FROM THE KERNEL'S HANDSHAKE" an entry begins with its rows, one `.It Ql PATTERN` each;
`.D1 MODES : ASPECTS` says where (idle, active, queue, cookies) what differs; "<" after it: it is less than the
kernel's. The text after it is the reason, for people; several entries may have the same reason. A subsection is a
matrix.
"""
import fnmatch
import re

SECTION = "DIFFERENCES FROM THE KERNEL'S HANDSHAKE"
SUBSECTIONS = {"segments": "Segments", "sockets": "Listening sockets, routes, sysctls"}


class Entry:
    def __init__(self):
        self.patterns, self.modes, self.reason = [], {}, ""
        self.used = set()

    def matching(self, name):
        return [pattern for pattern in self.patterns if matches(pattern, name)]

    def accepts(self, variant, name, aspect, kernels, ours):
        if not self.matching(name):
            return False
        claims = [claim for claim in (aspect, aspect + relation(kernels, ours)) if claim in self.modes.get(variant, ())]
        self.used |= {(variant, claim) for claim in claims}
        self.used |= {(variant, pattern) for pattern in self.matching(name) if claims}
        return bool(claims)

    def unused(self):
        """Returns the parts of the entry that no row shows."""
        claims = [(mode, aspect) for mode, aspects in self.modes.items() for aspect in aspects]
        claims += [(mode, pattern) for mode in self.modes for pattern in self.patterns]
        return [f"{mode}: no difference of {what}" for mode, what in claims if (mode, what) not in self.used]

    def title(self):
        return self.patterns[0] + (f" and {len(self.patterns) - 1} more" if len(self.patterns) > 1 else "")


def accept(entries, *difference):
    """Returns whether an entry has it. All entries that have it count as used."""
    return any([entry.accepts(*difference) for entry in entries])


def relation(kernels, ours):
    """"<": our first number is the smaller one."""
    first = [re.match(r"\d+", str(value)) for value in (ours, kernels)]
    if not all(first):
        return "?"
    one, other = (int(found.group()) for found in first)
    return "<" if one < other else ">" if one > other else "="


def matches(pattern, name):
    """A pattern is a row of both families, unless it names one. `*` is the only special character."""
    if not pattern.startswith("IPv4: ") and not pattern.startswith("IPv6: "):
        name = name.split(": ", 1)[1]
    return fnmatch.fnmatchcase(name, re.sub(r"[?[]", r"[\g<0>]", pattern))


def unquoted(text):
    return text.strip().strip('"').replace(r"\&", "").replace(r"\-", "-").replace(r"\(aq", "'")


def read(path, matrix):
    entries, section, subsection, heads = [], "", "", False
    with open(path) as file:
        for line in file.read().splitlines():
            if line.startswith(".Sh "):
                section, subsection = unquoted(line[4:]), ""
            elif line.startswith(".Ss "):
                subsection = unquoted(line[4:])
            elif section != SECTION or subsection != SUBSECTIONS[matrix]:
                continue
            elif line.startswith(".It Ql "):
                if not heads:
                    entries.append(Entry())
                entries[-1].patterns.append(unquoted(line[7:]))
                heads = True
            elif line.startswith(".D1 "):
                modes, aspects = line[4:].split(" : ")
                for mode in modes.split():
                    entries[-1].modes.setdefault(mode, set()).update(word.strip(",").replace(r"\&", "") for word in aspects.split())
                heads = False
            elif entries and not line.startswith("."):
                entries[-1].reason += line
    for entry, following in zip(entries, [*entries[1:], Entry()]):
        if not entry.modes or not (entry.reason or following.modes):
            raise SystemExit(f"{path}: {entry.title()}: no modes, or no reason")
    return entries

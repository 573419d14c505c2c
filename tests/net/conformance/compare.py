#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Compares the results of the labs with the plain kernel, and with the manual's table of differences. Prints TAP.

compare.py DIRECTORY MATRIX MANUAL: DIRECTORY/MATRIX.VARIANT.json as run.py wrote it.
"""
import json
import os
import sys

import table

HELD = "idle", "active", "queue"  # cookies is only there for the table's entries about it


def read(directory, matrix, variant):
    path = f"{directory}/{matrix}.{variant}.json"
    if not os.path.exists(path):
        return None
    with open(path) as file:
        return {f"IPv{row['family']}: {row['name']}": row["noted"] for row in json.load(file)}


def differences(plain, other):
    """Returns {aspect: (plain, other)}. The aspects of something that is missing completely are not listed."""
    found = {key: (plain.get(key), other.get(key)) for key in {**plain, **other} if plain.get(key) != other.get(key)}
    return {key: pair for key, pair in found.items() if not any(key.startswith(f"{whole}.") for whole in found)}


def main():
    directory, matrix, manual = sys.argv[1:4]

    def tap(good, what, *why):
        print(f"{'ok' if good else 'not ok'} - {what}")
        for line in why if not good else ():
            print(f"# {line}")

    entries = table.read(manual, matrix)
    plain = read(directory, matrix, "plain")
    if plain == {} and os.environ.get("ROW"):
        return
    if not plain:
        tap(False, "the plain kernel's rows were run")
        return
    for variant in (*HELD, "cookies"):
        seen = read(directory, matrix, variant)
        tap(seen is not None and seen.keys() == plain.keys(), f"{variant}: all {len(plain)} rows were run")
        for name, noted in sorted((seen or {}).items()):
            if name not in plain:
                continue
            if "failed" in noted or "failed" in plain[name]:
                tap(False, f"{variant}, {name}", *(noted.get("failed") or plain[name]["failed"]).splitlines())
                continue
            found = differences(plain[name], noted)
            accepted = {aspect for aspect, pair in found.items() if table.accept(entries, variant, name, aspect, *pair)}
            if variant in HELD:
                tap(found.keys() <= accepted, f"{variant}, {name}{': differs as the manual says' if found else ''}",
                    *(f"{aspect}: the kernel {one}, here {other}" for aspect, (one, other) in found.items() if aspect not in accepted))
    for entry in entries if not os.environ.get("ROW") else ():
        tap(not entry.unused(), f"the manual's difference is one: {entry.title()}", *entry.unused())


if __name__ == "__main__":
    main()

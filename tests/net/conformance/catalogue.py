# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The list of all rows: what is done once in every lab and for each family."""

TALK, GREET, CLOSE, RESET, UNREAD, HALF = 8080, 8081, 8082, 8083, 8084, 8085
OVERFLOW, NOBODY = 8086, 8099
MODES = {TALK: "talk", GREET: "greet", CLOSE: "close", RESET: "reset", UNREAD: "unread", HALF: "half", OVERFLOW: "hold"}


class Row:
    def __init__(self, name, family, function, phase, **more):
        self.name, self.family, self.function, self.phase, self.more = name, family, function, phase, more


rows = []


def add(name, function, families=(4, 6), phase=None, **more):
    """function(lab, family, **more): notes what it saw in the client that it returns. phase: the setting of the whole
    host during the row."""
    for family in families:
        rows.append(Row(name, family, function, phase, **more))


def row(name, families=(4, 6), **more):
    """A decorator for rows that are a function of their own."""
    def keep(function):
        add(name, function, families, **more)
        return function
    return keep

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Segments that meet the socket of their connection while the daemon is making it; called by test_half_made.sh.

raw_half_made.py PORT 4|6: the server on PORT answers with the SHA-256 of what it got (server.py collect). Each client sends its data and
FIN so long after its ACK, from 0 to 90 ms: some of them before there is a socket, some when it is whole, and some in between.
"""
import hashlib
import random
import sys
import time

from rawtcp import Client, Tap, Wire

port, family = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()


def digest(data):
    return hashlib.sha256(data).hexdigest().encode() + b"\n"


def late(milliseconds, flags):
    """None if the server gets the data and answers with its digest, or what came instead."""
    client, data = Client(wire, port, family), random.randbytes(300)
    answer = client.syn()
    if answer is None or not answer["TCP"].flags.S:
        return "no SYN-ACK"
    wire.send(client.frame("A"))
    time.sleep(milliseconds / 1000)
    last = client.frame(flags, data)
    fin = client.frame("FA", seq=client.seq + len(data))
    wire.send(last, *([] if "F" in flags else [fin]))
    client.seq = (client.seq + len(data) + 1) & 0xffffffff
    got, end = client.everything()
    wire.send(client.frame("A"))
    return None if (got, end) == (digest(data), "F") else f"{got[:8]!r} {end!r}"


for what, flags in (("data with FIN", "PAF"), ("data, then FIN", "PA")):
    failed = {}
    for after in range(0, 95, 5):
        for _ in range(3):  # a busy machine may take longer than the hook waits
            result = late(after, flags)
            if not result:
                break
        else:
            failed[after] = result
    tap.is_(f"IPv{family}: {what} 0 to 90 ms behind the ACK", failed, {})

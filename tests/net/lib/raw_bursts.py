#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients whose final ACK, request and FIN come in one burst; called by test_listener_kinds.sh.

raw_bursts.py PORT 4|6 COUNT WHAT: the server on PORT is server.py collect. This client sends everything once, so a
client that is served within 150 ms has waited for no retransmission; most are, even on a slow machine.
"""
import hashlib
import random
import sys
import time

from rawtcp import Client, Tap, Wire

port, family, count, what = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
wire, tap = Wire(), Tap()


def served():
    """Returns the time to the reply and FIN in ms, or None."""
    client = Client(wire, port, family)
    answer = client.syn()
    if answer is None or not answer["TCP"].flags.S:
        return None
    request = random.randbytes(300)
    ack, data = client.frame("A"), client.frame("PA", request)
    fin = client.frame("FA", seq=client.seq + len(request))
    start = time.monotonic()
    wire.send(ack, data, fin)
    client.seq += len(request) + 1
    got = client.everything()
    took = time.monotonic() - start
    wire.send(client.frame("A"))
    return took * 1000 if got == (hashlib.sha256(request).hexdigest().encode() + b"\n", "F") else None


times = [served() for _ in range(count)]
good = sorted(took for took in times if took is not None)
print(f"# {what}: median {good[len(good) // 2]:.1f} ms, longest {good[-1]:.1f} ms" if good else f"# {what}: none")
tap.is_(f"{what}: {count} of {count} bursts are served", len(good), count)
late = [took for took in good if took >= 150]
tap.check(f"{what}: they wait for no retransmission", 4 * len(late) <= len(good), f"{len(late)} of {len(good)} take longer: {late} ms")

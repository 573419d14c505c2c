#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An ACK whose SYN another host answered: it echoes that host's clock; called by test_foreign_clock.sh.

raw_foreign_clock.py PORT 4|6: the server on PORT answers a line with it (server.py line). Option bits lie in the low bits of the
timestamp (bpf/cookie.h); the rest is the clock, here replaced by another host's.
"""
import sys
import time

from rawtcp import Client, Tap, Wire

port, family = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()
CLOCKS = {
    "this host's": 0,
    "one of a host that was started a minute later": -60_000,
    "one of a host that was started a minute earlier": 60_000,
    "one of a host that was started a week later": -7 * 86_400_000,
    "one of a host that was started a week earlier": 7 * 86_400_000,
    "one half a cycle away": 1 << 31,
}


def stamp(frame):
    return next(value[0] for name, value in frame["TCP"].options if name == "Timestamp")


for name, ahead in CLOCKS.items():
    client = Client(wire, port, family)
    begin = time.monotonic()
    client.syn()
    client.tsecr = (client.tsecr + (ahead & ~511)) & 0xffffffff
    wire.send(client.frame("PA", b"hello\n"))
    answer = client.receive(wanted=lambda tcp: len(tcp.payload) >= 6)
    tap.check(f"IPv{family}, the clock in the echo is {name}: served", answer is not None)
    if answer is not None:
        # The SYN-ACK's may lie back by one unit of the option bits.
        passed = (time.monotonic() - begin) * 1000 + 512
        since = (stamp(answer) - client.tsecr) & 0xffffffff
        tap.check(f"IPv{family}, the clock in the echo is {name}: the server's goes on from there", since <= passed, f"got:  {since} ms later",
                  f"want: at most {passed:.0f}")
    client.seq += 6
    client.reset()

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An ACK whose SYN another host answered: it echoes that host's clock; called by test_foreign_clock.sh.

raw_foreign_clock.py PORT 4|6: the server on PORT answers a line with it (server.py line). Option bits are added above
the low 18 bits of the clock (bpf/lib/cookie.h), which is another host's here.
"""
import sys
import time

from rawtcp import Client, Tap, Wire

port, family = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()
CLOCKS = {
    "this host's": 0,
    "30 s behind": -30_000,
    "30 s ahead": 30_000,
}
# The kernel takes no round-trip time from an echo of this age: bpf/cookie/verify.h, TS_NO_SAMPLE_MS.
NO_SAMPLE = 2_147_484


def stamp(frame):
    return next(value[0] for name, value in frame["TCP"].options if name == "Timestamp")


for name, ahead in CLOCKS.items():
    client = Client(wire, port, family)
    begin = time.monotonic()
    client.syn()
    client.tsecr = (client.tsecr + ahead) & 0xffffffff
    wire.send(client.frame("PA", b"hello\n"))
    answer = client.receive(wanted=lambda tcp: len(tcp.payload) >= 6)
    tap.check(f"IPv{family}, the clock in the echo is {name}: served", answer is not None)
    if answer is not None:
        passed = (time.monotonic() - begin) * 1000 + 20
        since = (stamp(answer) - client.tsecr) & 0xffffffff
        tap.check(f"IPv{family}, the clock in the echo is {name}: the server's continues from there, too far for a round-trip time",
                  NO_SAMPLE <= since <= NO_SAMPLE + passed, f"got:  {since} ms later", f"want: {NO_SAMPLE} and at most {passed:.0f} more")
        window = answer["TCP"].window
        tap.check(f"IPv{family}, the clock in the echo is {name}: the window has the negotiated scale", 0 < window < 1024, f"got:  {window}")
    client.seq += 6
    client.reset()

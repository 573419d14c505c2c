#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Bursts of SYNs that should keep a service in flood mode; called by test_syncookies.sh.

raw_held.py PORT 4|6 SYNS BURSTS PAUSE: SYNS SYNs back to back, BURSTS times, with pauses of PAUSE seconds. Their
checksums are wrong, which the hook does not check, so that none of them is in a SYN queue.
"""
import random
import struct
import sys
import time

from rawtcp import Client, Wire

port, family, syns, bursts, pause = *map(int, sys.argv[1:5]), float(sys.argv[5])
wire = Wire()
client = Client(wire, port, family)
frame = bytes(client.frame("S", seq=client.isn, ack=0, options=client.options))
at = 14 + (20 if family == 4 else 40)
for burst in range(bursts):
    if burst:
        time.sleep(pause)
    ports = random.sample(range(1024, 65536), syns)
    frames = [frame[:at] + struct.pack("!H", sport) + frame[at + 2:] for sport in ports]
    begin = time.monotonic()
    for one in frames:
        wire.socket.send(one)
    print(f"# {syns} SYNs in {(time.monotonic() - begin) * 1000:.1f} ms")

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""SYNs that nobody means, all from one prefix; called by test_lost_ack.sh.

raw_made_up.py PORT 4|6 COUNT SECONDS: prints how many SYN-ACKs come back within SECONDS.
"""
import sys

from rawtcp import TCP, Client, Wire

port, family, count, seconds = (int(argument) for argument in sys.argv[1:])
wire = Wire()
clients = [Client(wire, port, family, sport=20000 + i) for i in range(count)]
wire.send(*(client.frame("S", seq=client.isn, ack=0, options=client.options) for client in clients))
print(sum(TCP in frame and frame[TCP].sport == port for frame in wire.frames(seconds)))

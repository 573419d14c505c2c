#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Spoofed SYNs, all from one prefix; called by test_lost_ack.sh.

raw_made_up.py PORT 4|6 COUNT SECONDS: prints how many of them are answered within SECONDS, how many SYN-ACKs are sent
again, and in how many seconds these may be due.
"""
import math
import sys
import time

from rawtcp import TCP, Client, Wire

port, family, count, seconds = (int(argument) for argument in sys.argv[1:])
wire = Wire()
clients = [Client(wire, port, family, sport=20000 + i) for i in range(count)]
frames = [client.frame("S", seq=client.isn, ack=0, options=client.options) for client in clients]
begin = time.monotonic()
for at in range(0, count, 20):  # the pair's ring holds 256 frames
    wire.send(*frames[at:at + 20])
    time.sleep(0.002)
spread = time.monotonic() - begin
ports = {client.sport for client in clients}
answers = [frame[TCP].dport for frame in wire.frames(seconds)
           if TCP in frame and frame[TCP].sport == port and frame[TCP].dport in ports and frame[TCP].flags.S]
print(len(set(answers)), len(answers) - len(set(answers)), 2 + math.ceil(spread))

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""When a SYN-ACK is sent again, and when no more; called by test_lost_ack.sh, for a service with synack-retries = 2.

raw_half_open.py PORT 4|6
"""
import sys
import time

from rawtcp import TCP, Client, Dot1Q, Tap, Wire

port, family = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()
name = f"IPv{family}: "


def repetitions(client, seconds):
    """The SYN-ACKs that come to this client: (seconds since now, frame)."""
    start = time.monotonic()
    found = []
    while (left := start + seconds - time.monotonic()) > 0:
        frame = client.receive(left, lambda tcp: tcp.flags == "SA" or tcp.flags == "SAE")
        if frame is not None:
            found.append((time.monotonic() - start, frame))
    return found


def at(found):
    return [round(when) for when, _ in found]


def hears(client):
    wire.send(client.frame("A"))
    return client.receive(1.0, lambda tcp: bytes(tcp.payload).startswith(b"220")) is not None


for what, tags in (("", []), (" with a VLAN tag", [Dot1Q(vlan=9, prio=3)]), (" with two", [Dot1Q(vlan=8), Dot1Q(vlan=9)])):
    client = Client(wire, port, family, between=tags)
    first = client.syn()
    found = repetitions(client, 5)
    tap.is_(name + f"a SYN-ACK{what} is sent again after 1 and 3 s, and no more", at(found), [1, 3])
    tap.check(name + f"the same{what}, byte for byte", all(bytes(frame) == bytes(first) for _, frame in found), repr(found))
    tap.check(name + f"its ACK{what} opens the connection all the same", hears(client))
    client.reset()

client = Client(wire, port, family)
client.syn()
client.reset()
tap.is_(name + "not after an RST", at(repetitions(client, 1.5)), [])

client = Client(wire, port, family)
client.syn()
wire.send(client.frame("R", seq=client.seq + 1, options=[]))
tap.is_(name + "but after an RST with another number", at(repetitions(client, 1.5)), [1])

client = Client(wire, port, family)
client.syn()
time.sleep(0.6)
client.syn()
found = repetitions(client, 1.6)
tap.is_(name + "a second SYN begins it anew", at(found), [1])

client = Client(wire, port, family)
client.syn()
tap.check(name + "an ACK in time: the server speaks", hears(client))
tap.is_(name + "and no SYN-ACK is sent again", at(repetitions(client, 1.5)), [])
client.reset()

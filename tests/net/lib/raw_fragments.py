#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A request in IP fragments, to a server.py line: raw_fragments.py PORT 4|6."""
import sys

from rawtcp import Client, IP, IPv6, Tap, Wire
from scapy.all import Ether, IPv6ExtHdrFragment, fragment, fragment6

REQUEST = b"a line in pieces, " * 20 + b"\n"


def pieces(frame, family):
    """At least three of them."""
    ether = Ether(src=frame.src, dst=frame.dst)
    if family == 4:
        frame[IP].flags = 0
        return [ether / piece for piece in fragment(IP(bytes(frame[IP])), 128)]
    packet = IPv6(bytes(frame[IPv6]))
    packet = IPv6(src=packet.src, dst=packet.dst) / IPv6ExtHdrFragment() / packet.payload
    return [ether / piece for piece in fragment6(packet, 200)]


def main():
    port, family = int(sys.argv[1]), int(sys.argv[2])
    tap, wire = Tap(), Wire()
    client = Client(wire, port, family)
    client.connect()
    frames = pieces(client.frame("PA", REQUEST), family)
    tap.check(f"IPv{family}: a request is sent in {len(frames)} fragments", len(frames) >= 3)
    answer = b""
    for _ in range(5):  # as TCP does: for half a second after a flood of fragments a random draw decides
        wire.send(*frames)
        answer = client.everything(1)[0]
        if answer:
            break
    tap.is_(f"IPv{family}: and answered", answer, REQUEST)
    client.reset()


main()

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients while an attacker tries to forge cookies; called by test_forgery.sh.

raw_forgery.py PORT FAMILY: of an HTTP server whose SYN-ACKs are not repeated.
"""
import sys
import time

from rawtcp import LINUX, Client, Tap, Wire

PLAIN = [("MSS", 1220), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")]
port, family = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()


TRIES = 5  # beside a flood a frame may be lost


def asks(client, ack_first=True, seconds=2.0):
    """Returns whether the server answers a request that the final ACK may be part of."""
    if ack_first:
        wire.send(client.frame("A"))
    wire.send(client.frame("PA", b"GET / HTTP/1.0\r\n\r\n"))
    data, _ = client.everything(seconds)
    return data.startswith(b"HTTP/1.1 200")


def answered(client):
    return any(client.syn(1.0) is not None for _ in range(TRIES))


def opens(client, **how):
    return any(answered(client) and asks(client, **how) for _ in range(TRIES))


kinds = {"without timestamps": PLAIN, "with timestamps": LINUX}
late = {what: Client(wire, port, family, options=options) for what, options in kinds.items()}
for what, client in late.items():
    tap.check(f"IPv{family}, {what}: a SYN is answered", answered(client))
time.sleep(2.2)
for what, client in late.items():
    tap.check(f"IPv{family}, {what}: an ACK that comes later than a cookie is remembered opens nothing", not asks(client, seconds=1.0))
    tap.check(f"IPv{family}, {what}: the SYN is answered again, and then the ACK opens the connection", opens(client))
    tap.check(f"IPv{family}, {what}: a client whose ACK was lost opens it with its request",
              opens(Client(wire, port, family, options=kinds[what]), ack_first=False))

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients without timestamps while cookies are being guessed; called by test_guess.sh.

raw_guess.py PORT FAMILY: of an HTTP server whose SYN-ACKs nobody sends again.
"""
import sys
import time

from rawtcp import Client, Tap, Wire

PLAIN = [("MSS", 1220), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")]
port, family = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()


def asks(client, ack_first=True):
    """Whether the server answers a request that the final ACK may be part of."""
    if ack_first:
        wire.send(client.frame("A"))
    wire.send(client.frame("PA", b"GET / HTTP/1.0\r\n\r\n"))
    data, _ = client.everything(1.0)
    return data.startswith(b"HTTP/1.1 200")


late = Client(wire, port, family, options=PLAIN)
tap.check(f"IPv{family}: a SYN without timestamps is answered", late.syn() is not None)
time.sleep(2.2)
tap.check(f"IPv{family}: an ACK that comes later than a cookie is remembered opens nothing", not asks(late))
tap.check(f"IPv{family}: the SYN is answered again", late.syn() is not None)
tap.check(f"IPv{family}: and then the ACK opens the connection", asks(late))

lost = Client(wire, port, family, options=PLAIN)
lost.syn()
tap.check(f"IPv{family}: a client whose ACK was lost opens it with its request", asks(lost, ack_first=False))

patient = Client(wire, port, family)
patient.syn()
time.sleep(2.2)
tap.check(f"IPv{family}: one with timestamps may take its time", asks(patient))

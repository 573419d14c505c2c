#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients in the middle of a handshake with the hook when the daemon is stopped; called by test_listener_ends.sh.

raw_stop.py PORT PID: server.py line on PORT; PID is the daemon's.
"""
import os
import signal
import sys
import time

from rawtcp import Client, Tap, Wire

port, daemon = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()


def syn(family):
    client = Client(wire, port, family)
    answer = client.syn()
    if answer is None or not answer["TCP"].flags.S:
        tap.check(f"IPv{family}: a SYN-ACK", False, repr(answer))
        sys.exit(1)
    return client


def finish(what, client):
    wire.send(client.frame("A"), client.frame("PA", b"hello\n"))
    tap.is_(f"IPv{client.family}: {what}", client.everything(), (b"hello\n", "F"))
    client.reset()


clients = [syn(family) for family in (4, 6) for _ in range(3)]
os.kill(daemon, signal.SIGTERM)
time.sleep(0.1)
for client in clients:
    wire.send(client.frame("A"))
late = [syn(family) for family in (4, 6)]
for client in clients:
    finish("its ACK is 100 ms behind the daemon's stop: served", client)
for client in late:
    finish("its SYN is behind the daemon's stop: served by the kernel", client)

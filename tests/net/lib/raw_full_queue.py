#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A final ACK that a full accept queue ignored; called by test_lost_ack.sh.

raw_full_queue.py PORT PID: of a server that accepts one connection for each SIGUSR1, with a backlog of one.
"""
import os
import signal
import sys

from rawtcp import Client, Tap, Wire

port, server = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()

first, second = Client(wire, port), Client(wire, port)
first.syn()
second.syn()
wire.send(first.frame("A"))
wire.send(second.frame("A"))  # no room: ignored
os.kill(server, signal.SIGUSR1)
repeated = second.receive(wanted=lambda tcp: tcp.flags == "SA")
tap.check("an ACK that a full accept queue ignored is requested again", repeated is not None)
wire.send(second.frame("A"))
tap.check("and then it opens the connection", second.receive(1.5, lambda tcp: tcp.flags == "SA") is None)
wire.send(second.frame("PA", b"hello\n"))
answer = second.receive()
tap.check("which lives", answer is not None and answer["TCP"].flags == "A" and answer["TCP"].ack == second.seq + 6, repr(answer))

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients in the middle of a handshake when the hook begins to answer, and when it stops; called by test_syncookies.sh.

raw_syncookies.py PORT 4|6 STEP FLOOD...: server.py line on PORT; FLOOD is a command that activates its service.
  request   SYN while idle, flood, ACK: the kernel has a request for it
  cookie    the same, where the kernel has answered with its own cookie
  released  SYN in the flood, ACK when it is over and the service is idle again
  idle      SYN and ACK while idle, and an ACK without a cookie: the kernel's RST
"""
import subprocess
import sys
import time

from rawtcp import Client, Tap, Wire

port, family, step, flood = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
wire, tap = Wire(), Tap()
name = f"IPv{family}: "


def finish(what, client):
    wire.send(client.frame("A"), client.frame("PA", b"hello\n"))
    tap.is_(name + what, client.everything(), (b"hello\n", "F"))
    client.seq = (client.seq + len(b"hello\n")) & 0xffffffff
    client.reset()  # where the server expects it: its socket is gone, and the ports are free for the next


def syn():
    client = Client(wire, port, family)
    for attempt in range(3):
        answer = client.syn(2.0)
        if answer is not None:
            break
        print(f"# SYN number {attempt + 1} is not answered")
    if answer is None or not answer["TCP"].flags.S:
        tap.check(name + step + ": a SYN-ACK", False, repr(answer))
        sys.exit(1)
    return client


clients = [syn() for _ in range(5)]
if step == "idle":
    no_socket = Client(wire, port, family)
    wire.send(no_socket.frame("A", seq=1000, ack=2000))
    answer = no_socket.receive()
    tap.check(name + "while idle an ACK without a connection gets the kernel's RST", answer is not None and answer["TCP"].flags.R, repr(answer))
if flood:
    subprocess.run(flood, check=True, stdout=subprocess.DEVNULL)
if step == "released":
    clients = [syn() for _ in range(5)]
    time.sleep(12)
    # The first SYN after the hold time: the service has no reason left to stay active.
    finish("released: a new client is served", syn())
what = {"request": "half-open in the kernel when the flood began", "cookie": "the kernel's cookie of before the flood",
        "released": "the hook's cookie, the flood over", "idle": "while idle"}[step]
for client in clients:
    finish(what + ": served", client)

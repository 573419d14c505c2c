#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Segments for tuples that already have a socket; called by test_time_wait.sh. raw_existing.py PORT 4|6 HANDOFF (of an HTTP
server)."""
import sys

from rawtcp import LINUX, Client, Tap, Wire

port, family = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()
name = f"{sys.argv[3]}, IPv{family}: "


def syn_in_established():
    """RFC 9293, 3.10.7.4 with RFC 5961: a challenge ACK, and the connection lives."""
    client = Client(wire, port, family)
    client.connect()
    wire.send(client.frame("PA", b"GET / HTTP/1.0\r\n"))
    client.receive()
    client.seq += 16
    wire.send(client.frame("S", seq=client.seq + 5000, ack=0, options=LINUX))
    answer = client.receive()
    tap.check(name + "a SYN in ESTABLISHED gets the kernel's challenge ACK",
              answer is not None and answer["TCP"].flags == "A" and answer["TCP"].ack == client.seq, repr(answer))
    wire.send(client.frame("PA", b"\r\n"))
    client.seq += 2
    data, end = client.everything()
    tap.check(name + "and the connection continues", data.startswith(b"HTTP/1.1 200") and end == "F", repr(data[:60]))
    return client


def close_to_time_wait(client):
    wire.send(client.frame("A"))
    wire.send(client.frame("FA"))
    client.seq += 1
    client.receive()


def reuse(old, newer):
    """The same ports again: a SYN that is newer than the old connection opens one, an older SYN gets its last ACK."""
    client = Client(wire, port, family, sport=old.sport)
    client.isn = (old.seq + (100000 if newer else -100000)) & 0xffffffff
    client.options = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (2000 if newer else 500, 0)), ("NOP", None), ("WScale", 7)]
    answer = client.syn() if newer else client.syn(0.5)
    if not newer:
        tap.check(name + "TIME-WAIT: an older SYN opens nothing", answer is None, repr(answer))
        return
    tap.check(name + "TIME-WAIT: a newer SYN gets a SYN-ACK", answer is not None and "S" in str(answer["TCP"].flags), repr(answer))
    wire.send(client.frame("A", options=[("NOP", None), ("NOP", None), ("Timestamp", (2001, client.tsecr))]),
              client.frame("PA", b"GET / HTTP/1.0\r\n\r\n", options=[("NOP", None), ("NOP", None), ("Timestamp", (2001, client.tsecr))]))
    data, end = client.everything()
    tap.check(name + "TIME-WAIT: and is served", data.startswith(b"HTTP/1.1 200") and end == "F", repr((data[:60], end)))


old = syn_in_established()
close_to_time_wait(old)
reuse(old, newer=False)
reuse(old, newer=True)

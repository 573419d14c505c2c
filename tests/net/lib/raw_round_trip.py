#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Timestamps of the server's far end, frame by frame; called by test_round_trip.sh.

raw_round_trip.py clocks PORT: what TSval reveals, and what it does not. TAP.
raw_round_trip.py lost PORT...: clients whose first SYN-ACK gets lost and that answer the second one, one at each port
in either family, from ports 30000 on, IPv4 first.
"""
import sys
import time

from rawtcp import TCP, Client, Tap, Wire

MINUTE = 60_000
wire, tap = Wire(), Tap()
SYNACK = ("SA", "SAE")


def tsval(frame):
    return dict(frame[TCP].options)["Timestamp"][0]


def signed(difference):
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def addresses(family):
    return [f"10.9.0.{200 + i}" if family == 4 else f"2001:db8:9::{0x200 + i:x}" for i in range(10)]


def synack_at(family, port, source, sport):
    """Returns TSval of the SYN-ACK to a SYN from there, and our own clock when it came, in ms."""
    frame = Client(wire, port, family, sport=sport, source=source).syn()
    assert frame is not None, "no SYN-ACK"
    return tsval(frame), time.monotonic() * 1000


def clocks(port):
    for family in (4, 6):
        name = f"IPv{family}: "
        offsets = []
        for i, source in enumerate(addresses(family)):
            value, clock = synack_at(family, port, source, 21000 + i)
            offsets.append(int(value - clock) & 0xFFFFFFFF)
        tap.check(name + "TSval does not reveal the uptime", all(abs(signed(offset)) > MINUTE for offset in offsets), repr(offsets))
        apart = [abs(signed(a - b)) for i, a in enumerate(offsets) for b in offsets[i + 1:]]
        tap.check(name + "and ten clients get ten offsets, which have nothing in common", min(apart) > MINUTE, repr(offsets))

        seen = []
        for i in range(5):
            client = Client(wire, port, family, sport=22000 + i)
            frame = client.syn()
            assert frame is not None, "no SYN-ACK"
            seen.append((tsval(frame), time.monotonic()))
            wire.send(client.frame("A"), client.frame("PA", payload=b"reno 10\n"))
            answer = client.receive(wanted=lambda tcp: len(bytes(tcp.payload)) == 10)
            assert answer is not None, "no answer"
            seen.append((tsval(answer), time.monotonic()))
            client.seq += len(b"reno 10\n")
            client.reset()
            time.sleep(0.1)
        steps = [(signed(b[0] - a[0]), (b[1] - a[1]) * 1000) for a, b in zip(seen, seen[1:])]
        tap.check(name + "between two addresses TSval never goes back, from SYN-ACK to data and from connection to connection",
                  all(step >= 0 for step, _ in steps), repr(steps))
        tap.check(name + "and advances with the clock", all(abs(step - ms) < 100 for step, ms in steps), repr(steps))


def lost(ports):
    clients = [Client(wire, port, family, sport=30000 + i)
               for i, (port, family) in enumerate((port, family) for family in (4, 6) for port in ports)]
    for client in clients:
        wire.send(client.frame("S", seq=client.isn, ack=0, options=client.options))
    first, served = set(), set()
    for frame in wire.frames(8):
        if TCP not in frame or frame[TCP].flags not in SYNACK:
            continue
        for client in clients:
            if frame[TCP].dport != client.sport or client.sport in served:
                continue
            if client.sport not in first:
                first.add(client.sport)
                continue
            client.seq, client.ack, client.tsecr = client.isn + 1, frame[TCP].seq + 1, tsval(frame)
            wire.send(client.frame("A"))
            served.add(client.sport)
        if len(served) == len(clients):
            break
    time.sleep(1)
    for client in clients:
        client.reset()
    if len(served) < len(clients):
        sys.exit(f"no second SYN-ACK: {[client.sport for client in clients if client.sport not in served]}")


if sys.argv[1] == "clocks":
    clocks(int(sys.argv[2]))
else:
    lost([int(port) for port in sys.argv[2:]])

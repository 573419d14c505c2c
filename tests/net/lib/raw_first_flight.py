#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a client may send right after its final ACK; called by test_first_flight.sh.

raw_first_flight.py PORT 4|6: the server on PORT answers with the SHA-256 of what it got (server.py collect).
"""
import hashlib
import random
import sys
import time

from rawtcp import Client, Tap, Wire

port, family = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()
MSS = 1400


def told(data):
    return hashlib.sha256(data).hexdigest().encode() + b"\n"


def segments(client, data, fin=False):
    frames, base = [], client.seq
    for at in range(0, len(data), MSS):
        last = at + MSS >= len(data)
        frames.append(client.frame("PAF" if fin and last else "PA", data[at:at + MSS], seq=base + at))
    client.seq = (base + len(data) + fin) & 0xffffffff
    return frames


def flight(what, data, order=lambda frames: frames, fin=True, ack_first=True):
    """SYN; then ACK, data and FIN in the order of `order`, at once. The server must answer with the digest, and this client
    sends everything once; within 150 ms, which no retransmission would reach, in one of five tries on a busy machine."""
    for _ in range(5):
        client = Client(wire, port, family)
        answer = client.syn()
        if answer is None or not answer["TCP"].flags.S:
            tap.check(what, False, "no SYN-ACK")
            return
        ack = client.frame("A")
        frames = segments(client, data, fin)
        wire.send(*order(([ack] if ack_first else []) + frames))
        start = time.monotonic()
        got, end = client.everything()
        took = time.monotonic() - start
        wire.send(client.frame("A"))
        if (got, end) != (told(data), "F") or took < 0.15:
            break
    tap.check(what, (got, end) == (told(data), "F") and took < 0.15, f"got {got!r} {end!r} after {took * 1000:.0f} ms",
              f"want {told(data)!r} 'F' within 150 ms")


def reordered(frames):
    ack, data = frames[0], frames[1:]
    random.shuffle(data)
    return [ack] + data


request = random.randbytes(300)
ten = random.randbytes(10 * MSS)
name = f"IPv{family}: "
for _ in range(5):
    flight(name + "data, FIN in the segment behind the ACK", request)
flight(name + "no separate ACK: data is the first segment", request, ack_first=False)
flight(name + "ten segments at once behind the ACK", ten)
flight(name + "ten segments at once, no ACK before them", ten, ack_first=False)
flight(name + "ten segments out of order behind the ACK", ten, reordered)
flight(name + "data before the ACK", request, lambda frames: frames[::-1])
flight(name + "the ACK twice", request, lambda frames: [frames[0]] + frames)
flight(name + "the ACK after its data, and all of it twice", ten, lambda frames: (frames[1:] + frames[:1]) * 2)


def fin_alone():
    client = Client(wire, port, family)
    client.syn()
    wire.send(client.frame("A"), client.frame("FA"))
    client.seq += 1
    tap.is_(name + "FIN right behind the ACK, without data", client.everything(), (told(b""), "F"))
    wire.send(client.frame("A"))


def reset_behind():
    client = Client(wire, port, family)
    client.syn()
    wire.send(client.frame("A"), client.frame("R"))
    tap.check(name + "RST right after the ACK: silence", not client.everything(0.3)[0])


def late_duplicate():
    client = Client(wire, port, family)
    client.syn()
    ack = client.frame("A")
    wire.send(ack, *segments(client, request, fin=True))
    first = client.everything()
    wire.send(client.frame("A"))
    # Passive close: CLOSED when our ACK of its FIN arrives. No TIME-WAIT protects the tuple on this side.
    time.sleep(0.4)
    wire.send(ack)
    second = client.everything(0.5)
    tap.is_(name + "a late duplicate of the ACK does not open the connection again", (first, second),
            ((told(request), "F"), (b"", "")))
    again = client.frame("PA", b"more", seq=client.isn + 1)
    wire.send(again)
    tap.is_(name + "nor does one with data", client.everything(0.5)[0], b"")


def wrong_acks():
    for what, change in (("another acknowledgment number", lambda c: setattr(c, "ack", c.ack ^ 0x10000)),
                         ("another sequence number", lambda c: setattr(c, "seq", c.seq ^ 0x10000)),
                         ("another port", lambda c: setattr(c, "sport", c.sport ^ 1))):
        client = Client(wire, port, family)
        client.syn()
        change(client)
        wire.send(client.frame("PA", request), client.frame("FA", seq=client.seq + len(request)))
        tap.is_(name + f"an ACK with {what} opens nothing", client.everything(0.3)[0], b"")


fin_alone()
reset_behind()
late_duplicate()
wrong_acks()

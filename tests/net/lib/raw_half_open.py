#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""When a SYN-ACK is sent again, and when it stops; called by test_lost_ack.sh, where net.ipv4.tcp_synack_retries is 2.

raw_half_open.py PORT 4|6: all clients at once, so that the test waits only once.
"""
import sys
import time

from rawtcp import TCP, Client, Dot1Q, Tap, Wire

port, family = int(sys.argv[1]), int(sys.argv[2])
wire, tap = Wire(), Tap()
name = f"IPv{family}: "
SYNACK = ("SA", "SAE")


def new(number, **more):
    return Client(wire, port, family, sport=20000 + 100 * family + number, **more)


def began(client):
    """Its SYN is answered: returns the SYN-ACK, and when it came."""
    frame = client.syn()
    assert frame is not None, "no SYN-ACK"
    return frame, time.monotonic()


def hears(client):
    wire.send(client.frame("A"))
    return client.receive(wanted=lambda tcp: bytes(tcp.payload).startswith(b"220")) is not None


def options_of(frame):
    return dict(frame[TCP].options)


def is_again(frame, when, first, first_when):
    """The first one, sent when this one was. Frames are timed at both ends: half a second does not count."""
    later = (options_of(frame)["Timestamp"][0] - options_of(first)["Timestamp"][0]) & 0xFFFFFFFF
    if abs(later / 1000 - (when - first_when)) > 0.5:
        return False
    again = first.copy()
    again[TCP].options = frame[TCP].options
    del again[TCP].chksum
    return bytes(again) == bytes(frame) and options_of(first) | {"Timestamp": options_of(frame)["Timestamp"]} == options_of(frame)


TAGS = {"": [], " with a priority tag": [Dot1Q(vlan=0, prio=3)]}
silent = {what: new(i, between=tags) for i, (what, tags) in enumerate(TAGS.items())}
reset, other_reset, again, complete = (new(10 + i) for i in range(4))

tap.check(name + "an ACK in time: the server speaks", began(complete)[0] is not None and hears(complete))
begun = {again.sport: began(again)}
time.sleep(0.6)
for client in [*silent.values(), reset, other_reset, again]:
    begun[client.sport] = began(client)
reset.reset()
wire.send(other_reset.frame("R", seq=other_reset.seq + 1, options=[]))

# Until well after the second repetition, and after the third, which must not come.
repeated = {sport: [] for sport in [*begun, complete.sport]}
for frame in wire.frames(8.5):
    if TCP in frame and frame[TCP].dport in repeated and frame[TCP].flags in SYNACK:
        repeated[frame[TCP].dport].append((time.monotonic(), frame))


def seconds(client):
    """After how many seconds each was sent again. It may be late on a busy machine, but never early."""
    return [int(when - begun[client.sport][1] + 0.1) for when, _ in repeated[client.sport]]


for what, client in silent.items():
    tap.is_(name + f"a SYN-ACK{what} is sent again after 1 and 3 s, and no more", seconds(client), [1, 3])
    tap.check(name + f"the same{what}, but for its timestamp, which has the time of the repetition",
              all(is_again(frame, when, *begun[client.sport]) for when, frame in repeated[client.sport]), repr(repeated[client.sport]))
    tap.check(name + f"its ACK{what} still opens the connection", hears(client))
tap.is_(name + "not after an RST", len(repeated[reset.sport]), 0)
tap.is_(name + "but after an RST with another number", seconds(other_reset), [1, 3])
tap.is_(name + "a second SYN begins it anew", seconds(again), [1, 3])
tap.is_(name + "who has sent its ACK gets no SYN-ACK again", len(repeated[complete.sport]), 0)
for client in [*silent.values(), other_reset, again, complete]:
    client.reset()

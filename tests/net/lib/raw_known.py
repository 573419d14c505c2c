#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A flood from the address of one known client, and its neighbours in the same prefix; called by test_source_limits.sh.

raw_known.py PORT 4|6: of a server whose SYNs are answered with cookies, within a budget that the flood far exceeds.
"""
import select
import socket
import subprocess
import sys
import threading
import time

from rawtcp import SERVER, Client, Tap, Wire

# Each is a separate source, all of one prefix: the flooded one, a known neighbour, an unknown one.
NAMES = {4: ("10.9.0.81", "10.9.0.82", "10.9.0.83"), 6: ("2001:db8:9:81::1", "2001:db8:9:82::1", "2001:db8:9:83::1")}
TRIES, PAUSE = 40, 0.025

port, family = int(sys.argv[1]), int(sys.argv[2])
tap = Tap()
flooded, known, unknown = NAMES[family]


def own(name, what="replace"):
    length = ["/64", "nodad"] if family == 6 else ["/24"]
    subprocess.run(["ip", "address", what, name + length[0], "dev", "c0", *(length[1:] if what != "del" else [])], check=True)


def begin(name):
    sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    sock.bind((name, 0))
    sock.setblocking(False)
    sock.connect_ex((SERVER[family], port))
    return sock


def answered(name, tries=TRIES):
    """Returns how many of these SYNs are answered, none of them a repetition: that takes a second."""
    socks = []
    for _ in range(tries):
        sock = begin(name)
        socks.append((sock, bool(select.select([], [sock], [], PAUSE)[1])))
        time.sleep(PAUSE)
    for sock, _ in socks:
        sock.close()
    return sum(good for _, good in socks)


def flood():
    wire, frames = Wire(), []
    for _ in range(64):
        client = Client(wire, port, family, source=flooded)
        frames.append(bytes(client.frame("S", seq=client.isn, ack=0, options=client.options)))
    while not ending.is_set():
        for frame in frames:
            try:
                wire.socket.send(frame)
            except OSError:  # no room for more
                continue
        sent[0] += len(frames)


for name in flooded, known, unknown:
    own(name)
for name in flooded, known:
    tap.check(f"IPv{family}: {name} is known", any(answered(name, 5) for _ in range(5)))
own(flooded, "del")
ending, sent = threading.Event(), [0]
threads = [threading.Thread(target=flood) for _ in range(2)]
start = time.monotonic()
for thread in threads:
    thread.start()
time.sleep(0.5)
of_known, of_unknown = answered(known), answered(unknown)
ending.set()
for thread in threads:
    thread.join()
rate = sent[0] / (time.monotonic() - start)
for name in known, unknown:
    own(name, "del")
print(f"# IPv{family}: {rate:.0f} SYNs a second in the name of {flooded}; answered of {TRIES}: the known neighbour {of_known}, "
      f"an unknown one {of_unknown}")
tap.check(f"IPv{family}: the known neighbour is answered nearly always", of_known >= TRIES * 9 // 10, f"{of_known} of {TRIES}")

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""To which MAC addresses SYN-ACKs go when a neighbour has sent the SYN from another host's address; called by
test_host.sh.

host_answers.py SERVER-NETNS sender|route LISTENER-PORT QUEUE-PORT KERNEL-PORT
"""
import subprocess
import sys
import time

from rawtcp import CLIENT_MAC, RAW, TCP, Client, Ether, Tap, Wire

netns, answer, listener, queue, kernel = *sys.argv[1:3], *map(int, sys.argv[3:])
wire, tap = Wire(), Tap()
NEIGHBOUR_MAC = "02:00:00:09:00:ee"
PATIENCE, PAUSE = 3, 0.15
OUTSIDE = {4: "203.0.113.9", 6: "2001:db8:113::9"}
NET = {4: "203.0.113.0/24", 6: "2001:db8:113::/48"}
GATEWAY = {4: "10.9.0.2", 6: "2001:db8:9::2"}
UNKNOWN = {4: "10.9.0.99", 6: "2001:db8:9::99"}


def run(command):
    subprocess.run(["nsenter", f"--net=/run/netns/{netns}", "--", *command.split()], check=True)


def goes_to(port, family, source):
    """Returns the MAC address that the SYN-ACK goes to, or None."""
    client = Client(wire, port, family, source=source)
    syn = client.frame("S", seq=client.isn, ack=0, options=client.options)
    syn[Ether].src = NEIGHBOUR_MAC
    wire.send(syn)
    frame = client.receive(PAUSE, lambda tcp: tcp.flags.S)
    if frame is None:
        return None
    client.seq = client.isn + 1
    client.reset()
    return frame[Ether].dst


def soon(port, family, source, want):
    end = time.monotonic() + PATIENCE
    while (got := goes_to(port, family, source)) != want and time.monotonic() < end:
        time.sleep(0.05)
    return got


def row(what, family, source, by_route):
    tap.is_(f"IPv{family}, {what}: the kernel's answer", soon(kernel, family, source, by_route), by_route)
    want = by_route if answer == "route" else NEIGHBOUR_MAC
    for handoff, port in (("listener handoff", listener), ("queue handoff", queue)):
        tap.is_(f"IPv{family}, {what}: the hook's, answer = {answer}, {handoff}", soon(port, family, source, want), want)


for family in 4, 6:
    run(f"ip -{family} route add {NET[family]} via {GATEWAY[family]}")
    row("in the name of a client on the link", family, RAW[family], CLIENT_MAC)
    row("in the name of a client behind a gateway", family, OUTSIDE[family], CLIENT_MAC)
    if answer == "route":
        row("in the name of an address on the link that nobody has", family, UNKNOWN[family], None)
        run(f"ip -{family} neighbour replace {GATEWAY[family]} lladdr 02:00:00:09:00:dd dev s0 nud permanent")
        row("after the gateway has got another MAC address", family, OUTSIDE[family], "02:00:00:09:00:dd")
        run(f"ip -{family} neighbour replace {GATEWAY[family]} lladdr {CLIENT_MAC} dev s0 nud reachable")
        run(f"ip -{family} route replace {NET[family]} dev d0")
        row("in the name of a client behind another interface", family, OUTSIDE[family], None)
    run(f"ip -{family} route del {NET[family]}")

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which SYNs the hook answers, compared with those that the kernel answers, while MACs, addresses, routes and rp_filter of
the server change; called by test_host.sh.

host_rows.py SERVER-NETNS SHAKEOFF LISTENER-PORT QUEUE-PORT KERNEL-PORT
"""
import json
import subprocess
import sys
import time

from rawtcp import CLIENT_MAC, IP, RAW, SERVER, SERVER_MAC, TCP, Client, Ether, IPv6, Tap, Wire

netns, shakeoff, listener, queue, kernel = *sys.argv[1:3], *map(int, sys.argv[3:])
wire, tap = Wire(), Tap()
PORTS = {"listener handoff": listener, "queue handoff": queue}
OTHER_MAC = "02:00:00:09:00:ff"
SYNS = 3
# "Within a second", and the time that a busy machine may add.
PATIENCE = 3
# How long to wait for a reply that must not come.
PAUSE = 0.15


def run(command):
    subprocess.run(["nsenter", f"--net=/run/netns/{netns}", "--", *command.split()], check=True)


def counters():
    text = subprocess.run(["nsenter", f"--net=/run/netns/{netns}", "--", shakeoff, "stats", "--json"], check=True,
                          capture_output=True).stdout
    return json.loads(text)["counters"]


def answered(port, family, source=None, to=None, mac=SERVER_MAC):
    """Returns how many of a few SYNs are answered."""
    clients = {}
    for _ in range(SYNS):
        client = Client(wire, port, family, source=source)
        frame = client.frame("S", seq=client.isn, ack=0, options=client.options)
        frame[Ether].dst = mac
        if to:
            frame[IP if family == 4 else IPv6].dst = to
        clients[client.sport] = client
        wire.send(frame)
    got = set()
    end = time.monotonic() + PAUSE
    for frame in wire.frames(PAUSE):
        if TCP in frame and frame[TCP].sport == port and frame[TCP].dport in clients and frame[TCP].flags.S:
            got.add(frame[TCP].dport)
        if len(got) == len(clients) or time.monotonic() > end:
            break
    for sport in got:
        reset = clients[sport].frame("R", seq=clients[sport].isn + 1, options=[])
        reset[Ether].dst = mac
        if to:
            reset[IP if family == 4 else IPv6].dst = to
        wire.send(reset)
    return len(got)


def row(what, family, want, **syn):
    """Checks that the kernel does what is expected, and the hook the same, within a second."""
    name = f"IPv{family}, {what}"
    end = time.monotonic() + PATIENCE
    while (got := answered(kernel, family, **syn)) != want and time.monotonic() < end:
        pass  # it may have to resolve a neighbour first
    tap.is_(f"{name}: the kernel answers {want} of {SYNS}", got, want)
    for handoff, port in PORTS.items():
        end = time.monotonic() + PATIENCE
        while (got := answered(port, family, **syn)) != want and time.monotonic() < end:
            time.sleep(0.1)
        tap.is_(f"{name}: so does the hook, {handoff}", got, want)


def by_the_hook(what, family, **syn):
    """Checks that the hook answers."""
    end, sent = time.monotonic() + PATIENCE, 0
    while sent != SYNS and time.monotonic() < end:
        before = counters()["synack_sent"]
        answered(listener, family, **syn)
        sent = counters()["synack_sent"] - before
    tap.is_(f"IPv{family}, {what}: it is the hook that answers", sent, SYNS)


OUTSIDE = {4: "203.0.113.9", 6: "2001:db8:113::9"}
NET = {4: "203.0.113.0/24", 6: "2001:db8:113::/48"}
GATEWAY = {4: "10.9.0.2", 6: "2001:db8:9::2"}
SECOND = {4: "10.9.5.1", 6: "2001:db8:5::1"}
WIDTH = {4: 32, 6: 128}
LOCAL = {4: ("198.51.100.7/32", "198.51.100.7"), 6: ("2001:db8:51::7/128", "2001:db8:51::7")}
PREFIX = {4: ("198.51.100.0/24", "198.51.100.200"), 6: ("2001:db8:51::/64", "2001:db8:51::1:2:3")}

run("ip link add d0 type veth peer name d1")
run("ip link set d0 up")
run("ip link set d1 up")

for family in 4, 6:
    ip = f"ip -{family}"
    row("a client", family, SYNS)
    by_the_hook("a client", family)

    row("a frame for another MAC address", family, 0, mac=OTHER_MAC)
    row("a broadcast frame", family, 0, mac="ff:ff:ff:ff:ff:ff")

    row("from the address that it goes to", family, 0, source=SERVER[family])
    run(f"{ip} address add {SECOND[family]}/{WIDTH[family]} dev lo")
    row("from another address of the host", family, 0, source=SECOND[family])
    run(f"{ip} address del {SECOND[family]}/{WIDTH[family]} dev lo")
    if family == 4:
        row("from the network's broadcast address", family, SYNS, source="10.9.0.255")
        run("sysctl -qw net.ipv4.conf.all.rp_filter=2")
        row("from the network's broadcast address, with rp_filter", family, 0, source="10.9.0.255")
        run("sysctl -qw net.ipv4.conf.all.rp_filter=0")

    row("from where no route leads back", family, 0, source=OUTSIDE[family])
    run(f"{ip} route add default via {GATEWAY[family]}")
    row("with a default route", family, SYNS, source=OUTSIDE[family])
    by_the_hook("with a default route", family, source=OUTSIDE[family])
    for kind in "blackhole", "prohibit", "unreachable", "throw":
        # After a throw route no later table has a route, except main's default route, which is removed meanwhile.
        if kind == "throw":
            run(f"{ip} route del default")
        run(f"{ip} route add {kind} {NET[family]}")
        row(f"from a {kind} route", family, 0, source=OUTSIDE[family])
        run(f"{ip} route del {kind} {NET[family]}")
        if kind == "throw":
            run(f"{ip} route add default via {GATEWAY[family]}")
    row("without it", family, SYNS, source=OUTSIDE[family])

    for text, address in LOCAL[family], PREFIX[family]:
        run(f"{ip} route add local {text} dev s0")
        row(f"to the local route {text}", family, SYNS, to=address)
        by_the_hook(f"to the local route {text}", family, to=address)
        row(f"from the local route {text}", family, 0, source=address)
        run(f"{ip} route del local {text} dev s0")
        row(f"to {text} without its route", family, 0, to=address)

# rp_filter. Where it is off, or loose, the kernel's SYN-ACK leaves by the route, the hook's goes to the sender.
run(f"ip route add {NET[4]} dev d0")
for knob in "all", "s0":
    run(f"sysctl -qw net.ipv4.conf.{knob}.rp_filter=1")
    row(f"a route by another device, {knob}.rp_filter strict", 4, 0, source=OUTSIDE[4])
    row(f"a route by this device, {knob}.rp_filter strict", 4, SYNS)
    by_the_hook(f"a route by this device, {knob}.rp_filter strict", 4)
    run(f"sysctl -qw net.ipv4.conf.{knob}.rp_filter=0")
run("sysctl -qw net.ipv4.conf.s0.rp_filter=2")
run("sysctl -qw net.ipv4.conf.all.rp_filter=1")
end = time.monotonic() + PATIENCE
while (got := answered(listener, 4, source=OUTSIDE[4])) != SYNS and time.monotonic() < end:
    time.sleep(0.1)
tap.is_("IPv4, a route by another device, s0.rp_filter loose, all strict: it is loose", got, SYNS)
run(f"ip route del {NET[4]} dev d0")
run("ip route del default")
row("no route, rp_filter loose", 4, 0, source=OUTSIDE[4])
run("sysctl -qw net.ipv4.conf.all.rp_filter=0")
run("sysctl -qw net.ipv4.conf.s0.rp_filter=0")

# The final ACK of a client whose route is removed meanwhile.
for family in 4, 6:
    run(f"ip -{family} route add {NET[family]} via {GATEWAY[family]}")
    for handoff, port in PORTS.items():
        end, before = time.monotonic() + PATIENCE, counters()["synack_sent"]
        while not (answered(port, family, source=OUTSIDE[family]) and counters()["synack_sent"] > before) and \
                time.monotonic() < end:
            time.sleep(0.1)
        client = Client(wire, port, family, source=OUTSIDE[family])
        client.syn()
        run(f"ip -{family} route replace blackhole {NET[family]}")
        end = time.monotonic() + PATIENCE
        while answered(port, family, source=OUTSIDE[family]) and time.monotonic() < end:
            time.sleep(0.1)
        before = counters()
        wire.send(client.frame("A"))
        time.sleep(0.2)
        after = counters()
        tap.is_(f"IPv{family}, the ACK from a blackhole route opens nothing, {handoff}",
                [after[name] - before[name] for name in ("ack_unrouted", "ack_valid", "ack_admitted")], [1, 0, 0])
        run(f"ip -{family} route replace {NET[family]} via {GATEWAY[family]}")
    run(f"ip -{family} route del {NET[family]}")

# Another MAC address of the interface. The client's neighbour entries are made by hand: rawtcp.py.
run(f"ip link set s0 address {OTHER_MAC}")
for family in 4, 6:
    run(f"ip neighbour replace {RAW[family]} lladdr {CLIENT_MAC} dev s0 nud permanent")
for family in 4, 6:
    row("after the interface's address has changed, to the old one", family, 0)
    row("after the interface's address has changed, to the new one", family, SYNS, mac=OTHER_MAC)
    by_the_hook("to the new address", family, mac=OTHER_MAC)
run(f"ip link set s0 address {SERVER_MAC}")
for family in 4, 6:
    run(f"ip neighbour replace {RAW[family]} lladdr {CLIENT_MAC} dev s0 nud permanent")

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""SYN-ACKs of the hook compared with the kernel's, while routes and sysctls of the server change; called by
test_routes.sh.

route_rows.py SERVER-NETNS LISTENER-PORT QUEUE-PORT KERNEL-PORT
"""
import subprocess
import sys
import time

from rawtcp import IP, TCP, Client, Ether, IPv6, Tap, Wire

netns, listener, queue, kernel = sys.argv[1], *map(int, sys.argv[2:])
wire, tap = Wire(), Tap()
RAW = {4: "10.9.0.77", 6: "2001:db8:9::77"}
BEHIND = {4: "198.18.7.7", 6: "2001:db8:77::7"}
TOS = 0x48
# "Within a second", and the time that a busy machine may add.
PROMISED, PATIENCE = 1, 3
followed = []


def run(*command):
    words = command if len(command) > 1 else command[0].split()
    subprocess.run(["nsenter", f"--net=/run/netns/{netns}", "--", *words], check=True)


def sysctl(setting):
    run("sysctl", "-qw", setting)


def synack(port, family, source, flags):
    """Returns the fields of a SYN-ACK as a text, for comparison."""
    client = Client(wire, port, family, source=source)
    syn = client.frame(flags, seq=client.isn, ack=0, options=client.options)
    if family == 4:
        syn[IP].tos = TOS
    else:
        syn[IPv6].tc = TOS
    wire.send(Ether(bytes(syn)))
    answer = client.receive(wanted=lambda tcp: tcp.flags.S)
    if answer is None:
        return "nothing"
    client.seq, client.ack = client.isn + 1, answer[TCP].seq + 1
    client.reset()
    tcp, options = answer[TCP], dict(answer[TCP].options)
    hops, tos = (answer[IP].ttl, answer[IP].tos) if family == 4 else (answer[IPv6].hlim, answer[IPv6].tc)
    return (f"MSS {options.get('MSS')}, window {tcp.window}, scale {options.get('WScale')}, "
            f"{hops} hops, TOS {tos}, ECN {'E' in str(tcp.flags)}, options {[name for name, _ in tcp.options]}")


def same(what, family, source, before=None):
    """The hook's SYN-ACKs soon equal the kernel's. A listening socket is offered ECN, which the queue handoff does
    not accept."""
    started = time.monotonic()
    want = {port: synack(kernel, family, source, flags) for port, flags in ((listener, "SEC"), (queue, "S"))}
    while True:
        got = {listener: synack(listener, family, source, "SEC"), queue: synack(queue, family, source, "S")}
        took = time.monotonic() - started
        if got == want or took > PATIENCE:
            break
        time.sleep(0.02)
    followed.append(took)
    tap.check(f"IPv{family}: {what}: {want[listener]}", got == want and "nothing" not in want.values(),
              *(f"{name}: got {got[port]}, want {want[port]}" for name, port in (("listener", listener), ("queue", queue))))
    if before is not None:
        tap.check(f"IPv{family}: {what}: the SYN-ACK differs from the one without", want != before, want[listener])
    return want


def row(what, family, commands, undo, source=None, plain=None):
    source = source or RAW[family]
    for command in commands:
        run(command)
    same(what, family, source, plain or usual[family, source])
    for command in undo:
        run(command)


def add(family, prefix, rest):
    return f"ip -{family} route replace {prefix} {rest}"


def delete(family, prefix, rest=""):
    return f"ip -{family} route del {prefix} {rest}"


usual = {(family, where[family]): same(f"nothing set, a client {what}", family, where[family])
         for family in (4, 6) for what, where in (("on the link", RAW), ("behind a router", BEHIND))}

for metrics in ("mtu 1300", "mtu lock 1200", "mtu 1600", "mtu 200", "advmss 1000", "advmss 100", "advmss 1000 mtu 1300", "window 5000",
                "window 20000", "window 300000", "initrwnd 20", "initrwnd 2", "hoplimit 33",
                "mtu 1280 window 40000 initrwnd 10 hoplimit 3"):
    for family in (4, 6):
        row(f"route {metrics}", family, [add(family, RAW[family], f"dev s0 {metrics}")], [delete(family, RAW[family])])
        if metrics in ("mtu 1300", "advmss 1000"):
            net, gateway = {4: ("198.18.0.0/15", "10.9.0.2"), 6: ("2001:db8:77::/48", "2001:db8:9::2")}[family]
            row(f"route to a network {metrics}", family, [add(family, net, f"via {gateway} {metrics}")],
                [add(family, net, f"via {gateway}")], BEHIND[family])

# ECN is off, except on that route.
sysctl("net.ipv4.tcp_ecn=0")
for family in (4, 6):
    off = same("tcp_ecn 0", family, RAW[family])
    row("tcp_ecn 0, route features ecn", family, [add(family, RAW[family], "dev s0 features ecn")],
        [delete(family, RAW[family])], plain=off)
sysctl("net.ipv4.tcp_ecn=2")

# One route hides a part of another.
for family, around in ((4, "10.9.0.64/26"), (6, "2001:db8:9::/80")):
    row("around the client, mtu 1300", family, [add(family, around, "dev s0 mtu 1300")], [])
    run(add(family, RAW[family], "dev s0"))
    tap.check(f"IPv{family}: a longer prefix without metrics hides it",
              same("a longer prefix without metrics", family, RAW[family]) == usual[family, RAW[family]])
    run(add(family, RAW[family], "dev s0 mtu 1320 metric 7"))
    same("a second one with mtu 1320", family, RAW[family])
    run(delete(family, RAW[family], f"metric {0 if family == 4 else 1024}"))
    same("and the first of them gone", family, RAW[family])
    run(delete(family, RAW[family]))
    same("and both", family, RAW[family])
    run(delete(family, around))

# Rules: a table before main for everything.
for family in (4, 6):
    row("mtu 1310 in a table that a rule for everything names", family,
        [f"ip -{family} rule add pref 100 lookup 100", add(family, RAW[family], "dev s0 mtu 1310 table 100")],
        [f"ip -{family} rule del pref 100", delete(family, RAW[family], "table 100")])

# By another device, whose MTU is smaller.
run("ip link add e0 type veth peer name e1")
for device in "e0", "e1":
    run(f"ip link set {device} mtu 1350 up")
for family in (4, 6):
    # Frames that leave there are not seen: the route to the client is the other one again before the client sends.
    neighbour = {4: "198.18.0.0/15", 6: "2001:db8:77::/48"}[family]
    run(add(family, f"{BEHIND[family]}", "dev e0"))
    time.sleep(PROMISED)
    got = synack(listener, family, BEHIND[family], "SEC")
    mss = 1350 - (40 if family == 4 else 60)
    tap.check(f"IPv{family}: a route by a device with MTU 1350: MSS {mss}", got.startswith(f"MSS {mss},"), got)
    run(delete(family, BEHIND[family]))
    same(f"and by {neighbour} again", family, BEHIND[family])
run("ip link del e0")

# Sysctls, and the interface.
for family, settings in (
        (4, (("net.ipv4.ip_default_ttl", 77, 64), ("net.ipv4.route.min_adv_mss", 1470, 256),
             ("net.ipv4.tcp_workaround_signed_windows", 1, 0), ("net.ipv4.tcp_reflect_tos", 1, 0),
             ("net.ipv4.tcp_window_scaling", 0, 1), ("net.ipv4.tcp_rmem", "4096 131072 65536", "4096 131072 6291456"))),
        (6, (("net.ipv6.conf.s0.mtu", 1400, 1500), ("net.ipv6.conf.s0.hop_limit", 99, 64),
             ("net.ipv6.route.min_adv_mss", 1450, 1220), ("net.ipv4.tcp_reflect_tos", 1, 0),
             ("net.ipv4.tcp_workaround_signed_windows", 1, 0)))):
    for name, value, default in settings:
        before = None if name == "net.ipv4.tcp_rmem" else usual[family, RAW[family]]
        sysctl(f"{name}={value}")
        same(f"{name} = {value}", family, RAW[family], before)
        sysctl(f"{name}={default}")
run("ip link set s0 mtu 1400")
for family in (4, 6):
    same("the interface's MTU 1400", family, RAW[family], usual[family, RAW[family]])
run("ip link set s0 mtu 1500")
sysctl("net.ipv6.conf.s0.mtu=1500")
for family in (4, 6):
    tap.check(f"IPv{family}: in the end the first state is back", same("nothing set", family, RAW[family]) == usual[family, RAW[family]])

followed.sort()
tap.check(f"three of four changes in quick succession are followed within {PROMISED} s", followed[len(followed) * 3 // 4] <= PROMISED, f"{followed[-10:]}")
print(f"# {len(followed)} changes: half within {followed[len(followed) // 2] * 1000:.0f} ms, all within {followed[-1] * 1000:.0f} ms")

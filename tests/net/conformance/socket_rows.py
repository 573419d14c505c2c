# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How the listening socket, the route to the client and the host's sysctls affect a handshake. A listening socket a
row."""
import asyncio
import socket
import struct

import frames
from catalogue import add
from client import SHORT, Client, linux_options
from frames import ACK, AE, CWR, ECE, PSH, RST, SYN

SETTLED = 1.3  # seconds; shakeoff follows within one
FIRST_PORT = 7000
SOL_TCP = socket.IPPROTO_TCP
IP, IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
ANYCAST = {4: "10.9.5.1", 6: "2001:db8:5::1"}
listening = []  # (port, family, the order's fields), those of the rows without a phase
PORTS = []


def new_port():
    PORTS.append(FIRST_PORT + len(PORTS))
    return PORTS[-1]


async def request(c, options=None, flags=SYN, ack=None, size=3000, flow=False, ip=None, fast_open=b"", **more):
    """SYN, SYN-ACK, ACK, a request and its reply."""
    c.ip = ip or {}
    if fast_open:
        options = linux_options(c.family) + fast_open
    answer = await c.syn(SHORT, flags, options=options, **more)
    c.note_synack(answer)
    if answer is not None and flow:
        c.note("syn-ack.flow", "0" if not answer.flow else "the SYN's" if answer.flow == c.ip.get("flow") else "set")
    if answer is not None:
        c.send(ACK, **ack or {})
        await c.ask(size)
    await c.note_socket(SHORT)
    if answer is not None:
        await c.close()
    c.reset()
    return c


async def plainly(lab, family, port, address=None, **more):
    return await request(Client(lab, family, port, address=address), **more)


def listener(name, families=(4, 6), function=plainly, order=None, by_family=None, phase=None, **more):
    """A row with a separate listening socket for each family."""
    port = new_port()
    for family in families:
        what = {"mode": "talk", **(order or {}), **(by_family or {}).get(family, {})}
        (phase.listening if phase else listening).append((port, what.pop("family", family), what))
        add(name, function, (family,), phase, port=port, **more)


async def listen(lab):
    ports = set()
    for port, family, order in listening:
        answer = await lab.order(listen=port, family=family, **{key: value for key, value in order.items() if key != "active"})
        if "refused" in answer:
            print(answer, flush=True)
        elif order.get("active", True):
            ports.add((family, port))
    for command in ROUTES:
        await lab.inside("ip", *command.split())
    await asyncio.sleep(SETTLED)
    return sorted(ports)


class Phase:
    """Sets sysctls and the like for a while: `begin` and `end` are commands of sh. Sockets that listen during it are made
    after `begin`."""

    def __init__(self, begin, end):
        self.commands, self.listening = (begin, end), []

    async def begin(self, lab):
        await lab.inside("sh", "-c", self.commands[0])
        for port, family, order in self.listening:
            await lab.order(listen=port, family=family, **order)
        await lab.ready([(family, port) for port, family, order in self.listening if order.get("active", True)])
        await asyncio.sleep(SETTLED)

    async def end(self, lab):
        await lab.inside("sh", "-c", self.commands[1])
        for port, family, _ in self.listening:
            await lab.order(close=port, family=family)


def sysctl(name, value, usual):
    path = f"/proc/sys/net/{name}"
    return Phase(f"echo '{value}' >{path}", f"echo '{usual}' >{path}")


# ------------------------------------------------------------------------------------------- the socket's own options

def by_family(four, six, **more):
    """Options of IP and of IPv6; a dual-stack socket gets both."""
    return {4: {"options": [four], **more}, 6: {"options": [six], **more}}


for tos in (0x10, 0xb8, 0x03):
    listener(f"IP_TOS / IPV6_TCLASS {tos:#x}", by_family=by_family((IP, socket.IP_TOS, tos), (IPV6, socket.IPV6_TCLASS, tos)))
listener("IP_TOS / IPV6_TCLASS 0x10, SYN+ECE+CWR", flags=SYN | ECE | CWR,
         by_family=by_family((IP, socket.IP_TOS, 0x10), (IPV6, socket.IPV6_TCLASS, 0x10)))
for ttl in (5, 255):
    listener(f"IP_TTL / IPV6_UNICAST_HOPS {ttl}", by_family=by_family((IP, socket.IP_TTL, ttl), (IPV6, socket.IPV6_UNICAST_HOPS, ttl)))
for ttl in (64, 255):
    listener(f"IP_MINTTL / IPV6_MINHOPCOUNT 255, client's {ttl}", by_family=by_family((IP, 21, 255), (IPV6, 73, 255)),
             ip={"ttl": ttl})
for value in (0, 1, 2, 3):
    listener(f"IP_MTU_DISCOVER / IPV6_MTU_DISCOVER {value}", by_family=by_family((IP, 10, value), (IPV6, 23, value)))
for size in (2304, 4096, 5000, 10000, 16384, 20000, 32768, 50000, 65535, 65536, 65537, 100000, 131072, 200000, 500000, 1000000, 1048576,
             2000000, 4000000, 8000000):
    # Above the host's limit only by SO_RCVBUFFORCE.
    listener(f"SO_RCVBUF {size}", order={"options": [(socket.SOL_SOCKET, socket.SO_RCVBUF if size <= 200000 else 33, size)]})
for size in (100, 400, 536, 800, 1000, 1220, 1300, 1400):
    listener(f"TCP_MAXSEG {size}", order={"options": [(SOL_TCP, socket.TCP_MAXSEG, size)]})
for size in (3000, 10000, 100000):
    listener(f"TCP_WINDOW_CLAMP {size}", order={"options": [(SOL_TCP, socket.TCP_WINDOW_CLAMP, size)]})
for name, level, number, value, size in (
        ("TCP_CONGESTION reno", SOL_TCP, socket.TCP_CONGESTION, b"reno".hex(), 16),
        ("TCP_NODELAY", SOL_TCP, socket.TCP_NODELAY, 1, 4),
        ("SO_KEEPALIVE", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1, 4),
        ("TCP_KEEPIDLE 33", SOL_TCP, socket.TCP_KEEPIDLE, 33, 4),
        ("TCP_KEEPINTVL 7", SOL_TCP, socket.TCP_KEEPINTVL, 7, 4),
        ("TCP_KEEPCNT 3", SOL_TCP, socket.TCP_KEEPCNT, 3, 4),
        ("TCP_USER_TIMEOUT 12345", SOL_TCP, socket.TCP_USER_TIMEOUT, 12345, 4),
        ("TCP_LINGER2 5", SOL_TCP, socket.TCP_LINGER2, 5, 4),
        ("TCP_NOTSENT_LOWAT 9999", SOL_TCP, socket.TCP_NOTSENT_LOWAT, 9999, 4),
        ("TCP_QUICKACK 0", SOL_TCP, socket.TCP_QUICKACK, 0, 4),
        ("SO_MARK 7", socket.SOL_SOCKET, 36, 7, 4),
        ("SO_PRIORITY 5", socket.SOL_SOCKET, socket.SO_PRIORITY, 5, 4),
        ("SO_SNDBUF 20000", socket.SOL_SOCKET, socket.SO_SNDBUF, 20000, 4),
        ("SO_LINGER", socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30).hex(), 8),
        ("SO_OOBINLINE", socket.SOL_SOCKET, socket.SO_OOBINLINE, 1, 4),
        ("SO_RCVLOWAT 100", socket.SOL_SOCKET, socket.SO_RCVLOWAT, 100, 4)):
    listener(name, order={"options": [(level, number, value)], "read": [(level, number, size)]})
for value in (1, 2):
    listener(f"TCP_SAVE_SYN {value}", order={"options": [(SOL_TCP, 27, value)], "read": [(SOL_TCP, 28, 200)], "active": False})
listener("SO_ATTACH_FILTER that drops all", order={"filter": True})
listener("SO_BINDTODEVICE", order={"options": [(socket.SOL_SOCKET, 25, b"s0".hex())]})
listener("IPV6_V6ONLY 0, IPv4 client", (4,), order={"family": 6, "v6only": 0, "address": "::"})


async def anycast(lab, family, port):
    c = Client(lab, family, port)
    c.target = frames.pack(ANYCAST[family])
    return await request(c)


listener("address on lo (anycast)", function=anycast, by_family={family: {"address": ANYCAST[family]} for family in (4, 6)},
         order={"active": False})


async def deferred(lab, family, port):
    c = Client(lab, family, port)
    answer = await c.syn()
    c.note_synack(answer)
    c.send(ACK)
    await c.note_socket(0.5, "before")
    c.send(ACK | PSH, b"hello\n")
    answer = await c.receive(SHORT, lambda segment: segment.data or segment.flags & RST)
    c.note("answer", "nothing" if answer is None else c.text(answer))
    await c.note_socket(0.3)
    c.reset()
    return c


listener("TCP_DEFER_ACCEPT 5: ACK, and data 0.5 s later", function=deferred, order={"options": [(SOL_TCP, socket.TCP_DEFER_ACCEPT, 5)]})


async def ack_with_options(lab, family, port):
    """Notes the IP options of later segments, too."""
    c = await request(Client(lab, family, port), ack={"ip": {"options": b"\7\7\4" + bytes(4)}})
    c.note("data.ip-options", "some" if any(segment.ip_options for segment in c.frames if segment.data) else "none")
    return c


listener("IP options on the ACK (record route)", (4,), function=ack_with_options)

# ------------------------------------------------------------------------------------------- how many fit, and closing

async def filled(lab, family, port, clients):
    """Connects this many clients one after the other, which the server does not accept."""
    some = [Client(lab, family, port) for _ in range(clients)]
    for number, c in enumerate(some):
        answer = await c.syn(0.5)
        if answer is not None:
            c.send(ACK)
        some[0].note(f"{number}.syn-ack", "none" if answer is None else answer.letters)
        await asyncio.sleep(0.1)
    for c in some:
        c.reset()
    return some[0]


for backlog in (0, 1, 3, 8):
    listener(f"listen(fd, {backlog}), {backlog + 3} clients", function=filled, order={"mode": "hold", "backlog": backlog}, clients=backlog + 3)


async def closed_between(lab, family, port):
    """The listening socket is closed between SYN-ACK and ACK."""
    c = Client(lab, family, port)
    c.note_synack(await c.syn())
    await lab.order(close=port, family=family)
    await asyncio.sleep(0.1)
    c.send(ACK)
    answer = await c.receive(SHORT)
    c.note("answer", "nothing" if answer is None else c.text(answer))
    return c


listener("listening socket closed while the SYN-ACK is out", function=closed_between)


async def closed_unaccepted(lab, family, port):
    c = Client(lab, family, port)
    await c.connect()
    await asyncio.sleep(0.2)
    await lab.order(close=port, family=family)
    answer = await c.receive(SHORT, lambda segment: not segment.flags & SYN)
    c.note("answer", "nothing" if answer is None else c.text(answer))
    return c


listener("listening socket closed with a connection unaccepted", function=closed_unaccepted, order={"mode": "hold"})


async def no_longer(lab, family, port):
    await lab.order(close=port, family=family)
    await asyncio.sleep(SETTLED)
    c = Client(lab, family, port)
    c.send(SYN)
    answer = await c.receive(SHORT)
    c.note("answer", "nothing" if answer is None else c.text(answer))
    return c


listener("port no longer listened on", function=no_longer)
add("port never listened on", lambda lab, family: refused(lab, family))


async def refused(lab, family):
    c = Client(lab, family, 6999)
    c.send(SYN)
    answer = await c.receive(SHORT)
    c.note("answer", "nothing" if answer is None else c.text(answer))
    return c


async def simultaneous(lab, family, port, others):
    """The server's host connects from the port that it listens on, and the client's SYN crosses that. others: SYNs right
    before it."""
    c = Client(lab, family, port)
    await lab.order(connect=[c.address, c.sport], port=port, family=family)
    syn = await c.receive(until=lambda segment: segment.flags == SYN)
    strangers = [Client(lab, family, port) for _ in range(others)]
    for stranger in strangers:
        stranger.send(SYN)
    c.send(SYN)
    answer = await c.receive(SHORT, lambda segment: segment.flags & ACK)
    c.note("answer", "nothing" if answer is None else answer.letters)
    c.note("answer.of", "the one that connects" if answer and syn and answer.seq == syn.seq else "another")
    c.send(ACK)
    c.note("connect", "done" if await c.server("connected", SHORT) else "not done")
    await asyncio.gather(*(stranger.receive(SHORT) for stranger in strangers))
    for client in (*strangers, c):
        client.reset()
    return c


REUSEPORT = {"options": [(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)]}
listener("simultaneous open from the port that is listened on", function=simultaneous, order=REUSEPORT, others=0)
listener("simultaneous open, behind eight other SYNs", function=simultaneous, order=REUSEPORT, others=8)


async def new_listener(lab, family, port):
    await lab.order(listen=port, family=family, mode="talk")
    await asyncio.sleep(0.05)
    return await request(Client(lab, family, port))


add("SYN 50 ms after listen()", new_listener, port=new_port())

# ------------------------------------------------------------------------------------------------ routes to the client

ROUTES = []


def route(name, families=(4, 6), phase=None, more="", **rest):
    """The client's own network, by a route with these metrics."""
    number = 100 + len(ROUTES) // 2
    addresses = {4: f"10.10.{number}.1", 6: f"2001:db8:a:{number}::1"}
    ROUTES.append(f"route add 10.10.{number}.0/24 via 10.9.0.2 dev s0 {more}")
    ROUTES.append(f"-6 route add 2001:db8:a:{number}::/64 via 2001:db8:9::2 dev s0 {more}")
    for family in families:
        what = dict(rest)
        listener(f"route {name}", (family,), phase=phase, address=addresses[family], **what)


for metric in ("mtu 1300", "mtu lock 1300", "mtu 1400", "advmss 1000", "advmss 1400", "window 5000", "window 20000", "initrwnd 4", "initrwnd 20",
               "hoplimit 33", "initcwnd 20", "quickack 1", "congctl reno", "rto_min 300ms"):
    route(metric, more=metric)
route("features ecn", more="features ecn")
route("features ecn, SYN+ECE+CWR", more="features ecn", flags=SYN | ECE | CWR)
route("mtu 1300, TCP_MAXSEG 1400", more="mtu 1300", order={"options": [(SOL_TCP, socket.TCP_MAXSEG, 1400)]})
route("advmss 1000, SO_RCVBUF 20000", more="advmss 1000", order={"options": [(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)]})
route("window 20000, SO_RCVBUF 10000", more="window 20000", order={"options": [(socket.SOL_SOCKET, socket.SO_RCVBUF, 10000)]})
for name, four, six in (("by another interface", "dev x0", "dev x0"), ("blackhole", None, None)):
    number = 200 + len(ROUTES)
    if four:
        ROUTES += [f"route add 10.10.{number}.0/24 {four}", f"-6 route add 2001:db8:a:{number}::/64 {six}"]
    else:
        ROUTES += [f"route add blackhole 10.10.{number}.0/24", f"-6 route add blackhole 2001:db8:a:{number}::/64"]
    for family in (4, 6):
        listener(f"route {name}", (family,), address={4: f"10.10.{number}.1", 6: f"2001:db8:a:{number}::1"}[family])

# ------------------------------------------------------------------------------------------------- sysctls, interfaces

ECN_SYN, ACCECN_SYN = SYN | ECE | CWR, SYN | AE | ECE | CWR
for value in (0, 1):
    phase = sysctl("ipv4/tcp_ecn", value, 2)
    for name, flags in (("SYN+ECE+CWR", ECN_SYN), ("SYN+AE+CWR+ECE", ACCECN_SYN), ("SYN", SYN)):
        listener(f"tcp_ecn {value}, {name}", phase=phase, flags=flags)
    if value == 0:
        number = 100 + len(ROUTES) // 2
        ROUTES += [f"route add 10.10.{number}.0/24 via 10.9.0.2 features ecn", f"-6 route add 2001:db8:a:{number}::/64 via 2001:db8:9::2 features ecn"]
        for family in (4, 6):
            listener("tcp_ecn 0, route features ecn, SYN+ECE+CWR", (family,), phase=phase, flags=ECN_SYN,
                     address={4: f"10.10.{number}.1", 6: f"2001:db8:a:{number}::1"}[family])
for name, value, usual in (("tcp_timestamps", 0, 1), ("tcp_timestamps", 2, 1), ("tcp_sack", 0, 1), ("tcp_window_scaling", 0, 1),
                           ("tcp_syncookies", 2, 1), ("tcp_workaround_signed_windows", 1, 0), ("tcp_shrink_window", 1, 0),
                           ("tcp_rmem", "4096 20000 6291456", "4096 131072 6291456"), ("tcp_rmem", "4096 131072 200000", "4096 131072 6291456"),
                           ("tcp_rmem", "4096 1000000 33554432", "4096 131072 6291456"), ("ip_default_ttl", 100, 64), ("ip_no_pmtu_disc", 1, 0)):
    listener(f"{name} {value}", phase=sysctl(f"ipv4/{name}", value, usual))
reflect = sysctl("ipv4/tcp_reflect_tos", 1, 0)
for name, tos, flags in (("DSCP EF", 0xb8, SYN), ("DSCP EF, SYN+ECE+CWR", 0xb8, ECN_SYN), ("DSCP EF and ECT0", 0xba, SYN)):
    listener(f"tcp_reflect_tos 1, {name}", phase=reflect, flags=flags, ip={"tos": tos})
listener("tcp_reflect_tos 1, DSCP EF, IP_TOS / IPV6_TCLASS 0x10", phase=reflect, ip={"tos": 0xb8},
         by_family=by_family((IP, socket.IP_TOS, 0x10), (IPV6, socket.IPV6_TCLASS, 0x10)))
abort = sysctl("ipv4/tcp_abort_on_overflow", 1, 0)
listener("tcp_abort_on_overflow 1: listen(fd, 1), 4 clients", phase=abort, function=filled, order={"mode": "hold", "backlog": 1}, clients=4)
min_adv_mss = Phase("echo 1000 >/proc/sys/net/ipv4/route/min_adv_mss; echo 1000 >/proc/sys/net/ipv6/route/min_adv_mss",
                    "echo 256 >/proc/sys/net/ipv4/route/min_adv_mss; echo 1220 >/proc/sys/net/ipv6/route/min_adv_mss")
route("advmss 800, route.min_adv_mss 1000", more="advmss 800", phase=min_adv_mss)
route("mtu 800, route.min_adv_mss 1000", (4,), more="mtu 800", phase=min_adv_mss)
listener("IPv6 conf.IFACE.hop_limit 99", (6,), phase=sysctl("ipv6/conf/s0/hop_limit", 99, 64))
listener("IPv6 conf.IFACE.mtu 1400", (6,), phase=sysctl("ipv6/conf/s0/mtu", 1400, 1500))
fast_open = sysctl("ipv4/tcp_fastopen", 3, 1)
for name, body in (("cookie request", b""), ("wrong cookie and data", b"12345678")):
    listener(f"TCP_FASTOPEN 5, {name}", phase=fast_open, order={"options": [(SOL_TCP, 23, 5)]}, data=b"hello\n" if body else b"",
             fast_open=frames.option(34, body))
listener("interface MTU 1400", phase=Phase("ip link set s0 mtu 1400", "ip link set s0 mtu 1500"))
for name, phase in (("flow label", None), ("auto_flowlabels 0", sysctl("ipv6/auto_flowlabels", 0, 1)),
                    ("flowlabel_reflect 2", sysctl("ipv6/flowlabel_reflect", 2, 0))):
    listener(f"{name}, SYN with a flow label", (6,), phase=phase, ip={"flow": 0x12345}, flow=True)

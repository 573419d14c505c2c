#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Handshakes in unusual frames; called by test_frames.sh. raw_frames.py PORT (server.py line on both families)."""
import sys

from rawtcp import (IP, TCP, Client, Dot1AD, Dot1Q, Ether, IPOption, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, PadN, Tap, Wire)

port = int(sys.argv[1])
wire, tap = Wire(), Tap()


def served(what, client, at_once=False, **syn):
    answer = client.syn(**syn)
    if answer is None or not answer[TCP].flags.S:
        tap.check(what, False, f"no SYN-ACK but {answer!r}")
        return None
    # at_once: the ACK carries the data, so that no other segment has to reach the socket.
    wire.send(*([] if at_once else [client.frame("A")]), client.frame("PA", b"hello\n"))
    got = client.everything()
    tap.is_(what, got, (b"hello\n", "F"))
    client.seq = (client.seq + len(b"hello\n")) & 0xffffffff
    client.reset()  # where the server expects it
    return answer


def right(what, answer):
    """Checksums as scapy computes them, and no extra bytes."""
    if answer is None:
        return
    again = answer.copy()
    del again[TCP].chksum
    if IP in again:
        del again[IP].chksum
    again = Ether(bytes(again))
    good = again[TCP].chksum == answer[TCP].chksum and (IP not in again or again[IP].chksum == answer[IP].chksum)
    tap.check(what + ": checksums are right", good, repr(answer))


for family in (4, 6):
    name = f"IPv{family}: "
    right(name + "Linux's options", served(name + "Linux's options", Client(wire, port, family)))
    right(name + "no options", served(name + "no options", Client(wire, port, family, options=[])))
    right(name + "MSS only", served(name + "MSS only", Client(wire, port, family, options=[("MSS", 1460)])))
    windows = [("MSS", 1460), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")]
    answer = served(name + "Windows' options", Client(wire, port, family, options=windows))
    right(name + "Windows' options", answer)
    if answer is not None:
        names = {option for option, _ in answer[TCP].options}
        tap.check(name + "exactly the offered options are answered",
                  {"MSS", "WScale", "SAckOK"} <= names and "Timestamp" not in names, repr(names))
    odd = [(254, b"\x12\x34"), ("MSS", 1000), ("Timestamp", (7, 0)), ("EOL", None)]
    right(name + "an experimental option before the others", served(name + "an experimental option", Client(wire, port, family, options=odd)))

    client = Client(wire, port, family)
    answer = client.syn()
    tap.check(name + "the ACK number is the ISN + 1", answer is not None and answer[TCP].ack == (client.isn + 1) & 0xffffffff)

    client = Client(wire, port, family)
    frame = client.frame("S", b"early", seq=client.isn, ack=0, options=client.options)
    wire.send(frame)
    answer = client.receive()
    tap.check(name + "data on a SYN is not acknowledged", answer is not None and answer[TCP].ack == (client.isn + 1) & 0xffffffff,
              repr(answer))

    client = Client(wire, port, family, options=[("MSS", 1460), (34, b"")])
    right(name + "a request for a TFO cookie", served(name + "a request for a TFO cookie", client))

    client = Client(wire, port, family, options=[(19, bytes(16))])
    wire.send(client.frame("S", seq=client.isn, ack=0, options=client.options))
    answer = client.receive(0.5)
    tap.check(name + "TCP-MD5 is handled by the kernel: no cookie", answer is None or not answer[TCP].flags.S, repr(answer))

    # A tag of VLAN 0 carries only a priority. The kernel answers without it.
    for what, tags in ("a priority tag", [Dot1Q(vlan=0, prio=3)]), ("a priority tag of 802.1ad", [Dot1AD(vlan=0, prio=3)]):
        answer = served(name + what, Client(wire, port, family, between=tags), at_once=True)
        right(name + what, answer)
        if answer is not None:
            ids = lambda frame: [tag.vlan for tag in (frame.getlayer(i) for i in range(1, 3)) if hasattr(tag, "vlan")]
            tap.is_(name + what + ": the SYN-ACK carries the same", ids(answer), [tag.vlan for tag in tags])

    # There is no VLAN device at the server, so the kernel does not accept such a frame.
    for what, tags in (("one VLAN tag", [Dot1Q(vlan=9, prio=3)]), ("802.1ad and 802.1Q", [Dot1AD(vlan=8), Dot1Q(vlan=9)]),
                       ("two VLAN tags", [Dot1Q(vlan=8), Dot1Q(vlan=9)])):
        client = Client(wire, port, family, between=tags)
        wire.send(client.frame("S", seq=client.isn, ack=0, options=client.options))
        tap.is_(name + what + ", which no device has: no answer", client.receive(0.2), None)

record_route = IPOption(b"\x07\x0b\x04" + bytes(8) + b"\x00")
answer = served("IPv4: IP options in the SYN", Client(wire, port, 4), ip_options=[record_route])
right("IPv4: IP options in the SYN", answer)
if answer is not None:
    tap.is_("IPv4: IP options are not sent back", answer[IP].ihl, 5)

for what, extension in (("a hop-by-hop header", IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])),
                        ("destination options", IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]))):
    answer = served(f"IPv6: {what} in the SYN", Client(wire, port, 6), extension=extension)
    right(f"IPv6: {what} in the SYN", answer)
    if answer is not None:
        tap.is_(f"IPv6: {what} is not sent back", answer[IPv6].nh, 6)

for flags in ("SF", "SR", "SFPU", "SA"):
    client = Client(wire, port, 4)
    wire.send(client.frame(flags, seq=client.isn, ack=0, options=[]))
    answer = client.receive(0.3)
    tap.check(f"IPv4: flags {flags} get no SYN-ACK", answer is None or not answer[TCP].flags.S, repr(answer))

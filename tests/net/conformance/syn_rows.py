# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""SYNs of every kind. Each continues with the ACK, a request that is answered with 3000 bytes, and the end of both
sides."""
import asyncio

import frames
from catalogue import TALK, add, row
from client import LINUX, SHORT, Client, epoch_for, linux_options, plain_options
from frames import ACK, AE, CWR, ECE, EOL, FIN, NOP, PSH, RST, SACK_PERMITTED, SYN, URG, mss, option, timestamps, wscale

SIZES = 0, 1, 64, 535, 536, 537, 1219, 1220, 1300, 1400, 1460, 8960, 65535
SCALES = 0, 1, 7, 8, 9, 14, 15, 255


async def whole(c, answer):
    """The segments after an answered SYN."""
    if answer is None:
        await c.note_socket(SHORT)
        return
    c.send(ACK)
    await c.ask()
    await c.note_socket()
    await c.close()
    await c.note_end()


async def syn(lab, family, options=LINUX, flags=SYN, ip=None, sport=None, isn=None, **more):
    if callable(options):
        options = options(family)
    c = Client(lab, family, TALK, sport=sport, isn=isn, options=options)
    answer = await c.syn(SHORT, flags, ip=ip(c) if callable(ip) else ip, **more)
    c.note_synack(answer)
    await whole(c, answer)
    return c


# ------------------------------------------------------------------------------------------------------ TCP options

def base(family):
    return mss({4: 1460, 6: 1440}[family])


def with_more(*more):
    return lambda family: linux_options(family) + b"".join(more)


add("SYN no options", syn, options=b"")
for size in SIZES:
    add(f"SYN MSS {size} + Linux options", syn, options=lambda family, size=size: linux_options(family, size))
    add(f"SYN MSS {size} alone", syn, options=mss(size))
for scale in SCALES:
    add(f"SYN wscale {scale}, with timestamps", syn, options=lambda family, scale=scale: linux_options(family, scale=scale))
    add(f"SYN wscale {scale}, SACK, no timestamps (Windows)", syn, options=lambda family, scale=scale: plain_options(family, scale))
add("SYN wscale 7 without SACK or timestamps", syn, options=lambda family: base(family) + NOP + wscale(7))
add("SYN SACK only", syn, options=lambda family: base(family) + SACK_PERMITTED)
add("SYN timestamps only", syn, options=lambda family: base(family) + timestamps(1000))
add("SYN timestamps + wscale, no SACK", syn, options=lambda family: base(family) + timestamps(1000) + NOP + wscale(7))
add("SYN timestamps, no MSS", syn, options=timestamps(1000))
add("SYN timestamps, SACK, wscale, no MSS", syn, options=SACK_PERMITTED + timestamps(1000) + NOP + wscale(7))
add("SYN TSval 0", syn, options=lambda family: linux_options(family, value=0))
add("SYN TSval 0xffffffff", syn, options=lambda family: linux_options(family, value=0xffffffff))
add("SYN TSecr not 0", syn,
    options=lambda family: base(family) + SACK_PERMITTED + timestamps(1000, 0x12345678) + NOP + wscale(7))
add("SYN options reversed", syn, options=lambda family: wscale(7) + NOP + timestamps(1000) + SACK_PERMITTED + base(family))
add("SYN NOPs between", syn,
    options=lambda family: NOP + base(family) + NOP + NOP + SACK_PERMITTED + NOP + NOP + NOP + timestamps(1000) + NOP + NOP + wscale(7))
add("SYN EOL in the middle", syn, options=lambda family: base(family) + EOL + NOP + NOP + NOP + SACK_PERMITTED + timestamps(1000))
add("SYN macOS order (EOL at the end)", syn,
    options=lambda family: base(family) + NOP + wscale(6) + NOP + NOP + timestamps(1000) + SACK_PERMITTED + EOL + EOL)
add("SYN MSS twice", syn, options=lambda family: linux_options(family) + mss(1300))
add("SYN MSS with length 3", syn, options=b"\2\3\5" + SACK_PERMITTED + timestamps(1000) + NOP + wscale(7))
add("SYN option length 0", syn, options=lambda family: base(family) + b"\x4d\0" + SACK_PERMITTED + timestamps(1000))
add("SYN option length beyond the header", syn, options=lambda family: base(family) + b"\x4d\x28" + NOP + NOP)
add("SYN TFO cookie request", syn, options=with_more(option(34)))
add("SYN TFO with cookie", syn, options=with_more(option(34, b"12345678"), NOP, NOP))
add("SYN exp 254 TFO (0xF989)", syn, options=with_more(option(254, b"\xf9\x89")))
add("SYN exp 253", syn, options=with_more(option(253, b"\1\2\3\4")))
add("SYN MPTCP capable v1", syn, options=with_more(option(30, b"\1\1")))
add("SYN AccECN option (kind 172, empty)", syn, options=with_more(option(172)))
add("SYN AccECN option (kind 174, 9 bytes)", syn, options=with_more(option(174, b"\0\0\1" * 3), NOP))
add("SYN unknown option 77", syn, options=with_more(option(77, b"\1\2\3\4\5\6")))
add("SYN TCP-MD5 option (listener has no key)", syn, options=lambda family: base(family) + NOP + NOP + option(19, b"m" * 16))
add("SYN TCP-AO option (listener has no key)", syn, options=lambda family: base(family) + option(29, b"\1\1" + b"a" * 12))
add("SYN 40 bytes of NOPs", syn, options=NOP * 40)
add("SYN with 100 bytes of payload", syn, data=b"p" * 100)

# ---------------------------------------------------------------------------------------------------------- TCP flags

add("SYN+ECE+CWR", syn, flags=SYN | ECE | CWR)
add("SYN+ECE+CWR without timestamps", syn, flags=SYN | ECE | CWR, options=lambda family: base(family) + SACK_PERMITTED)
add("SYN+ECE", syn, flags=SYN | ECE)
add("SYN+CWR", syn, flags=SYN | CWR)
add("SYN+AE", syn, flags=SYN | AE)
add("SYN+AE+CWR+ECE (AccECN)", syn, flags=SYN | AE | CWR | ECE)
add("SYN+PSH", syn, flags=SYN | PSH)
add("SYN+URG", syn, flags=SYN | URG, urgent=1)
add("SYN+URG+PSH+ECE+CWR", syn, flags=SYN | URG | PSH | ECE | CWR, urgent=1)
add("SYN+FIN", syn, flags=SYN | FIN)
add("SYN+RST", syn, flags=SYN | RST)
add("SYN reserved bits 7", syn, reserved=7)

# --------------------------------------------------------------------------------------------------------- IP headers

for name, tos in (("DSCP EF", 0xb8), ("DSCP CS1", 0x20), ("ECT0", 2), ("ECT1", 1), ("CE", 3)):
    add(f"SYN with IP {name}", syn, ip={"tos": tos})
    add(f"SYN+ECE+CWR with IP {name}", syn, flags=SYN | ECE | CWR, ip={"tos": tos})
add("SYN+AE+CWR+ECE with ECT0", syn, flags=SYN | AE | CWR | ECE, ip={"tos": 2})
for ttl in (1, 255):
    add(f"SYN TTL/hop limit {ttl}", syn, ip={"ttl": ttl})
for name, options in (("IP options NOP", NOP * 4), ("IP router alert", b"\x94\4\0\0"), ("IP security option (130)", b"\x82\x0b" + bytes(9)),
                      ("IP record route", b"\7\7\4" + bytes(4)), ("IP timestamp option", b"\x44\x0c\5\0" + bytes(8))):
    add(f"SYN {name}", syn, (4,), ip={"options": options})
add("SYN IP loose source route", syn, (4,), ip=lambda c: {"options": b"\x83\7\4" + c.source})
add("SYN without DF", syn, (4,), ip={"flags": 0})
add("SYN IP ID 0", syn, (4,), ip={"ident": 0})
add("SYN IP reserved bit", syn, (4,), ip={"flags": 0xc000})
PADDING = b"\0\1\4\0\0\0\0"
HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT = 0, 60, 43, 44
for name, extensions in (
        ("hop-by-hop", [(HOP_BY_HOP, PADDING)]),
        ("hop-by-hop router alert", [(HOP_BY_HOP, b"\0\5\2\0\0\1\0")]),
        ("destination options", [(DESTINATION, PADDING)]),
        ("routing header, 0 left", [(ROUTING, bytes(7))]),
        ("hop-by-hop + destination options + destination options", [(HOP_BY_HOP, PADDING), (DESTINATION, PADDING), (DESTINATION, PADDING)]),
        ("destination option of unknown kind (discard, report)", [(DESTINATION, b"\0\x9e\4\0\0\0\0")]),
        ("atomic fragment", [(FRAGMENT, b"\0\0\0\0\0\0\1")])):
    add(f"SYN IPv6 {name}", syn, (6,), ip={"extensions": extensions})
add("SYN IPv6 flow label", syn, (6,), ip={"flow": 0x12345})

# ------------------------------------------------------------------------------------------- frames, sizes, numbers

add("SYN VLAN 0 (priority tag)", syn, vlans=[0])
add("SYN VLAN 5, which no device has", syn, vlans=[5])
add("SYN trailing bytes (min-size frame)", syn, options=b"", trailer=bytes(6))
add("SYN frame 40 bytes longer than IP says", syn, trailer=b"t" * 40)
add("SYN wrong TCP checksum", syn, spoil=True)
add("SYN data offset 4", syn, options=b"", offset=4)
add("SYN data offset beyond the segment", syn, options=b"", offset=15)
for window in (0, 1):
    add(f"SYN window {window}", syn, window=window)
for port in (0, 1, 65535):
    add(f"SYN from port {port}", syn, sport=port)
add("SYN from the server's own port 8080", syn, sport=8080)
add("SYN ISN 0xffffffff", syn, isn=0xffffffff)
add("SYN ISN 0", syn, isn=0)


# ---------------------------------------------------------------------------------------------------- two SYNs in a row

async def twice(lab, family, which):
    await epoch_for(1)
    c = Client(lab, family, TALK)
    first = await c.syn()
    c.note_synack(first)
    echo = c.echo
    await asyncio.sleep(0.1)
    again = await c.syn(options=linux_options(family, value=1100))
    c.note_synack(again, "again")
    if which == "first":
        c.echo = echo
    await whole(c, first)
    return c


for which in ("first", "second"):
    add(f"SYN twice, same ISN (retransmission), then ACK of the {which}", twice, which=which)


async def other_number(lab, family, which):
    c = Client(lab, family, TALK)
    c.note_synack(await c.syn())
    first, c.peer = (c.isn, c.peer, c.echo), None
    c.isn += 5000
    c.send(SYN)
    answer = await c.receive(SHORT, lambda segment: segment.ack - c.isn & frames.MASK == 1 or segment.flags & RST)
    c.isn -= 5000
    c.note("second-syn", "nothing" if answer is None else c.text(answer))
    if which == "first":
        c.isn, c.peer, c.echo = first
    elif answer is not None and answer.flags & SYN:
        c.isn += 5000
    else:
        return c
    c.send(ACK)
    c.note("ack", c.texts(await c.collect(0.7, lambda segment: segment.flags & RST)))
    await c.note_socket(SHORT)
    c.reset()
    return c


for which in ("first", "second"):
    add(f"SYN, then SYN with another ISN, then ACK of the {which}", other_number, which=which)


@row("SYN retransmitted after 1 s without answer heard (same ISN), ACK of the last")
async def retransmitted(lab, family):
    await epoch_for(3)
    c = Client(lab, family, TALK)
    c.note_synack(await c.syn())
    await asyncio.sleep(1)
    again = await c.syn()
    c.note("second", "none" if again is None else c.text(again))
    await whole(c, again)
    return c

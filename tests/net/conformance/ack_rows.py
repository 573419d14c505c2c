# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The segments after the SYN-ACK: correct and wrong ACKs, in every order with data, FIN and RST."""
import asyncio

from catalogue import GREET, TALK, add, row
from client import LINUX, PATIENCE, PLAIN, SHORT, Client, epoch_for
from frames import ACK, ECE, FIN, NOP, PSH, RST, SYN, URG, CWR, timestamps
from syn_rows import DESTINATION, HOP_BY_HOP, PADDING


def both(name, families=(4, 6)):
    """With timestamps and without."""
    def keep(function):
        add(name, function, families)
        add(f"{name}, no timestamps", function, families, options=PLAIN)
        return function
    return keep


async def begun(lab, family, options=LINUX, port=TALK, **more):
    """A client whose SYN is answered."""
    c = Client(lab, family, port, options=options)
    answer = await c.syn(**more)
    c.note("syn-ack", "none" if answer is None else c.text(answer))
    return c


def speaks(segment):
    """Data, FIN or RST, without pure acknowledgments, of which there may be one more or less."""
    return bool(segment.data or segment.flags & (FIN | RST))


async def heard(c, key, seconds=SHORT, until=lambda segment: False, wanted=lambda segment: True, repeated=False):
    """repeated: counts repeated SYN-ACKs, too, which otherwise depend on timing."""
    def chosen(segment):
        return wanted(segment) and (repeated or not segment.flags & SYN or segment.seq != c.peer)

    c.note(key, c.texts([segment for segment in await c.collect(seconds, lambda segment: chosen(segment) and until(segment)) if
                         chosen(segment)]))


async def served(c, seconds=PATIENCE):
    """Checks whether there is a connection, and whether it works."""
    if await c.note_socket(seconds) is not None:
        await c.ask(100)
    c.reset()
    return c


@both("ACK with data")
async def with_data(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK | PSH, b"hello\n")
    await heard(c, "answer", until=speaks)
    await c.note_socket()
    await c.close()
    await c.note_end()
    return c


@both("ACK, 3 data segments back to back")
async def three_segments(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK)
    for data in (b"ab", b"cd", b"ef\n"):
        c.send(ACK | PSH, data)
    await heard(c, "answer", until=speaks, wanted=speaks)
    c.send(ACK)
    return await served(c)


@both("ACK with FIN")
async def with_fin(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK | FIN)
    await heard(c, "answer", until=speaks, wanted=speaks)
    c.send(ACK)
    await c.note_socket()
    await c.note_end()
    return c


@both("ACK with data and FIN")
async def with_data_and_fin(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK | FIN | PSH, b"hello\n")
    await heard(c, "answer", until=lambda segment: segment.flags & FIN, wanted=speaks)
    c.send(ACK)
    await c.note_socket()
    await c.note_end()
    return c


@both("ACK three times")
async def three_times(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    for _ in range(3):
        c.send(ACK)
    return await served(c)


@both("PSH without ACK")
async def push_alone(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(PSH)
    await heard(c, "answer")
    await c.note_socket(0.7, "before")
    c.send(ACK)
    return await served(c)


@both("ACK+PSH without data")
async def push(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK | PSH)
    return await served(c)


@both("ACK+URG with urgent data")
async def urgent(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK | URG | PSH, b"!a\n", urgent=1)
    await heard(c, "answer", until=speaks)
    c.send(ACK)
    return await served(c)


def reset_before(name, until_next):
    @both(name)
    async def before(lab, family, options=LINUX):
        c = await begun(lab, family, options)
        c.send(RST, seq=c.next + until_next, options=b"")
        await asyncio.sleep(0.1)
        c.send(ACK)
        await heard(c, "answer", until=lambda segment: segment.flags & RST)
        return await served(c, SHORT)


reset_before("RST (wrong sequence number), then ACK", 70000)
reset_before("RST (exact sequence number), then ACK", 0)


@both("RST+ACK (client refuses), then nothing for 1.5 s")
async def refused(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(RST | ACK, options=b"")
    await heard(c, "answer", 1.5)
    await c.note_socket(0.1)
    return c


@both("FIN without ACK, then ACK")
async def fin_alone(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(FIN, seq=1)
    await heard(c, "answer", 0.3)
    c.send(ACK)
    return await served(c)


@both("ACK, then the SYN again (old duplicate)")
async def old_syn(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK)
    await c.note_socket()
    c.send(SYN)
    await heard(c, "answer", until=lambda segment: True)
    await c.ask(100)
    c.reset()
    return c


@both("ACK, then a SYN with another ISN (challenge ACK)")
async def new_syn(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK)
    await c.note_socket()
    c.send(SYN, seq=300000)
    await heard(c, "answer", until=lambda segment: True)
    await c.ask(100)
    c.reset()
    return c


@both("ACK, then RST in the window, not exact (challenge ACK)")
async def inexact_reset(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK)
    await c.note_socket()
    c.send(RST, seq=c.next + 10, options=b"")
    await heard(c, "answer", until=lambda segment: True)
    await c.ask(100)
    c.reset()
    return c


@both("ACK, then RST exact")
async def exact_reset(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK)
    await c.note_socket()
    c.reset()
    await c.note_end()
    # Not as one of the segments that follow the final ACK at once.
    await asyncio.sleep(0.5)
    c.send(ACK)
    await heard(c, "ack-after", until=lambda segment: True)
    return c


@both("bulk: 30000 bytes, each acknowledged")
async def bulk(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK)
    await c.ask(30000)
    await c.note_socket()
    await c.close()
    await c.note_end()
    return c


@both("data out of order before the ACK")
async def out_of_order(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK | PSH, b"lo\n", seq=4)
    await heard(c, "early", 0.7)
    c.send(ACK | PSH, b"hel", seq=1)
    await heard(c, "answer", until=speaks)
    c.next = 7
    await c.note_socket()
    c.reset()
    return c


@both("ACK window 0, then update")
async def zero_window(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK | PSH, b"hello\n", window=0)
    # A probe of the closed window may come; it is ignored.
    await heard(c, "closed", 0.15, wanted=speaks)
    c.send(ACK)
    await heard(c, "open", 2, until=speaks, wanted=speaks)
    c.send(ACK)
    await c.note_socket()
    c.reset()
    return c


def wrong_numbers(name, seq=1, ack=1):
    """Sends such an ACK first, and then the correct one."""
    @both(name)
    async def wrong(lab, family, options=LINUX):
        c = await begun(lab, family, options)
        c.send(ACK, seq=seq, ack=ack)
        await heard(c, "answer", 0.7, until=lambda segment: True)
        await c.note_socket(0.7, "before")
        c.send(ACK)
        await c.note_socket(SHORT)
        c.send(PSH | ACK, b"hello\n")
        await heard(c, "then", SHORT, until=speaks, wanted=speaks)
        c.reset()
        return c


wrong_numbers("ACK of ISN+2", ack=2)
wrong_numbers("ACK of ISN+0", ack=0)
wrong_numbers("ACK with sequence number one too high (data gap)", seq=2)
wrong_numbers("ACK with sequence number ISN (keep-alive like)", seq=0)
wrong_numbers("ACK with sequence number beyond the window", seq=1 << 20)


@both("SYN+ACK instead of ACK")
async def syn_ack(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(SYN | ACK)
    await heard(c, "answer", 0.7, until=lambda segment: True)
    await c.note_socket(0.7, "before")
    c.send(ACK)
    await heard(c, "then", 0.2, until=lambda segment: segment.flags & RST)
    return await served(c, SHORT)


# --------------------------------------------------------------------------------------------------------- timestamps

def wrong_clock(name, right=True, plain=False, **more):
    """Sends an ACK with such timestamps; right: and then the correct one."""
    @row(name)
    async def wrong(lab, family):
        c = await begun(lab, family, PLAIN if plain else LINUX)
        spoilt = {key: value(c) if callable(value) else value for key, value in more.items()}
        c.send(ACK, **spoilt)
        await heard(c, "answer", 0.7, until=lambda segment: True)
        await c.note_socket(0.7, "before")
        if not right:
            c.send(ACK | PSH, b"hello\n", **spoilt)
            await heard(c, "data", until=speaks, wanted=speaks)
            c.reset()
            return c
        c.send(ACK)
        await heard(c, "then", 0.2, until=lambda segment: segment.flags & RST)
        return await served(c, SHORT)


wrong_clock("ACK with TSecr + 1", echo=lambda c: c.echo + 1)
wrong_clock("ACK with TSecr - 1000", echo=lambda c: c.echo - 1000)
wrong_clock("ACK with TSecr 0", echo=0)
wrong_clock("ACK without timestamps though negotiated", options=b"")
wrong_clock("ACK with timestamps though not negotiated", plain=True, options=NOP + NOP + timestamps(1000, 1))
wrong_clock("ACK with TSval older than the SYN's (PAWS)", value=500)
wrong_clock("data without timestamps though negotiated, never any", False, options=b"")


@row("ACK, then data with an old TSval (PAWS)")
async def old_data(lab, family):
    c = await begun(lab, family)
    c.send(ACK)
    await c.note_socket()
    c.send(ACK | PSH, b"hello\n", seq=1, value=10)
    await heard(c, "answer", until=lambda segment: True)
    await c.ask(100)
    c.reset()
    return c


# ------------------------------------------------------------------------------------------------- forms of the ACK

def form(name, families=(4, 6), **more):
    @row(name, families)
    async def shaped(lab, family):
        c = await begun(lab, family)
        c.send(ACK, **{key: value(c) if callable(value) else value for key, value in more.items()})
        await c.note_socket(SHORT)
        await c.ask(100)
        c.reset()
        return c


form("ACK with options reversed order (TS, NOP, NOP)", options=lambda c: timestamps(1000, c.echo) + NOP + NOP)
form("ACK with IP options / hop-by-hop", (4,), ip={"options": NOP * 4})
form("ACK with IP options / hop-by-hop", (6,), ip={"extensions": [(HOP_BY_HOP, PADDING), (DESTINATION, PADDING)]})
form("ACK with trailing bytes", trailer=bytes(6))
form("ACK VLAN 0", vlans=[0])


@row("ACK with wrong checksum, then right")
async def wrong_checksum(lab, family):
    c = await begun(lab, family)
    c.send(ACK, spoil=True)
    await heard(c, "answer", 0.3)
    before = await c.note_socket(0.7, "before")
    c.send(ACK)
    if before is None:
        return await served(c)
    c.reset()
    return c


@row("ACK with data and a wrong checksum, then right")
async def wrong_data(lab, family):
    c = await begun(lab, family)
    c.send(ACK | PSH, b"wrong\n", seq=1, spoil=True)
    await heard(c, "answer", 0.3)
    c.send(ACK | PSH, b"right\n")
    await c.collect(SHORT, speaks)
    c.note("data", b"".join(segment.data for segment in c.frames))
    await c.note_socket()
    await c.close()
    await c.note_end()
    return c


@row("ACK with ECE (ECN negotiated)")
async def ece(lab, family):
    c = await begun(lab, family, flags=SYN | ECE | CWR)
    c.send(ACK | ECE)
    return await served(c)


@row("ECN: SYN+ECE+CWR, data with CE is echoed (ECE), CWR ends it")
async def congestion(lab, family):
    c = await begun(lab, family, flags=SYN | ECE | CWR)
    c.send(ACK)
    await c.note_socket()
    c.send(ACK | PSH, b"ab", ip={"tos": 3})
    await heard(c, "CE", until=lambda segment: True)
    c.send(ACK | PSH | CWR, b"cd\n", ip={"tos": 2})
    await heard(c, "CWR", until=speaks, wanted=speaks)
    c.reset()
    return c


# ------------------------------------------------------------------------------------------------------- late and lost

@both("first round trip: ACK after 500 ms")
async def round_trip(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    await asyncio.sleep(0.5)
    c.send(ACK)
    event = await c.server("accepted")
    c.note("rtt", "none" if event is None else f"{round(event['rtt'] / 500000) * 500} ms")
    c.reset()
    return c



@both("no ACK at all: what is sent in 8 s")
async def silent(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    await heard(c, "again", 8.5, repeated=True)
    c.note("again.count", len(c.frames) - 1)
    c.reset()
    return c


async def late(lab, family, seconds, options=LINUX):
    if 64 < seconds < 128:
        await epoch_for(seconds - 64)
    c = await begun(lab, family, options)
    c.note("again.count", len(await c.collect(seconds)))
    c.send(ACK)
    await heard(c, "answer", 0.7, until=lambda segment: segment.flags & RST)
    return await served(c, 0.7)


async def lost(lab, family, seconds, options=LINUX):
    if 64 < seconds < 128:
        await epoch_for(seconds - 64)
    c = await begun(lab, family, options, GREET)
    c.note("again.count", len(await c.collect(seconds)))
    c.send(ACK | PSH, b"abc\n")
    # The greeting and the reply may be one segment, or the reply waits for the acknowledgment of the greeting.
    await heard(c, "answer", SHORT, until=speaks, wanted=lambda segment: segment.flags & RST)
    if c.expected > 1:
        c.send(ACK)
        await c.collect(SHORT, lambda segment: c.expected == 11)
    c.note("bytes", c.expected - 1)
    await c.note_socket(SHORT)
    c.reset()
    return c


for seconds in (10, 40, 62, 70, 130):
    add(f"ACK delayed {seconds} s", late, seconds=seconds)
    add(f"ACK delayed {seconds} s, no timestamps", late, seconds=seconds, options=PLAIN)
for seconds in (10, 70):
    add(f"ACK lost, data after {seconds} s, server speaks first", lost, seconds=seconds)
    add(f"ACK lost, data after {seconds} s, server speaks first, no timestamps", lost, seconds=seconds, options=PLAIN)

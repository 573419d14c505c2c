# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How connections end, what the same port gets afterwards, segments without a connection, and errors of the network."""
import asyncio
import struct

from ack_rows import begun, both, heard, served, speaks
from catalogue import CLOSE, GREET, HALF, OVERFLOW, RESET, TALK, UNREAD, add, row
from client import LINUX, PLAIN, SHORT, Client, linux_options
from frames import ACK, FIN, PSH, RST, SYN


def fin_or_reset(segment):
    return bool(segment.flags & (FIN | RST))


@both("server speaks first: ACK, greeting")
async def greeting(lab, family, options=LINUX):
    c = await begun(lab, family, options, GREET)
    c.send(ACK)
    await heard(c, "answer", until=speaks)
    await c.note_socket()
    c.reset()
    return c


@both("server closes first: ACK, FIN, ours")
async def server_closes(lab, family, options=LINUX):
    c = await begun(lab, family, options, CLOSE)
    c.send(ACK)
    await heard(c, "answer", until=fin_or_reset)
    c.send(ACK | FIN)
    await heard(c, "last", until=lambda segment: segment.ack - c.isn == 2)
    return c


@both("simultaneous close")
async def simultaneous(lab, family, options=LINUX):
    c = await begun(lab, family, options, CLOSE)
    c.send(ACK)
    await heard(c, "answer", until=fin_or_reset)
    c.send(ACK | FIN, ack=1)
    await heard(c, "crossed", until=lambda segment: not segment.flags & FIN)
    c.send(ACK)
    await heard(c, "last", 0.3)
    return c


@both("half-close: server shuts down first, client goes on")
async def half_close(lab, family, options=LINUX):
    c = await begun(lab, family, options, HALF)
    c.send(ACK)
    await heard(c, "answer", until=fin_or_reset)
    c.send(ACK | PSH, b"more")
    await heard(c, "data", until=lambda segment: True)
    c.send(ACK | FIN)
    await c.note_end()
    return c


@both("ACK, data with server closed by unread data")
async def unread(lab, family, options=LINUX):
    c = await begun(lab, family, options, UNREAD)
    c.send(ACK)
    await c.note_socket()
    c.send(ACK | PSH, b"hello\n")
    await heard(c, "answer", SHORT, until=fin_or_reset, wanted=speaks)
    return c


@both("server resets after accept")
async def server_resets(lab, family, options=LINUX):
    c = await begun(lab, family, options, RESET)
    c.send(ACK)
    await heard(c, "answer", until=fin_or_reset)
    # Not as one of the segments that follow the final ACK at once.
    await asyncio.sleep(0.5)
    c.send(ACK | PSH, b"hello\n")
    await heard(c, "data-after", until=lambda segment: True)
    return c


@both("ACK of a connection long closed (out of state)")
async def long_closed(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK)
    await c.ask(10)
    await c.close()
    await c.note_end()
    await asyncio.sleep(1.5)
    c.send(ACK)
    await heard(c, "answer", until=lambda segment: True)
    return c


# --------------------------------------------------------------------------------------------- the same port once more

async def time_wait(lab, family, step=0, clock=0, options=LINUX):
    c = await begun(lab, family, options, CLOSE)
    c.send(ACK)
    await heard(c, "first", until=fin_or_reset)
    c.send(ACK | FIN)
    await c.collect(0.3, until=lambda segment: segment.ack - c.isn == 2)
    # The timestamps that a TIME-WAIT compares are a second old.
    await asyncio.sleep(1.2)
    old, peer, echo = c.isn, c.peer, c.echo
    c.begin(c.isn + step)
    c.value += clock
    c.send(SYN, options=linux_options(family, value=c.value) if options == LINUX else None)
    answer = await c.receive(SHORT)
    c.note("answer", "nothing" if answer is None else answer.letters)
    if answer is not None and answer.flags & SYN:
        c.send(ACK)
        await heard(c, "then", until=fin_or_reset)
    else:
        c.isn, c.peer, c.echo = old, peer, echo
    c.reset()
    return c


for name, step, clock in (("higher ISN, newer TSval", 500000, 5000), ("lower ISN, newer TSval", -500000, 5000),
                          ("higher ISN, older TSval", 500000, -500), ("lower ISN, older TSval", -500000, -500), ("same ISN", 0, 0)):
    what = f"TIME-WAIT (server closed), SYN of the same port: {name}"
    add(what, time_wait, step=step, clock=clock)
    add(f"{what}, no timestamps", time_wait, step=step, clock=clock, options=PLAIN)


@both("client closed first, SYN of the same port at once")
async def again(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK)
    await c.ask(10)
    await c.note_socket()
    await c.close()
    await c.note_end()
    await asyncio.sleep(0.1)
    c.begin(c.isn + 500000)
    c.value += 1000
    answer = await c.syn()
    c.note("answer", "nothing" if answer is None else c.text(answer))
    c.send(ACK | PSH, b"hello\n")
    await heard(c, "then", until=speaks)
    c.reset()
    return c


# ------------------------------------------------------------------------------------------------------------- out-of-state segments

def out_of_state(name, flags):
    @row(f"out-of-state {name}, never a SYN")
    async def never(lab, family):
        c = Client(lab, family, TALK)
        c.peer = 0x12345678
        c.send(flags)
        await heard(c, "answer", until=lambda segment: True)
        return c


out_of_state("ACK", ACK)
out_of_state("FIN+ACK", FIN | ACK)
out_of_state("SYN+ACK", SYN | ACK)
out_of_state("RST", RST)


@row("accept queue overflow: listen(2), five clients")
async def overflow(lab, family):
    clients = [Client(lab, family, OVERFLOW) for _ in range(5)]
    first = clients[0]
    for number, c in enumerate(clients):
        answer = await c.syn(SHORT)
        if answer is not None:
            c.send(ACK)
        first.note(f"{number}.syn-ack", answer is not None)
        await asyncio.sleep(0.2)
    for number, c in enumerate(clients[:3]):
        c.send(ACK | PSH, b"x")
        answer = await c.receive(SHORT, lambda segment: not segment.flags & SYN)
        first.note(f"{number}.data", "nothing" if answer is None else c.text(answer))
    for c in clients:
        c.reset()
    return first


# ---------------------------------------------------------------------------------------------- errors of the network

ERRORS = {
    "frag": {4: (3, 4, struct.pack("!HH", 0, 1000)), 6: (2, 0, struct.pack("!I", 1300))},
    "port": {4: (3, 3, bytes(4)), 6: (1, 4, bytes(4))},
    "host": {4: (3, 1, bytes(4)), 6: (1, 3, bytes(4))},
    "admin": {4: (3, 13, bytes(4)), 6: (1, 1, bytes(4))},
    "proto": {4: (3, 2, bytes(4)), 6: (4, 1, struct.pack("!I", 6))},
}


def icmp(error):
    @both(f"ICMP {error} unreachable quoting our SYN-ACK, then ACK")
    async def quoted(lab, family, options=LINUX):
        c = await begun(lab, family, options)
        c.icmp(*ERRORS[error][family][:2], c.synack.packet, ERRORS[error][family][2])
        await asyncio.sleep(0.1)
        c.send(ACK)
        await heard(c, "answer", until=lambda segment: segment.flags & RST)
        return await served(c, SHORT)


for error in ERRORS:
    icmp(error)


@both("ICMP frag-needed after ACK, quoting the SYN-ACK; then a big answer")
async def too_big(lab, family, options=LINUX):
    c = await begun(lab, family, options)
    c.send(ACK)
    await c.note_socket()
    kind, code, rest = ERRORS["frag"][family]
    c.icmp(kind, code, c.synack.packet, rest)
    await asyncio.sleep(0.1)
    await c.ask()
    c.reset()
    return c

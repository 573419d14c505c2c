# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The client of a row: sends by hand, and notes what comes back in a form that does not depend on random numbers.

Numbers are relative to the two initial ones. The notes are a dictionary: "syn-ack.mss" -> "1460". Its keys are the
aspects in the manual's table.
"""
import asyncio
import random
import struct
import time

import frames
from frames import ACK, FIN, MASK, NOP, RST, SYN

# For what must come. The wait for what must not come is short; other rows use that time.
PATIENCE = 5
SHORT = 1.5
LINUX, PLAIN = "linux", "plain"


def linux_options(family, size=None, value=1000, scale=7):
    return (frames.mss(size if size is not None else {4: 1460, 6: 1440}[family]) + frames.SACK_PERMITTED + frames.timestamps(value) + NOP +
            frames.wscale(scale))


def plain_options(family, scale=8):
    """The options of Windows: no timestamps."""
    return frames.mss({4: 1460, 6: 1440}[family]) + NOP + frames.wscale(scale) + NOP + NOP + frames.SACK_PERMITTED


async def epoch_for(seconds):
    """Waits until this much of the cookies' epoch (64 s of the wall clock) remains. A SYN repeated in the same epoch gets
    the same number, and a cookie is good in its epoch and in the next: the result of a row must not depend on chance."""
    if time.time() % 64 > 62 - seconds:
        await asyncio.sleep(64.5 - time.time() % 64)


class Client:
    def __init__(self, lab, family, port, sport=None, address=None, options=LINUX, isn=None):
        self.lab, self.family, self.port = lab, family, port
        self.address = address or lab.new_address(family)
        self.source, self.target = frames.pack(self.address), frames.pack(lab.server_address[family])
        self.sport = random.randint(20000, 60000) if sport is None else sport
        self.isn = random.getrandbits(32) if isn is None else isn
        self.options = {LINUX: linux_options, PLAIN: plain_options}[options](family) if isinstance(options, str) else options
        self.queue = lab.wire.register(self.source, self.sport)
        self.begin(self.isn)
        self.value = 1000  # our clock
        self.noted = {}
        self.vlans = []
        self.ip = {}  # of all frames that set nothing else
        self.frames = []  # received frames, in order
        lab.clients[self.address, self.sport] = self
        self.events, self.event = [], asyncio.Event()

    def begin(self, isn):
        """A connection of the same address and port: nothing is known of the server's."""
        self.isn, self.peer, self.echo, self.next, self.expected = isn, None, None, 1, 1
        self.early = {}
        self.clock, self.clock_jumps = None, False  # the server's

    # --------------------------------------------------------------------------------------------------------- sending

    def frame(self, flags, data=b"", seq=None, ack=None, options=None, value=None, echo=None, window=65535, vlans=None, trailer=b"",
              ip=None, **tcp):
        if options is None:
            if flags & SYN:
                options = self.options
            elif self.echo is not None and not flags & RST:
                options = NOP + NOP + frames.timestamps(self.value if value is None else value, self.echo if echo is None else echo)
            else:
                options = b""
        seq = (0 if flags & SYN else self.next) if seq is None else seq
        number = self.isn + seq
        answer = (self.peer or 0) + (self.expected if ack is None else ack) if flags & ACK else 0
        segment = frames.tcp(self.source, self.target, self.sport, self.port, number, answer, flags, window, options, data, **tcp)
        build = frames.ipv4 if self.family == 4 else frames.ipv6
        return frames.ethernet(self.family, build(self.source, self.target, segment, **(self.ip if ip is None else ip)),
                               self.vlans if vlans is None else vlans, trailer)

    def send(self, flags, data=b"", **more):
        """Our next number advances, unless the row gives one."""
        self.lab.wire.send(self.frame(flags, data, **more))
        if not flags & SYN and "seq" not in more:
            self.next += len(data) + bool(flags & FIN)

    def icmp(self, kind, code, quoted, rest=b"\0\0\0\0"):
        """An error about one of the server's packets, from the client's address."""
        if self.family == 4:
            body = struct.pack("!BBH", kind, code, 0) + rest + quoted[:28]
            body = body[:2] + struct.pack("!H", frames.checksum(body)) + body[4:]
            packet = frames.ipv4(self.source, self.target, body, protocol=1)
        else:
            body = struct.pack("!BBH", kind, code, 0) + rest + quoted[:1200]
            total = frames.checksum(self.source + self.target + struct.pack("!II", len(body), 58) + body)
            packet = frames.ipv6(self.source, self.target, body[:2] + struct.pack("!H", total) + body[4:], protocol=58)
        self.lab.wire.send(frames.ethernet(self.family, packet))

    # ------------------------------------------------------------------------------------------------------- receiving

    def take(self, segment):
        if segment.flags & SYN and segment.flags & ACK and self.peer is None:
            self.peer = segment.seq
            self.synack = segment
        # The clock of a challenge ACK is never echoed: during a handshake the kernel accepts only that of SYN-ACKs.
        for kind, body in segment.each_option():
            if kind == 8 and (segment.flags & SYN or (segment.data and self.echo is not None)):
                self.echo = struct.unpack("!I", body[:4])[0]
            if kind == 8 and self.clock is not None and (struct.unpack("!I", body[:4])[0] - self.clock) & MASK > 10000:
                self.clock_jumps = True
            if kind == 8:
                self.clock = struct.unpack("!I", body[:4])[0]
        if self.peer is not None and not segment.flags & (SYN | RST):
            self.early[(segment.seq - self.peer) & MASK] = segment.length
            while self.expected in self.early:
                length = self.early.pop(self.expected)
                self.expected += length
                if not length:
                    break
        self.frames.append(segment)
        return segment

    async def receive(self, seconds=PATIENCE, until=lambda segment: True):
        """Returns the next wanted segment, or None."""
        end = time.monotonic() + seconds
        while (remaining := end - time.monotonic()) > 0:
            try:
                segment = self.take(await asyncio.wait_for(self.queue.get(), remaining))
            except asyncio.TimeoutError:
                return None
            if until(segment):
                return segment
        return None

    async def collect(self, seconds, until=lambda segment: False):
        """Returns everything that arrives meanwhile."""
        before = len(self.frames)
        await self.receive(seconds, until)
        return self.frames[before:]

    async def syn(self, seconds=PATIENCE, flags=SYN, **more):
        """Sends it; returns the SYN-ACK or None."""
        self.send(flags, **more)
        answer = await self.receive(seconds, lambda segment: segment.flags & (SYN | RST))
        return answer if answer is not None and answer.flags & SYN else None

    async def connect(self, **more):
        answer = await self.syn(**more)
        if answer is None:
            self.note("syn-ack", "none")
            return None
        self.send(ACK)
        return answer

    # ---------------------------------------------------------------------------------------------------- server's side

    def said(self, event):
        self.events.append(event)
        self.event.set()

    async def server(self, what, seconds=PATIENCE):
        """Returns what the server reported of this connection: "accepted" or "end"; None without a report."""
        end = time.monotonic() + seconds
        while True:
            for event in self.events:
                if what in event:
                    self.events.remove(event)
                    return event
            self.event.clear()
            try:
                await asyncio.wait_for(self.event.wait(), max(0, end - time.monotonic()))
            except asyncio.TimeoutError:
                return None

    # ---------------------------------------------------------------------------------------------------------- noting

    def note(self, key, value):
        self.noted[key] = str(value)

    def text(self, segment):
        """Formats as packetdrill does, without windows and clocks."""
        if self.peer is None or (segment.flags & RST and not segment.seq) or (segment.flags & SYN and segment.seq != self.peer):
            seq = "N:N"
        else:
            seq = (segment.seq - self.peer) & MASK
            seq = f"{seq}:{(seq + len(segment.data)) & MASK}"
        words = [segment.letters, f"{seq}({len(segment.data)})"]
        if segment.flags & ACK:
            words.append(f"ack {(segment.ack - self.isn) & MASK}")
        kinds = [self.option_text(kind, body) for kind, body in segment.each_option()]
        if kinds and segment.flags & SYN:
            words.append(f"<{','.join(kinds)}>")
        elif any(kind == "sack" for kind in kinds):
            words.append("<sack>")
        return " ".join(words)

    @staticmethod
    def option_text(kind, body):
        if kind == 2:
            return f"mss {struct.unpack('!H', body)[0]}"
        return {3: lambda: f"wscale {body[0]}", 4: lambda: "sackOK", 5: lambda: "sack", 8: lambda: "TS"}.get(kind, lambda: f"{kind}:{body.hex()}")()

    def texts(self, segments):
        """Merges consecutive duplicates: the number of repetitions depends on timing."""
        found = []
        for segment in segments:
            text = self.text(segment)
            if not found or found[-1] != text:
                found.append(text)
        return "; ".join(found) or "nothing"

    def note_synack(self, segment, key="syn-ack"):
        if segment is None:
            self.note(key, "none")
            return
        self.note(key, "sent")
        options = dict(segment.each_option())
        self.note(f"{key}.flags", segment.letters)
        self.note(f"{key}.seq", "same" if segment.seq == self.peer else "new")
        self.note(f"{key}.ack", (segment.ack - self.isn) & MASK)
        self.note(f"{key}.window", segment.window)
        self.note(f"{key}.mss", struct.unpack("!H", options[2])[0] if 2 in options else "none")
        self.note(f"{key}.wscale", options[3][0] if 3 in options else "none")
        self.note(f"{key}.sack", 4 in options)
        self.note(f"{key}.timestamps", f"ecr {struct.unpack('!I', options[8][4:])[0]}" if 8 in options else "none")
        self.note(f"{key}.options", ",".join(str(kind) for kind, _ in segment.each_option() if kind not in (2, 3, 4, 8)))
        self.note(f"{key}.tos", hex(segment.tos))
        self.note(f"{key}.ttl", segment.ttl)
        self.note(f"{key}.df", segment.df)
        self.note(f"{key}.ip-options", self.ip_options(segment))
        self.note(f"{key}.vlan", segment.vlans)
        self.note(f"{key}.checksum", "good" if segment.good_checksum else "wrong")
        self.note(f"{key}.padding", segment.padding)
        self.note(f"{key}.data", len(segment.data))

    @staticmethod
    def ip_options(segment):
        """The content of a timestamp option is a clock."""
        return "timestamp" if segment.ip_options[:1] == b"\x44" else segment.ip_options.hex()

    async def note_socket(self, seconds=PATIENCE, key="socket"):
        """Notes the result of accept()."""
        event = await self.server("accepted", seconds)
        if event is None:
            self.note(key, "none")
            return None
        self.note(key, "accepted")
        for name, value in event["accepted"].items():
            self.note(f"{key}.{name}", value)
        if event["read"]:
            self.note(f"{key}.read", ",".join(event["read"]))
        return event

    async def note_end(self, seconds=PATIENCE, key="recv"):
        """Notes what recv() returned until the end."""
        event = await self.server("end", seconds)
        self.note(key, "open" if event is None else f"{event['data']!r} {event['end']}")

    # ------------------------------------------------------------------------------------------------- what rows go on with

    async def ask(self, size=3000, key="data"):
        """Makes the server send this many bytes, and acknowledges each segment; notes the sizes of the segments."""
        base = self.expected
        self.send(ACK | frames.PSH, b"B%d\n" % size)
        sizes, tos, ttl, end = {}, set(), set(), time.monotonic() + PATIENCE
        while self.expected < base + size and time.monotonic() < end:
            segment = await self.receive(end - time.monotonic(), lambda segment: segment.data or segment.flags & RST)
            if segment is None or segment.flags & RST:
                break
            if segment.seq - self.peer & MASK < base:
                continue  # sent again
            sizes[segment.seq] = max(len(segment.data), sizes.get(segment.seq, 0))
            tos.add(hex(segment.tos))
            ttl.add(segment.ttl)
            self.send(ACK)
        self.note(key, f"{self.expected - base} B")
        self.note(f"{key}.segments", "/".join(str(length) for length in sorted(set(sizes.values()), reverse=True)))
        self.note(f"{key}.clock", "jumps" if self.clock_jumps else "goes on")
        self.note(f"{key}.tos", ",".join(sorted(tos)))
        self.note(f"{key}.ttl", ",".join(str(value) for value in sorted(ttl)))

    async def close(self, key="close"):
        """The client closes, and the server after it."""
        self.send(FIN | ACK)
        segment = await self.receive(PATIENCE, lambda segment: segment.flags & (FIN | RST))
        self.note(key, "no FIN" if segment is None else segment.letters)
        if segment is not None and segment.flags & FIN:
            self.send(ACK)

    def reset(self):
        """Removes the row's state at the server."""
        if self.peer is not None:
            self.send(RST, options=b"")

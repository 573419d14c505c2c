# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Builds TCP frames byte by byte, and parses the frames that come back."""
import socket
import struct

SERVER_MAC, CLIENT_MAC = bytes.fromhex("020000090001"), bytes.fromhex("020000090002")
ETHERTYPE = {4: 0x0800, 6: 0x86dd}
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE = 1, 2, 4, 8, 16, 32, 64, 128, 256
LETTERS = ((SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (URG, "U"), (ECE, "E"), (CWR, "C"), (AE, "A"), (ACK, "."))
MASK = 0xffffffff


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pack(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


# ------------------------------------------------------------------------------------------------------ TCP options

NOP, EOL, SACK_PERMITTED = b"\1", b"\0", b"\4\2"


def mss(value):
    return struct.pack("!BBH", 2, 4, value)


def wscale(value):
    return bytes((3, 3, value))


def timestamps(value, echo=0):
    return struct.pack("!BBII", 8, 10, value, echo)


def option(kind, body=b""):
    return bytes((kind, 2 + len(body))) + body


# ------------------------------------------------------------------------------------------------------------ frames

def ipv4(source, target, payload, tos=0, ttl=64, ident=1, flags=0x4000, options=b"", protocol=6):
    options += b"\0" * (-len(options) % 4)
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, tos, 20 + len(options) + len(payload), ident, flags, ttl, protocol, 0,
                       source, target) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, target, payload, tos=0, ttl=64, flow=0, extensions=(), protocol=6):
    """extensions: (kind, body without its first byte) one after the other."""
    kinds = [kind for kind, _ in extensions] + [protocol]
    chain = b"".join(bytes((following,)) + body for following, (_, body) in zip(kinds[1:], extensions))
    return struct.pack("!IHBB", 6 << 28 | tos << 20 | flow, len(chain) + len(payload), kinds[0], ttl) + source + target + chain + payload


def tcp(source, target, sport, dport, seq, ack, flags, window=65535, options=b"", data=b"", urgent=0, reserved=0, offset=None,
        spoil=False):
    options += b"\0" * (-len(options) % 4)
    offset = (20 + len(options)) // 4 if offset is None else offset
    segment = struct.pack("!HHIIBBHHH", sport, dport, seq & MASK, ack & MASK, offset << 4 | reserved << 1 | flags >> 8, flags & 255,
                          window, 0, urgent) + options + data
    total = checksum(source + target + struct.pack("!II", len(segment), 6) + segment)
    return segment[:16] + struct.pack("!H", total ^ (0x5555 if spoil else 0)) + segment[18:]


def ethernet(family, packet, vlans=(), trailer=b""):
    tags = b"".join(struct.pack("!HH", 0x8100, tag) for tag in vlans)
    return SERVER_MAC + CLIENT_MAC + tags + struct.pack("!H", ETHERTYPE[family]) + packet + trailer


# ------------------------------------------------------------------------------------------------------------ segments

class Segment:
    """A TCP segment of the server, as it was on the wire."""

    def __init__(self, frame):
        at, self.vlans = 12, []
        while (kind := struct.unpack_from("!H", frame, at)[0]) in (0x8100, 0x88a8):
            self.vlans.append(struct.unpack_from("!H", frame, at + 2)[0])
            at += 4
        at += 2
        self.packet = packet = frame[at:]
        if kind == 0x0800:
            self.family, head = 4, (packet[0] & 15) * 4
            self.tos, length, flags, self.ttl, protocol = packet[1], *struct.unpack_from("!HxxHBB", packet, 2)
            self.df, self.ip_options = bool(flags & 0x4000), packet[20:head]
            source, target = packet[12:16], packet[16:20]
        elif kind == 0x86dd:
            self.family, head, self.df, self.ip_options = 6, 40, None, b""
            word, length, protocol, self.ttl = struct.unpack_from("!IHBB", packet)
            self.tos, length = word >> 20 & 255, length + 40
            self.flow = word & 0xfffff
            source, target = packet[8:24], packet[24:40]
        else:
            raise ValueError("not IP")
        if protocol != 6:
            raise ValueError("not TCP")
        # Bytes beyond the packet, unless they are the padding of the shortest frame.
        self.padding = max(0, len(packet) - max(length, 46))
        segment = packet[head:length]
        self.target = target
        self.sport, self.dport, self.seq, self.ack, offset, flags, self.window = struct.unpack_from("!HHIIBBH", segment)
        self.flags = (offset & 1) << 8 | flags
        offset = (offset >> 4) * 4
        self.options, self.data = segment[20:offset], segment[offset:]
        self.good_checksum = checksum(source + target + struct.pack("!II", len(segment), 6) + segment) == 0

    @property
    def letters(self):
        return "".join(letter for bit, letter in LETTERS if self.flags & bit)

    def each_option(self):
        at, raw = 0, self.options
        while at < len(raw) and raw[at]:
            if raw[at] == 1:
                at += 1
                continue
            if at + 1 >= len(raw) or raw[at + 1] < 2:
                return
            yield raw[at], raw[at + 2:at + raw[at + 1]]
            at += raw[at + 1]

    @property
    def length(self):
        """The sequence numbers that it takes."""
        return len(self.data) + bool(self.flags & SYN) + bool(self.flags & FIN)

# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A TCP client made by hand, frame by frame, from an address that the client's kernel does not know (lib.sh: RAW4, RAW6).

Frames are scapy's; they are sent and received on a packet socket on c0, so a test decides their order and time.
"""
import random
import socket
import struct
import time

from scapy.all import Dot1AD, Dot1Q, Ether, IP, IPOption, IPv6, Raw, TCP  # noqa: F401
from scapy.all import IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, PadN  # noqa: F401

SERVER_MAC, CLIENT_MAC = "02:00:00:09:00:01", "02:00:00:09:00:02"
SERVER = {4: "10.9.0.1", 6: "2001:db8:9::1"}
RAW = {4: "10.9.0.77", 6: "2001:db8:9::77"}
# For what must come, in seconds; the wait for what must not come is short, and every caller sets it.
PATIENCE = 10
LINUX = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1000, 0)), ("NOP", None), ("WScale", 7)]


class Wire:
    """The client's end of the pair. Sees what the server sends to a raw address."""

    def __init__(self, dev="c0"):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        # Otherwise the kernel would remove tags from the frame and report them in ancillary data.
        self.socket.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
        self.socket.bind((dev, 0))

    def send(self, *frames):
        """Back to back: all frames are made before the first is sent."""
        for frame in [bytes(frame) for frame in frames]:
            self.socket.send(frame)

    def frames(self, timeout):
        end = time.monotonic() + timeout
        while (remaining := end - time.monotonic()) > 0:
            self.socket.settimeout(remaining)
            try:
                data, aux, _, where = self.socket.recvmsg(65536, 256)
            except TimeoutError:
                return
            if where[2] == socket.PACKET_OUTGOING:
                continue
            yield Ether(self.with_tag(data, aux))

    @staticmethod
    def with_tag(data, aux):
        for _, kind, body in aux:
            if kind == 8 and len(body) >= 20:
                status, tci, tpid = struct.unpack_from("=I", body)[0], *struct.unpack_from("=HH", body, 16)
                if status & 0x10:  # TP_STATUS_VLAN_VALID
                    return data[:12] + struct.pack("!HH", tpid if status & 0x40 else 0x8100, tci) + data[12:]
        return data


class Client:
    """One connection's client."""

    def __init__(self, wire, port, family=4, sport=None, options=LINUX, between=None, source=None):
        self.wire, self.family, self.port = wire, family, port
        self.sport = sport or random.randint(20000, 60000)
        self.isn = random.getrandbits(32)
        self.options = options
        self.between = between or []  # headers between Ethernet and IP (VLAN tags)
        self.source = source or RAW[family]
        self.seq, self.ack, self.tsecr = self.isn, 0, 0

    def frame(self, flags, payload=b"", seq=None, ack=None, options=None, ip_options=None, extension=None, window=1024):
        frame = Ether(src=CLIENT_MAC, dst=SERVER_MAC)
        for tag in self.between:
            frame = frame / tag
        if self.family == 4:
            frame = frame / IP(src=self.source, dst=SERVER[4], options=ip_options or [], flags="DF")
        else:
            frame = frame / IPv6(src=self.source, dst=SERVER[6])
            if extension is not None:
                frame = frame / extension
        if options is None:
            names = [name for name, _ in self.options]
            options = [("NOP", None), ("NOP", None), ("Timestamp", (1001, self.tsecr))] if "Timestamp" in names else []
        tcp = TCP(sport=self.sport, dport=self.port, flags=flags, seq=(self.seq if seq is None else seq) & 0xffffffff,
                  ack=self.ack if ack is None else ack, options=options, window=window)
        frame = frame / tcp
        return frame / Raw(payload) if payload else frame

    def receive(self, timeout=PATIENCE, wanted=lambda tcp: True):
        """Returns the next wanted frame of this connection by its TCP header, or None."""
        for frame in self.wire.frames(timeout):
            if TCP in frame and frame[TCP].dport == self.sport and frame[TCP].sport == self.port and wanted(frame[TCP]):
                return frame
        return None

    def syn(self, timeout=PATIENCE, **more):
        """Sends the SYN; returns the SYN-ACK's frame or None (or an RST's)."""
        self.wire.send(self.frame("S", seq=self.isn, ack=0, options=self.options, **more))
        answer = self.receive(timeout, lambda tcp: tcp.flags.S or tcp.flags.R)
        if answer is not None and answer[TCP].flags.S:
            self.seq = (self.isn + 1) & 0xffffffff
            self.ack = (answer[TCP].seq + 1) & 0xffffffff
            for name, value in answer[TCP].options:
                if name == "Timestamp":
                    self.tsecr = value[0]
        return answer

    def connect(self, timeout=PATIENCE):
        answer = self.syn(timeout)
        assert answer is not None and answer[TCP].flags.S, "no SYN-ACK"
        self.wire.send(self.frame("A"))
        return answer

    def everything(self, timeout=PATIENCE):
        """Reads until the server's FIN or RST: (bytes, 'F', 'R' or ''). Acknowledges nothing on the way."""
        data, expected, early = b"", self.ack, {}
        for frame in self.wire.frames(timeout):
            if TCP not in frame or frame[TCP].dport != self.sport:
                continue
            tcp = frame[TCP]
            if tcp.flags.R:
                return data, "R"
            payload = bytes(tcp.payload)[:self.payload_length(frame)]
            early[tcp.seq] = (payload, bool(tcp.flags.F))
            while expected in early:
                payload, fin = early.pop(expected)
                data += payload
                expected = (expected + len(payload)) & 0xffffffff
                if fin:
                    self.ack = (expected + 1) & 0xffffffff
                    return data, "F"
                if not payload:
                    break
        self.ack = expected
        return data, ""

    @staticmethod
    def payload_length(frame):
        if IP in frame:
            return frame[IP].len - frame[IP].ihl * 4 - frame[TCP].dataofs * 4
        return frame[IPv6].plen - frame[TCP].dataofs * 4

    def reset(self):
        self.wire.send(self.frame("R", options=[]))


class Tap:
    """Prints ok and not ok, for the shell's totals."""

    def __init__(self):
        self.tests = self.failed = 0

    def is_(self, what, got, want):
        self.check(what, got == want, f"got:  {got!r}", f"want: {want!r}")

    def check(self, what, good, *why):
        self.tests += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} - {what}", flush=True)
        if not good:
            for line in why:
                print(f"# {line}", flush=True)

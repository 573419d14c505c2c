#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The matrix of client options, each row once by the kernel's own handshake and once through the listening socket by the
hook; called by test_listener_options.sh.

option_rows.py OFFLOAD-PORT KERNEL-PORT 4|6 OFFLOAD-LOG KERNEL-LOG [MAXSEG|OFF]: server.py info on both ports, and what
they printed. A row is what a client in this network namespace is made to offer; the SYN-ACK and the state of both ends'
sockets are compared. Data goes both ways after it, and the server's clock never goes back. MAXSEG: the servers'
TCP_MAXSEG, with which a few rows are enough. OFF: sack, timestamps or wscale, which the server's sysctls do not accept;
then there is only the row in which everything is offered.
"""
import hashlib
import json
import os
import socket
import struct
import sys
import time

from rawtcp import SERVER, Tap
from server import tcp_info

offload_port, kernel_port, family = (int(value) for value in sys.argv[1:4])
special = sys.argv[6] if len(sys.argv) > 6 else None
maxseg = int(special) if special and special.isdigit() else None
off = special if not maxseg else None
logs = {offload_port: open(sys.argv[4]), kernel_port: open(sys.argv[5])}
tap = Tap()
# What a cookie can carry (bpf/lib/cookie.h).
EXACT = [*range(1220, 1461), 1960, 2960, 3960, 8900, 8940, 8960]
STAMPED = {4: [536, 768, 1000, 1100, *EXACT], 6: EXACT}
PLAIN = {4: [536, 1300, 1440, 1460], 6: [1220, 1340, 1420, 1440]}


def sysctl(name, value):
    with open(f"/proc/sys/net/ipv4/{name}", "w") as file:
        file.write(value)


class Incoming:
    """Records everything that comes in on c0, for a check after the connection."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800 if family == 4 else 0x86dd))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("c0", 0))

    def segments(self, port, own):
        """Returns (flags, window, options) of the server's segments to our port."""
        self.socket.setblocking(False)
        while True:
            try:
                frame, where = self.socket.recvfrom(65536)
            except BlockingIOError:
                return
            at = 14 + ((frame[14] & 15) * 4 if family == 4 else 40)
            if where[2] == socket.PACKET_OUTGOING or len(frame) < at + 20 or struct.unpack_from("!HH", frame, at) != (port, own):
                continue
            yield frame[at + 13], struct.unpack_from("!H", frame, at + 14)[0], frame[at + 20:at + (frame[at + 12] >> 4) * 4]

    def drain(self):
        list(self.segments(0, 0))


def parse(options):
    found, at = {}, 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        found[options[at]] = options[at + 2:at + options[at + 1]]
        at += options[at + 1]
    return found


def synack(segment):
    flags, window, options = segment
    found = parse(options)
    return {
        "ece": bool(flags & 0x40),
        "window": window,
        "mss": struct.unpack("!H", found[2])[0] if 2 in found else None,
        "wscale": found[3][0] if 3 in found else None,
        "sack": 4 in found,
        "timestamps": 8 in found,
    }


def server_info(port, own):
    """Returns what the server printed of the connection from our port."""
    end, line = time.monotonic() + 20, ""
    while time.monotonic() < end:
        line += logs[port].readline()
        if not line.endswith("\n"):
            time.sleep(0.002)
            continue
        said, line = json.loads(line), ""
        if said.get("port") == own and "info" in said:
            return said["info"]
    return None


NAMES = ["options", "ecn", "snd_wscale", "rcv_wscale", "snd_mss", "advmss", "snd_wnd", "rcv_wnd", "rcv_ssthresh"]
frames = Incoming()


def connection(port, sockopts):
    """Returns the client's view, the server's view, the SYN-ACK, and the failures of data and clock."""
    frames.drain()
    conn = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    for level, name, value in sockopts:
        conn.setsockopt(level, name, value)
    conn.settimeout(20)
    conn.connect((SERVER[family], port))
    mine, own = tcp_info(conn), conn.getsockname()[1]
    theirs = server_info(port, own)
    data = os.urandom(50000)
    conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)
    back = b""
    while more := conn.recv(4096):
        back += more
    conn.close()
    segments = list(frames.segments(port, own))
    clocks = [struct.unpack("!I", found[8][:4])[0] for found in (parse(options) for _, _, options in segments) if 8 in found]
    steps = [(after - before) & 0xffffffff for before, after in zip(clocks, clocks[1:])]
    wrong = []
    if back != hashlib.sha256(data).hexdigest().encode() + b"\n":
        wrong.append("data is not intact")
    if any(step > 0x7fffffff for step in steps):
        wrong.append(f"the server's clock goes back: {clocks}")
    answers = [segment for segment in segments if segment[0] & 0x12 == 0x12]
    pick = lambda info: {name: info[name] for name in NAMES} if info else None
    return {"client": pick(mine), "server": pick(theirs), "synack": synack(answers[0]) if answers else None}, wrong


def down(classes, value):
    return max((size for size in classes if size <= value), default=classes[0])


def documented(row, mss, stamps, sack, scale):
    """Applies the documented classes to the kernel's row."""
    server, client, answer = row["server"], row["client"], row["synack"]
    asked = mss or {4: 1460, 6: 1440}[family]
    kept = down((STAMPED if stamps else PLAIN)[family], asked)
    bound = maxseg or asked  # exact, but not below the smallest class
    server["snd_mss"] -= min(asked, bound) - max(min(kept, bound), STAMPED[family][0])
    if stamps:
        return row
    kept_scale = None
    if kept > PLAIN[family][0] and sack and scale is not None:
        kept_scale = 8 if scale >= 8 else 7 if scale == 7 else 0
    kept_sack = sack and kept > PLAIN[family][0]
    answer["ece"] = False
    for info in (server, client):
        info["ecn"] = False
        info["options"] = (2 if kept_sack else 0) | (4 if kept_scale is not None else 0)
        if kept_scale is None:
            info["snd_wscale"] = info["rcv_wscale"] = 0
    if kept_scale is not None:
        server["snd_wscale"] = kept_scale
    answer["sack"] = kept_sack
    if kept_scale is None:
        answer["wscale"] = None
    return row


def near(got, want):
    """The kernel rounds the receive window of a request that it is given to whole segments of the client."""
    return abs(got - want) <= mtu_mss


def compare(got, want, stamps, scaled):
    """Names the differences. Without timestamps the scale of a class makes other windows of the same bits, and the socket
    halves the MSS for a small one, which the kernel does not take below the smallest (TCP_MAXSEG)."""
    rounded = [("server", "rcv_wnd")] + ([("server", "rcv_ssthresh")] if maxseg else [])
    for side in want:
        for name, value in want[side].items():
            if (side, name) in rounded:
                same = near(got[side][name], value)
            elif not stamps and not scaled and name in ("snd_wnd", "rcv_wnd", "rcv_ssthresh", "snd_mss"):
                continue
            else:
                same = got[side][name] == value
            if not same:
                yield f"{side}.{name}: got {got[side][name]}, want {value}"


# The client's window scale follows from the maximum size of its receive buffer.
SCALES = {None: None, 0: 32768, 7: 6291456, 14: 1 << 30}
mtu_mss = {4: 1460, 6: 1440}[family]
SIZES = {4: [None, 536, 1000, 1220, 1300, 1400], 6: [None, 1220, 1300, 1320, 1400]}[family]


def offer(stamps, scale, sack, ecn, mss):
    sysctl("tcp_timestamps", str(stamps))
    sysctl("tcp_sack", str(sack))
    sysctl("tcp_ecn", "1" if ecn else "0")
    sysctl("tcp_window_scaling", "0" if scale is None else "1")
    sysctl("tcp_rmem", f"4096 131072 {max(SCALES[scale] or 0, 6291456)}")
    sockopts = [(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)] if mss else []
    if scale == 0:
        sockopts.append((socket.SOL_SOCKET, socket.SO_RCVBUF, SCALES[0]))
    return sockopts


def row(stamps, scale, sack, ecn, mss):
    what = (f"IPv{family}, {f'TCP_MAXSEG {maxseg}, ' if maxseg else ''}MSS {mss or mtu_mss}, "
            f"scale {'none' if scale is None else scale}, SACK {'on' if sack else 'off'}, "
            f"timestamps {'on' if stamps else 'off'}, ECN {'on' if ecn else 'off'}")
    sockopts = offer(stamps, scale, sack, ecn, mss)
    if off:
        what += f"; the server's {off} off"
        stamps, sack, scale = stamps and off != "timestamps", sack and off != "sack", None if off == "wscale" else scale
    kernel, wrong = connection(kernel_port, sockopts)
    if wrong or None in kernel.values() or (off and kernel["synack"][off]):
        tap.check(what + ": the kernel's own", False, repr(kernel), *wrong)
        return
    offload, wrong = connection(offload_port, sockopts)
    if None in offload.values():
        tap.check(what, False, repr(offload), *wrong)
        return
    equal = json.dumps(kernel) == json.dumps(offload)
    scaled = kernel["server"]["snd_wscale"]
    want = documented(kernel, mss, stamps, sack, scale)
    different = list(compare(offload, want, stamps, want["server"]["snd_wscale"] == scaled))
    tap.check(what + ("" if equal else ", up to the documented classes"), not different and not wrong, *different, *wrong)


if off:
    row(1, 7, 1, 0, None)
    sys.exit()
for stamps in (1, 0):
    if maxseg:
        for mss in SIZES[:2]:
            row(stamps, 7, 1, 0, mss)
            row(stamps, None, 0, 1, mss)
        continue
    for scale in SCALES:
        for sack in (1, 0):
            for ecn in (1, 0):
                row(stamps, scale, sack, ecn, None)
    for mss in SIZES[1:]:
        row(stamps, 7, 1, 0, mss)
        row(stamps, None, 0, 1, mss)

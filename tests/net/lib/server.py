#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A plain TCP server for tests; it knows nothing of shakeoff. One JSON line on standard output for each event.

server.py ADDRESS PORT [--backlog N] [--mode MODE] [--mptcp] [--reuseport] [--device IFACE] [--maxseg MSS] [--min-ttl N]
  collect  read until the client closes, answer with the SHA-256 of the data, close
  line     read one line, answer with it, close (server first)
  info     print TCP_INFO, then as collect
  hold     accept nothing; every SIGUSR1 accepts one connection, which stays open
  greet    speak first, then as collect
  name     answer with the process's number, close
  slow     as line, but accept no more than 200 a second
  crawl    as slow, but no more than 50
"""
import argparse
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import threading
import time


PAUSE = {"slow": 0.005, "crawl": 0.02}  # seconds between two that are accepted


def say(**what):
    print(json.dumps(what), flush=True)


# struct tcp_info, the compared fields; offsets in bytes (include/uapi/linux/tcp.h).
def tcp_info(conn):
    raw = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    u32 = lambda offset: struct.unpack_from("=I", raw, offset)[0] if len(raw) >= offset + 4 else None
    return {
        "options": raw[5] & 0x07,  # timestamps 1, SACK 2, window scale 4
        "ecn": bool(raw[5] & 0x08),
        "snd_wscale": raw[6] & 15,
        "rcv_wscale": raw[6] >> 4,
        "snd_mss": u32(16),
        "advmss": u32(84),
        "rcv_space": u32(96),
        "rcv_ssthresh": u32(64),
        "pmtu": u32(60),
        "snd_wnd": u32(228),
        "rcv_wnd": u32(232),
    }


def serve(conn, peer, mode):
    with conn:
        if mode == "name":
            conn.sendall(b"%d\n" % os.getpid())
            return
        if mode in ("line", *PAUSE):
            line = b""
            while not line.endswith(b"\n") and (data := conn.recv(4096)):
                line += data
            conn.sendall(line)
            return
        if mode == "info":
            say(peer=peer[0], port=peer[1], info=tcp_info(conn))
        if mode == "greet":
            conn.sendall(b"220 hello\n")
        digest, size = hashlib.sha256(), 0
        try:
            while data := conn.recv(1 << 20):
                digest.update(data)
                size += len(data)
            conn.sendall(digest.hexdigest().encode() + b"\n")
            say(peer=peer[0], port=peer[1], bytes=size, sha256=digest.hexdigest())
        except OSError as error:
            say(peer=peer[0], port=peer[1], bytes=size, error=error.strerror)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--backlog", type=int, default=128)
    parser.add_argument("--mode", default="collect", choices=["collect", "line", "info", "hold", "greet", "name", "slow", "crawl"])
    parser.add_argument("--mptcp", action="store_true")
    parser.add_argument("--reuseport", action="store_true")
    parser.add_argument("--device")
    parser.add_argument("--maxseg", type=int)
    parser.add_argument("--min-ttl", type=int)
    args = parser.parse_args()

    family = socket.AF_INET6 if ":" in args.address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_MPTCP if args.mptcp else 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if args.reuseport:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if args.device:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, args.device.encode())
    if args.maxseg:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, args.maxseg)
    if args.min_ttl:  # IPV6_MINHOPCOUNT and IP_MINTTL
        level, name = (socket.IPPROTO_IPV6, 73) if family == socket.AF_INET6 else (socket.IPPROTO_IP, 21)
        listener.setsockopt(level, name, args.min_ttl)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, args.address != "::")
    listener.bind((args.address, args.port))
    if args.mode == "hold":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    listener.listen(args.backlog)
    say(listening=args.port)

    kept = []
    while True:
        if args.mode == "hold":
            signal.sigwait([signal.SIGUSR1])
        time.sleep(PAUSE.get(args.mode, 0))
        conn, peer = listener.accept()
        if args.mode == "hold":
            kept.append(conn)
            say(accepted=peer[1])
        else:
            threading.Thread(target=serve, args=(conn, peer, args.mode), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A server whose clients are far away. It knows nothing of shakeoff.

far_server.py ADDRESS PORT: each line of a client is a congestion control, which the connection has from then on, and a
number: the size of the reply in bytes. At the end of a connection it prints as one line of JSON what the kernel
reported of it: the round trip that it knew when the connection was accepted (0: none), and at the end the smallest one,
the congestion window, its control, and how many segments were sent twice.
"""
import json
import os
import socket
import struct
import sys
import threading

RTT, CWND, TOTAL_RETRANS, MIN_RTT = 68, 80, 100, 148  # offsets in struct tcp_info (include/uapi/linux/tcp.h)


def tcp_info(conn):
    raw = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return lambda offset: struct.unpack_from("=I", raw, offset)[0]


def serve(conn, peer):
    info = tcp_info(conn)
    said = {"peer": peer[0], "port": peer[1], "rtt_ms": info(RTT) / 1000}
    try:
        with conn, conn.makefile("r") as lines:
            for line in lines:
                control, size = line.split()
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
                conn.sendall(bytes(int(size)))
            info = tcp_info(conn)
            said |= {"min_rtt_ms": info(MIN_RTT) / 1000, "cwnd": info(CWND), "resent": info(TOTAL_RETRANS)}
            said["control"] = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    except OSError as error:
        said["error"] = error.strerror
    os.write(1, json.dumps(said).encode() + b"\n")  # at once: threads would mix their lines


address, port = sys.argv[1], int(sys.argv[2])
listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((address, port))
listener.listen(128)
print("listening", flush=True)
while True:
    # TCP_INFO first: the first data brings another round-trip sample.
    threading.Thread(target=serve, args=listener.accept(), daemon=True).start()

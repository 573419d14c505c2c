#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""again.py ADDRESS SERVER-PORT PORT fin|reset: a client that uses one port for three connections, one after the other, to
a server.py greet, and ends each itself. Prints what it gets: "greeted", or the error. Called by test_conntrack.sh.
"""
import socket
import struct
import sys
import time

address, server_port, port, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]


def connect():
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as conn:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        conn.bind(("", port))
        conn.settimeout(10)
        try:
            conn.connect((address, server_port))
            if conn.recv(100) != b"220 hello\n":
                return "closed"
        except OSError as error:
            return type(error).__name__
        if end == "reset":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return "greeted"
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(100):
            pass
    time.sleep(1.2)  # as net.ipv4.tcp_tw_reuse requires: the next connection's timestamps have advanced
    return "greeted"


print(*(connect() for _ in range(3)))

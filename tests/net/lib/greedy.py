#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients that compete for the accept queue of port 7000; called by test_fair_share.sh.

greedy.py greedy ADDRESS SECONDS SOURCE
  opens connections from one address, as fast as it can, and keeps the last thousand
greedy.py honest ADDRESS COUNT PATIENCE SOURCE...
  opens COUNT connections from each address, one after the other: sends a line, and waits PATIENCE seconds for its
  reply. Prints "OK FAILED REPEATED": how many were answered, how many not, and how many of the former had to repeat
  their SYN
"""
import socket
import struct
import sys
import threading
import time

role, address = sys.argv[1:3]
FAMILY = socket.AF_INET6 if ":" in address else socket.AF_INET


def connection(source):
    conn = socket.socket(FAMILY)
    conn.bind((source, 0))
    return conn


def greedy(seconds, source):
    kept, opened = [None] * 1000, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        conn = connection(source)
        # Closed with an RST: no port is lost to TIME-WAIT.
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.setblocking(False)
        conn.connect_ex((address, 7000))
        if kept[opened % len(kept)]:
            kept[opened % len(kept)].close()
        kept[opened % len(kept)] = conn
        opened += 1
    print(opened, flush=True)


results = []  # the time that the handshake took, or None


def honest(source, count, patience):
    for _ in range(count):
        begin = time.monotonic()
        try:
            with connection(source) as conn:
                conn.settimeout(patience)
                conn.connect((address, 7000))
                took = time.monotonic() - begin
                conn.sendall(b"hello\n")
                results.append(took if conn.recv(100) == b"hello\n" else None)
        except OSError:
            results.append(None)
        time.sleep(0.1)


if role == "greedy":
    greedy(float(sys.argv[3]), sys.argv[4])
else:
    count, patience, sources = int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:]
    threads = [threading.Thread(target=honest, args=(source, count, patience)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = [result for result in results if result is not None]
    # No SYN is repeated before a second: RFC 6298, 2.1.
    print(len(answered), len(results) - len(answered), sum(took >= 1 for took in answered), flush=True)

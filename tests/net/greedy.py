#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients that compete for the accept queue of port 7000; called by test_fair_share.sh.

greedy.py greedy ADDRESS SECONDS SOURCE
  opens connections from one address, as fast as it can, and keeps the last thousand
greedy.py honest ADDRESS SECONDS SOURCE...
  from each address one connection after the other, a few a second: asks for a line, and waits two seconds for it. Prints "OK FAILED
  MILLISECONDS": how many were answered and not, and how long the slowest answer took
"""
import socket
import struct
import sys
import threading
import time

role, address, seconds, sources = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]
FAMILY = socket.AF_INET6 if ":" in address else socket.AF_INET
PATIENCE = 2
end = time.monotonic() + seconds


def connection(source):
    conn = socket.socket(FAMILY)
    conn.bind((source, 0))
    return conn


def greedy():
    kept, opened = [None] * 1000, 0
    while time.monotonic() < end:
        conn = connection(sources[0])
        # Closed with an RST: no port is lost to TIME-WAIT.
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.setblocking(False)
        conn.connect_ex((address, 7000))
        if kept[opened % len(kept)]:
            kept[opened % len(kept)].close()
        kept[opened % len(kept)] = conn
        opened += 1
    print(opened, flush=True)


results = []  # seconds, or None


def honest(source):
    while time.monotonic() < end:
        begin = time.monotonic()
        try:
            with connection(source) as conn:
                conn.settimeout(PATIENCE)
                conn.connect((address, 7000))
                conn.sendall(b"hello\n")
                results.append(time.monotonic() - begin if conn.recv(100) == b"hello\n" else None)
        except OSError:
            results.append(None)
        time.sleep(0.1)


if role == "greedy":
    greedy()
else:
    threads = [threading.Thread(target=honest, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = [result for result in results if result is not None]
    print(len(answered), len(results) - len(answered), int(1000 * max(answered, default=0)), flush=True)

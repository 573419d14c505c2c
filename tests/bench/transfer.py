#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""transfer.py ADDRESS PORT PATH PACE: one connection that gets a page again and again, PACE megabytes a second of it, or
at the maximum rate (0). Prints every 100 ms the time on CLOCK_MONOTONIC, in nanoseconds, and the bytes so far. Ends with
status 1 if the connection ends."""
import socket
import sys
import time

address, port, path, pace = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]) * 1e6
connection = socket.create_connection((address, port), timeout=30)
host = f"[{address}]" if ":" in address else address
request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
buffer = bytearray(1 << 20)
total, begin = 0, time.monotonic_ns()
due = begin
connection.sendall(request)


def report():
    global due
    now = time.monotonic_ns()
    if now >= due:
        print(now, total, flush=True)
        due = now + 100_000_000


def receive():
    if pace and (ahead := total / pace - (time.monotonic_ns() - begin) / 1e9) > 0:
        time.sleep(ahead)
    count = connection.recv_into(buffer)
    if not count:
        sys.exit("the connection was closed")
    return count


while True:
    head = b""
    while b"\r\n\r\n" not in head:
        head += buffer[:receive()]
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    remaining = length - (len(head) - head.index(b"\r\n\r\n") - 4)
    total += length - remaining
    while remaining > 0:
        count = receive()
        remaining -= count
        total += count
        report()
    connection.sendall(request)

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""strangers.py ADDRESS PORT FIRST COUNT RATE [SECONDS]: COUNT honest clients, RATE a second whatever happens to earlier
ones. Each has a new address, 10.50.0.0 + FIRST and so on, sends a line and waits for SECONDS (10) in all. Prints JSON:
how many were served, and at their first SYN (the second is sent after a second: RFC 6298, 2.1), and how long connects
took.
"""
import ipaddress
import json
import select
import socket
import sys
import time

address, port, first, count, rate = sys.argv[1], *(int(word) for word in sys.argv[2:6])
patience = float(sys.argv[6]) if len(sys.argv) > 6 else 10
base = ipaddress.ip_address("10.50.0.0") + first
poll = select.epoll()
open_ones, connects, served, at_first, failed = {}, [], 0, 0, {}


class Stranger:
    def __init__(self, number):
        self.connected = None
        self.conn = socket.socket()
        self.conn.setblocking(False)
        self.conn.bind((str(base + number), 0))
        self.begun = time.monotonic()
        open_ones[self.conn.fileno()] = self
        poll.register(self.conn, select.EPOLLOUT)
        self.conn.connect_ex((address, port))

    def ends(self, why=None):
        global served, at_first
        poll.unregister(self.conn)
        del open_ones[self.conn.fileno()]
        self.conn.close()
        if why:
            failed[why] = failed.get(why, 0) + 1
            return
        served += 1
        at_first += self.connected - self.begun < 0.9
        connects.append(self.connected - self.begun)

    def goes_on(self):
        try:
            if self.connected is None:
                error = self.conn.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "connect")
                self.connected = time.monotonic()
                self.conn.sendall(b"hello\n")
                poll.modify(self.conn, select.EPOLLIN)
            else:
                self.ends(None if self.conn.recv(100) == b"hello\n" else "empty")
        except OSError as error:
            self.ends(type(error).__name__)


begin, begun = time.monotonic(), 0
while begun < count or open_ones:
    now = time.monotonic()
    while begun < count and now >= begin + begun / rate:
        Stranger(begun)
        begun += 1
    for one in [one for one in open_ones.values() if now - one.begun > patience]:
        one.ends("timeout")
    wait = min(0.1, max(0, begin + begun / rate - time.monotonic())) if begun < count else 0.1
    for fd, _ in poll.poll(wait):
        open_ones[fd].goes_on()
connects.sort()
quantile = lambda part: round(connects[min(len(connects) - 1, int(part * len(connects)))] * 1000, 2) if connects else None
print(json.dumps({"tried": count, "served": served, "at_first_syn": at_first, "p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "failed": failed}))

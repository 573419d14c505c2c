#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""at_once.py COUNT ADDRESS: what COUNT clients get that begin at once, at port 7000 of a server that speaks first. Prints
the kinds, sorted: "greeted", "refused", "waits" (its SYN was sent again, without a reply), "reset", "closed", and
"connected" for a client that was connected, but is not greeted. Called by test_listener_backlog.sh.
"""
import select
import socket
import sys
import time

PATIENCE = 30
count, address = int(sys.argv[1]), sys.argv[2]
SYN_SENT, RETRANSMITS = 2, 2  # tcpi_state; offset of tcpi_retransmits in struct tcp_info (include/uapi/linux/tcp.h)


def outcome(conn):
    """None: not yet known."""
    info = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    if info[0] == SYN_SENT:
        return "waits" if info[RETRANSMITS] else None
    try:
        return "greeted" if conn.recv(100) == b"220 hello\n" else "closed"
    except BlockingIOError:
        return None
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "reset"


remaining = [socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) for _ in range(count)]
for conn in remaining:
    conn.setblocking(False)
    conn.connect_ex((address, 7000))
kinds, end = set(), time.monotonic() + PATIENCE
while remaining and time.monotonic() < end:
    select.select(remaining, [], [], 0.1)
    found = [(conn, outcome(conn)) for conn in remaining]
    kinds.update(kind for _, kind in found if kind)
    remaining = [conn for conn, kind in found if not kind]
print(*sorted(kinds | ({"connected"} if remaining else set())))

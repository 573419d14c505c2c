#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""connects.py COUNT ADDRESS SECONDS [KEEP]: what each of COUNT clients gets at port 7000, one after the other:
"connected", "refused", or "waits" for longer than SECONDS. All stay connected, KEEP seconds beyond the last. With
KEEP = greeted they connect to a server that speaks first, and the next begins when the server has accepted and greeted
the one before. Called by test_backlog.sh, test_listener_backlog.sh.
"""
import socket
import sys
import time

count, address, timeout = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
keep = sys.argv[4] if len(sys.argv) > 4 else "0"
kept, results = [], []
for _ in range(count):
    conn = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    conn.settimeout(timeout)
    try:
        conn.connect((address, 7000))
        results.append("connected" if keep != "greeted" or conn.recv(100) == b"220 hello\n" else "not greeted")
    except ConnectionRefusedError:
        results.append("refused")
    except TimeoutError:
        results.append("waits")
    kept.append(conn)
    time.sleep(0 if keep == "greeted" else 0.05)
print(" ".join(results), flush=True)
if keep != "greeted":
    time.sleep(float(keep))

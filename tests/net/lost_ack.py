#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A client whose final ACK gets lost, of a server that speaks first; called by test_lost_ack.sh in the client's namespace.

lost_ack.py ADDRESS PORT: prints after how many milliseconds the server was heard, or "silence" after four seconds.
The ACK is dropped by a rule of the client's own host: its kernel has sent it, and will not do so again by itself.
"""
import os
import socket
import subprocess
import sys
import time

address, port = sys.argv[1], int(sys.argv[2])
table = f"lost_ack_{os.getpid()}"


def nft(rules):
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


nft(f"""table inet {table} {{
	chain out {{
		type filter hook output priority 0
		tcp dport {port} tcp flags & (syn | ack) == ack counter drop
	}}
}}""")
try:
    start = time.monotonic()
    connection = socket.create_connection((address, port), timeout=4)
    time.sleep(0.2)
finally:
    nft(f"delete table inet {table}")
try:
    heard = connection.recv(100)
    print(f"{(time.monotonic() - start) * 1000:.0f}" if heard == b"220 hello\n" else repr(heard))
except TimeoutError:
    print("silence")

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A client whose final ACK gets lost, of a server that speaks first; called by test_lost_ack.sh in the client's namespace.

lost_ack.py ADDRESS PORT SECONDS: prints what the server was heard to say, or "silence" after so many.
The ACK is dropped by a rule of the client's own host: its kernel has sent it, and will not do so again by itself. The rule drops
the first one, and no other.
"""
import os
import socket
import subprocess
import sys

address, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
table = f"lost_ack_{os.getpid()}"


def nft(rules):
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


nft(f"""table inet {table} {{
	chain out {{
		type filter hook output priority 0
		tcp dport {port} tcp flags & (syn | ack) == ack numgen inc mod 1000000 0 counter drop
	}}
}}""")
try:
    connection = socket.create_connection((address, port), timeout=20)
    connection.settimeout(seconds)
    print(connection.recv(100).decode().strip() or "closed")
except TimeoutError:
    print("silence")
finally:
    nft(f"delete table inet {table}")

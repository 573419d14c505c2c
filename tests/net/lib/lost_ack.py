#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A client whose final ACK gets lost, of a server that speaks first; called by test_lost_ack.sh in the client's namespace.

lost_ack.py ADDRESS PORT SECONDS: prints what the server sent, or "silence" after SECONDS. A rule of the client's own
host drops the ACK: its kernel has sent it, and does not send it again by itself. The rule drops only the first one.
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

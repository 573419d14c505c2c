#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""accepts.py ADDRESS PORT: accepts connections, closes them, and prints after each the number so far."""
import socket
import sys

family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family, backlog=4096)
count = 0
while True:
    print(count, flush=True)
    listener.accept()[0].close()
    count += 1

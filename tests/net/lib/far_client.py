#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients of far_server.py, all at once: far_client.py ADDRESS PORT CONTROL CONNECTIONS ANSWERS SIZE. Each requests its
replies one after the other, with that congestion control. Prints, as one line of JSON, how long the handshakes and the
replies took, in seconds."""
import json
import socket
import sys
import threading
import time

address, control = sys.argv[1], sys.argv[3]
port, connections, answers, size = map(int, (sys.argv[2], *sys.argv[4:]))
connects, seconds, errors = [], [], []


def ask():
    try:
        begun = time.monotonic()
        with socket.create_connection((address, port), timeout=60) as conn:
            connects.append(time.monotonic() - begun)
            for _ in range(answers):
                begun, remaining = time.monotonic(), size
                conn.sendall(f"{control} {size}\n".encode())
                while remaining:
                    data = conn.recv(min(remaining, 1 << 20))
                    if not data:
                        raise OSError(0, "the connection ended")
                    remaining -= len(data)
                seconds.append(time.monotonic() - begun)
    except OSError as error:
        errors.append(error.strerror or str(error))


threads = [threading.Thread(target=ask) for _ in range(connections)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"connect": connects, "seconds": seconds, "errors": errors}))

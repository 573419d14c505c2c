# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which sources are served, and how often: sources.py TIMES PORT... -- SERVER/SOURCE...; a line for each port."""
import socket
import sys
import threading

times = int(sys.argv[1])
split = sys.argv.index("--")
ports, pairs = [int(port) for port in sys.argv[2:split]], [pair.split("/") for pair in sys.argv[split + 1:]]
served = {}


def ask(server, source, port):
    """One connection after the other: it counts if the server sends something."""
    count = 0
    for _ in range(times):
        try:
            with socket.create_connection((server, port), timeout=1.2, source_address=(source, 0)) as conn:
                count += bool(conn.recv(100))
        except OSError:
            pass
    served[port, source] = count


threads = [threading.Thread(target=ask, args=(server, source, port)) for port in ports for server, source in pairs]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for port in ports:
    print(" ".join(f"{source}={served[port, source]}" for _, source in pairs))

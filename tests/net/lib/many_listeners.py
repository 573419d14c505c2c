#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""many_listeners.py [--reuse] COUNT FROM [PORTS]: listening sockets that do nothing, COUNT in all, at PORTS ports from
FROM on.

With --reuse they listen together at the ports (SO_REUSEPORT). As user 65534, in as many processes as its limit of files
requires. Prints "listening" when all do, and waits.
"""
import argparse
import os
import resource
import socket
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--reuse", action="store_true")
parser.add_argument("--user", type=int, default=65534)
parser.add_argument("count", type=int)
parser.add_argument("start", type=int)
parser.add_argument("ports", type=int, nargs="?")
options = parser.parse_args()

os.setgroups([])
os.setgid(options.user)
os.setuid(options.user)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
room = hard - 64
processes = -(-options.count // room)
ready, said = os.pipe()
parent = os.getpid()
for process in range(processes):
    if os.fork():
        continue
    sockets = []
    for i in range(process, options.count, processes):
        listener = socket.socket()
        if options.reuse:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("0.0.0.0", options.start + i % (options.ports or options.count)))
        listener.listen(1)
        sockets.append(listener)
    os.write(said, b".")
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)
for _ in range(processes):
    os.read(ready, 1)
print("listening", flush=True)
while True:
    time.sleep(60)

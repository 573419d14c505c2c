#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One connection that sends all the time, to a server.py collect: at first while idle, then while a command (a flood)
runs.

steady.py ADDRESS PORT SECONDS COMMAND...  prints "intact BEFORE DURING" (kB/s), or the error.
"""
import hashlib
import socket
import subprocess
import sys
import time

BLOCK = bytes(range(256)) * 256


def main():
    address, port, seconds, command = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
    digest = hashlib.sha256()
    conn = socket.create_connection((address, port), timeout=20)

    def rate(goes_on):
        start, sent = time.monotonic(), 0
        while goes_on(time.monotonic() - start):
            conn.sendall(BLOCK)
            digest.update(BLOCK)
            sent += len(BLOCK)
        return int(sent / 1000 / (time.monotonic() - start))

    before = rate(lambda passed: passed < seconds)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as flood:
        during = rate(lambda passed: flood.poll() is None)
    if flood.returncode:
        sys.exit(f"{command[0]} ended with {flood.returncode}")
    conn.shutdown(socket.SHUT_WR)
    answer = conn.makefile().readline().strip()
    print("intact" if answer == digest.hexdigest() else "corrupt", before, during)


main()

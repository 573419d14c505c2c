# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Handshakes under way while the firewall's rules are loaded: raw_reload.py FOLDER PORT... [-- COUNT]

COUNT clients of each family get their SYN-ACKs at each port, before the rules are loaded. Half of them send their final
ACK, and data, one after the other when FOLDER/come exists, the others when FOLDER/gone exists. FOLDER/ready and
FOLDER/half show the progress. As clients do, each repeats a few times. A line for each port: how many were served,
refused with RST, or got nothing.
"""
import os
import sys
import time

from rawtcp import TCP, Client, Wire

PAUSE = 0.12  # between two clients: the rules are noticed after a while


def begin(port, family):
    client = Client(Wire(), port, family)
    answer = client.syn(2)
    return client if answer is not None and answer[TCP].flags.S else None


def finish(client):
    if client is None:
        return "unanswered"
    for _ in range(4):
        client.wire.send(client.frame("A"), client.frame("PA", b"x"))
        answer = client.receive(0.4, lambda tcp: tcp.flags.R or tcp.flags.F or bytes(tcp.payload).strip(b"\0"))
        if answer is not None:
            return "refused" if answer[TCP].flags.R else "served"
    return "silent"


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.02)


def main():
    folder, ports = sys.argv[1], [int(port) for port in sys.argv[2:sys.argv.index("--")]]
    count = int(sys.argv[sys.argv.index("--") + 1])
    clients = [[(port, begin(port, family)) for port in ports for family in (4, 6)] for _ in range(count)]
    results = {port: [] for port in ports}
    for part, (before, after) in enumerate((("come", "half"), ("gone", "done"))):
        open(os.path.join(folder, "half" if part else "ready"), "w", encoding="ascii").close()
        wait_for(os.path.join(folder, before))
        for each in clients[part::2]:
            for port, client in each:
                results[port].append(finish(client))
                if client:
                    client.reset()
            time.sleep(PAUSE)
    for port in ports:
        print(" ".join(f"{what}={results[port].count(what)}" for what in sorted(set(results[port]))))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Connections from any address, whatever the server's firewall and routes do with it:

raw_input.py PORT[,PORT...] SOURCE[,SOURCE...] [COUNT [TTL [FILE]]]

Each: SYN, ACK and two segments of data back to back, and all three once more after a while, if nothing comes back; with
FILE: only when FILE exists. Prints the results, port by port and source by source: "served N", where the server sent
data, "answered N", where there was only a SYN-ACK, "silent N".
"""
import os
import sys
import time

from rawtcp import IP, TCP, Client, IPv6, Wire

PATIENCE = 0.6


def with_ttl(frame, ttl):
    if ttl:
        if IP in frame:
            frame[IP].ttl = ttl
        else:
            frame[IPv6].hlim = ttl
    return frame


def attempt(port, family, source, ttl, patience, file):
    client = Client(Wire(), port, family, source=source)
    syn = with_ttl(client.frame("S", seq=client.isn, ack=0, options=client.options), ttl)
    client.wire.send(syn)
    answer = client.receive(PATIENCE, lambda tcp: tcp.flags.S or tcp.flags.R)
    if answer is None or not answer[TCP].flags.S:
        return "silent"
    client.seq, client.ack = (client.isn + 1) & 0xffffffff, (answer[TCP].seq + 1) & 0xffffffff
    client.tsecr = next((value[0] for name, value in answer[TCP].options if name == "Timestamp"), 0)
    ack = client.frame("A")
    first = client.frame("PA", b"FLUSHALL from %s" % source.encode())
    second = client.frame("PA", b"\n", seq=client.seq + len(first[TCP].payload))
    frames = [with_ttl(frame, ttl) for frame in (ack, first, second)]
    client.wire.send(*frames)
    data, _ = client.everything(patience)
    if not data:
        while file and not os.path.exists(file):
            time.sleep(0.05)
        client.wire.send(*frames)
        data, _ = client.everything(PATIENCE if file else patience)
    client.reset()
    return "served" if data else "answered"


def main():
    ports, sources = [int(port) for port in sys.argv[1].split(",")], sys.argv[2].split(",")
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    ttl = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    file = sys.argv[5] if len(sys.argv) > 5 else None
    for port in ports:
        for source in sources:
            family, patience = 6 if ":" in source else 4, 0.3 if count == 1 else 0.11
            results = [attempt(port, family, source, ttl, patience, file) for _ in range(count)]
            print(", ".join(f"{what} {results.count(what)}" for what in sorted(set(results))))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The listening sockets that the rows talk to: one process, no knowledge of shakeoff.

Standard input: one JSON object a line. {"listen": PORT, "family": 4|6, "mode": MODE, "backlog": N,
"options": [[LEVEL, NAME, VALUE]...], "read": [[LEVEL, NAME, SIZE]...], "address": ADDRESS, "filter": true},
{"close": PORT, "family": 4|6}, {"connect": [ADDRESS, PORT], "port": PORT, "family": 4|6}. Standard output: one JSON
object an event. The mode decides what is done with a connection:
  talk    answers each line: "B3000" with 3000 bytes, every other line with itself; until the client closes
  greet   speaks first, then as talk
  close   closes it at once
  reset   resets it at once
  unread  closes it when data is there, without reading
  half    shuts down its sending side at once, then as talk
  hold    accepts nothing
"""
import ctypes
import json
import os
import select
import socket
import struct
import sys
import threading

SERVER = {4: "10.9.0.1", 6: "2001:db8:9::1"}
sockets = {}
lock = threading.Lock()


def say(**what):
    with lock:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def tcp_info(conn):
    raw = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    snd_mss, = struct.unpack_from("=I", raw, 16)
    rtt, = struct.unpack_from("=I", raw, 68)
    advmss, = struct.unpack_from("=I", raw, 84)
    # Without ECN_SEEN: whether data comes before accept() depends on timing.
    return {"options": raw[5] & ~16, "wscale": f"{raw[6] & 15}/{raw[6] >> 4}", "snd_mss": snd_mss, "advmss": advmss}, rtt


def talk(conn, total):
    line = b""
    while data := conn.recv(65536):
        total.append(data)
        line += data
        while b"\n" in line:
            words, line = line.split(b"\n", 1)
            conn.sendall(b"x" * int(words[1:]) if words.startswith(b"B") else words + b"\n")


def connection(conn, peer, port, mode):
    total, end = [], "eof"
    try:
        if mode == "close":
            conn.close()
            return
        if mode == "reset":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            conn.close()
            return
        if mode == "unread":
            select.select([conn], [], [], 30)
            conn.close()
            return
        if mode == "greet":
            conn.sendall(b"hello\n")
        if mode == "half":
            conn.shutdown(socket.SHUT_WR)
        talk(conn, total)
    except OSError as error:
        end = os.strerror(error.errno)
    finally:
        conn.close()
    say(end=end, peer=peer[0], port=peer[1], to=port, data=b"".join(total).decode("latin1"))


def value(conn, level, name, size):
    """A number, a text; or the length of the value, for sizes above 100."""
    got = conn.getsockopt(level, name, size)
    return str(len(got)) if size > 100 else str(int.from_bytes(got, "little")) if size <= 8 else got.rstrip(b"\0").decode()


def refuse_all(listener):
    """A socket filter that drops everything."""
    program = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))  # BPF_RET | BPF_K: 0
    listener.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HP", 1, ctypes.addressof(program)))  # SO_ATTACH_FILTER


def accept(listener, port, mode, read):
    while True:
        try:
            conn, peer = listener.accept()
        except OSError as error:
            say(failed=os.strerror(error.errno), to=port)
            if listener.fileno() < 0 or error.errno in (9, 22):
                return
            continue
        try:
            options = [value(conn, *where) for where in read]
        except OSError as error:
            options = [os.strerror(error.errno)]
        info, rtt = tcp_info(conn)
        say(accepted=info, rtt=rtt, peer=peer[0], port=peer[1], to=port, read=options)
        threading.Thread(target=connection, args=(conn, peer, port, mode), daemon=True).start()


def listen(order):
    port, family = order["listen"], order["family"]
    listener = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == 6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, order.get("v6only", 1))
    for level, name, value in order.get("options", []):
        listener.setsockopt(level, name, bytes.fromhex(value) if isinstance(value, str) else value)
    if order.get("filter"):
        refuse_all(listener)
    listener.bind((order.get("address", SERVER[family]), port))
    listener.listen(order.get("backlog", 4096))
    sockets[port, family] = listener
    if order["mode"] != "hold":
        threading.Thread(target=accept, args=(listener, port, order["mode"], order.get("read", [])), daemon=True).start()
    say(listening=port, family=family)


def connect(order):
    """Connects from a port that another socket listens on."""
    conn = socket.socket(socket.AF_INET if order["family"] == 4 else socket.AF_INET6)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        conn.setsockopt(socket.SOL_SOCKET, option, 1)
    conn.bind((SERVER[order["family"]], order["port"]))
    address, port = order["connect"]
    say(connecting=port)
    conn.settimeout(5)
    try:
        conn.connect((address, port))
        say(connected=port, peer=address, port=port)
        conn.recv(1)
    except OSError:
        pass
    conn.close()


def main():
    threading.stack_size(256 << 10)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if "listen" in order:
                listen(order)
            elif "connect" in order:
                threading.Thread(target=connect, args=(order,), daemon=True).start()
            else:
                # A thread in accept() keeps the socket open: shutdown() ends it.
                listener = sockets.pop((order["close"], order["family"]))
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
                say(closed=order["close"], family=order["family"])
        except OSError as error:
            say(refused=str(error), order=order)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A local user that tries to get connections of others from the daemon. It speaks the delivery protocol
(user/common/delivery_protocol.h).

intruder.py hijack SOCKET ADDRESS PORT HOW   registers, frees the endpoint (HOW: shutdown, device), and keeps taking
                                             connections
intruder.py linger SOCKET TYPE SECONDS [extra]   passes a socket whose last close() takes long; extra: as a second
                                                 descriptor
intruder.py pile NESTED SECONDS SOCKET...   keeps the daemon's threads busy with NESTED sockets inside of passed ones,
                                            then piles descriptors up
intruder.py fill SOCKET ADDRESS PORT COUNT   registers, connects to itself COUNT times, and takes nothing
intruder.py flip SOCKET ADDRESS PORT SECONDS   registers, and clears O_NONBLOCK of the listening socket all the time
intruder.py crowd SOCKET COUNT   opens connections and sends nothing
intruder.py listen SOCKET [ADDRESS PORT]   registers with a listening socket, or without one
intruder.py daemon SOCKET   plays the daemon
intruder.py lock FILE   locks it, and waits for the lock if another process has it
"""
import array
import errno
import fcntl
import os
import socket
import struct
import sys
import threading
import time

LISTEN, LISTENING, REFUSED, CONNECTION, TAKEN = 1, 2, 3, 4, 5
MESSAGE = struct.Struct("@HHIQi28s")


def say(*what):
    print(*what, flush=True)


def message(kind, ident=0, value=0):
    return MESSAGE.pack(1, kind, 0, ident, value, b"")


def rights(*fds):
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]


def connect(path):
    queue = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    queue.connect(path)
    return queue


def listening(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen(128)
    return listener


def register(queue, listener):
    queue.sendmsg([message(LISTEN, value=128)], rights(listener.fileno()) if listener else [])
    data = queue.recv(MESSAGE.size)
    if not data:
        return "cut off"
    kind, value = MESSAGE.unpack(data)[1], MESSAGE.unpack(data)[4]
    return "listening" if kind == LISTENING else f"refused {errno.errorcode[value]}"


def take(queue, serve):
    """Takes connections until the daemon ends it."""
    while True:
        try:
            data, ancillary, _, _ = queue.recvmsg(MESSAGE.size, 1024)
        except ConnectionError:
            data = b""
        if not data:
            say("cut off")
            return
        kind, ident = MESSAGE.unpack(data)[1], MESSAGE.unpack(data)[3]
        if kind == CONNECTION and ancillary:
            queue.send(message(TAKEN, ident))
            serve(socket.socket(fileno=array.array("i", ancillary[0][2][:4])[0]))


def steal(connection):
    connection.setblocking(True)
    say("stolen", connection.recv(100))
    connection.close()


def hijack(path, address, port, how):
    queue, listener = connect(path), listening(address, port)
    say(register(queue, listener))
    if how == "device":  # still listens, but for clients of another device
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"d1")
    else:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    say("free")
    take(queue, steal)
    time.sleep(600)


def lingering(seconds):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    sender = socket.create_connection(listener.getsockname())
    peer, _ = listener.accept()
    sender.setblocking(False)
    try:
        while True:
            sender.send(b"x" * 65536)
    except BlockingIOError:
        pass
    sender.setblocking(True)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
    return sender, peer


def linger(path, kind, seconds, extra=None):
    sender, peer = lingering(int(seconds))
    queue = connect(path)
    null = os.open("/dev/null", os.O_RDONLY)
    queue.sendmsg([message(int(kind), value=5)], rights(*([null] if extra else []), sender.fileno()))
    sender.close()
    say("sent")
    time.sleep(600)
    peer.close()


def nested(seconds):
    """A socket with a lingering one in its queue: settings of the former do not reach the latter."""
    outer, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender, peer = lingering(seconds)
    other.sendmsg([b"x"], rights(sender.fileno()))
    sender.close()
    other.close()
    return outer, peer


def send_and_end(path, fd):
    """Sends a message for which the daemon ends the connection. Only a limited number can wait there at once."""
    while True:
        try:
            with connect(path) as queue:
                queue.sendmsg([message(TAKEN)], rights(fd))
                return
        except OSError:
            time.sleep(0.02)


def talk(queues, fds, seconds):
    """Sends messages with the maximum number of descriptors (SCM_MAX_FD), on every connection until it ends. Returns
    how many were sent."""
    end, sent, open_ones = time.monotonic() + seconds, 0, list(queues)
    while open_ones and time.monotonic() < end:
        for queue in list(open_ones):
            try:
                queue.sendmsg([message(TAKEN)], rights(*fds), socket.MSG_DONTWAIT)
                sent += 1
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ETOOMANYREFS):
                    open_ones.remove(queue)
    return sent


def pile(count, seconds, *paths):
    peers = []
    for _ in range(int(count)):
        outer, peer = nested(int(seconds))
        peers.append(peer)
        send_and_end(paths[0], outer.fileno())
        outer.close()
    say("nested")
    last = [lingering(int(seconds)) for _ in range(10)]
    # Adds a thread only when none has made progress for 100 ms: until the maximum number is stuck. A connection that
    # does not register is closed after a while.
    time.sleep(0.12 * int(count) - 3)
    queues = [connect(path) for path in paths for _ in range(25)]
    time.sleep(3)
    null = os.open("/dev/null", os.O_RDONLY)
    say("sent", talk(queues[1:], [null] * 253, 1.5))
    try:
        queues[0].sendmsg([message(TAKEN)], rights(*(sender.fileno() for sender, _ in last)))
        for sender, _ in last:
            sender.close()
    except OSError as error:
        say(error)
    say("piled up")
    time.sleep(600)


def fill(path, address, port, count):
    queue, listener = connect(path), listening(address, port)
    say(register(queue, listener))
    clients = []
    for _ in range(int(count)):
        client = socket.socket(listener.family)
        client.setblocking(False)
        client.connect_ex((address, int(port)))
        clients.append(client)
    say("filled")
    while queue.recv(MESSAGE.size):
        pass
    say("cut off")
    time.sleep(600)


def flip(path, address, port, seconds):
    queue, listener = connect(path), listening(address, port)
    say(register(queue, listener))
    if os.fork() == 0:  # a separate process: as fast as it can
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            for _ in range(10000):
                fcntl.fcntl(listener, fcntl.F_SETFL, os.O_RDWR)
        say("flipped")
        os._exit(0)
    threading.Thread(target=take, args=(queue, socket.socket.close), daemon=True).start()
    end = time.monotonic() + float(seconds) / 2
    connected = 0
    while time.monotonic() < end:
        try:
            socket.create_connection((address, int(port)), timeout=1).close()
            connected += 1
        except OSError:
            time.sleep(0.1)
    say("connected", connected)
    time.sleep(600)


def crowd(path, count):
    held = []
    for _ in range(int(count)):
        try:
            held.append(connect(path))
        except OSError as error:
            say(error)
    say("crowded", len(held))
    time.sleep(600)


def listen(path, address=None, port=None):
    try:
        say(register(connect(path), listening(address, port) if address else None))
    except PermissionError:
        say("not connected")


def daemon(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(5)
    say("daemon")
    while True:
        queue, _ = listener.accept()
        data, ancillary, _, _ = queue.recvmsg(MESSAGE.size, 1024)
        say("got a socket" if ancillary else "got nothing")
        if data:
            queue.send(message(LISTENING, value=1))


def lock(path):
    try:
        file = open(path, encoding="ascii")
    except PermissionError:
        say("cannot open it")
        return
    say("opened it")
    fcntl.flock(file, fcntl.LOCK_EX)
    say("locked it")
    time.sleep(600)


if __name__ == "__main__":
    {f.__name__: f for f in (hijack, linger, pile, fill, flip, crowd, listen, daemon, lock)}[sys.argv[1]](*sys.argv[2:])

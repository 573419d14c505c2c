# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The client's end of the pair: a packet socket whose frames go to their row, by address and port."""
import asyncio
import socket
import struct

from frames import Segment

SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 263, 8, 23, 33


class Wire:
    def __init__(self, device="c0"):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        # The kernel removes tags from the frame and reports them in ancillary data.
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.bind((device, 0))
        self.socket.setblocking(False)
        self.queues = {}
        asyncio.get_running_loop().add_reader(self.socket, self.read)

    def send(self, frame):
        self.socket.send(frame)

    def register(self, address, port):
        """The queue of frames for a client."""
        queue = self.queues[address, port] = asyncio.Queue()
        return queue

    def read(self):
        for _ in range(256):
            try:
                data, aux, _, _ = self.socket.recvmsg(65536, 256)
            except BlockingIOError:
                return
            try:
                segment = Segment(with_tag(data, aux))
            except (ValueError, struct.error):
                continue
            queue = self.queues.get((segment.target, segment.dport))
            if queue:
                queue.put_nowait(segment)


def with_tag(data, aux):
    for _, kind, body in aux:
        if kind == PACKET_AUXDATA and len(body) >= 20:
            status, tci, tpid = struct.unpack_from("=I", body)[0], *struct.unpack_from("=HH", body, 16)
            if status & 0x10:  # TP_STATUS_VLAN_VALID
                return data[:12] + struct.pack("!HH", tpid if status & 0x40 else 0x8100, tci) + data[12:]
    return data

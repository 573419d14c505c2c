#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A server that passes a blocking listening socket, with a connection waiting in it, gets that one, and holds up nobody.
. "$(dirname "$0")/lib/lib.sh"

# Speaks the delivery protocol (user/common/delivery_protocol.h) without the library, which makes the socket non-blocking.
cat >"$TMP/register.py" <<'EOT'
import array, socket, struct, sys, time
LISTEN, LISTENING, CONNECTION, TAKEN = 1, 2, 4, 5
address, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
message = struct.Struct("@HHIQi28s")
listener = socket.create_server((address, port), backlog=5)
waiting = socket.create_connection((address, port), timeout=20)
waiting.sendall(b"over loopback")
queue = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
queue.settimeout(20)
queue.connect(path)
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener.fileno()]))]
listener.setblocking(True)
queue.sendmsg([message.pack(1, LISTEN, 0, 0, 5, b"")], rights)
answers = []
while CONNECTION not in answers:
    data, ancillary, _, _ = queue.recvmsg(message.size, 1024)
    version, kind, flags, ident, value, peer = message.unpack(data)
    answers.append(kind)
taken = socket.socket(fileno=array.array("i", ancillary[0][2])[0])
queue.sendall(message.pack(1, TAKEN, 0, ident, 0, b""))
print(taken.recv(100).decode() if LISTENING in answers else answers, flush=True)
listener.setblocking(True)  # the open file is ours, too
again = socket.create_connection((address, port), timeout=20)
queue.recvmsg(message.size, 1024)
print("again", flush=True)
time.sleep(600)
EOT

lab_up
config one 7000
service other 7001
daemon_start
spawn server register python3 "$TMP/register.py" "$SERVER4" 7000 "$RUN/one.sock"
soon grep -q again "$TMP/register.log"
is "what waited in its own socket is delivered" "$(head -n 1 "$TMP/register.log")" "over loopback"
is "also when it makes the socket blocking later" "$(tail -n 1 "$TMP/register.log")" again
server_start line "$SERVER4" 7001 line
is "another service is served meanwhile" "$(printf 'hello\n' | client timeout 20 python3 -c '
import socket, sys
conn = socket.create_connection((sys.argv[1], 7001), timeout=20)
conn.sendall(sys.stdin.buffer.readline())
print(conn.makefile().readline().strip())' "$SERVER4")" hello
is "the daemon is alive" "$(alive)" true
daemon_stop
is "and ends when it is told to" "$DAEMON_STATUS" 0

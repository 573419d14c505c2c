#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The queue outlives the server: connections wait while it restarts, and one that the server took but never got goes back.
. "$(dirname "$0")/lib/lib.sh"

cat >"$TMP/ask.py" <<'EOT'
import socket, sys
conn = socket.create_connection((sys.argv[1], 7000), timeout=60)
conn.sendall(b"hello\n")
print(conn.makefile().readline().strip(), flush=True)
EOT

lab_up
config line 7000
daemon_start
server_start first "$SERVER4" 7000 line
is "served by the first" "$(client python3 "$TMP/ask.py" "$SERVER4")" hello
killed "$PID"
for i in 1 2 3 4 5; do
	spawn client "ask$i" python3 "$TMP/ask.py" "$SERVER4"
done
wait_in_queue() { [ "$(queue recv_q)" = "$1" ]; }
check "who connects while no server is there waits" soon wait_in_queue 5
server_start second "$SERVER4" 7000 line
soon sh -c "[ \$(cat $TMP/ask?.log | grep -c hello) -eq 5 ]"
is "who connected while no server was there is served by the next" "$(cat "$TMP"/ask?.log | grep -c hello)" 5

# A client that resets while it waits leaves the queue.
killed "$PID"
client python3 - "$SERVER4" <<-'EOT'
	import socket, struct, sys
	for _ in range(20):
	    conn = socket.create_connection((sys.argv[1], 7000), timeout=20)
	    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	    conn.close()
EOT
check "clients that reset while they wait leave the queue" soon wait_in_queue 0

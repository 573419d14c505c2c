#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A daemon that is killed: no new SYN is answered after 2 s, and a restarted one serves the clients whose ACKs came meanwhile. A
# daemon that is stopped: the hook is disarmed and detached.
. "$(dirname "$0")/lib/lib.sh"

attached() { server ip -d link show dev s0 | grep -c 'prog/xdp'; }

# connect, once there is a file if one is named, ask, wait for the answer for as long as it takes
cat >"$TMP/patient.py" <<'EOT'
import os, socket, sys, time
print("ready", flush=True)
while len(sys.argv) > 2 and not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
conn = socket.create_connection((sys.argv[1], 7000), timeout=60)
print("connected", flush=True)
conn.sendall(b"hello\n")
print(conn.makefile().readline().strip(), flush=True)
EOT

lab_up
config line 7000
daemon_start
server_start line "$SERVER4" 7000 line
is "served before" "$(client python3 "$TMP/patient.py" "$SERVER4" | tail -n 1)" hello
is "the program is attached" "$(attached)" 1

spawn client meanwhile python3 "$TMP/patient.py" "$SERVER4" "$TMP/go"
waiting=$PID
soon grep -q ready "$TMP/meanwhile.log"
daemon_kill
touch "$TMP/go"
within 2 grep -q connected "$TMP/meanwhile.log"
is "killed: for two seconds SYNs are still answered" "$(tail -n 1 "$TMP/meanwhile.log")" connected
sleep 2.2
before=$(counter synack_sent)
result=$(client timeout 3 python3 "$TMP/patient.py" "$SERVER4" 2>&1)
is "killed: after two seconds no SYN is answered" "$(($(counter synack_sent) - before))/$result" "0/ready"
at_least "killed: it is counted" "$(counter syn_daemon_down)" 1
is "status tells that the daemon is gone" "$(alive)" false

daemon_start
ends "$waiting"
is "restarted: who came meanwhile is served" "$(tail -n 1 "$TMP/meanwhile.log")" hello
is "restarted: so is who comes now" "$(client python3 "$TMP/patient.py" "$SERVER4" | tail -n 1)" hello

daemon_stop
is "stopped: exit status 0" "$DAEMON_STATUS" 0
is "stopped: detached" "$(attached)" 0
is "stopped: its sockets are gone" "$(find "$RUN" -name '*.sock' 2>/dev/null | wc -l)" 0
result=$(client timeout 3 python3 "$TMP/patient.py" "$SERVER4" 2>&1 | tail -n 1)
matches "stopped: the kernel answers again, with the server's own socket or a refusal" "$result" 'hello|connected|[Rr]efused'

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# handoff = auto takes what there is: the queue of a server under the preload, the listening socket of a plain one. The other two
# say which it is to be. And an interface that comes later is taken up.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

# served PORT: one connection; "listener" or "queue", by whom it came
served() {
	local admitted accepted
	admitted=$(counter ack_admitted) accepted=$(counter accepted)
	"${2:-client}" "$BUILD/tests/net/lib/client" --dst "${3:-$SERVER4}" --port "$1" --count 1 --timeout-ms 30000 --request $'hello\n' >/dev/null || echo "failed "
	[ "$(counter ack_admitted)" -eq "$admitted" ] || echo listener
	[ "$(counter accepted)" -eq "$accepted" ] || echo queue
}

# serves PORT WHOM
serves() { [ "$(served "$1")" = "$2" ]; }

lab_up
config auto 7000 handoff=auto
service listener 7001 handoff=listener
service queue 7002
daemon_start
is "auto, no server: no server" "$(shown auto served)" False
check "auto, no server: the kernel refuses" refused "$SERVER4" 7000

plain_start plain4 "$SERVER4" 7000 line
plain=$PID
check "auto, a plain server: its listening socket is found" soon shows auto served True
is "auto, a plain server: the listener handoff" "$(shown auto handoff)" listener
check "auto, a plain server: served by its own socket, once its self-test is over" soon serves 7000 listener
killed "$plain"
check "auto, no server any more: no server" soon shows auto served False
server_start preloaded "$SERVER4" 7000 line
check "auto, a server under the preload: the queue handoff" soon shows auto handoff queue
is "auto, a server under the preload: served from the queue" "$(served 7000)" queue

plain_start plain4b "$SERVER4" 7001 line
plain=$PID
check "listener: a plain server" soon shows listener served True
check "listener: served by its own socket" soon serves 7001 listener
killed "$plain"
server_start refused "$SERVER4" 7001 line
check "listener: a server under the preload is served by its own socket" soon shows listener served True
is "listener: though it asked for the queue" "$(served 7001)" listener
matches "listener: the daemon says so" "$(cat "$TMP/shakeoffd.log")" 'listener'

plain_start plain4c "$SERVER4" 7002 line
sleep 1
is "queue: a plain server is the kernel's" "$(shown queue served)/$(served 7002)" "False/"
killed "$PID"
server_start preloaded2 "$SERVER4" 7002 line
is "queue: a server under the preload" "$(served 7002)" queue
daemon_stop

# ------------------------------------------------------------------------------------------------ another interface

"$TOP/scripts/lab.sh" behind "$LAB" || bail "the namespace behind the server did not come up"
plain_start any 0.0.0.0 7003 line
check "shakeoff attach s0" server "$BUILD/shakeoff" attach s0
printf '[daemon]\n' >"$CONF"
discovered syncookies=always
daemon_start
found 0.0.0.0:7003
is "s0: through the hook" "$(served 7003)" listener
is "b1 has no program: the kernel" "$(served 7003 behind 10.9.1.1)" ""
check "shakeoff attach b1, while the daemon runs" server "$BUILD/shakeoff" attach b1
on_b1() { [ "$(served 7003 behind 10.9.1.1)" = listener ]; }
check "b1: through the hook" soon on_b1
is "both interfaces share one datapath" "$(status datapaths.0.interfaces)/$(server "$BUILD/shakeoff" status --json | python3 -c '
import json, sys
print(len(json.load(sys.stdin)["datapaths"]))')" '["s0", "b1"]/1'
is "s0: still through the hook" "$(served 7003)" listener
check "shakeoff detach b1" server "$BUILD/shakeoff" detach b1
is "b1: the kernel again" "$(served 7003 behind 10.9.1.1)" ""
is "s0: still through the hook" "$(served 7003)" listener

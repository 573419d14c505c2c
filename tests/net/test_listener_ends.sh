#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Listening sockets whose connections the hook cannot complete any more: the tc program is taken away, or the daemon is stopped.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

# The link that daemon_start has pinned, as somebody may find it.
admit_pin() { ls /sys/fs/bpf/shakeoff/"$(server stat -L -c %i /proc/self/ns/net)"/s0:*:admit-daemon; }

# resets COMMAND...: how many of the clients that connect meanwhile fail, as "failed/tried"; the command runs after a second
resets() {
	local result
	rm -f "$TMP/load.log"
	spawn client load "$BUILD/tests/net/lib/client" --dst "$SERVER4" --port 7050 --seconds 4 --concurrency 1 \
		--interval-ms 5 --request $'hello\n' --json
	sleep 1
	"$@" >/dev/null 2>&1
	ends "$PID"
	result=$(tail -n 1 "$TMP/load.log")
	echo "$(json failed <<<"$result")/$(json tried <<<"$result")"
}

lab_up
config_daemon
discovered syncookies=always
daemon_start
plain_start line :: 7050 line
found '*:7050'

if [ -e "$(admit_pin)" ]; then
	got=$(resets bpftool link detach pinned "$(admit_pin)")
	echo "# tc program detached: $got connections failed"
	at_most "tc program detached: connections fail for a moment only, and not for the three seconds" "${got%/*}" $((${got#*/} / 4))
	at_least "tc program detached: there were some" "${got#*/}" 50
	matches "tc program detached: the daemon says that it has put it back" "$(cat "$TMP/shakeoffd.log")" 'put back'
	all_admitted "tc program put back" "$SERVER4" 7050 100
else
	pass "the tc program is detached # SKIP nothing can be pinned here"
fi

tap client python3 "$HERE/raw_stop.py" 7050 "$DAEMON_PID"
ends "$DAEMON_PID"
daemon_stop
is "the daemon stops cleanly" "$DAEMON_STATUS" 0
is "then the kernel serves" "$(connections "$SERVER4" 7050 50)" 0/0/0

daemon_start
is "started again: the service is answered for again" "$(soon shows '*:7050' state active && echo yes)" yes
daemon_stop

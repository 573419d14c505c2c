#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Queue handoff: what a client sends while the daemon is making its connection's socket reaches the connection. strace makes every
# setsockopt() of the daemon last 5 ms, so that the socket is half made for 25 ms.
. "$(dirname "$0")/lib/lib.sh"
if ! command -v strace >/dev/null; then
	pass "a socket that is half made # SKIP there is no strace"
	exit 0
fi

lab_up
config_pair collect 7000
daemon_start
server_start four "$SERVER4" 7000 collect
server_start six "$SERVER6" 7000 collect
strace -qq -f -o /dev/null -e trace=setsockopt -e inject=setsockopt:delay_enter=5000 -p "$DAEMON_PID" &
TRACER=$!
traced() { grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$DAEMON_PID/task/"*/status; }
soon traced || bail "strace does not trace the daemon"

tap client python3 "$HERE/raw_half_made.py" 7000 4
tap client python3 "$HERE/raw_half_made.py" 7000 6
kill "$TRACER"
wait "$TRACER" 2>/dev/null || true

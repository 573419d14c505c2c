#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The experiment on the accept queue: backlog 5, a server that does not accept, ten clients one after the other.
#
# The kernel's own queue would take one more than its backlog; shakeoff's takes what it says.
. "$(dirname "$0")/lib/lib.sh"

# connects COUNT ADDRESS SECONDS: what each of COUNT clients got
connects() { client python3 "$HERE/connects.py" "$@"; }

hold_start() {
	spawn server hold env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" "$1" 7000 --backlog "${2:-5}" --mode "${3:-hold}"
	HOLD_PID=$PID
	soon grep -q listening "$TMP/hold.log" || bail "the server does not listen"
}

hold_stop() {
	kill "$HOLD_PID"
	ends "$HOLD_PID"
	rm -f "$TMP/hold.log"
}

lab_up
for address in "$SERVER4" "$SERVER6"; do
	# reset: five connect, whoever comes after is refused at once
	config hold 7000 backlog=5 overflow=reset
	daemon_start
	hold_start "$address"
	got=$(connects 10 "$address" 10)
	is "$address, reset: five connect, the sixth and all after it are refused" "$got" \
		"connected connected connected connected connected refused refused refused refused refused"
	at_least "$address, reset: the overflow is counted" "$(counter overflow)" 5
	hold_stop
	daemon_stop

	# drop: the sixth waits, and connects once there is room
	config hold 7000 backlog=5 overflow=drop
	daemon_start
	hold_start "$address"
	spawn client five python3 "$HERE/connects.py" 5 "$address" 10 600
	five=$PID
	soon grep -q connected "$TMP/five.log"
	is "$address, drop: five connect" "$(cat "$TMP/five.log")" "connected connected connected connected connected"
	is "$address, drop: the sixth waits" "$(connects 1 "$address" 0.5)" waits
	spawn client sixth python3 "$HERE/connects.py" 1 "$address" 60
	sixth=$PID
	sleep 0.3
	kill -USR1 "$HOLD_PID"
	ends "$sixth"
	is "$address, drop: it connects once one is accepted" "$(cat "$TMP/sixth.log")" connected
	kill "$five" 2>/dev/null
	hold_stop
	daemon_stop
	rm -f "$TMP/five.log" "$TMP/sixth.log"

	# a server that accepts serves them all
	config hold 7000 backlog=5 overflow=reset
	daemon_start
	hold_start "$address" 5 greet
	is "$address: with accept running all ten connect" "$(connects 10 "$address" 10 greeted)" \
		"connected connected connected connected connected connected connected connected connected connected"
	hold_stop
	daemon_stop
done

# The smaller of what listen() gives, one more than it was told, as in the kernel, and of the configured backlog holds.
config hold 7000 backlog=100 overflow=reset
daemon_start
hold_start "$SERVER4" 2
is "listen(2) with backlog = 100: three connect" "$(connects 4 "$SERVER4" 10)" "connected connected connected refused"
is "queues shows the capacity" "$(queue send_q)" 3

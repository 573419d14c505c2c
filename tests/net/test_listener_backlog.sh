#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The experiment on the accept queue with plain servers: a server that does not accept, ten clients one after the other. As the kernel's own
# queue, which is tried first, it takes one more than listen() was given (sk_acceptq_is_full(), include/net/sock.h); a configured backlog is
# meant as it says.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

# connects COUNT ADDRESS SECONDS: what each of COUNT clients got
connects() { client python3 "$HERE/connects.py" "$@"; }
five="connected connected connected connected connected"

# group_of WHAT ADDRESS SERVICE OUTCOME: while the queue of the first server is full, a second one listens beside it (SO_REUSEPORT).
# Of 64 clients that begin at once it serves those that are given to it; the others get OUTCOME, and none a connection for nothing.
group_of() {
	local second
	plain_start second "$2" 7000 greet --backlog 1000 --reuseport
	second=$PID
	check "$1, SO_REUSEPORT: two sockets are one service" soon shows "$3" servers 2
	is "$1, SO_REUSEPORT, one queue full: who is not served does not connect" \
		"$(client python3 "$HERE/at_once.py" 64 "$2")" "greeted $4"
	killed "$second"
	soon shows "$3" servers 1 || bail "a server that is gone is still in the group"
}

# queue_of SERVICE: Recv-Q/Send-Q
queue_of() {
	server "$BUILD/shakeoff" queues --json | python3 -c '
import json, sys
queues = [queue for queue in json.load(sys.stdin)["queues"] if queue["service"] == sys.argv[1]]
print(*("%d/%d" % (queue["recv_q"], queue["send_q"]) for queue in queues))' "$1"
}

handed() { soon shows "$1" served True || bail "$1 is not found"; }

# ended PID: and its service with it
ended() {
	killed "$1"
	no_service() { [ -z "$(services)" ]; }
	soon no_service || bail "the service of a server that is gone stays"
}

lab_up
for address in "$SERVER4" "$SERVER6"; do
	plain_start hold "$address" 7000 hold --backlog 4
	is "the kernel alone, $address: listen(4) takes five, the sixth waits" "$(connects 6 "$address" 1)" "$five waits"
	killed "$PID"
done
for syncookies in always adaptive; do
	config_daemon
	discovered overflow=reset "syncookies=$syncookies"
	daemon_start
	for address in "$SERVER4" "$SERVER6"; do
		what="syncookies = $syncookies, $address"
		name=$(service_at "$address" 7000)
		plain_start hold "$address" 7000 hold --backlog 4 --reuseport
		hold=$PID
		handed "$name"
		is "$what, reset: five connect, the sixth and all after it are refused" "$(connects 10 "$address" 10)" \
			"$five refused refused refused refused refused"
		is "$what, reset: queues shows what waits" "$(queue_of "$name")" 5/4
		at_least "$what, reset: the overflow is counted" "$(counter overflow)" 5
		group_of "$what, reset" "$address" "$name" refused
		ended "$hold"
		plain_start greet "$address" 7000 greet --backlog 5
		handed "$name"
		is "$what: with accept running all ten connect" "$(connects 10 "$address" 10 greeted)" "$five $five"
		ended "$PID"
	done
	daemon_stop

	config_daemon
	discovered overflow=drop "syncookies=$syncookies"
	daemon_start
	for address in "$SERVER4" "$SERVER6"; do
		what="syncookies = $syncookies, $address"
		name=$(service_at "$address" 7000)
		plain_start hold "$address" 7000 hold --backlog 4 --reuseport
		hold=$PID
		handed "$name"
		rm -f "$TMP/five.log" "$TMP/sixth.log"
		spawn client five python3 "$HERE/connects.py" 5 "$address" 10 600
		kept=$PID
		soon grep -q connected "$TMP/five.log"
		is "$what, drop: five connect" "$(cat "$TMP/five.log")" "$five"
		is "$what, drop: the sixth waits" "$(connects 1 "$address" 0.5)" waits
		group_of "$what, drop" "$address" "$name" waits
		spawn client sixth python3 "$HERE/connects.py" 1 "$address" 60
		sixth=$PID
		sleep 0.3
		kill -USR1 "$hold"
		ends "$sixth"
		is "$what, drop: it connects once one is accepted" "$(cat "$TMP/sixth.log")" connected
		kill "$kept" 2>/dev/null
		ended "$hold"
	done
	daemon_stop
done

# The smaller of listen()'s backlog and the configured one holds.
config hold 7000 handoff=listener backlog=3 overflow=reset
daemon_start
plain_start hold "$SERVER4" 7000 hold --backlog 100
handed hold
is "listen(100) with backlog = 3: three connect" "$(connects 4 "$SERVER4" 10)" "connected connected connected refused"
is "queues shows the capacity" "$(queue_of hold)" 3/3

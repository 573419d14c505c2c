#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Listening sockets outlive the daemon, and the daemon follows their coming and going: whoever connects meanwhile does not notice.
. "$(dirname "$0")/lib.sh"
needs_admission

load_start() { # SECONDS ADDRESS PORT
	rm -f "$TMP/load.log"
	spawn client load "$BUILD/tests/net/client" --dst "$2" --port "$3" --seconds "$1" --concurrency 4 --interval-ms 2 \
		--request $'hello\n' --json
	LOAD_PID=$PID
}

load_end() { # WHAT
	local result
	ends "$LOAD_PID" 20
	result=$(tail -n 1 "$TMP/load.log")
	echo "# $1: $result"
	at_least "$1: clients connect" "$(json ok <<<"$result")" 500
	is "$1: none of them fails" "$(json failed <<<"$result")" 0
	is "$1: nothing is sent twice" "$(json retransmissions <<<"$result")" 0
}

# admitting WHAT: the hook does, in the next second
admitting() {
	local before
	before=$(counter ack_admitted)
	sleep 1
	at_least "$1: the hook answers and admits" $(($(counter ack_admitted) - before)) 50
}

lab_up
# Attached by itself: the program stays when the daemon goes.
check "shakeoff attach" server "$BUILD/shakeoff" attach s0
config_daemon
discovered engage=always
daemon_start

plain_start stays :: 7030 line
found '*:7030'
load_start 9 "$SERVER4" 7030
sleep 1
daemon_kill
sleep 3
admitting "daemon killed, 3 s later"
is "daemon killed: status tells" "$(alive)" false
is "daemon killed: the service is shown with its handoff" "$(shown '*:7030' handoff)" listener
daemon_start
sleep 1
admitting "daemon restarted"
load_end "daemon killed and restarted"

load_start 5 "$SERVER6" 7030
sleep 1
daemon_stop
sleep 0.5
daemon_start
load_end "daemon stopped and started"
found '*:7030'
all_admitted "afterwards" "$SERVER6" 7030 200

plain_start comes "$SERVER4" 7031 line
found "$SERVER4:7031"
all_admitted "a server that came" "$SERVER4" 7031 50
killed "$PID"
check "server gone: connections are refused at once" refused "$SERVER4" 7031
check "server gone: its service is unserved within 1 s" within 1 shows "$SERVER4:7031" state unserved
check "server gone: connections are refused" refused "$SERVER4" 7031
plain_start again "$SERVER4" 7031 line
is "server back: it serves at once" "$(connections "$SERVER4" 7031 10 | cut -d/ -f1,2)" 0/0
found "$SERVER4:7031"
all_admitted "server back" "$SERVER4" 7031 50

# A host with many listening sockets: each of them is found, and looking for them costs next to nothing. LISTENERS: how many.
listeners=${LISTENERS:-2000}
ticks() { sed 's/.*) //' "/proc/$DAEMON_PID/stat" | awk '{ print $12 + $13 }'; }
# shellcheck disable=SC2016 # python
spawn server many sh -c 'ulimit -n 20000; exec "$@"' sh python3 -c '
import socket, sys, time
kept = [socket.create_server(("0.0.0.0", 20000 + i), backlog=1) for i in range(int(sys.argv[1]))]
print("listening", flush=True)
time.sleep(600)' "$listeners"
many=$PID
within 20 grep -q listening "$TMP/many.log" || bail "the many listening sockets do not listen"
all_of_them() { [ "$(services | tr ' ' '\n' | grep -c '^0.0.0.0:2')" -ge "$listeners" ]; }
check "$listeners listening sockets are found" within 5 all_of_them
sleep 2
before=$(ticks)
sleep 3
used=$(($(ticks) - before))
echo "# $listeners listening sockets cost the daemon $used ticks of CPU time in 3 s"
at_most "$listeners listening sockets cost less than a tenth of a CPU (ticks in 3 s)" $used 30
killed "$many"
none_of_them() { [ "$(services | tr ' ' '\n' | grep -c '^0.0.0.0:2')" -eq 0 ]; }
check "$listeners listening sockets are gone" within 5 none_of_them
all_admitted "after them" "$SERVER4" 7030 200
is "the kernel refused no connection of the hook's" "$(counter unadmitted)" 0
daemon_stop
is "the daemon stops cleanly" "$DAEMON_STATUS" 0
is "then the kernel serves" "$(connections "$SERVER4" 7030 50)" 0/0/0

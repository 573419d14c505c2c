#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Listening sockets outlive the daemon, and the daemon follows their coming and going: whoever connects meanwhile does not notice.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

# unnoticed WHAT ADDRESS PORT COMMAND...: by clients that connect all the time from a second before to a second after it. Where something
# was sent twice it is done again, three times in all: that may be a machine that stood still.
unnoticed() {
	local what=$1 load result
	for _ in 1 2 3; do
		rm -f "$TMP/load.log"
		spawn client load "$BUILD/tests/net/lib/client" --dst "$2" --port "$3" --seconds 120 --timeout-ms 30000 --concurrency 4 \
			--interval-ms 2 --request $'hello\n' --json
		load=$PID
		sleep 1
		"${@:4}"
		sleep 1
		kill "$load"
		ends "$load" 60
		result=$(tail -n 1 "$TMP/load.log")
		echo "# $what: $result"
		[ "$(json failed <<<"$result")" = 0 ] || break
		[ "$(json retransmissions <<<"$result")" != 0 ] || break
	done
	at_least "$what: clients connect" "$(json ok <<<"$result")" 100
	is "$what: none of them fails" "$(json failed <<<"$result")" 0
	is "$what: nothing is sent twice" "$(json retransmissions <<<"$result")" 0
}

# admitting WHAT: the hook does
admitting() { check "$1: the hook answers and admits" soon grown ack_admitted $(($(counter ack_admitted) + 50)); }

killed_and_restarted() {
	daemon_kill
	sleep 3
	admitting "daemon killed, 3 s later"
	is "daemon killed: status tells" "$(alive)" false
	is "daemon killed: the service is shown with its handoff" "$(shown '*:7030' handoff)" listener
	daemon_start
	sleep 1
	admitting "daemon restarted"
}

stopped_and_started() {
	daemon_stop
	sleep 0.5
	daemon_start
}

lab_up
# Attached by itself: the program stays when the daemon goes.
check "shakeoff attach" server "$BUILD/shakeoff" attach s0
config_daemon
discovered syncookies=always
daemon_start

plain_start stays :: 7030 line
found '*:7030'
unnoticed "daemon killed and restarted" "$SERVER4" 7030 killed_and_restarted
unnoticed "daemon stopped and started" "$SERVER6" 7030 stopped_and_started
found '*:7030'
all_admitted "afterwards" "$SERVER6" 7030 200

plain_start comes "$SERVER4" 7031 line
found "$SERVER4:7031"
all_admitted "a server that came" "$SERVER4" 7031 50
killed "$PID"
check "server gone: connections are refused at once" refused "$SERVER4" 7031
check "server gone: its service has no server" soon shows "$SERVER4:7031" state "no server"
check "server gone: connections are refused" refused "$SERVER4" 7031
plain_start again "$SERVER4" 7031 line
is "server back: it serves at once" "$(connections "$SERVER4" 7031 10 | cut -d/ -f1,2)" 0/0
found "$SERVER4:7031"
all_admitted "server back" "$SERVER4" 7031 50

# A host with many listening sockets: each of them is found, and looking for them costs the daemon less than listing them ten times a
# second would. LISTENERS: how many.
listeners=${LISTENERS:-2000}
ticks() { sed 's/.*) //' "/proc/$DAEMON_PID/stat" | awk '{ print $12 + $13 }'; }
# shellcheck disable=SC2016 # python
spawn server many sh -c 'ulimit -n 20000; exec "$@"' sh python3 -c '
import socket, sys, time
kept = [socket.create_server(("0.0.0.0", 20000 + i), backlog=1) for i in range(int(sys.argv[1]))]
print("listening", flush=True)
time.sleep(600)' "$listeners"
many=$PID
soon grep -q listening "$TMP/many.log" || bail "the many listening sockets do not listen"
all_of_them() { [ "$(services | tr ' ' '\n' | grep -c '^0.0.0.0:2')" -ge "$listeners" ]; }
check "$listeners listening sockets are found" soon all_of_them
sleep 2
listing_ms() {
	server python3 -c '
import resource, subprocess
for _ in range(20):
    subprocess.run(["ss", "-Hltn"], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(int(500 * (used.ru_utime + used.ru_stime)))'
}
least=1000000
for _ in 1 2 3; do
	before=$(ticks) begin=${EPOCHREALTIME/./}
	sleep 2
	used=$(((($(ticks) - before) * 1000000 / $(getconf CLK_TCK)) * 1000 / (${EPOCHREALTIME/./} - begin)))
	[ $used -ge $least ] || least=$used
done
listing=$(listing_ms)
echo "# $listeners listening sockets cost the daemon $least ms of CPU time a second; to list them ten times takes $listing ms"
at_most "$listeners listening sockets cost less CPU time than to list them ten times a second (ms)" $least "$listing"
killed "$many"
none_of_them() { [ "$(services | tr ' ' '\n' | grep -c '^0.0.0.0:2')" -eq 0 ]; }
check "$listeners listening sockets are gone" soon none_of_them
all_admitted "after them" "$SERVER4" 7030 200
is "the kernel refused no connection of the hook's" "$(counter unadmitted)" 0
daemon_stop
is "the daemon stops cleanly" "$DAEMON_STATUS" 0
is "then the kernel serves" "$(connections "$SERVER4" 7030 50)" 0/0/0

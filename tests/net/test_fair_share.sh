#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One source opens connections as fast as it can, to a server that accepts 200 a second: the accept queue stays open to
# others. (The test that it does not without the rule uses 50 a second, so that any machine can fill that queue.)
. "$(dirname "$0")/lib/lib.sh"
needs_admission

BACKLOG=64

# The greedy client has the usual address, and each of the others is a separate source: for IPv6 a /64.
others() {
	case $1 in
	*:*) echo 2001:db8:9:a::1 2001:db8:9:b::1 2001:db8:9:c::1 ;;
	*) echo 10.9.0.31 10.9.0.32 10.9.0.33 ;;
	esac
}

addresses_up() {
	local address
	for address in $(others "$SERVER4"); do
		ip -n "$LAB-client" address add "$address/32" dev c0
		ip -n "$LAB-server" neighbour replace "$address" lladdr "$CLIENT_MAC" dev s0 nud permanent
	done
	for address in $(others "$SERVER6"); do
		ip -n "$LAB-client" address add "$address/128" dev c0 nodad
		ip -n "$LAB-server" -6 route add "$address/128" via "$CLIENT6"
	done
}

# compete ADDRESS COUNT PATIENCE: sets $ok, $failed and $repeated of the honest clients (greedy.py), and $busiest as in
# queues
compete() {
	local source=$CLIENT4 prefix=$CLIENT4
	case $1 in *:*) source=$CLIENT6 prefix=2001:db8:9::/64 ;; esac
	spawn client greedy python3 "$HERE/greedy.py" greedy "$1" 120 "$source"
	greedy=$PID
	soon filled || bail "the greedy source does not fill the queue"
	# shellcheck disable=SC2046 # each is an argument
	read -r ok failed repeated < <(client python3 "$HERE/greedy.py" honest "$1" "$2" "$3" $(others "$1"))
	busiest=
	soon busiest_is "$prefix"
	kill "$greedy" 2>/dev/null
	ends "$greedy"
	echo "# $1: $ok answered, $failed not, $repeated after another SYN; the greedy source: $busiest"
}
filled() { [ "$(queue_with recv_q)" -ge $((BACKLOG / 3)) ]; }
busiest_is() {
	busiest=$(queue_with top_source)
	[ "$busiest" = "$1" ]
}

# A field of the queue with waiting connections.
queue_with() {
	server "$BUILD/shakeoff" queues --json | python3 -c '
import json, sys
print(*(queue[sys.argv[1]] for queue in json.load(sys.stdin)["queues"] if queue["recv_q"]))' "$1"
}

# served WHAT ADDRESS
served() {
	local before
	before=$(($(counter ack_share_drop) + $(counter syn_share_drop)))
	compete "$2" 6 20
	is "$1: others are served beside a greedy source, none of 18 fails" "$ok/$failed" 18/0
	at_most "$1: and their first SYNs were answered" "$repeated" 4
	at_least "$1: the greedy source is refused" \
		$(($(counter ack_share_drop) + $(counter syn_share_drop) - before)) 50
	case $2 in
	*:*) is "$1: queues shows who it is" "$busiest" 2001:db8:9::/64 ;;
	*) is "$1: queues shows who it is" "$busiest" "$CLIENT4" ;;
	esac
}

starved() {
	compete "$2" 3 2
	at_least "$1: without the rule many of nine fail, or have to repeat their SYN" $((failed + repeated)) 4
}

# listener_start ADDRESS [MODE]
listener_start() {
	plain_start slow "$1" 7000 "${2:-slow}" --backlog $BACKLOG
	SLOW=$PID
	soon shows "$(service_at "$1" 7000)" served True || bail "the server on $1 is not found"
}

nobody_waits() { [ "$(queue recv_q)" = 0 ]; }

# gone: the server, and its service
gone() {
	killed "$SLOW"
	no_service() { [ -z "$(services)" ]; }
	soon no_service || bail "the service of a server that is gone stays"
}

lab_up
addresses_up
for syncookies in adaptive always; do
	config_daemon
	discovered "syncookies=$syncookies"
	daemon_start
	for address in "$SERVER4" "$SERVER6"; do
		listener_start "$address"
		served "listener, syncookies = $syncookies, $address" "$address"
		gone
	done
	daemon_stop
done

config_daemon
discovered fair-share=no syncookies=always
daemon_start
listener_start "$SERVER4" crawl
starved "listener" "$SERVER4"
gone
daemon_stop

config slow 7000 "backlog=$BACKLOG"
daemon_start
for address in "$SERVER4" "$SERVER6"; do
	server_start slow "$address" 7000 slow
	SLOW=$PID
	served "queue, $address" "$address"
	killed "$SLOW"
	soon nobody_waits || bail "the clients of a server that is gone stay"
done
daemon_stop

config slow 7000 "backlog=$BACKLOG" fair-share=no
daemon_start
server_start slow "$SERVER4" 7000 crawl
starved "queue" "$SERVER4"

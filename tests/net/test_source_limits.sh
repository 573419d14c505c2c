#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What configured limits do: the reply budget of a prefix under a flood in its name, and the limits of a single source.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

BUDGET=5000

# flood ADDRESS [ARGUMENT...]: its JSON result
flood() {
	client "$BUILD/tests/bench/flood" --dev c0 --dst "$1" --port 7000 --rate 300000 --seconds 2 --json "${@:2}"
}

# budgeted SECONDS-MORE: what the budget allows in the time of a flood, and so much longer; its result on standard input
budgeted() { json seconds | awk '{ printf "%d\n", '"$BUDGET"' * ($1 + '"$1"') }'; }

# answered SERVICE: its address is in the hook's table, which is a moment after its server was found
answered() { case $(shown "$1" state) while idle | active) ;; *) return 1 ;; esac; }

lab_up
ip -n "$LAB-server" route add 2001:db8:9::/48 dev s0
config_daemon "reply-budget=$BUDGET"
discovered syncookies=always
daemon_start
for address in "$SERVER4" "$SERVER6"; do
	plain_start "line-$address" "$address" 7000 line --backlog 1024
	server=$PID
	soon shows "$(service_at "$address" 7000)" state active || bail "the server on $address is not found"

	before=$(counter syn_prefix_rate)
	result=$(flood "$address" --narrow)
	echo "# $address, narrow: $result"
	synacks=$(json synacks <<<"$result")
	# A moment for the flood's beginning and its end, and a window.
	at_most "$address: SYN-ACKs to the prefix are within the budget" "$synacks" "$(budgeted 0.2 <<<"$result")"
	at_least "$address: and they make use of it" "$synacks" $(($(budgeted 0 <<<"$result") / 3))
	at_least "$address: most are dropped for that reason" $(($(counter syn_prefix_rate) - before)) $((2 * synacks))

	before=$(counter syn_prefix_rate)
	flood_begins narrow --dst "$address" --port 7000 --rate 300000 --narrow
	flooding=$PID
	soon grown syn_prefix_rate "$before"
	result=$(asks "$address" 7000 --count 50 --request $'hello\n')
	is "$address: meanwhile no client of another prefix fails" "$(json failed <<<"$result")" 0
	flood_ends narrow "$flooding"

	# In the name of one known client, while its neighbour, which is known as well, connects.
	case $address in *:*) family=6 ;; *) family=4 ;; esac
	tap client python3 "$HERE/raw_known.py" 7000 $family

	before=$(counter syn_prefix_rate)
	result=$(flood "$address")
	echo "# $address, of all prefixes: $result"
	is "$address: a flood of all prefixes meets no budget" "$(counter syn_prefix_rate)" "$before"
	killed "$server"
done
daemon_stop

# at_once COUNT: how many of so many clients are connected before any of them has sent its SYN again; and in how many seconds that was
at_once() {
	client python3 -c '
import math, select, socket, sys, time
begin = time.monotonic()
sockets = [socket.socket() for _ in range(int(sys.argv[2]))]
for sock in sockets:
    sock.setblocking(False)
    sock.connect_ex((sys.argv[1], 7000))
time.sleep(0.7)
connected = len(select.select([], sockets, [], 0)[1])
print(connected, math.floor(time.monotonic() - begin))' "$SERVER4" "$1"
}

config_daemon discover=no
service_on limited "$SERVER4:7000" -- handoff=listener "source-syn-limit=1/s burst 3"
daemon_start
plain_start collect "$SERVER4" 7000 collect
server=$PID
soon answered limited || bail "the service is not found"
read -r connected seconds < <(at_once 10)
at_least "source-syn-limit = 1/s burst 3: three SYNs of a source are answered" "$connected" 3
at_most "source-syn-limit = 1/s burst 3: and one more each second" "$connected" $((3 + seconds))
at_least "what is beyond it is counted" "$(counter syn_source_rate)" 1
daemon_stop
killed "$server"

config_daemon discover=no
service_on limited "$SERVER4:7000" -- handoff=listener "source-limit=1/s burst 3 per /32"
daemon_start
plain_start line "$SERVER4" 7000 line
server=$PID
soon answered limited || bail "the service is not found"
# Its client believes that the fourth is open: what it sends opens it, once the limit allows that.
result=$(asks "$SERVER4" 7000 --count 5 --concurrency 5 --request $'hello\n')
is "source-limit = 1/s burst 3: the fourth connection of a source is served as well" "$(json failed <<<"$result")" 0
at_least "but its first ACK was ignored" "$(counter ack_source_rate)" 1

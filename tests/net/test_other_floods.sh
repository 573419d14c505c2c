#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Floods of anything but SYNs, while idle and where the hook answers: clients are served, open connections continue, and
# segments without a socket are dropped with their own verdicts before the kernel answers them.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

RATE=60000 SECONDS_EACH=0.6 COUNT=20

flood_of() { # KIND ADDRESS PORT
	echo "$BUILD/tests/bench/flood" --dev c0 --dst "$2" --port "$3" --kind "$1" --rate $RATE --seconds $SECONDS_EACH
}
flood() { # shellcheck disable=SC2046 # words
	client $(flood_of "$@") >/dev/null
}
# The sum of the server's TCP counters for it: RSTs sent, segments in error, SYN cookies and so on.
# shellcheck disable=SC2016 # for awk
tcp_saw() { server awk '/^Tcp: [0-9]/ { print $14 + $15 }' /proc/net/snmp; }
out_of_state() { # NAME FIELD
	server "$BUILD/shakeoff" status --json | python3 -c '
import json, sys
services = [service for path in json.load(sys.stdin)["datapaths"] for service in path["services"]]
print(*(json.dumps(service["out_of_state"][sys.argv[2]]).strip("\"") for service in services if service["name"] == sys.argv[1]))' "$@"
}
calm() { # NAME: out-of-state segments are not dropped now
	[ "$(out_of_state "$1" dropped)" = false ]
}

# holds WHAT KIND ADDRESS VERDICT: a flood of that kind on port 7000
holds() {
	local what=$1 kind=$2 address=$3 verdict=$4 drops saw arrived flooding failed
	drops=$(counter "$verdict") saw=$(tcp_saw) arrived=$(seen)
	flood_begins flood --dst "$address" --port 7000 --kind "$kind" --rate $RATE
	flooding=$PID
	soon grown "$verdict" $((drops + 1000))
	failed=$(asks "$address" 7000 --count $COUNT --interval-ms 5 --request $'hello\n' | json failed)
	flood_ends flood "$flooding"
	arrived=$(($(seen) - arrived))
	is "$what, $kind: none of $COUNT clients fails" "$failed" 0
	at_least "$what, $kind: four of five that arrive are dropped as $verdict" $(($(counter "$verdict") - drops)) $((arrived * 8 / 10))
	# Packets that pass before the flood is noticed: a window of flood-rate, and what other CPUs let pass meanwhile.
	at_most "$what, $kind: the kernel's TCP answers little of it" $(($(tcp_saw) - saw)) $((arrived / 10))
}

# goes_on WHAT KIND ADDRESS: a connection to port 7001 during such a flood
goes_on() {
	local intact before during
	# shellcheck disable=SC2046 # words
	read -r intact before during < <(client python3 "$HERE/steady.py" "$3" 7001 0.5 $(flood_of "$2" "$3" 7001))
	is "$1, $2: an open connection stays intact" "$intact" intact
	# The generator uses some of the processors, too.
	at_least "$1, $2: at $during kB/s, $before before" "${during:-0}" $((${before:-1} / 10))
}

lab_up
config_daemon
daemon_start
for address in "$SERVER4" "$SERVER6"; do
	plain_start "line-$address" "$address" 7000 line --backlog 4096
	plain_start "collect-$address" "$address" 7001 collect
done
soon shows "[$SERVER6]:7001" state idle || bail "the services are not found"

# ----------------------------------------------------------------------------------------------------------------- idle

for address in "$SERVER4" "$SERVER6"; do
	name=$(service_at "$address" 7000)
	flood ack "$address" 7000 # from here on they are dropped
	is "$address: while idle, out-of-state segments are dropped" "$(shown "$name" state)" "dropping out-of-state segments"
	is "$address: and status shows why" "$(shown "$name" reason)" no_socket_ack
	at_least "$address: and since when" "$(out_of_state "$name" dropped_age_ms)" 1
	is "$address: no SYN was answered because of it" "$(counter synack_sent)" 0
	holds "$address while idle" ack "$address" no_socket_drop
	holds "$address while idle" ack-data "$address" no_socket_drop
	holds "$address while idle" fin "$address" no_socket_drop
	holds "$address while idle" rst "$address" rst_no_socket
	holds "$address while idle" synack "$address" synack_no_socket
	holds "$address while idle" xmas "$address" bad_segment
	holds "$address while idle" syn-fin "$address" syn_invalid
	holds "$address while idle" land "$address" syn_invalid
	goes_on "$address while idle" ack "$address"
	goes_on "$address while idle" rst "$address"
	goes_on "$address while idle" synack "$address"
done
holds "IPv6 while idle" ext-chain "$SERVER6" ipv6_exthdr
check "when they are few again, they pass" within 60 calm "$SERVER4:7000"
check "and the kernel refuses segments without a socket" client python3 -c '
import sys
sys.path.insert(0, sys.argv[1])
from rawtcp import Client, Wire
client = Client(Wire(), 7000)
client.wire.send(client.frame("A"))
sys.exit(client.receive(wanted=lambda tcp: tcp.flags.R) is None)' "$HERE"

# ------------------------------------------------------------------------------------------------------------ fragments

for address in "$SERVER4" "$SERVER6"; do
	family=$([ "$address" = "$SERVER4" ] && echo 4 || echo 6)
	tap client python3 "$HERE/raw_fragments.py" 7000 "$family"
	holds "$address" fragment "$address" frag_tiny
	before=$(counter frag_tiny) saw=$(tcp_saw) arrived=$(seen)
	flood fragment-syn "$address" 7000 # the first half of each cuts the options
	at_least "$address: so are the halves of SYNs" $(($(counter frag_tiny) - before)) $((($(seen) - arrived) * 4 / 10))
	at_most "$address: and the kernel's TCP answers none of it" $(($(tcp_saw) - saw)) 50
	before=$(counter frag_rate) arrived=$(seen)
	flood_begins flood --dst "$address" --port 7000 --kind fragment-rest --rate $RATE
	flooding=$PID
	soon grown fragment_budget $((before + 1000))
	flood_ends flood "$flooding"
	at_least "$address: fragments beyond the budget are dropped" $(($(counter frag_rate) - before)) $((($(seen) - arrived) * 8 / 10))
	goes_on "$address" fragment-rest "$address"
done

# ------------------------------------------------------------------------------------------------------------ Fast Open

fast_open_server
is "while idle a client with Fast Open is served" "$(fast_open 3)" "hello hello hello "
at_least "with its data in the SYN" "$(fast_opened)" 1
before=$(fast_opened) answered=$(counter ack_admitted)
flood syn "$SERVER4" 7100
is "in a flood it is served, too, when it has the Fast Open cookie" "$(fast_open 5)" "hello hello hello hello hello "
is "with a normal handshake" "$(($(fast_opened) - before))/$(($(counter ack_admitted) - answered))" 0/5

# ----------------------------------------------------------------------------------------------- where the hook answers

daemon_stop
config_daemon
discovered syncookies=always
daemon_start
soon shows "[$SERVER6]:7001" state active || bail "the services are not found"
for address in "$SERVER4" "$SERVER6"; do
	what="$address, answered for"
	holds "$what" ack "$address" ack_invalid
	is "$what: status shows the dropping of out-of-state segments" "$(shown "$(service_at "$address" 7000)" state) $(out_of_state "$(service_at "$address" 7000)" dropped)" \
		"active true"
	holds "$what" ack-ts "$address" ack_invalid
	holds "$what" fin "$address" ack_invalid
	holds "$what" rst "$address" rst_no_socket
	holds "$what" synack "$address" synack_no_socket
	holds "$what" null "$address" bad_segment
	goes_on "$what" ack "$address"
	goes_on "$what" fin "$address"
done

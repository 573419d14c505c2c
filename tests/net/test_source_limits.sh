#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What configured limits do: the reply budget of a prefix under a flood in its name, and the limits of a single source.
. "$(dirname "$0")/lib.sh"
needs_admission

BUDGET=5000

# flood ADDRESS [ARGUMENT...]: its JSON result
flood() {
	client "$BUILD/tests/bench/flood" --dev c0 --dst "$1" --port 7000 --rate 300000 --seconds 3 --json "${@:2}"
}

# a_second FIELD: of a flood's result on standard input, rounded
a_second() { json "$1" | awk '{ printf "%d\n", $1 }'; }

lab_up
config_daemon "reply-budget=$BUDGET"
discovered engage=always
daemon_start
for address in "$SERVER4" "$SERVER6"; do
	plain_start "line-$address" "$address" 7000 line --backlog 1024
	server=$PID
	within 2 shows "$(service_at "$address" 7000)" served True || bail "the server on $address is not found"

	result=$(flood "$address" --narrow)
	echo "# $address, narrow: $result"
	at_least "$address: SYNs of one prefix arrive" "$(a_second sent_per_second <<<"$result")" 200000
	at_most "$address: SYN-ACKs a second to the prefix are within the budget" \
		"$(a_second synacks_per_second <<<"$result")" $((BUDGET * 105 / 100))
	at_least "$address: and they make use of it" "$(a_second synacks_per_second <<<"$result")" $((BUDGET * 6 / 10))
	at_least "$address: the others are dropped for that reason" "$(counter syn_reply_budget)" 100000

	spawn client narrow "$BUILD/tests/bench/flood" --dev c0 --dst "$address" --port 7000 --rate 300000 --seconds 3 --narrow
	flooding=$PID
	sleep 0.5
	result=$(client "$BUILD/tests/net/client" --dst "$address" --port 7000 --count 50 --request $'hello\n' --json)
	is "$address: meanwhile no client of another prefix fails" "$(json failed <<<"$result")" 0
	ends "$flooding" 10

	before=$(counter syn_reply_budget)
	result=$(flood "$address")
	echo "# $address, of all prefixes: $result"
	is "$address: a flood of all prefixes meets no budget" "$(counter syn_reply_budget)" "$before"
	killed "$server"
done
daemon_stop

# connects COUNT SECONDS: what each of COUNT clients got, one after the other
connects() { client python3 "$HERE/connects.py" "$1" "$SERVER4" "$2"; }

config_daemon discover=no
service_on limited "$SERVER4:7000" -- handoff=listener source-syn-limit=1/3
daemon_start
plain_start collect "$SERVER4" 7000 collect
server=$PID
within 2 shows limited served True || bail "the service is not found"
is "source-syn-limit = 1/3: the fourth SYN of a source is not answered" "$(connects 4 0.5)" "connected connected connected waits"
at_least "it is counted" "$(counter syn_source_limit)" 1
daemon_stop
killed "$server"

config_daemon discover=no
service_on limited "$SERVER4:7000" -- handoff=listener source-limit=1/3
daemon_start
plain_start line "$SERVER4" 7000 line
server=$PID
within 2 shows limited served True || bail "the service is not found"
# Its client believes that the fourth is open: what it sends opens it, once the limit allows that.
result=$(client "$BUILD/tests/net/client" --dst "$SERVER4" --port 7000 --count 4 --request $'hello\n' --json)
is "source-limit = 1/3: the fourth connection of a source is served as well" "$(json failed <<<"$result")" 0
at_least "but its first ACK was ignored" "$(counter ack_source_limit)" 1

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What the network tests have in common: env.sh and TAP output. Every tests/net/test_*.sh sources it first.

# shellcheck source=tests/net/lib/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

TESTS=0 FAILED=0

pass() {
	TESTS=$((TESTS + 1))
	echo "ok $TESTS - $1"
}

fail() {
	TESTS=$((TESTS + 1)) FAILED=$((FAILED + 1))
	echo "not ok $TESTS - $1"
	shift
	for line; do
		printf '%s\n' "$line" | sed 's/^/# /'
	done
}

# is DESCRIPTION GOT WANT
is() {
	if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got:  $2" "want: $3"; fi
}

# matches DESCRIPTION TEXT EXTENDED-REGEX
matches() {
	if printf '%s\n' "$2" | grep -qE -- "$3"; then pass "$1"; else fail "$1" "got:  $2" "want: $3"; fi
}

# at_least/at_most DESCRIPTION GOT BOUND: integers
at_least() {
	if [ "${2:-0}" -ge "$3" ] 2>/dev/null; then pass "$1"; else fail "$1" "got:  $2" "want: at least $3"; fi
}

at_most() {
	if [ "${2:-$(($3 + 1))}" -le "$3" ] 2>/dev/null; then pass "$1"; else fail "$1" "got:  $2" "want: at most $3"; fi
}

# check DESCRIPTION COMMAND...: the command succeeds
check() {
	local what=$1 output
	shift
	if output=$("$@" 2>&1); then pass "$what"; else fail "$what" "$* failed:" "$output"; fi
}

# refuses DESCRIPTION REGEX COMMAND...: exit status 1 and one line that matches on standard error
refuses() {
	local what=$1 want=$2 output status
	shift 2
	output=$(timeout 60 "$@" 2>&1 >/dev/null)
	status=$?
	if [ $status -eq 1 ] && [ "$(printf '%s\n' "$output" | wc -l)" -eq 1 ] &&
		printf '%s\n' "$output" | grep -qE -- "$want"; then
		pass "$what"
	else
		fail "$what" "status $status" "$output" "want: status 1, one line: $want"
	fi
}

bail() {
	echo "Bail out! $*"
	echo "not ok $((TESTS + 1)) - $*"
	show_logs
	exit 1
}

show_logs() {
	local log
	for log in "$TMP"/*.log; do
		[ -s "$log" ] || continue
		echo "# --- $(basename "$log")"
		tail -n 25 "$log" | sed 's/^/# /'
	done
}

# Runs a script that prints its own "ok" and "not ok" lines, and counts them.
tap() {
	local line
	while IFS= read -r line; do
		case $line in
		'ok - '*) pass "${line#ok - }" ;;
		'not ok - '*) fail "${line#not ok - }" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done < <("$@" 2>&1 || echo "not ok - $* did not get to its end")
}

needs_admission() {
	kernel_admits && return
	pass "the listener handoff # SKIP this kernel has no bpf_sk_assign_tcp_reqsk"
	exit 0
}

# service_at ADDRESS PORT: the name of a discovered service
service_at() {
	case $1 in *:*) echo "[$1]:$2" ;; *) echo "$1:$2" ;; esac
}

# found SERVICE: a listening socket is found, and the hook answers for its service from then on
found() { check "$1 is found" soon shows "$1" state active; }

# Connections that the hook has let through to listening sockets. The kernel renews connections in TIME-WAIT, of which a
# client with many connections meets some: SYNs for them count as well.
let_through() { echo $(($(counter ack_admitted) + $(counter syn_socket))); }

# comes_through ADDRESS PORT: whether the hook lets a connection through to a listening socket. It may be a moment after
# the service is shown.
comes_through() {
	local before
	before=$(let_through)
	asks "$1" "$2" --count 1 --request $'hello\n' >/dev/null
	[ "$(let_through)" -gt "$before" ]
}

# asks ADDRESS PORT ARGUMENT...: honest clients, and their results, as JSON. They are patient: a frame that a full ring
# loses costs them a retransmission, and only a client that is not served at all fails.
asks() { client "$BUILD/tests/net/lib/client" --dst "$1" --port "$2" --timeout-ms 30000 --json "${@:3}"; }

# unrepeated COMMAND...: the JSON of clients without competition. If anything was sent twice they are repeated, up to
# three times in all: a pause of the machine causes that once, a handshake that has to wait for a retransmission every
# time. A failure stays.
unrepeated() {
	local result
	for _ in 1 2 3; do
		result=$("$@")
		[ "$(json failed <<<"$result")/$(json retransmissions <<<"$result")" != 0/0 ] || break
		echo "# $result" >&2
		[ "$(json failed <<<"$result")" = 0 ] || break
	done
	echo "$result"
}

# counted_through COMMAND...: its JSON with one more field: how many connections the hook has let through meanwhile
counted_through() {
	local before result
	before=$(let_through)
	result=$("$@")
	echo "${result%\}}, \"let_through\": $(($(let_through) - before))}"
}

# connections ADDRESS PORT COUNT [ARGUMENT...]: of server.py line: "failed/retransmitted/through the hook"
connections() {
	local result
	result=$(unrepeated counted_through asks "$1" "$2" --count "$3" --request $'hello\n' "${@:4}")
	echo "$(json failed <<<"$result")/$(json retransmissions <<<"$result")/$(json let_through <<<"$result")"
}

# at_first_syn WHAT RESULT: most of the clients were answered at their first SYN: none repeats it before a second (RFC
# 6298, 2.1)
at_first_syn() {
	check "$1: most are answered at their first SYN" python3 -c '
import json, sys
sys.exit(json.loads(sys.argv[1])["connect_ms"]["p50"] >= 1000)' "$2"
}

# flood_begins NAME ARGUMENT...: a flood from the client in the background, until flood_ends; at most two minutes. Its
# process is in $PID.
flood_begins() {
	local name=$1
	shift
	rm -f "$TMP/$name.log"
	spawn client "$name" "$BUILD/tests/bench/flood" --dev c0 --seconds 120 --json "$@"
}

# flood_ends NAME PID: its result as JSON is the last line of $TMP/NAME.log
flood_ends() {
	kill "$2" 2>/dev/null
	ends "$2" || bail "the flood did not end"
	tail -n 1 "$TMP/$1.log" | json sent >/dev/null || bail "the flood did not take place"
}

# seen: packets that have come to the hook, each of which ends in one verdict
seen() { server "$BUILD/shakeoff" stats --json | python3 -c 'import json, sys; print(sum(json.load(sys.stdin)["verdicts"].values()))'; }
# grown COUNTER VALUE: the counter is above the value
grown() { [ "$(counter "$1")" -gt "$2" ]; }

# all_admitted WHAT ADDRESS PORT COUNT
all_admitted() {
	is "$1: none of $4 connections fails, nothing is sent twice, all come through the hook" \
		"$(connections "$2" "$3" "$4" "${@:5}")" "0/0/$4"
}

# refused ADDRESS PORT: whether a connection is refused
refused() {
	client python3 -c '
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit(1)' "$@"
}

# fast_open_server: one with Fast Open on port 7100, found and idle
fast_open_server() {
	server sh -c 'echo 3 >/proc/sys/net/ipv4/tcp_fastopen'
	spawn server fastopen python3 -c '
import socket
listener = socket.create_server(("", 7100), backlog=128)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
print("listening", flush=True)
while True:
    conn, _ = listener.accept()
    conn.sendall(conn.recv(100))
    conn.close()'
	soon grep -q listening "$TMP/fastopen.log" || bail "no server with Fast Open"
	soon shows 0.0.0.0:7100 state idle || bail "it is not found"
}

# fast_open COUNT: what COUNT clients with data in their SYN get from it, one after the other
fast_open() {
	client timeout 20 python3 -c '
import socket, sys
for _ in range(int(sys.argv[2])):
    conn = socket.socket()
    conn.sendto(b"hello", socket.MSG_FASTOPEN, (sys.argv[1], 7100))
    print(conn.recv(100).decode(), end=" ")
    conn.close()' "$SERVER4" "$1"
}

# The number of connections that came in that way.
fast_opened() { server python3 -c '
names, values = (line.split() for line in open("/proc/self/net/netstat") if line.startswith("TcpExt:"))
print(dict(zip(names, values))["TCPFastOpenPassive"])'; }

finish() {
	local status=$?
	trap - EXIT
	[ "$FAILED" -eq 0 ] || show_logs
	clean_up
	[ "$FAILED" -eq 0 ] || exit 1
	[ $status -ne 0 ] || echo "1..$TESTS"
	exit $status
}
trap finish EXIT

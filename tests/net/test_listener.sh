#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Plain servers, then `shakeoff attach` and a daemon without a configuration: all keep serving before, during and after
# a flood, which the hook notices by itself. CONNECTIONS: how many are tried in a row. RATE: SYNs a second of the
# floods.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

CONNECTIONS=${CONNECTIONS:-2000}
RATE=${RATE:-300000}

# -------------------------------------------------------------------------------------------------- servers as they are

redis_start() {
	spawn server redis redis-server --port 6379 --bind "$SERVER4" "$SERVER6" --save '' --protected-mode no --dir "$TMP"
}

# A separate key, no files of any user, and its directory under a separate /run.
sshd_start() {
	ssh-keygen -q -t ed25519 -N '' -f "$TMP/host_key"
	cat >"$TMP/sshd_config" <<-EOT
		Port 2222
		ListenAddress $SERVER4
		ListenAddress $SERVER6
		HostKey $TMP/host_key
		PidFile none
		UsePAM no
		MaxStartups 1000
	EOT
	# shellcheck disable=SC2016 # for the inner shell
	spawn server sshd unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec /usr/sbin/sshd -D -e -f "$1"' \
		sshd "$TMP/sshd_config"
}

servers_start() {
	nginx_start 80 4096 plain
	spawn server http python3 -m http.server 8080 --bind :: --directory "$TMP/www"
	redis_start
	sshd_start
	spawn server mptcp python3 "$HERE/server.py" :: 9000 --mode line --mptcp
	local name
	for name in $NAMES; do
		soon answers "$name" "$SERVER4" || bail "$name does not answer"
		soon answers "$name" "$SERVER6" || bail "$name does not answer over IPv6"
	done
}

NAMES="nginx http.server redis sshd MPTCP"

answers() {
	local host=$2
	case $2 in *:*) host="[$2]" ;; esac
	case $1 in
	nginx) client curl -sgf -m 20 "http://$host/" | grep -q 'served by nginx' ;;
	http.server) client curl -sgf -m 20 "http://$host:8080/" | grep -q 'served by nginx' ;;
	redis) client redis-cli -h "$2" -p 6379 ping | grep -q PONG ;;
	sshd) client ssh-keyscan -T 20 -t ed25519 -p 2222 "$2" 2>/dev/null | grep -q ssh-ed25519 ;;
	MPTCP) asks "$2" 9000 --count 1 --request $'hello\n' ;;
	esac
}

all_answer() {
	local name address
	for name in $NAMES; do
		for address in "$SERVER4" "$SERVER6"; do
			check "$1: $name answers at $address" answers "$name" "$address"
		done
	done
}

# honest NAME ADDRESS PORT ARGUMENT...: an honest client in the background until honest_end; result in $TMP/NAME.log
honest() {
	local name=$1 address=$2 port=$3
	shift 3
	spawn client "$name" "$BUILD/tests/net/lib/client" --dst "$address" --port "$port" --seconds 120 --timeout-ms 30000 --json "$@"
	HONEST+=("$name:$PID")
}

# The results of all of them.
honest_end() {
	local entry name result
	for entry in "${HONEST[@]}"; do
		kill "${entry##*:}"
	done
	for entry in "${HONEST[@]}"; do
		name=${entry%:*}
		ends "${entry##*:}" 60
		result=$(tail -n 1 "$TMP/$name.log")
		echo "# $name: $result"
		at_least "$1: $name: clients connect" "$(json ok <<<"$result")" 5
		is "$1: $name: none of them fails" "$(json failed <<<"$result")" 0
		at_first_syn "$1: $name" "$result"
	done
	HONEST=()
}
HONEST=()

# flood ADDRESS PORT: until flood_ends flood $FLOOD_PID
flood() {
	flood_begins flood --dst "$1" --port "$2" --rate "$RATE"
	FLOOD_PID=$PID
}

# many WHAT ADDRESS: CONNECTIONS of them, 64 at once, none failed and nothing sent twice
many() {
	local result
	result=$(unrepeated asks "$2" 80 --count "$CONNECTIONS" --concurrency 64 --http)
	echo "# $1: $result"
	is "$1: none of $CONNECTIONS connections fails" "$(json failed <<<"$result")" 0
	is "$1: nothing is sent twice for them" "$(json retransmissions <<<"$result")" 0
}

# ---------------------------------------------------------------------------------------------- attach, then the daemon

lab_up
servers_start
check "shakeoff attach" server "$BUILD/shakeoff" attach s0
all_answer "attached, no daemon"
daemon_start_bare

found="*:8080 *:9000 $SERVER4:2222 $SERVER4:6379 $SERVER4:80 [$SERVER6]:2222 [$SERVER6]:6379 [$SERVER6]:80"
all_found() { [ "$(services)" = "$found" ]; }
check "every listening socket is found" soon all_found
is "and nothing else" "$(services)" "$found"
is "an MPTCP listener is bypassed" "$(shown '*:9000' syncookies)/$(shown '*:9000' bypass)" "never/mptcp"
is "the others are not" "$(shown "$SERVER4:80" bypass)$(shown '*:8080' bypass)$(shown "[$SERVER6]:2222" bypass)" ""
check "they are idle" soon shows "$SERVER4:80" state idle
all_answer "before the flood"
many "idle, IPv4" "$SERVER4"
many "idle, IPv6" "$SERVER6"

# Idle, flood, idle. Honest clients run all the time, from before the flood on, at the flooded server and at the others.
for address in "$SERVER4" "$SERVER6"; do
	name=$(service_at "$address" 80)
	within 60 shows "$name" state idle
	honest "nginx-$address" "$address" 80 --concurrency 4 --interval-ms 20 --http
	honest "redis-$address" "$address" 6379 --interval-ms 20 --request $'PING\r\nQUIT\r\n'
	honest "http.server-$address" "$address" 8080 --interval-ms 50 --http
	honest "MPTCP-$address" "$address" 9000 --interval-ms 50 --request $'hello\n'
	honest "sshd-$address" "$address" 2222 --interval-ms 200 --request $'x\r\n'
	sleep 1
	flood "$address" 80
	check "flood, $address: active" soon shows "$name" state active
	is "flood, $address: because of the SYN rate" "$(shown "$name" cause)" syn_rate
	is "flood, $address: the others are idle" "$(shown '*:8080' state)/$(shown "$(service_at "$address" 6379)" state)" idle/idle
	sleep 3
	flood_ends flood "$FLOOD_PID"
	echo "# flood, $address: $(tail -n 1 "$TMP/flood.log")"
	sleep 1
	honest_end "before, during and after a flood, $address"
	admitted=$(let_through)
	many "active still, $address" "$address"
	at_least "active still, $address: they came through the hook" $(($(let_through) - admitted)) "$CONNECTIONS"
done
at_most "only the first SYNs of the floods are half-open in the kernel" "$(server ss -Htan state syn-recv | wc -l)" 2000
all_answer "after the flood"
quiet() { shows "$SERVER4:80" state idle && shows "[$SERVER6]:80" state idle; }
check "idle again after 10 s without a flood" within 60 quiet
many "idle again, IPv4" "$SERVER4"
many "idle again, IPv6" "$SERVER6"
is "the kernel refused no connection of the hook" "$(counter unadmitted)" 0

# ----------------------------------------------------------------------------------------------------- the first second

# first_second ADDRESS PORT ARGUMENT...: a flood of an idle service: only its first SYNs get to the kernel. The time of
# the first cookie is printed, but not checked.
first_second() {
	local address=$1 port=$2 watcher passed first sent tried
	shift 2
	rm -f "$TMP/watcher.log"
	spawn server watcher "$BUILD/tests/net/lib/first_cookie" s0 60
	watcher=$PID
	soon grep -q watching "$TMP/watcher.log"
	passed=$(counter syn_idle)
	honest "first-$port-$address" "$address" "$port" --concurrency 4 --interval-ms 20 "$@"
	sleep 0.5
	flood "$address" "$port"
	ends "$watcher"
	sleep 1
	flood_ends flood "$FLOOD_PID"
	first=$(($(tail -n 1 "$TMP/watcher.log" | json cookie_ns) - $(tail -n 1 "$TMP/flood.log" | json start_ns)))
	honest_end "the first second of a flood, $address port $port"
	passed=$(($(counter syn_idle) - passed)) sent=$(tail -n 1 "$TMP/flood.log" | json sent)
	tried=$(tail -n 1 "$TMP/first-$port-$address.log" | json tried)
	echo "# $address port $port: first cookie $((first / 1000)) us after the flood's first SYN; of $sent and $tried honest ones $passed SYNs passed to the kernel"
	at_most "the first second of a flood, $address port $port: not one in a hundred of its SYNs gets to the kernel" $passed $((sent / 100 + tried))
}
for address in "$SERVER4" "$SERVER6"; do
	first_second "$address" 6379 --request $'PING\r\nQUIT\r\n'
	first_second "$address" 80 --http
done

# ------------------------------------------------------------------------------------------------------- the other ways

daemon_stop
check "shakeoff detach" server "$BUILD/shakeoff" detach s0
all_answer "detached"
cookies_flow() { # WHAT
	local before
	check "$1: nginx is found" soon shows "$SERVER4:80" state idle
	flood "$SERVER4" 80
	check "$1: active by a flood" soon shows "$SERVER4:80" state active
	flood_ends flood "$FLOOD_PID"
	before=$(let_through)
	for address in "$SERVER4" "$SERVER6"; do
		check "$1: nginx answers at $address" answers nginx "$address"
	done
	at_least "$1: through the hook" $(($(let_through) - before)) 1
}
daemon_start_bare --interface s0
cookies_flow "shakeoffd --interface s0"
daemon_stop
all_answer "daemon stopped"
server ip link set dev s0 xdpdrv obj "$BUILD/handshake.bpf.o" sec xdp
daemon_start_bare
cookies_flow "ip link, then the daemon"
daemon_stop

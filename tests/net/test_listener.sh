#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Servers that were started plainly, then `shakeoff attach` and a daemon without a configuration: all keep serving before, during
# and after a flood, which the hook notices by itself. CONNECTIONS: how many are tried in a row; FLOOD_SECONDS: how long it lasts.
. "$(dirname "$0")/lib.sh"
needs_admission

CONNECTIONS=${CONNECTIONS:-5000}
seconds=${FLOOD_SECONDS:-5}
RATE=1000000

# ------------------------------------------------------------------------------------------------ servers as they are

redis_start() {
	spawn server redis redis-server --port 6379 --bind "$SERVER4" "$SERVER6" --save '' --protected-mode no --dir "$TMP"
}

# Its own key, nobody's files, and its directory under a /run of its own.
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
		within 10 answers "$name" "$SERVER4" || bail "$name does not answer"
		within 10 answers "$name" "$SERVER6" || bail "$name does not answer over IPv6"
	done
}

NAMES="nginx http.server redis sshd MPTCP"

answers() {
	local host=$2
	case $2 in *:*) host="[$2]" ;; esac
	case $1 in
	nginx) client curl -sgf -m 5 "http://$host/" | grep -q 'served by nginx' ;;
	http.server) client curl -sgf -m 5 "http://$host:8080/" | grep -q 'served by nginx' ;;
	redis) client redis-cli -h "$2" -p 6379 ping | grep -q PONG ;;
	sshd) client ssh-keyscan -T 5 -t ed25519 -p 2222 "$2" 2>/dev/null | grep -q ssh-ed25519 ;;
	MPTCP) client "$BUILD/tests/net/client" --dst "$2" --port 9000 --count 1 --request $'hello\n' ;;
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

# honest NAME ADDRESS PORT ARGUMENT...: an honest client in the background; result in $TMP/NAME.log
honest() {
	local name=$1 address=$2 port=$3
	shift 3
	spawn client "$name" "$BUILD/tests/net/client" --dst "$address" --port "$port" --json "$@"
	HONEST+=("$name:$PID")
}

# How they fared, all of them.
honest_end() {
	local entry name result
	for entry in "${HONEST[@]}"; do
		name=${entry%:*}
		ends "${entry##*:}" 30
		result=$(tail -n 1 "$TMP/$name.log")
		echo "# $name: $result"
		at_least "$1: $name: clients connect" "$(json ok <<<"$result")" "$2"
		is "$1: $name: none of them fails" "$(json failed <<<"$result")" 0
	done
	HONEST=()
}
HONEST=()

flood() {
	spawn client flood "$BUILD/tests/bench/flood" --dev c0 --dst "$1" --port "$2" --rate $RATE --seconds "$3" --json
	FLOOD_PID=$PID
}

# many WHAT ADDRESS: CONNECTIONS of them, 64 at once, none failed and nothing sent twice
many() {
	local before result
	before=$(retransmissions)
	result=$(client "$BUILD/tests/net/client" --dst "$2" --port 80 --count "$CONNECTIONS" --concurrency 64 --http --json)
	echo "# $1: $result"
	is "$1: none of $CONNECTIONS connections fails" "$(json failed <<<"$result")" 0
	is "$1: nothing is sent twice for them" $(($(retransmissions) - before)) 0
}

# -------------------------------------------------------------------------------------------- attach, then the daemon

lab_up
servers_start
check "shakeoff attach" server "$BUILD/shakeoff" attach s0
all_answer "attached, no daemon"
daemon_start_bare

found="*:8080 *:9000 $SERVER4:2222 $SERVER4:6379 $SERVER4:80 [$SERVER6]:2222 [$SERVER6]:6379 [$SERVER6]:80"
all_found() { [ "$(services)" = "$found" ]; }
check "every listening socket is found within 2 s" within 2 all_found
is "and nothing else" "$(services)" "$found"
is "an MPTCP listener is left to the kernel" "$(shown '*:9000' engage)/$(shown '*:9000' left)" "never/mptcp"
is "the others are not" "$(shown "$SERVER4:80" left)$(shown '*:8080' left)$(shown "[$SERVER6]:2222" left)" ""
is "they are at peace" "$(shown "$SERVER4:80" state)" peace
all_answer "before the flood"
many "peace, IPv4" "$SERVER4"
many "peace, IPv6" "$SERVER6"

# Peace, flood, peace. Honest clients are there all the time, from before the flood on, at the flooded server and at the others.
for address in "$SERVER4" "$SERVER6"; do
	name=$(service_at "$address" 80)
	within 20 shows "$name" state peace
	honest "nginx-$address" "$address" 80 --seconds $((seconds + 3)) --concurrency 4 --interval-ms 5 --http
	honest "redis-$address" "$address" 6379 --seconds $((seconds + 3)) --interval-ms 20 --request $'PING\r\nQUIT\r\n'
	honest "http.server-$address" "$address" 8080 --seconds $((seconds + 3)) --interval-ms 50 --http
	honest "MPTCP-$address" "$address" 9000 --seconds $((seconds + 3)) --interval-ms 50 --request $'hello\n'
	honest "sshd-$address" "$address" 2222 --seconds $((seconds + 3)) --interval-ms 200 --request $'x\r\n'
	sleep 1
	flood "$address" 80 "$seconds"
	check "flood, $address: engaged within a second" within 1 shows "$name" state engaged
	is "flood, $address: because of the SYN rate" "$(shown "$name" cause)" syn_rate
	is "flood, $address: the others are at peace" "$(shown '*:8080' state)/$(shown "$(service_at "$address" 6379)" state)" peace/peace
	ends "$FLOOD_PID" $((seconds + 10))
	flooded=$(tail -n 1 "$TMP/flood.log")
	echo "# flood, $address: $flooded"
	at_least "flood, $address: a million SYNs a second" "$(json sent_per_second <<<"$flooded")" 800000
	honest_end "before, during and after a flood, $address" 15
	admitted=$(let_through)
	many "engaged still, $address" "$address"
	at_least "engaged still, $address: they came through the hook" $(($(let_through) - admitted)) "$CONNECTIONS"
done
at_most "of the floods no more than their first SYNs are half-open in the kernel" "$(server ss -Htan state syn-recv | wc -l)" 2000
all_answer "after the flood"
quiet() { shows "$SERVER4:80" state peace && shows "[$SERVER6]:80" state peace; }
check "peace again once there has been no flood for 10 s" within 30 quiet
many "peace again, IPv4" "$SERVER4"
many "peace again, IPv6" "$SERVER6"
is "the kernel refused no connection of the hook's" "$(counter unadmitted)" 0

# ---------------------------------------------------------------------------------------------------- the first second

# first_second ADDRESS PORT ARGUMENT...: a flood of a service at peace; sets COOKIE_US and LEFT
first_second() {
	local address=$1 port=$2 watcher watched
	shift 2
	rm -f "$TMP/watcher.log"
	spawn server watcher "$BUILD/tests/net/first_cookie" s0 5
	watcher=$PID
	within 2 grep -q watching "$TMP/watcher.log"
	honest "first-$port-$address" "$address" "$port" --seconds 2 --concurrency 4 --interval-ms 5 "$@"
	sleep 0.5
	flood "$address" "$port" 1.2
	ends "$FLOOD_PID" 10
	ends "$watcher" 10
	watched=$(tail -n 1 "$TMP/watcher.log")
	COOKIE_US=$((($(json cookie_ns <<<"$watched") - $(tail -n 1 "$TMP/flood.log" | json start_ns)) / 1000))
	LEFT=$(json left_to_the_kernel <<<"$watched")
	echo "# $address port $port: first cookie $COOKIE_US us after the flood's first SYN; $LEFT SYNs were left to the kernel"
	honest_end "the first second of a flood, $address port $port" 100
}
best=1000000
for address in "$SERVER4" "$SERVER6"; do
	first_second "$address" 6379 --request $'PING\r\nQUIT\r\n'
	[ "$COOKIE_US" -ge "$best" ] || best=$COOKIE_US
	first_second "$address" 80 --http
	[ "$COOKIE_US" -ge "$best" ] || best=$COOKIE_US
done
at_most "the first cookie is sent within 10 ms of a flood's start (best of four, us)" "$best" 10000

# ---------------------------------------------------------------------------------------------------- the other ways

daemon_stop
check "shakeoff detach" server "$BUILD/shakeoff" detach s0
all_answer "detached"
cookies_flow() { # WHAT
	local before
	check "$1: nginx is found" within 3 shows "$SERVER4:80" state peace
	flood "$SERVER4" 80 1
	check "$1: engaged by a flood" within 1 shows "$SERVER4:80" state engaged
	ends "$FLOOD_PID" 10
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

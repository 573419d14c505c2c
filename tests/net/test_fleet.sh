#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Two hosts with one address and one key file, behind a router that sends every SYN to the first and everything else to the second:
# the cookie of one is good at the other, with clocks up to 30 s apart, and across a rotation.
#
#	client c0 -- rc router r1 -- s0 h1     SYNs
#	                       r2 -- s0 h2     all the rest
. "$(dirname "$0")/lib/lib.sh"

ADDRESS4=10.8.0.1 ADDRESS6=2001:db8:8::1
PORT_LISTENER=7000 PORT_QUEUE=7001 PORT_IDLE=7002
COUNT=20
KEY=$TMP/fleet.key
FAKETIME=$(find /usr/lib -name libfaketimeMT.so.1 | head -n 1)
PIDS=()

host() { nsenter --net="/run/netns/$LAB-h$1" -- "${@:2}"; }
router() { nsenter --net="/run/netns/$LAB-router" -- "$@"; }

clean_up() {
	local ns
	[ ${#PIDS[@]} -eq 0 ] || kill "${PIDS[@]}" 2>/dev/null
	wait 2>/dev/null
	for ns in client router h1 h2; do
		rm -rf "/sys/fs/bpf/shakeoff/$(stat -L -c %i "/run/netns/$LAB-$ns" 2>/dev/null || echo none)"
		ip netns delete "$LAB-$ns" 2>/dev/null
	done
	rm -rf "$TMP"
}

# ------------------------------------------------------------------------------------------------------- the network

# A pair between the router and somebody: NAMESPACE DEVICE ROUTERS-DEVICE NET
join() {
	ip -n "$LAB-router" link add "$3" type veth peer name "$2" netns "$LAB-$1"
	ip -n "$LAB-$1" address add "10.9.$4.2/24" dev "$2"
	ip -n "$LAB-router" address add "10.9.$4.1/24" dev "$3"
	ip -n "$LAB-$1" address add "2001:db8:9:$4::2/64" dev "$2" nodad
	ip -n "$LAB-router" address add "2001:db8:9:$4::1/64" dev "$3" nodad
	ip -n "$LAB-$1" link set "$2" up
	ip -n "$LAB-router" link set "$3" up
	ip -n "$LAB-$1" route add default via "10.9.$4.1"
	ip -n "$LAB-$1" -6 route add default via "2001:db8:9:$4::1"
	# As in scripts/lab.sh: finished checksums, and what XDP_TX and frames that enter by XDP need.
	nsenter --net="/run/netns/$LAB-$1" -- ethtool -K "$2" tx off gro on >/dev/null
	router ip link set dev "$3" xdpdrv obj "$BUILD/tests/bench/peer.bpf.o" sec xdp
}

network_up() {
	local ns n
	for ns in client router h1 h2; do
		ip netns add "$LAB-$ns"
		nsenter --net="/run/netns/$LAB-$ns" -- sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
			echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
		ip -n "$LAB-$ns" link set lo up
	done
	router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
	join client c0 rc 0
	for n in 1 2; do
		join "h$n" s0 "r$n" "$n"
		# An old connection's TIME-WAIT is at the second host, where a SYN that would renew it never comes.
		nsenter --net="/run/netns/$LAB-h$n" -- sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets'
		ip -n "$LAB-h$n" address add "$ADDRESS4/32" dev s0
		ip -n "$LAB-h$n" address add "$ADDRESS6/128" dev s0 nodad
		ip -n "$LAB-router" rule add fwmark "$n" lookup "10$n"
		ip -n "$LAB-router" -6 rule add fwmark "$n" lookup "10$n"
		ip -n "$LAB-router" route add "$ADDRESS4" via "10.9.$n.2" table "10$n"
		ip -n "$LAB-router" -6 route add "$ADDRESS6" via "2001:db8:9:$n::2" table "10$n"
	done
	# The rules for reverse paths look without a mark.
	ip -n "$LAB-router" route add "$ADDRESS4" via 10.9.1.2
	ip -n "$LAB-router" -6 route add "$ADDRESS6" via 2001:db8:9:1::2
	router nft -f - <<-'EOT'
		table inet fleet {
			chain held {}
			chain choose {
				type filter hook prerouting priority mangle
				iifname "rc" tcp flags & (syn|ack) == syn meta mark set 1 return
				iifname "rc" meta l4proto tcp jump held
				iifname "rc" meta l4proto tcp meta mark set 2
			}
		}
	EOT
}

# hold: what is no SYN gets lost at the router; let_go: no longer.
hold() { rm -f "$TMP/go" && router nft add rule inet fleet held drop; }
let_go() { router nft flush chain inet fleet held && touch "$TMP/go"; }

# --------------------------------------------------------------------------------------------------------- the hosts

# write_config HOST SYNCOOKIES-OF-THE-LAST: what the hosts differ in is that the second one is idle there
write_config() {
	# shellcheck disable=SC2034 # env.sh writes there
	CONF=$TMP/h$1.conf
	config_daemon discover=no key-file="$KEY$1"
	service_on listener "*:$PORT_LISTENER" -- handoff=listener
	service_on queue "*:$PORT_QUEUE" -- handoff=queue
	service_on idle "*:$PORT_IDLE" -- handoff=listener syncookies="$2"
}

host_start() {
	local port preload
	spawn "h$1" "daemon$1" env LD_PRELOAD="$FAKETIME" FAKETIME_TIMESTAMP_FILE="$TMP/clock$1" FAKETIME_NO_CACHE=1 \
		FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 \
		"$BUILD/shakeoffd" --config "$TMP/h$1.conf" --run-dir "$TMP/run$1"
	PIDS+=("$PID")
	soon grep -q ready "$TMP/daemon$1.log" || bail "shakeoffd of host $1 did not start"
	for port in $PORT_LISTENER $PORT_QUEUE $PORT_IDLE; do
		preload=
		[ "$port" != $PORT_QUEUE ] || preload=$BUILD/libshakeoff-preload.so
		spawn "h$1" "server$1.$port" env LD_PRELOAD="$preload" SHAKEOFF_RUN_DIR="$TMP/run$1" \
			python3 "$HERE/server.py" :: "$port" --mode line
		PIDS+=("$PID")
		soon grep -q listening "$TMP/server$1.$port.log" || bail "server.py of host $1 does not listen"
	done
}

served() { [ "$(host "$1" "$BUILD/shakeoff" status --json | grep -c '"served": true')" = "${#PORTS[@]}" ]; }
counted() { host "$1" "$BUILD/shakeoff" stats --json | json "counters.$2"; }
key_of() { host "$1" "$BUILD/shakeoff" key show --json | json "keys.0.$2"; }

# ----------------------------------------------------------------------------------------------------------- clocks

# offset MICROSECONDS HOST: how far its wall clock is ahead of the machine's
offset() {
	printf '+%d.%06d\n' $(($1 / 1000000)) $(($1 % 1000000)) >"$TMP/clock$2.new"
	mv "$TMP/clock$2.new" "$TMP/clock$2"
}

# The wall clocks of both hosts leap: the first is SECONDS into an epoch, the second SKEW seconds ahead of it.
BASE=0 EPOCH=0
clocks() {
	local n now=${EPOCHREALTIME/./}
	BASE=$((BASE + 640000000))
	BASE=$((BASE - (now + BASE) % 64000000 + $1 * 1000000))
	[ $((now + BASE)) -gt $((EPOCH * 64000000)) ] || BASE=$((BASE + 640000000))
	for n in 1 2; do
		offset $((BASE + (n - 1) * $2 * 1000000)) $n
	done
	EPOCH=$(((now + BASE) / 64000000))
	soon epoch_is 1 $EPOCH || bail "host 1 does not follow its clock"
	soon epoch_is 2 $(((now + BASE + $2 * 1000000) / 64000000)) || bail "host 2 does not follow its clock"
}
epoch_is() { [ "$(key_of "$1" epoch)" = "$2" ]; }

name_of() {
	case $1 in
	"$PORT_LISTENER") echo "listener" ;;
	"$PORT_QUEUE") echo "queue" ;;
	"$PORT_IDLE") echo "listener, the second host while idle" ;;
	esac
}

timestamps() { client sh -c "echo $1 >/proc/sys/net/ipv4/tcp_timestamps"; }

# answered_elsewhere WHAT ADDRESS PORT: what one host answered the other one serves
answered_elsewhere() {
	local result
	result=$(unrepeated by_both asks "$2" "$3" --count $COUNT --request $'hello\n')
	is "$1, $2, $(name_of "$3"): failed, sent twice, SYN-ACKs by the first host, ACKs good at the second" \
		"$(for key in failed retransmissions synacks acks; do json $key <<<"$result"; done | paste -sd /)" "0/0/$COUNT/$COUNT"
}

# by_both COMMAND...: its JSON with two fields more: SYN-ACKs of the first host, ACKs that were good at the second
by_both() {
	local sent taken result
	sent=$(counted 1 synack_sent) taken=$(counted 2 ack_valid)
	result=$("$@")
	echo "${result%\}}, \"synacks\": $(($(counted 1 synack_sent) - sent)), \"acks\": $(($(counted 2 ack_valid) - taken))}"
}

everywhere() {
	local stamps address port
	for stamps in 1 0; do
		timestamps $stamps
		for address in $ADDRESS4 $ADDRESS6; do
			for port in "${PORTS[@]}"; do
				answered_elsewhere "$1, timestamps $([ $stamps = 1 ] && echo on || echo off)" "$address" "$port"
			done
		done
	done
}

# Those that get their SYN-ACK, and speak once their ACKs get through: one each for every "ADDRESS PORT".
cat >"$TMP/patient.py" <<'EOT'
import os, socket, sys, threading, time
go, log = sys.argv[1:3]
def speak(address, port):
    with open(f"{log}.{address}.{port}.log", "w") as out:
        conn = socket.create_connection((address, int(port)), timeout=60)
        print("connected", file=out, flush=True)
        while not os.path.exists(go):
            time.sleep(0.02)
        conn.sendall(b"hello\n")
        print(conn.makefile().readline().strip(), file=out, flush=True)
for peer in sys.argv[3:]:
    threading.Thread(target=speak, args=peer.split()).start()
EOT

all_connected() { [ "$(cat "$TMP"/patient.*.log 2>/dev/null | grep -c connected)" = "$1" ]; }

# begin WHAT: clients everywhere, and none of their ACKs gets through
begin() {
	local stamps address port peers=()
	rm -f "$TMP"/patient.*.log
	WAITING=()
	hold
	for address in $ADDRESS4 $ADDRESS6; do
		for port in "${PORTS[@]}"; do
			peers+=("$address $port")
		done
	done
	for stamps in 1 0; do
		timestamps $stamps
		spawn client "patients.$stamps" python3 "$TMP/patient.py" "$TMP/go" "$TMP/patient.$stamps" "${peers[@]}"
		WAITING+=("$PID")
		soon all_connected $((${#WAITING[@]} * ${#peers[@]})) || bail "$1: no SYN-ACKs"
	done
}

# complete WHAT: all of them are served now
complete() {
	local stamps address port pid
	let_go
	for pid in "${WAITING[@]}"; do
		ends "$pid"
	done
	for stamps in 1 0; do
		for address in $ADDRESS4 $ADDRESS6; do
			for port in "${PORTS[@]}"; do
				is "$1, $address, $(name_of "$port"), timestamps $([ $stamps = 1 ] && echo on || echo off): served" \
					"$(tail -n 1 "$TMP/patient.$stamps.$address.$port.log")" hello
			done
		done
	done
}

# across SKEW SECONDS WHAT: the second host enters another epoch between SYN-ACK and ACK. If the machine is too slow for that, it is tried
# again with more time.
across() {
	local epoch earlier
	for earlier in 0 10 25; do
		clocks $(($2 - earlier)) "$1"
		epoch=$(key_of 2 epoch)
		begin "$3"
		[ "$(key_of 2 epoch)" != "$epoch" ] || break
		kill "${WAITING[@]}"
		let_go
	done
	is "$3: the rotation is still to come" "$(key_of 2 epoch)" "$epoch"
	within 60 epoch_is 2 $((epoch + 1)) || bail "no rotation"
	complete "$3"
}

# set_across SECONDS WHAT: the second host's clock is set between SYN-ACK and ACK
set_across() {
	local epoch
	clocks 20 0
	epoch=$(key_of 2 epoch)
	begin "$2"
	offset $((BASE + $1 * 1000000)) 2
	soon epoch_is 2 $((epoch + ($1 > 0 ? 1 : -1))) || bail "host 2 does not follow its clock"
	complete "$2"
}

# --------------------------------------------------------------------------------------------------------- the tests

[ -n "$FAKETIME" ] || bail "libfaketime is missing: the package faketime has it"
PORTS=("$PORT_LISTENER" "$PORT_QUEUE" "$PORT_IDLE")
kernel_admits || PORTS=("$PORT_QUEUE")

network_up
(umask 077 && "$BUILD/shakeoff" key generate >"${KEY}1" && cp "${KEY}1" "${KEY}2")
for n in 1 2; do
	echo +0 >"$TMP/clock$n"
	write_config $n "$([ $n = 1 ] && echo always || echo adaptive)"
	kernel_admits || sed -i 's/handoff = listener/handoff = auto/' "$TMP/h$n.conf"
	host_start $n
	soon served $n || bail "host $n serves nothing"
done

# Its address is published when its self-test is over.
second_is_idle() {
	[ "$(host 2 "$BUILD/shakeoff" status --json | python3 -c '
import json, sys
print(*(service["state"] for service in json.load(sys.stdin)["datapaths"][0]["services"] if service["name"] == "idle"))')" = idle ]
}
[ ${#PORTS[@]} -eq 1 ] || check "the second host is idle" soon second_is_idle
is "both hosts have the same key" "$(key_of 1 fingerprint)" "$(key_of 2 fingerprint)"
clocks 20 0
everywhere "same clocks"
clocks 50 30
is "the second host is an epoch ahead" "$(($(key_of 2 epoch) - $(key_of 1 epoch)))" 1
everywhere "the second host 30 s ahead"
clocks 10 -30
is "the second host is an epoch behind" "$(($(key_of 2 epoch) - $(key_of 1 epoch)))" -1
everywhere "the second host 30 s behind"

across 0 60 "across a rotation, same clocks"
across 30 30 "across a rotation, the second host 30 s ahead"
across -30 26 "across a rotation, the second host 30 s behind"
set_across 50 "the second host's clock is set forward by 50 s"
set_across -30 "the second host's clock is set back by 30 s"

is "what the hosts know of the key they do not tell" "$(cat "$TMP"/daemon*.log <(host 1 "$BUILD/shakeoff" key show) | grep -c "$(cat "${KEY}1")")" 0

# The same with another key in one of the hosts: what came before was no accident.
refused_before=$(counted 2 ack_bad_cookie)
(umask 077 && "$BUILD/shakeoff" key generate >"$TMP/other" && mv "$TMP/other" "${KEY}2")
soon grep -q 'a new key' "$TMP/daemon2.log" || bail "the key file is not read again"
clocks 20 0
timestamps 1
client python3 -c '
import socket, sys
conn = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
conn.sendall(b"hello\n")
conn.settimeout(1)
try:
    conn.recv(1)
except TimeoutError:
    print("not served")' $ADDRESS4 $PORT_QUEUE >"$TMP/other.out" 2>&1
is "another key in one host: what the other answers is not good there" "$(cat "$TMP/other.out")" "not served"
at_least "and counted as a bad cookie" $(($(counted 2 ack_bad_cookie) - refused_before)) 1

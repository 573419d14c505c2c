#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# syncookies = adaptive: while idle the kernel negotiates everything itself; who is in the middle of a handshake when the hook begins to answer,
# or stops, is served.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

in_the_middle() { # STEP ADDRESS [COMMAND...]
	tap middle "$@"
}
middle() { client python3 "$HERE/raw_syncookies.py" 7000 "$([ "$2" = "$SERVER4" ] && echo 4 || echo 6)" "$1" "${@:3}"; }
flood_of() { echo "$BUILD/tests/bench/flood" --dev c0 --dst "$1" --port 7000 --rate 200000 --seconds 0.5; }
released=()
syncookies() { server sh -c "echo $1 >/proc/sys/net/ipv4/tcp_syncookies"; }

lab_up
config_daemon
daemon_start
for address in "$SERVER4" "$SERVER6"; do
	plain_start "line-$address" "$address" 7000 line --backlog 4096
done
soon shows "[$SERVER6]:7000" state idle || bail "the services are not found"

# ----------------------------------------------------------------------------------------------------------------- idle

for address in "$SERVER4" "$SERVER6"; do
	in_the_middle idle "$address"
done
is "while idle no SYN is answered with a cookie" "$(counter synack_sent)" 0

# Fast Open: data in the SYN, as soon as the client has the server's cookie for it.
fast_open_server
is "while idle a client with Fast Open is served" "$(fast_open 5)" "hello hello hello hello hello "
at_least "while idle: with its data in the SYN" "$(fast_opened)" 1

plain_start mptcp 0.0.0.0 7101 line --mptcp
soon shows 0.0.0.0:7101 bypass mptcp || bail "the MPTCP listener is not found"
is "an MPTCP client and an MPTCP listener speak MPTCP" "$(client python3 -c '
import socket, sys
conn = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
conn.connect((sys.argv[1], 7101))
conn.sendall(b"hello\n")
answer = conn.recv(100).decode().strip()
conn.getsockopt(284, 1, 256)  # SOL_MPTCP, MPTCP_INFO: refused after a fallback to TCP
print(answer)' "$SERVER4" 2>&1 | tail -n 1)" hello

# ---------------------------------------------------------------------------------------------------------- in the middle

for address in "$SERVER4" "$SERVER6"; do
	name=$(service_at "$address" 7000)
	# shellcheck disable=SC2046 # words
	in_the_middle request "$address" $(flood_of "$address")
	is "$address: active by the flood" "$(shown "$name" state)" active
done

# Every SYN while idle is answered with the kernel's cookie, as when its SYN queue is full.
syncookies 2
for address in "$SERVER4" "$SERVER6"; do
	name=$(service_at "$address" 7000)
	touch_it() { client "$BUILD/tests/net/lib/client" --dst "$address" --port 7000 --count 1 --request $'hello\n' && shows "$name" state idle; }
	check "$address: while idle again" within 60 touch_it
	before=$(counter ack_kernel_cookie)
	# shellcheck disable=SC2046 # words
	in_the_middle cookie "$address" $(flood_of "$address")
	at_least "$address: the kernel's cookies are known" $(($(counter ack_kernel_cookie) - before)) 5
done
syncookies 1

# Both wait for the same ten seconds.
for address in "$SERVER4" "$SERVER6"; do
	# shellcheck disable=SC2046 # words
	middle released "$address" $(flood_of "$address") >"$TMP/released-$address" 2>&1 || echo "not ok - released" >>"$TMP/released-$address" &
	released+=($!)
done
wait "${released[@]}"
for address in "$SERVER4" "$SERVER6"; do
	name=$(service_at "$address" 7000)
	tap cat "$TMP/released-$address"
	is "$address: while idle after the flood" "$(shown "$name" state)" idle
	at_least "$address: active twice or more" "$(shown "$name" activations)" 2
done
is "the kernel refused no connection of the hook's" "$(counter unadmitted)" 0

# tcp_syncookies = 0 switches off what completing a handshake for a listening socket needs.
syncookies 0
check "tcp_syncookies = 0: bypassed, and why is shown" soon shows "$SERVER4:7000" bypass syncookies
is "tcp_syncookies = 0: the kernel serves" "$(connections "$SERVER4" 7000 50)" 0/0/0
syncookies 1
check "tcp_syncookies = 1: while idle again" soon shows "$SERVER4:7000" state idle

# The threshold is the operator's. (Of a generator that had to stand still the frames of half a second come at once: 150 are below
# what the rate allows in 10 ms.)
daemon_stop
config_daemon
discovered flood-rate=20000
daemon_start
soon shows "$SERVER4:7000" state idle || bail "the services are not found"
client "$BUILD/tests/bench/flood" --dev c0 --dst "$SERVER4" --port 7000 --rate 300 --seconds 1 >/dev/null
is "flood-rate = 20,000: 300 SYNs a second are idle" "$(shown "$SERVER4:7000" state)" idle
client "$BUILD/tests/bench/flood" --dev c0 --dst "$SERVER4" --port 7000 --rate 200000 --seconds 1 >/dev/null
is "flood-rate = 20,000: 200,000 are a flood" "$(shown "$SERVER4:7000" state)" active

# One burst activates it, and is over: 300 SYNs are 30 ms of half that rate. Small ones do not hold it: 140 at once, every 0.8 s, are less
# than a fiftieth of it.
daemon_stop
config_daemon
daemon_start
held() { client python3 "$HERE/raw_held.py" 7000 "$family" "$@"; }
burst_activates() { held 600 1 0 && [ "$(shown "$name" activations)" -gt "$before" ]; }
for address in "$SERVER4" "$SERVER6"; do
	family=6
	[ "$address" != "$SERVER4" ] || family=4
	name=$(service_at "$address" 7000)
	soon shows "$name" state idle || bail "the services are not found"
	before=$(shown "$name" activations)
	check "$name: a burst of 600 SYNs activates it" soon burst_activates
	check "$name: and it is idle again soon" within 5 shows "$name" state idle
	client "$BUILD/tests/bench/flood" --dev c0 --dst "$address" --port 7000 --rate 200000 --seconds 0.2 >/dev/null
	check "$name: a fifth of a second of 200,000 keeps it for four" shows "$name" state active
	held 140 4 0.8
	check "$name: then 140 SYNs every 0.8 s do not hold it" within 5 shows "$name" state idle
done

# A slow flood fills the listening socket's SYN queue.
plain_start small 0.0.0.0 7102 line --backlog 64
soon shows 0.0.0.0:7102 state idle || bail "the service is not found"
client "$BUILD/tests/bench/flood" --dev c0 --dst "$SERVER4" --port 7102 --rate 100 --seconds 1 >/dev/null
is "100 SYNs a second to a backlog of 64: the hook answers" "$(shown 0.0.0.0:7102 state)" active
is "because of the SYN queue" "$(shown 0.0.0.0:7102 cause)" syn_queue
all_admitted "then" "$SERVER4" 7102 100

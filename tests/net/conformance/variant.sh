#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# variant.sh VARIANT MATRIX OUT: all rows of a matrix in a separate lab, see run.py.
#   plain    the kernel alone
#   cookies  the kernel alone, with SYN cookies always (net.ipv4.tcp_syncookies = 2)
#   idle     shakeoff, while there is no flood: syncookies = adaptive
#   active   the hook answers: syncookies = always, listener handoff
#   queue    the hook answers: queue handoff, the server under the preload library
# shellcheck source=tests/net/lib/env.sh
. "$(dirname "$0")/../lib/env.sh"
trap clean_up EXIT
VARIANT=$1 MATRIX=$2 OUT=$3
LAB=so$VARIANT$$ # before anything is made

bail() {
	echo "$VARIANT: $*" >&2
	tail -n 25 "$TMP"/*.log >&2
	exit 1
}

lab_up
# The client's own kernel must not answer: it would reset connections of these addresses.
ip -n "$LAB-client" route add blackhole 10.10.0.0/16
ip -n "$LAB-client" route add blackhole 2001:db8:a::/48
# The wire shows complete checksums, also of the kernel's SYN-ACKs.
server ethtool -K s0 tx off >/dev/null
# The clients of the rows: each has a separate address. Not the sources of floods, whose replies peer.bpf.c drops.
ip -n "$LAB-server" route add 10.10.0.0/16 via "$CLIENT4"
ip -n "$LAB-server" route add 2001:db8:a::/48 via "$CLIENT6"
# Addresses that no device of the wire has, and a device without a peer network.
ip -n "$LAB-server" address add 10.9.5.1/32 dev lo
ip -n "$LAB-server" address add 2001:db8:5::1/128 dev lo
ip -n "$LAB-server" link add x0 type veth peer name x1
ip -n "$LAB-server" link set x0 up
ip -n "$LAB-server" link set x1 up
server sh -c 'echo "4096 131072 6291456" >/proc/sys/net/ipv4/tcp_rmem; echo 4096 >/proc/sys/net/core/somaxconn'
arguments=("$MATRIX" "$LAB-server" "$OUT")
case $VARIANT in
plain) ;;
cookies) server sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies' ;;
idle | active)
	config_daemon
	[ "$VARIANT" = idle ] || discovered syncookies=always
	daemon_start_bare --config "$CONF"
	;;
queue)
	config_daemon discover=no
	# A service has one queue: one service for each socket, as the kernel has a queue for each listening socket.
	while read -r name addresses; do
		# shellcheck disable=SC2086 # a list
		service_on "$name" $addresses --
	done < <(/usr/bin/python3 "$TOP/tests/net/conformance/ports.py" "$MATRIX")
	daemon_start
	arguments+=(--preload "$PRELOAD")
	;;
*) bail "no such variant" ;;
esac
case $VARIANT in
idle | active | queue) arguments+=(--ready "$TOP/tests/net/conformance/ready.sh" "$LAB-server" "$VARIANT") ;;
esac
client /usr/bin/python3 "$TOP/tests/net/conformance/run.py" "${arguments[@]}" 2>>"$TMP/rows.log" || bail "the rows did not run"
[ -z "$DAEMON_PID" ] || server "$BUILD/shakeoff" stats --json >"$OUT.stats"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# A place to try things: two network namespaces, a server and a client, joined by a veth pair.
#
#	NAME-server  s0  10.9.0.1/24  2001:db8:9::1/64  02:00:00:09:00:01
#	NAME-client  c0  10.9.0.2/24  2001:db8:9::2/64  02:00:00:09:00:02
#
# lab.sh up [NAME]             make it (NAME: shakeoff unless given; labs of different names do not disturb each other)
# lab.sh far NAME MS           the same, MS milliseconds apart (one way, fractions allowed): a third namespace holds a delay line
#	NAME-line    l0, l1: the other ends of s0 and c0; tests/net/lib/delay carries every frame between them
#	What is on the line is what a wire carries: whole segments with checksums, no larger than the MTU. LINE_LOG: the file where the
#	line says at its end (SIGUSR1: at once) what it has carried and lost. For floods it is too slow.
# lab.sh behind [NAME]         one more behind the server, which forwards to it, as to a container:
#	NAME-behind  b0  10.9.1.2/24  2001:db8:9:1::2/64, the server's end b1 10.9.1.1/24 2001:db8:9:1::1/64
# lab.sh down [NAME]           remove it, with everything in it
# lab.sh shell [NAME [server|client|behind]]   a shell in one of them (client unless given)
# lab.sh run NAME server|client|behind COMMAND...
#
# Every pair has a queue for each CPU, two at least, and each CPU sends by its own: what a network card does with RSS. On one queue, of 256
# frames, a flood from one CPU would push out everybody's SYNs, whatever the CPU they come from.
set -euo pipefail

BUILD=${BUILD:-$(cd "$(dirname "$0")/.." && pwd)/build}
PEER=$BUILD/tests/bench/peer.bpf.o
DELAY=$BUILD/tests/net/lib/delay
CPUS=$(nproc --all)
QUEUES=$((CPUS > 2 ? CPUS : 2))
export PATH=$PATH:/usr/sbin:/sbin

usage() {
	sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

die() {
	echo "lab.sh: $*" >&2
	exit 1
}

# `ip netns exec` would hide the BPF file system behind a mount of its own; nsenter changes the network only.
inside() {
	local ns=$1
	shift
	nsenter --net="/run/netns/$ns" -- "$@"
}

# No duplicate address detection: addresses are usable at once. No router solicitations: the wire is quiet.
quiet_ipv6() {
	# shellcheck disable=SC2016 # for the inner shell
	inside "$1" sh -c 'for knob in all default; do
		echo 0 >/proc/sys/net/ipv6/conf/$knob/accept_dad
		echo 0 >/proc/sys/net/ipv6/conf/$knob/accept_ra
		echo 0 >/proc/sys/net/ipv6/conf/$knob/router_solicitations
	done'
}

# veth_pair NAMESPACE DEVICE MAC NAMESPACE DEVICE MAC; an empty MAC: any
veth_pair() {
	local queues="numrxqueues $QUEUES numtxqueues $QUEUES"
	# shellcheck disable=SC2086 # lists
	ip -n "$1" link add "$2" $queues ${3:+address $3} type veth peer name "$5" $queues ${6:+address $6} netns "$4"
	own_queues "$1" "$2"
	own_queues "$4" "$5"
}

# own_queues NAMESPACE DEVICE: each CPU sends by the queue of its number (XPS). A namespace's devices show in a sysfs mounted inside it.
own_queues() {
	# shellcheck disable=SC2016 # for the inner shell
	inside "$1" unshare --mount sh -c '
		mount -t sysfs sysfs /sys || exit
		cpu=0 zeros=
		while [ $cpu -lt "$2" ]; do
			file=/sys/class/net/$1/queues/tx-$cpu/xps_cpus
			[ ! -e "$file" ] || printf "%x%s\n" $((1 << cpu % 32)) "$zeros" >"$file" || exit
			cpu=$((cpu + 1))
			[ $((cpu % 32)) -ne 0 ] || zeros="$zeros,00000000"
		done' sh "$2" "$CPUS"
}

# veth_offload SERVER DEVICE PEER DEVICE: what XDP at the server's end of a pair needs
veth_offload() {
	# Whoever looks at frames from the peer has to see finished checksums.
	inside "$3" ethtool -K "$4" tx off >/dev/null
	# Frames that enter a veth by XDP need a receiver with NAPI, be there an XDP program or not.
	inside "$1" ethtool -K "$2" gro on >/dev/null
	# XDP_TX at the server's end needs a program at this one; it also counts and swallows what goes to flood sources.
	inside "$3" ip link set dev "$4" xdpdrv obj "$PEER" sec xdp
}

# ends NAME: the two namespaces, quiet, with nothing in them yet
ends() {
	local server=$1-server client=$1-client
	[ -e "$PEER" ] || die "$PEER is not there: run make tools first"
	[ ! -e "/run/netns/$server" ] || die "lab '$1' is up already; lab.sh down $1 removes it"
	trap 'down "$name" >/dev/null 2>&1' EXIT

	ip netns add "$server"
	ip netns add "$client"
	quiet_ipv6 "$server"
	quiet_ipv6 "$client"
}

# addresses NAME: s0 and c0 get theirs, and come up
addresses() {
	local server=$1-server client=$1-client end
	ip -n "$server" address add 10.9.0.1/24 dev s0
	ip -n "$client" address add 10.9.0.2/24 dev c0
	ip -n "$server" address add 2001:db8:9::1/64 dev s0 nodad
	ip -n "$client" address add 2001:db8:9::2/64 dev c0 nodad
	for end in "$server s0" "$client c0"; do
		# shellcheck disable=SC2086 # namespace and device
		set -- $end
		ip -n "$1" link set lo up
		ip -n "$1" link set "$2" up
	done

	# Nobody asks for neighbours in a flood: everything has one hop, and its address is known.
	ip -n "$server" neighbour replace 10.9.0.2 lladdr 02:00:00:09:00:02 dev s0 nud permanent
	ip -n "$server" neighbour replace 2001:db8:9::2 lladdr 02:00:00:09:00:02 dev s0 nud permanent
	ip -n "$client" neighbour replace 10.9.0.1 lladdr 02:00:00:09:00:01 dev c0 nud permanent
	ip -n "$client" neighbour replace 2001:db8:9::1 lladdr 02:00:00:09:00:01 dev c0 nud permanent
	ip -n "$server" route add 100.64.0.0/10 via 10.9.0.2
	ip -n "$server" -6 route add 3fff::/32 via 2001:db8:9::2
}

up() {
	ends "$1"
	veth_pair "$1-server" s0 02:00:00:09:00:01 "$1-client" c0 02:00:00:09:00:02
	addresses "$1"
	veth_offload "$1-server" s0 "$1-client" c0
	trap - EXIT
}

# The line's own namespace takes no part in what goes through it.
far() {
	local server=$1-server client=$1-client line=$1-line end
	[ -x "$DELAY" ] || die "$DELAY is not there: run make tools first"
	ends "$1"
	ip netns add "$line"
	inside "$line" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
	veth_pair "$server" s0 02:00:00:09:00:01 "$line" l0 ""
	veth_pair "$client" c0 02:00:00:09:00:02 "$line" l1 ""
	for end in l0 l1; do
		# Room for two VLAN tags.
		ip -n "$line" link set "$end" arp off mtu 1508
		ip -n "$line" link set "$end" up
	done
	addresses "$1"
	veth_offload "$server" s0 "$line" l0
	inside "$server" ethtool -K s0 tx off tso off txvlan off >/dev/null
	inside "$client" ethtool -K c0 tx off tso off txvlan off gro on >/dev/null
	# An XDP program has switched it on.
	inside "$line" ethtool -K l0 gro off >/dev/null
	inside "$line" ethtool -K l1 gro off >/dev/null
	inside "$line" nice -n -20 "$DELAY" --background l0 l1 "$2" >>"${LINE_LOG:-/dev/null}" </dev/null
	trap - EXIT
}

behind() {
	local server=$1-server client=$1-client behind=$1-behind
	[ -e "/run/netns/$server" ] || die "no lab '$1': lab.sh up $1 makes it"
	[ ! -e "/run/netns/$behind" ] || die "there is one behind '$1' already"
	ip netns add "$behind"
	quiet_ipv6 "$behind"
	veth_pair "$server" b1 "" "$behind" b0 ""
	ip -n "$server" address add 10.9.1.1/24 dev b1
	ip -n "$behind" address add 10.9.1.2/24 dev b0
	ip -n "$server" address add 2001:db8:9:1::1/64 dev b1 nodad
	ip -n "$behind" address add 2001:db8:9:1::2/64 dev b0 nodad
	ip -n "$behind" link set lo up
	ip -n "$behind" link set b0 up
	ip -n "$server" link set b1 up
	veth_offload "$server" b1 "$behind" b0
	ip -n "$behind" route add default via 10.9.1.1
	ip -n "$behind" -6 route add default via 2001:db8:9:1::1
	ip -n "$client" route add 10.9.1.0/24 via 10.9.0.1
	ip -n "$client" -6 route add 2001:db8:9:1::/64 via 2001:db8:9::1
	inside "$server" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
}

# What still runs in a namespace would keep it alive under no name.
end_processes() {
	local pids
	pids=$(ip netns pids "$1" 2>/dev/null) || return 0
	[ -n "$pids" ] || return 0
	# shellcheck disable=SC2086 # a list
	kill $pids 2>/dev/null || true
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		pids=$(ip netns pids "$1" 2>/dev/null) || return 0
		[ -n "$pids" ] || return 0
		sleep 0.1
	done
	# shellcheck disable=SC2086 # a list
	kill -9 $pids 2>/dev/null || true
}

down() {
	local ns found=1 pins
	for ns in "$1-server" "$1-client" "$1-line" "$1-behind"; do
		[ -e "/run/netns/$ns" ] || continue
		found=0
		end_processes "$ns"
		pins=/sys/fs/bpf/shakeoff/$(stat -L -c %i "/run/netns/$ns")
		ip netns delete "$ns"
		[ ! -d "$pins" ] || rm -rf "$pins"
	done
	return $found
}

[ $# -ge 1 ] || usage
command=$1
name=${2:-shakeoff}
case $command in
up | far | behind | down | shell | run) [ "$(id -u)" -eq 0 ] || die "needs root" ;;
esac
case $command in
up) up "$name" ;;
far)
	[ $# -eq 3 ] || usage
	far "$name" "$3"
	;;
behind) behind "$name" ;;
down) down "$name" || die "no lab '$name'" ;;
shell)
	side=${3:-client}
	[ -e "/run/netns/$name-$side" ] || die "no lab '$name': lab.sh up $name makes it"
	PS1="[$name-$side] \\w# " exec nsenter --net="/run/netns/$name-$side" -- bash --norc -i
	;;
run)
	[ $# -ge 4 ] || usage
	side=$3
	shift 3
	exec nsenter --net="/run/netns/$name-$side" -- "$@"
	;;
*) usage ;;
esac

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# A place to try things: two network namespaces, a server and a client, joined by a veth pair.
#
#	NAME-server  s0  10.9.0.1/24  2001:db8:9::1/64  02:00:00:09:00:01
#	NAME-client  c0  10.9.0.2/24  2001:db8:9::2/64  02:00:00:09:00:02
#
# lab.sh up [NAME]             make it (NAME: shakeoff unless given; labs of different names do not disturb each other)
# lab.sh behind [NAME]         a third one behind the server, which forwards to it, as to a container:
#	NAME-behind  b0  10.9.1.2/24  2001:db8:9:1::2/64, the server's end b1 10.9.1.1/24 2001:db8:9:1::1/64
# lab.sh down [NAME]           remove it, with everything in it
# lab.sh shell [NAME [server|client|behind]]   a shell in one of them (client unless given)
# lab.sh run NAME server|client|behind COMMAND...
set -euo pipefail

BUILD=${BUILD:-$(cd "$(dirname "$0")/.." && pwd)/build}
PEER=$BUILD/tests/bench/peer.bpf.o
export PATH=$PATH:/usr/sbin:/sbin

usage() {
	sed -n '4,15s/^# \{0,1\}//p' "$0" >&2
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

# veth_offload SERVER DEVICE PEER DEVICE: what XDP at the server's end of a pair needs
veth_offload() {
	# Whoever looks at frames from the peer has to see finished checksums.
	inside "$3" ethtool -K "$4" tx off >/dev/null
	# Frames that enter a veth by XDP need a receiver with NAPI, be there an XDP program or not.
	inside "$1" ethtool -K "$2" gro on >/dev/null
	# XDP_TX at the server's end needs a program at this one; it also counts and swallows what goes to flood sources.
	inside "$3" ip link set dev "$4" xdpdrv obj "$PEER" sec xdp
}

up() {
	local name=$1 server=$1-server client=$1-client
	[ -e "$PEER" ] || die "$PEER is not there: run make tools first"
	[ ! -e "/run/netns/$server" ] || die "lab '$name' is up already; lab.sh down $name removes it"
	trap 'down "$name" 2>/dev/null' ERR

	ip netns add "$server"
	ip netns add "$client"
	quiet_ipv6 "$server"
	quiet_ipv6 "$client"
	ip -n "$server" link add s0 address 02:00:00:09:00:01 type veth peer name c0 address 02:00:00:09:00:02 netns "$client"

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

	veth_offload "$server" s0 "$client" c0

	# Nobody asks for neighbours in a flood: everything has one hop, and its address is known.
	ip -n "$server" neighbour replace 10.9.0.2 lladdr 02:00:00:09:00:02 dev s0 nud permanent
	ip -n "$server" neighbour replace 2001:db8:9::2 lladdr 02:00:00:09:00:02 dev s0 nud permanent
	ip -n "$client" neighbour replace 10.9.0.1 lladdr 02:00:00:09:00:01 dev c0 nud permanent
	ip -n "$client" neighbour replace 2001:db8:9::1 lladdr 02:00:00:09:00:01 dev c0 nud permanent
	ip -n "$server" route add 100.64.0.0/10 via 10.9.0.2
	ip -n "$server" -6 route add 3fff::/32 via 2001:db8:9::2
	trap - ERR
}

behind() {
	local server=$1-server client=$1-client behind=$1-behind
	[ -e "/run/netns/$server" ] || die "no lab '$1': lab.sh up $1 makes it"
	[ ! -e "/run/netns/$behind" ] || die "there is one behind '$1' already"
	ip netns add "$behind"
	quiet_ipv6 "$behind"
	ip -n "$server" link add b1 type veth peer name b0 netns "$behind"
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
	for ns in "$1-server" "$1-client" "$1-behind"; do
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
up | behind | down | shell | run) [ "$(id -u)" -eq 0 ] || die "needs root" ;;
esac
case $command in
up) up "$name" ;;
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

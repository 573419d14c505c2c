#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the kernel asks before it answers a SYN, the hook asks too, side by side: the frame's MAC address, the host's own addresses (those of
# local routes are protected), routes back to the client, rp_filter. Frames for other hosts count nowhere.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

lab_up
# The lab has routes for floods, and no default route.
config_daemon discover=no reply-budget=0
service_on listener '*:7000' -- handoff=listener
service_on queue '*:7002' --
plain_start listener :: 7000 line
plain_start kernel :: 7001 line
daemon_start
server_start queue :: 7002 line
found listener
soon shows queue state active

# Promiscuous mode, as tcpdump sets it: then frames for other hosts come to the hook.
server ip link set s0 promisc on
before=$(counter syn) ours=$(counter no_service)
client "$BUILD/tests/bench/flood" --dev c0 --dst "$SERVER4" --dst-mac 02:00:00:09:00:ff --port 7000 --rate 100000 --seconds 1 --json >/dev/null
is "a flood for another MAC address counts for no service" "$(counter syn)" "$before"
at_least "it passes" $(($(counter no_service) - ours)) 10000

tap client python3 "$HERE/host_rows.py" "$LAB-server" "$BUILD/shakeoff" 7000 7002 7001

tap client python3 "$HERE/host_answers.py" "$LAB-server" sender 7000 7002 7001

# A client is served at an address of a local route, /24 and /64.
server ip route add local 198.51.100.0/24 dev lo
server ip -6 route add local 2001:db8:51::/64 dev lo
client ip route add 198.51.100.0/24 via "$SERVER4"
client ip -6 route add 2001:db8:51::/64 via "$SERVER6"
for address in 198.51.100.200 2001:db8:51::1:2:3; do
	all_admitted "at $address of a local route, listener handoff" "$address" 7000 5
	is "at $address of a local route, queue handoff: none of 5 connections fails" "$(connections "$address" 7002 5 | cut -d/ -f1)" 0
done

# SYN-ACKs that go where the kernel would send them.
daemon_stop
sed -i 's/^interface = s0/&\nanswer = route/' "$CONF"
daemon_start
soon shows listener state active
soon served_on queue "$SERVER4:7002" "[$SERVER6]:7002" || bail "the queue's server does not come back"
tap client python3 "$HERE/host_answers.py" "$LAB-server" route 7000 7002 7001
# A neighbour is published within a second after the kernel knows it.
answered_here() {
	local before
	before=$(counter synack_sent)
	asks "$address" 7000 --count 1 --request $'hello\n' >/dev/null
	grown synack_sent "$before"
}
for address in "$SERVER4" "$SERVER6"; do
	client ping -c 1 -W 5 "$address" >/dev/null # a neighbour's entry, of the client's kernel
	soon answered_here
	all_admitted "with answer = route, at $address" "$address" 7000 5
done

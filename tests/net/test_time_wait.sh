#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A client that comes back to a port within a minute, while the server's side of the old connection is in TIME-WAIT, does not
# notice: RFC 9293, 3.6.1 and 3.10.7.4.
. "$(dirname "$0")/lib/lib.sh"

# come_back HANDOFF PORT [plain]: to nginx, whose SYNs the hook answers
come_back() {
	local stamps address result what
	config web "$2" "handoff=$1"
	daemon_start
	nginx_start "$2" 511 "${3:-}"
	soon shows web state active || bail "the hook does not answer for nginx"
	for stamps in 1 0; do
		client sh -c "echo $stamps >/proc/sys/net/ipv4/tcp_timestamps"
		for address in "$SERVER4" "$SERVER6"; do
			# nginx closes first (Connection: close).
			result=$(unrepeated asks "$address" "$2" --count 5000 --http)
			what="$1, $address, client's timestamps $([ $stamps = 1 ] && echo on || echo off)"
			is "$what: none of 5,000 connections over 1,000 ports fails" "$(json failed <<<"$result")" 0
			is "$what: nothing is sent twice" "$(json retransmissions <<<"$result")" 0
		done
	done
	at_least "$1: TIME-WAIT is at the server" "$(server ss -Htan state time-wait | wc -l)" 1
	tap client python3 "$HERE/raw_existing.py" "$2" 4 "$1"
	tap client python3 "$HERE/raw_existing.py" "$2" 6 "$1"
}

lab_up
# 1,000 ports for 5,000 connections: each is used five times.
client sh -c 'echo "10000 10999" >/proc/sys/net/ipv4/ip_local_port_range'
come_back queue 80
if kernel_admits; then
	nginx_stop
	daemon_stop
	come_back listener 81 plain # the sockets of the first are in TIME-WAIT
	at_least "listener: the hook opens connections" "$(counter ack_admitted)" 100
	at_least "listener: and lets SYNs pass to the sockets of old ones" "$(counter syn_socket)" 1000
	is "listener: the kernel refused none" "$(counter unadmitted)" 0
fi

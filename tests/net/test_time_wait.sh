#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A client that comes back to a port within a minute, while the server's side of the old connection is in TIME-WAIT, does not
# notice: RFC 9293, 3.6.1 and 3.10.7.4.
. "$(dirname "$0")/lib.sh"

lab_up
config web 80
daemon_start
nginx_start 80

# 1,000 ports for 5,000 connections: each is used five times.
client sh -c 'echo "10000 10999" >/proc/sys/net/ipv4/ip_local_port_range'
for stamps in 1 0; do
	client sh -c "echo $stamps >/proc/sys/net/ipv4/tcp_timestamps"
	for address in "$SERVER4" "$SERVER6"; do
		# nginx closes first (Connection: close).
		result=$(unrepeated asks "$address" 80 --count 5000 --http)
		what="$address, client's timestamps $([ $stamps = 1 ] && echo on || echo off)"
		is "$what: none of 5,000 connections over 1,000 ports fails" "$(json failed <<<"$result")" 0
		is "$what: nothing is sent twice" "$(json retransmissions <<<"$result")" 0
	done
done
at_least "TIME-WAIT is at the server" "$(server ss -Htan state time-wait | wc -l)" 1

tap client python3 "$HERE/raw_existing.py" 80 4
tap client python3 "$HERE/raw_existing.py" 80 6

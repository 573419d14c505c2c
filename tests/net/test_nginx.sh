#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# An unmodified nginx is served through the daemon's accept queue: no connection fails, none waits for a retransmission.
. "$(dirname "$0")/lib.sh"

lab_up
config web 80
daemon_start
nginx_start 80

for address in "$SERVER4" "$SERVER6"; do
	host=$address
	case $address in *:*) host="[$address]" ;; esac
	is "$address: the page is what nginx has" "$(client curl -sg -m 5 "http://$host/")" "served by nginx"

	before=$(counter ack_valid)
	result=$(client "$BUILD/tests/net/client" --dst "$address" --port 80 --count 10000 --http --json)
	is "$address: none of 10,000 sequential connections fails" "$(json failed <<<"$result")" 0
	is "$address: nothing is sent twice for them" "$(json retransmissions <<<"$result")" 0
	is "$address: each came through the hook" $(($(counter ack_valid) - before)) 10000

	result=$(client "$BUILD/tests/net/client" --dst "$address" --port 80 --count 20000 --concurrency 64 --http --json)
	is "$address: none of 20,000 connections of 64 clients at once fails" "$(json failed <<<"$result")" 0
	is "$address: nothing is sent twice for them" "$(json retransmissions <<<"$result")" 0
done

is "every connection that was validated was accepted, beside what the kernel took before nginx listened" $(($(counter accepted) - $(queue from_kernel))) "$(counter ack_valid)"
is "the kernel refused no cookie of ours" "$(counter ack_invalid)" 0

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# An unmodified nginx is served through the daemon's accept queue: no connection fails, none waits for a retransmission.
. "$(dirname "$0")/lib/lib.sh"

lab_up
# validated COMMAND...: its JSON, and how many ACKs the hook has found to be valid meanwhile
validated() {
	local before result
	before=$(counter ack_valid)
	result=$("$@")
	echo "${result%\}}, \"validated\": $(($(counter ack_valid) - before))}"
}

config web 80
daemon_start
nginx_start 80

for address in "$SERVER4" "$SERVER6"; do
	host=$address
	case $address in *:*) host="[$address]" ;; esac
	is "$address: the page is what nginx has" "$(client curl -sg -m 20 "http://$host/")" "served by nginx"

	result=$(unrepeated validated asks "$address" 80 --count 5000 --http)
	is "$address: none of 5,000 sequential connections fails" "$(json failed <<<"$result")" 0
	is "$address: nothing is sent twice for them" "$(json retransmissions <<<"$result")" 0
	is "$address: each came through the hook" "$(json validated <<<"$result")" 5000

	result=$(unrepeated asks "$address" 80 --count 5000 --concurrency 64 --http)
	is "$address: none of 5,000 connections of 64 clients at once fails" "$(json failed <<<"$result")" 0
	is "$address: nothing is sent twice for them" "$(json retransmissions <<<"$result")" 0
done

is "every connection that was validated was accepted, beside what the kernel took before nginx listened" $(($(counter accepted) - $(queue from_kernel))) "$(counter ack_valid)"
is "the kernel refused no cookie of ours" "$(counter ack_invalid)" 0

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Honest clients do not notice a flood of a million SYNs a second, and the flood costs no memory. FLOOD_SECONDS: how long it lasts.
. "$(dirname "$0")/lib.sh"

seconds=${FLOOD_SECONDS:-6}

rss() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$DAEMON_PID/status"; }
# Pages of memory that TCP holds, in this network namespace's view of the whole machine.
tcp_pages() { server sed -n 's/^TCP: .* mem \([0-9]*\).*/\1/p' /proc/net/sockstat; }

lab_up
config web 80
daemon_start
nginx_start 80
# What a first use costs is not the flood's.
client "$BUILD/tests/net/client" --dst "$SERVER4" --port 80 --count 2000 --http >/dev/null
rss_before=$(rss) pages_before=$(tcp_pages)

for address in "$SERVER4" "$SERVER6"; do
	spawn client flood "$BUILD/tests/bench/flood" --dev c0 --dst "$address" --port 80 --rate 1000000 --seconds "$seconds" --json
	flood=$PID
	sleep 0.5
	result=$(client "$BUILD/tests/net/client" --dst "$address" --port 80 --seconds $((seconds - 1)).5 --concurrency 4 --interval-ms 5 --http --json)
	ends "$flood" $((seconds + 10))
	flooded=$(tail -n 1 "$TMP/flood.log")
	echo "# $address: flood $flooded"
	echo "# $address: honest $result"
	at_least "$address: a million SYNs a second" "$(json sent_per_second <<<"$flooded")" 900000
	is "$address: every SYN that arrives is answered" "$(counter synack_sent)" "$(counter syn_received)"
	at_least "$address: honest clients connect meanwhile" "$(json ok <<<"$result")" 500
	is "$address: none of them fails" "$(json failed <<<"$result")" 0
	# The pair's ring of 256 frames is the flood's, too: now and then an honest frame finds it full.
	at_most "$address: hardly anything is sent twice" "$(json retransmissions <<<"$result")" $(($(json ok <<<"$result") / 50))
done

echo "# resident: $rss_before kB before, $(rss) kB after; TCP: $pages_before pages before, $(tcp_pages) after"
at_most "the daemon's resident memory has not grown by more than 1 MB (kB)" $(($(rss) - rss_before)) 1024
at_most "nor has TCP's (pages)" $(($(tcp_pages) - pages_before)) 64
is "no half-open connection is in the kernel" "$(server ss -Htan state syn-recv | wc -l)" 0

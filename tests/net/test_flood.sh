#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Honest clients do not notice a flood of SYNs, and the flood costs no memory.
. "$(dirname "$0")/lib/lib.sh"

RATE=300000
CLIENTS=400

rss() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$DAEMON_PID/status"; }
# Pages of memory that TCP holds, in this network namespace's view of the whole machine.
tcp_pages() { server sed -n 's/^TCP: .* mem \([0-9]*\).*/\1/p' /proc/net/sockstat; }

lab_up
config web 80
daemon_start
nginx_start 80
# What a first use costs is not the flood's.
asks "$SERVER4" 80 --count 2000 --http >/dev/null
rss_before=$(rss) pages_before=$(tcp_pages) syns_before=$(counter syn_received)

for address in "$SERVER4" "$SERVER6"; do
	before=$(counter synack_sent)
	flood_begins flood --dst "$address" --port 80 --rate $RATE
	flood=$PID
	check "$address: a flood is answered" soon grown synack_sent $((before + 100000))
	result=$(asks "$address" 80 --count $CLIENTS --concurrency 4 --interval-ms 5 --http)
	check "$address: it lasts" kill -0 "$flood"
	flood_ends flood "$flood"
	echo "# $address: flood $(tail -n 1 "$TMP/flood.log")"
	echo "# $address: honest $result"
	is "$address: every SYN that arrives is answered" "$(counter synack_sent)" "$(counter syn_received)"
	is "$address: none of $CLIENTS honest clients fails meanwhile" "$(json ok <<<"$result")/$(json failed <<<"$result")" $CLIENTS/0
	# The pair's ring of 256 frames is the flood's, too: now and then an honest frame finds it full.
	at_first_syn "$address" "$result"
done

syns=$(($(counter syn_received) - syns_before))
echo "# resident: $rss_before kB before, $(rss) kB after; TCP: $pages_before pages before, $(tcp_pages) after; $syns SYNs"
at_most "the daemon's resident memory has not grown by 8 bytes a SYN (kB)" $(($(rss) - rss_before)) $((8 * syns / 1024))
at_most "nor has TCP's (kB)" $((($(tcp_pages) - pages_before) * $(getconf PAGESIZE) / 1024)) $((8 * syns / 1024))
is "no half-open connection is in the kernel" "$(server ss -Htan state syn-recv | wc -l)" 0

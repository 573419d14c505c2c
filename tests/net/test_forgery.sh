#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# ACK floods that try to forge cookies: nothing opens that nobody asked for, and honest clients, with timestamps and without, notice nothing.
. "$(dirname "$0")/lib/lib.sh"

timestamps() { client sh -c "echo $1 >/proc/sys/net/ipv4/tcp_timestamps"; }

RATE=50000
COUNT=50

forgery_lasts() { shown web forgery_age_ms | grep -q "[0-9]"; }
# Cookies are asked for after two seconds of it.
issued_only() { [ "$(shown web forgery_age_ms)" -ge 2200 ]; }

# honest WHAT ADDRESS: one request after the other
honest() {
	is "$1: none of $COUNT connections fails" "$(asks "$2" 80 --count $COUNT --interval-ms 2 --http | json failed)" 0
}

# begin HANDOFF
begin() {
	config web 80 handoff="$1"
	daemon_start
	if [ "$1" = queue ]; then nginx_start 80 4096; else nginx_start 80 4096 plain; fi
	soon shows web state active || bail "the service is not answered for"
}

# flooded HANDOFF ADDRESS KIND
flooded() {
	local what="$1, $2, $3" before arrived forger
	before=$(($(counter ack_bad_cookie) + $(counter ack_expired))) arrived=$(seen)
	flood_begins flood --dst "$2" --port 80 --kind "$3" --rate $RATE
	forger=$PID
	check "$what: status says that cookies are being forged" soon forgery_lasts
	matches "$what: to people as well" "$(server "$BUILD/shakeoff" status)" '^web: an ACK flood tries to forge its cookies, since '
	honest "$what, timestamps" "$2"
	check "$what: and then asked for" soon issued_only
	timestamps 0
	honest "$what, without" "$2"
	timestamps 1
	if [ "$3" = ack ]; then
		case $2 in *:*) family=6 ;; *) family=4 ;; esac
		tap client python3 "$HERE/raw_forgery.py" 80 $family
	fi
	flood_ends flood "$forger"
	arrived=$(($(seen) - arrived))
	at_least "$what: nine of ten frames that arrived were forged, and are dropped" \
		$(($(counter ack_bad_cookie) + $(counter ack_expired) - before)) $((arrived * 9 / 10))
}

lab_up
server sh -c "echo 0 >/proc/sys/net/ipv4/tcp_synack_retries"
handoffs=queue
! kernel_admits || handoffs="queue listener"
for handoff in $handoffs; do
	begin "$handoff"
	is "$handoff: no cookie is forged" "$(shown web forgery_age_ms)" None
	for address in "$SERVER4" "$SERVER6"; do
		flooded "$handoff" "$address" ack
	done
	flooded "$handoff" "$SERVER4" ack-ts
	at_least "$handoff: ACKs that came too late are counted" "$(counter ack_not_issued)" 4
	nginx_stop
	daemon_stop
done

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# ACK floods that guess cookies: nothing opens that nobody asked for, and honest clients, with timestamps and without, notice nothing.
. "$(dirname "$0")/lib.sh"

timestamps() { client sh -c "echo $1 >/proc/sys/net/ipv4/tcp_timestamps"; }

# guess ADDRESS KIND SECONDS: in the background
guess() {
	spawn client flood "$BUILD/tests/bench/flood" --dev c0 --dst "$1" --port 80 --kind "$2" --rate 200000 --seconds "$3" --json
	GUESSER=$PID
}
guessed_at() { shown web guessed_age_ms | grep -q "[0-9]"; }

# honest WHAT ADDRESS: one request after the other for a second
honest() {
	local result
	result=$(client "$BUILD/tests/net/client" --dst "$2" --port 80 --seconds 1 --interval-ms 2 --http --json)
	is "$1: none of $(json tried <<<"$result") connections fails" "$(json failed <<<"$result")" 0
	at_least "$1: and they are many" "$(json ok <<<"$result")" 30
}

# begin HANDOFF
begin() {
	config web 80 handoff="$1" synack-retries=0
	daemon_start
	if [ "$1" = queue ]; then nginx_start 80 4096; else nginx_start 80 4096 plain; fi
	within 5 shows web state engaged || bail "the service is not answered for"
}

# flooded HANDOFF ADDRESS KIND: a flood of six seconds, of which cookies are asked for after two
flooded() {
	local what="$1, $2, $3" before sent
	before=$(($(counter ack_bad_cookie) + $(counter ack_expired)))
	guess "$2" "$3" 6
	check "$what: status says that cookies are guessed" within 2 guessed_at
	matches "$what: to people as well" "$(server "$BUILD/shakeoff" status)" '^web: an ACK flood guesses its cookies, since '
	honest "$what, timestamps" "$2"
	sleep 1.2
	timestamps 0
	honest "$what, without" "$2"
	timestamps 1
	if [ "$3" = ack ]; then
		case $2 in *:*) family=6 ;; *) family=4 ;; esac
		tap client python3 "$HERE/raw_guess.py" 80 $family
	fi
	ends "$GUESSER" 10 || bail "the flood did not end"
	sent=$(tail -n 1 "$TMP/flood.log" | json sent)
	at_least "$what: the flood arrived and is dropped" $(($(counter ack_bad_cookie) + $(counter ack_expired) - before)) $((sent * 9 / 10))
}

lab_up
handoffs=queue
! kernel_admits || handoffs="queue listener"
for handoff in $handoffs; do
	begin "$handoff"
	is "$handoff: nobody guesses" "$(shown web guessed_age_ms)" None
	for address in "$SERVER4" "$SERVER6"; do
		flooded "$handoff" "$address" ack
	done
	flooded "$handoff" "$SERVER4" ack-ts
	at_least "$handoff: ACKs without timestamps that came too late are counted" "$(counter ack_unasked)" 2
	nginx_stop
	daemon_stop
done

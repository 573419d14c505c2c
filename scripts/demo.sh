#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The demonstration: a real nginx, honest clients, and a SYN flood over a veth pair; once without protection, once with the
# kernel's SYN cookies, once with shakeoff. It ends with a table, and with exit status 0 only if no honest client of shakeoff
# failed.
#
# FLOOD_RATE   SYNs a second (default 1200000; 0: as fast as one CPU can)
# SECONDS_EACH how long each flood lasts (default 12)
set -u

fatal() {
	echo "demo: $*" >&2
	exit 1
}
[ "$(id -u)" -eq 0 ] || fatal "needs root, for network namespaces and BPF: sudo make demo"
bail() {
	local log
	for log in "$TMP"/*.log; do
		[ ! -s "$log" ] || sed "s,^,$(basename "$log"): ," "$log" >&2
	done
	fatal "$*"
}

# shellcheck source=tests/net/lib/env.sh
. "$(dirname "$0")/../tests/net/lib/env.sh"
leave() {
	local status=$?
	trap - EXIT
	clean_up
	exit "$status"
}
trap leave EXIT

RATE=${FLOOD_RATE:-1200000}
FLOOD_SECONDS=${SECONDS_EACH:-15}
# An honest client gives up after 5 s, that is after three SYNs (RFC 6298: at 0, 1 and 3 s); the flood outlasts the last of them.
PATIENCE=5
bold='' dim='' off=''
if [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' off=$'\e[0m'
fi

say() { printf '%s%s%s\n' "$dim" "$*" "$off"; }
heading() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }

# The flood and honest clients at the same time; what both saw, as JSON lines in $TMP/NAME.json.
measure() {
	local name=$1 flood rate
	rate="as many SYNs a second as one CPU can send"
	[ "$RATE" -eq 0 ] || rate="$RATE SYNs a second"
	say "  $rate from made-up sources for $FLOOD_SECONDS s; 8 honest clients meanwhile ..."
	rm -f "$TMP/flood.log"
	spawn client flood "$BUILD/tests/bench/flood" --dev c0 --dst "$SERVER4" --port 80 --rate "$RATE" \
		--seconds "$FLOOD_SECONDS" --json
	flood=$PID
	sleep 1
	client "$BUILD/tests/net/lib/client" --dst "$SERVER4" --port 80 --seconds $((FLOOD_SECONDS - PATIENCE - 2)) --concurrency 8 \
		--interval-ms 10 --timeout-ms $((PATIENCE * 1000)) --http --json >"$TMP/$name.json"
	ends "$flood" 20 || bail "the flood did not end"
	tail -n 1 "$TMP/flood.log" >>"$TMP/$name.json"
	python3 - "$TMP/$name.json" <<-'EOT'
		import json, sys
		clients, flood = [json.loads(line) for line in open(sys.argv[1])]
		print(f"  {flood['sent']:,} SYNs sent, {flood['synacks']:,} SYN-ACKs came back; "
		      f"{clients['tried']:,} honest connections tried, {clients['failed']:,} failed")
	EOT
}

heading "shakeoff: a SYN flood, and who still gets through"
say "Two network namespaces, joined by a veth pair; nginx in one, flood and honest clients in the other."
"$TOP/scripts/lab.sh" up "$LAB" || fatal "the two namespaces could not be made"

heading "1. No protection: nginx, the kernel, tcp_syncookies = 0"
server sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_syncookies'
nginx_start 80 511 plain
measure none
# Half-open connections of the flood would be in the next one's way.
nginx_stop

heading "2. The kernel's SYN cookies: tcp_syncookies = 1"
server sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_syncookies'
nginx_start 80 511 plain
measure kernel
nginx_stop

# The server is left as it is where the kernel can complete handshakes of others; elsewhere it is started with the preload.
plainly() {
	heading "3. shakeoff: nginx runs as it is, and nothing is configured"
	nginx_start 80 511 plain
	say "  # shakeoff attach s0"
	server "$BUILD/shakeoff" attach s0 >/dev/null || fatal "shakeoff attach failed"
	say "  # shakeoffd"
	# shellcheck disable=SC2119 # no arguments
	daemon_start_bare
	within 5 shows "$SERVER4:80" state idle || bail "shakeoffd did not find nginx: $(services)"
	say "  attached in $(status interfaces.0.mode) mode; shakeoffd found $(services), and there is no flood"
}
preloaded() {
	heading "3. shakeoff: answered at the driver hook, completed by shakeoffd"
	config web 80
	daemon_start
	nginx_start 80
	say "  attached in $(status interfaces.0.mode) mode; nginx runs unmodified under libshakeoff-preload.so: before kernel 6.9"
	say "  nobody else can complete a handshake for its own listening socket"
}
if kernel_admits; then plainly; else preloaded; fi
rss() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$DAEMON_PID/status"; }
# What a first use costs is not the flood's.
client "$BUILD/tests/net/lib/client" --dst "$SERVER4" --port 80 --count 1000 --http >/dev/null
before=$(rss)
measure shakeoff
after=$(rss)
! kernel_admits || say "  with the flood the hook began to answer with cookies: $(shown "$SERVER4:80" cause)"
say "  shakeoffd's resident memory: $before kB before, $after kB after"
server "$BUILD/shakeoff" stats >"$TMP/stats.txt" 2>&1
daemon_stop
nginx_stop

python3 - "$TMP" <<'EOT'
import json, sys
rows = []
for name, title in (("none", "no protection"), ("kernel", "kernel SYN cookies"), ("shakeoff", "shakeoff")):
    clients, flood = [json.loads(line) for line in open(f"{sys.argv[1]}/{name}.json")]
    ms = lambda value: f"{value:.2f} ms" if clients["ok"] else "-"
    rows.append((title, f"{flood['sent_per_second']:,.0f}", f"{flood['synacks_per_second']:,.0f}", f"{clients['tried']:,}",
                 f"{clients['failed']:,}", ms(clients["connect_ms"]["p50"]), ms(clients["connect_ms"]["p99"])))
head = ("", "SYNs sent/s", "SYN-ACKs/s", "honest tried", "failed", "connect p50", "p99")
widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
line = lambda row: "  " + row[0].ljust(widths[0]) + "".join("   " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
print()
print(line(head))
print("  " + "-" * (sum(widths) + 3 * (len(widths) - 1)))
for row in rows:
    print(line(row))
print()
clients, flood = [json.loads(line) for line in open(f"{sys.argv[1]}/shakeoff.json")]
good = clients["failed"] == 0 and clients["ok"] > 0
if good:
    print(f"Behind shakeoff none of {clients['tried']:,} honest connections failed.")
else:
    print(f"Behind shakeoff {clients['failed']:,} of {clients['tried']:,} honest connections failed.")
sys.exit(not good)
EOT

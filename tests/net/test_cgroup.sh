#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A server whose control group filters what comes in for its sockets (systemd's IPAddressDeny=) is not given sockets of the daemon's
# making, which the filter would not see: its own listening socket gets the connections, preloaded or not.
. "$(dirname "$0")/lib/lib.sh"

UNIFIED=/sys/fs/cgroup
[ "$(stat -f -c %T $UNIFIED)" = cgroup2fs ] || UNIFIED=$UNIFIED/unified
GROUP=$UNIFIED/shakeoff-$$
FOREIGN4=198.51.100.7 FOREIGN6=2001:db8:51::7
if ! mkdir "$GROUP" 2>/dev/null; then
	pass "control groups # SKIP no cgroup2 is mounted, or it cannot be written to"
	exit 0
fi
# As env.sh has it; the group goes when its processes have gone.
clean_up() {
	[ -z "$DAEMON_PID" ] || { kill "$DAEMON_PID" && kill -CONT "$DAEMON_PID"; } 2>/dev/null
	"$TOP/scripts/lab.sh" down "$LAB" >/dev/null 2>&1
	wait 2>/dev/null
	rm -rf "$TMP"
	within 10 rmdir "$GROUP"
}

lab_up
for net in 198.51.100.0/24 2001:db8:51::/64; do
	ip -n "$LAB-server" route add "$net" dev s0
done
for address in $FOREIGN4 $FOREIGN6; do
	ip -n "$LAB-server" neighbour replace "$address" lladdr "$CLIENT_MAC" dev s0 nud permanent
done
PROGRAM=/sys/fs/bpf/shakeoff-test-$$
bpftool prog load "$BUILD/tests/net/lib/deny.bpf.o" "$PROGRAM" || bail "the filter does not load"
bpftool cgroup attach "$GROUP" ingress pinned "$PROGRAM" || bail "the filter cannot be attached"
rm -f "$PROGRAM"

# in_group NAME ADDRESS PORT PRELOAD
in_group() {
	# shellcheck disable=SC2016 # for the inner shell
	spawn server "$1" env LD_PRELOAD="$4" sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$GROUP" \
		python3 "$HERE/server.py" "$2" "$3" --mode line
	soon grep -q listening "$TMP/$1.log" || bail "server.py does not listen on $2 port $3"
}
# came PORT[,PORT...] SOURCE[,SOURCE...]: in one line
came() { client timeout 60 python3 "$HERE/raw_input.py" "$@" | sed 's/answered/silent/' | paste -sd/; }

config_pair queue 7000
service_on free4 "$SERVER4:7002" --
service_on free6 "[$SERVER6]:7002" --
daemon_start
in_group queue4 "$SERVER4" 7000 "$PRELOAD"
in_group queue6 "$SERVER6" 7000 "$PRELOAD"
in_group kernel4 "$SERVER4" 7001 ""
in_group kernel6 "$SERVER6" 7001 ""
server_start free4 "$SERVER4" 7002 line
server_start free6 "$SERVER6" 7002 line
check "a server of no such group has the queue handoff" soon shows free6 served True

silent="silent 1/silent 1" served="served 1/served 1"
is "the filter's sources, by the kernel, preloaded" "$(came 7001,7000 $FOREIGN4,$FOREIGN6)" "$silent/$silent"
is "others, by the kernel, preloaded" "$(came 7001,7000 "$RAW4,$RAW6")" "$served/$served"
is "a server of no such group serves all of them" "$(came 7002 "$FOREIGN4,$FOREIGN6,$RAW4,$RAW6")" "$served/$served"
is "only its connections came through the hook" "$(counter ack_valid)" 4
matches "the daemon says why" "$(cat "$TMP/shakeoffd.log")" 'control group filters'
daemon_stop

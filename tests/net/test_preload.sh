#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Under the preload a listening socket behaves as the kernel's own does; an unmodified server outlives the daemon.
. "$(dirname "$0")/lib.sh"

PROBE=$BUILD/tests/net/preload_probe
netns=/run/netns/$LAB-client

# probe LABEL ADDRESS PORT [ARGUMENT...]
probe() {
	local label=$1
	shift
	tap server env LD_PRELOAD="$PRELOAD" "$PROBE" "$@" --queue --label "$label" --netns "$netns"
}

# CPU time of processes, in ticks
ticks() { cat "${@/#//proc/}" 2>/dev/null | awk '{ sum += $14 + $15 } END { print sum + 0 }'; }

lab_up
tap server "$PROBE" "$SERVER4" 7000 --label "kernel, IPv4" --netns "$netns"
tap server "$PROBE" :: 7000 --connect "$SERVER4" --label "kernel, dual-stack" --netns "$netns"

config probe 7000
service wide 7001
service moved 7002
service web 80
daemon_start
before=$(counter accepted)
probe "IPv4" "$SERVER4" 7000
probe "IPv6" "$SERVER6" 7000
probe "dual-stack, an IPv4 client" :: 7001 --connect "$SERVER4"
probe "dual-stack, an IPv6 client" :: 7001 --connect "$SERVER6"
at_least "these connections came through the daemon's queue" $(($(counter accepted) - before)) 600
tap server env LD_PRELOAD="$PRELOAD" "$PROBE" 127.0.0.1 7000 --label "not a service's address"
tap server env LD_PRELOAD="$PRELOAD" SHAKEOFF_RUN_DIR="$TMP/none" "$PROBE" "$SERVER4" 7003 --label "without a daemon"

# An operator changes a server's address to the wildcard and restarts it.
server_start narrow "$SERVER4" 7002 line
killed "$PID"
server_start any 0.0.0.0 7002 line
any=$PID
is "restarted on any address, a server gets what came for the one it had" \
	"$(client timeout 5 bash -c "exec 3<>/dev/tcp/$SERVER4/7002; echo hello >&3; cat <&3")" hello
kill "$any"

# nginx's workers have given up root; they register again by the listening socket that they inherited.
nginx_start 80
mapfile -t workers < <(pgrep -P "$NGINX_PID")
daemon_kill
page() { "$1" curl -sf -m 5 -o /dev/null "http://$SERVER4:80/" && "$1" curl -sgf -m 5 -o /dev/null "http://[$SERVER6]:80/"; }
check "daemon killed: nginx serves who comes past the hook" page server
check "daemon killed: again" page server
before=$(ticks "${workers[@]/%//stat}")
sleep 2
at_most "daemon killed: the workers do not spin (ticks in 2 s)" $(($(ticks "${workers[@]/%//stat}") - before)) 5
daemon_start
check "daemon restarted: nginx serves" within 5 page client
result=$(client "$BUILD/tests/net/client" --dst "$SERVER4" --port 80 --count 500 --concurrency 8 --http --json)
is "daemon restarted: none of 500 connections fails" "$(json failed <<<"$result")" 0
is "nginx has nothing to say" "$(grep -v 'signal process started' "$TMP/nginx.log")" ""
daemon_stop
check "daemon stopped: nginx serves, through the kernel" within 5 page client
kill "$NGINX_PID"

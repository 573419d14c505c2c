#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Listening sockets of another user, few or very many, do not affect the services of others.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

# as_stranger NAME COMMAND...: a process of user 65534 on the server
as_stranger() { spawn server "$1" setpriv --reuid 65534 --regid 65534 --clear-groups -- "${@:2}"; }

# stranger NAME PORT OPTION: that user listens at [::], v6only, with MPTCP, or TCP_SAVE_SYN (27, linux/tcp.h), or a
# small buffer
stranger() {
	as_stranger "$1" env LD_PRELOAD="${4:-}" python3 -c '
import socket, sys, time
protocol = 262 if sys.argv[2] == "mptcp" else 0
listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, protocol)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
if sys.argv[2] == "save_syn":
    listener.setsockopt(socket.IPPROTO_TCP, 27, 1)
if sys.argv[2] == "rcvbuf":
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
listener.bind(("::", int(sys.argv[1])))
listener.listen(128)
print("listening", flush=True)
while True:
    conn, _ = listener.accept()
    conn.sendall(conn.recv(100))
    conn.close()' "$2" "$3"
	soon grep -q listening "$TMP/$1.log" || bail "the other user's socket does not listen"
}

age() { status datapaths.0.daemon.heartbeat_age_ms; }
# The greatest age of some heartbeats.
greatest_age() {
	for _ in $(seq "$1"); do
		age
		sleep 0.1
	done | sort -n | tail -n 1
}
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat"; }
bypassed_addresses() { shown web bypassed_addresses; }

lab_up
# systemd's watchdog, which must be fed twice a second.
spawn server fed python3 -c '
import os, socket, sys
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(sys.argv[1])
while True:
    print(notify.recv(4096).decode(), flush=True)' "$TMP/notify"
soon test -S "$TMP/notify" || bail "the notify socket is missing"
config_daemon
service_on web "*:7000" -- handoff=listener
service_on queue '*:7001' --
service_on auto '*:7003' -- handoff=auto
discovered syncookies=always
NOTIFY_SOCKET=$TMP/notify WATCHDOG_USEC=1000000 daemon_start

# ---------------------------------------------------------------------------------------- one socket beside a service's

plain_start web 0.0.0.0 7000 line
check "a server of root's at 0.0.0.0, where the configuration names every address, is served" soon shows web state active
is_bypassed_there() { bypassed_addresses | grep -q "$SERVER6"; }
for kind in mptcp save_syn; do
	stranger $kind 7000 $kind
	pid=$PID
	if [ $kind = mptcp ]; then # no list of sockets shows the other
		check "$kind at [::] of another user: that address is bypassed" soon is_bypassed_there
		is "$kind at [::] of another user: those of 0.0.0.0 are not" "$(bypassed_addresses | grep -c "$SERVER4")" 0
	fi
	is "$kind at [::] of another user: the kernel serves its clients" "$(connections "$SERVER6" 7000 20)" 0/0/0
	all_admitted "$kind at [::] of another user: at 0.0.0.0" "$SERVER4" 7000 50
	is "$kind at [::] of another user: the service is protected" "$(shown web state)" active
	kill "$pid"
	ends "$pid"
done
not_bypassed_there() { ! is_bypassed_there; }
check "when that socket is closed, nothing is bypassed" soon not_bypassed_there

# The SYN-ACK's offer in the queue handoff: window and its scale (struct tcp_info, linux/tcp.h).
offered() {
	client python3 -c '
import socket, sys
conn = socket.create_connection((sys.argv[1], 7001), timeout=20)
info = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
print(int.from_bytes(info[228:232], sys.byteorder), info[6] & 15)' "$1"
}
server_start queue 0.0.0.0 7001 line
before=$(offered "$SERVER4")
stranger rcvbuf 7001 rcvbuf "$PRELOAD"
is "queue handoff: the kernel serves the clients of another user's server at [::]" "$(connections "$SERVER6" 7001 20)" 0/0/0
check "queue handoff: root's server serves beside it" served_on queue "$SERVER4:7001"
is "queue handoff: its small receive buffer does not affect clients of root's server" "$(offered "$SERVER4")" "$before"
kill "$PID"
ends "$PID"

# A service with handoff = auto goes to the queue handoff with its servers, but not with another user's.
plain_start auto 0.0.0.0 7003 line
is_listener() { shows auto handoff listener && shows auto state active; }
check "handoff = auto: a plain server of root's has the listener handoff" soon is_listener
stranger preloaded 7003 plain "$PRELOAD"
sleep 2 # long enough for a change
check "handoff = auto: another user's preloaded server at [::] does not change that" is_listener
all_admitted "handoff = auto, beside another user's preloaded server" "$SERVER4" 7003 50
is "handoff = auto: the other user's clients are served" "$(asks "$SERVER6" 7003 --count 5 --request $'hello\n' | json failed)" 0
kill "$PID"
ends "$PID"

# ---------------------------------------------------------------------------------------------- very many at a endpoint

# 40,000, within a limit of files of 20,000 a process.
as_root_gives_up() { spawn server "$1" python3 "$HERE/many_listeners.py" "${@:2}"; }
as_root_gives_up many --reuse 40000 31000 2
many=$PID
age=$(greatest_age 15)
check "40,000 listening sockets of another user at two ports" within 60 grep -q listening "$TMP/many.log"
at_most "while they are made, the daemon is alive: its last heartbeat is no older than 2000 ms" "$age" 2000
two() { shows 0.0.0.0:31000 state active && shows 0.0.0.0:31001 state active; }
check "they are two services" soon two
sleep 2
before=$(cpu_ticks) began=$(date +%s%N)
age=$(greatest_age 20)
at_most "and it stays alive" "$age" 2000
# A tick is 10 ms (USER_HZ). Scans may use a twentieth of a CPU; all other work of the daemon is counted, too.
at_most "the daemon takes little of a CPU meanwhile (percent)" \
	$((($(cpu_ticks) - before) * 1000 / (($(date +%s%N) - began) / 1000000))) 15
plain_start honest 0.0.0.0 7002 line
found 0.0.0.0:7002
all_admitted "beside them, a server that has begun to listen since" "$SERVER4" 7002 50
kill "$many"
ends "$many"

# ---------------------------------------------------------------------------------------------------- at many endpoints

# Below the ephemeral ports (ip_local_port_range), one of which may be in use; not the ports above, whose sockets end at
# their own time.
as_root_gives_up places 19000 11000
places=$PID
check "19,000 listening sockets of another user, each at a separate port" within 60 grep -q listening "$TMP/places.log"
# Services of that user that have just ended still have an id, so it may be a few more.
rest_is_told() { [ "$(status datapaths.0.daemon.no_service)" -ge $((19000 - 16384 / 4)) ]; }
check "status shows how many are not protected" within 60 rest_is_told
of_places() { services | tr ' ' '\n' | grep -cE '^0\.0\.0\.0:(1[1-9]|2[0-9])[0-9]{3}$'; }
all_but_few() { [ "$(of_places)" -ge 4090 ]; }
check "that user has a quarter of the table of services" within 60 all_but_few
at_most "and no more" "$(of_places)" 4096
is "and of which user" "$(status datapaths.0.daemon.no_service_uid)" 65534
matches "status shows it" "$(server "$BUILD/shakeoff" status)" "listening sockets are not protected.*user 65534's"
check "the log has it, too" grep -q "of them belong to user 65534" "$TMP/shakeoffd.log"
plain_start late 0.0.0.0 9000 line
found 0.0.0.0:9000
all_admitted "a server of root's that starts then" "$SERVER4" 9000 50
spawn server other setpriv --reuid 65533 --regid 65533 --clear-groups -- python3 "$HERE/server.py" 0.0.0.0 9001 --mode line
found 0.0.0.0:9001
kill "$places"
ends "$places"

# ------------------------------------------------------------------------------------------------------------- watchdog

fed() { grep -c WATCHDOG=1 "$TMP/fed.log"; }
before=$(fed)
more_than() { [ "$(fed)" -gt "$1" ]; }
check "the event loop feeds systemd's watchdog" soon more_than $((before + 1))
kill -STOP "$DAEMON_PID"
is_dead() { alive | grep -q false; }
check "a stopped daemon counts as dead for the hook" within 10 is_dead
before=$(fed)
sleep 1
is "and to systemd" "$(fed)" "$before"
kill -CONT "$DAEMON_PID"
check "until it continues" soon beats
check "and feeds the watchdog again" soon more_than "$before"
daemon_stop

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A local user without privileges can neither serve connections of another user's service, nor stop, slow down or block
# the daemon.
. "$(dirname "$0")/lib/lib.sh"

NOBODY=65534 SOMEBODY=1000

# A lower limit, so that piled-up descriptors show sooner.
ulimit -n 8192

# as UID[:GID] COMMAND...: without groups and capabilities
as() { server setpriv --reuid "${1%:*}" --regid "${1#*:}" --clear-groups -- "${@:2}"; }
# intrudes NAME ARGUMENT...: in the background, as user nobody; output in $TMP/NAME.log
intrudes() {
	local name=$1
	rm -f "$TMP/$name.log"
	spawn server "$name" setpriv --reuid $NOBODY --regid $NOBODY --clear-groups -- python3 "$TMP/intruder.py" "${@:2}"
}
intruder() { as "$1" timeout 20 python3 "$TMP/intruder.py" "${@:2}" 2>&1; }
said() { grep -q "$2" "$TMP/$1.log"; }

# beats_on SECONDS: whether the daemon is alive all that time, its heartbeat never older than a second and a half
beats_on() {
	local end=$((SECONDS + $1)) age
	while [ $SECONDS -lt $end ]; do
		age=$(status datapaths.0.daemon.heartbeat_age_ms)
		echo "heartbeat_age_ms: $age"
		[ "${age:-9999}" -le 1500 ] || return 1
		sleep 0.2
	done
}

# asks_line ADDRESS PORT [COUNT]: how many of the clients are served by server.py line
asks_line() { asks "$1" "$2" --count "${3:-20}" --request $'hello\n' | json ok; }

lab_up
cp "$HERE/intruder.py" "$TMP/"
config one 7000
service two 7001
service three 7003
service device 7006
service_on wide "*:7007" --
service_on named "$SERVER4:7004" "[$SERVER6]:7004" -- user=$SOMEBODY
service_on grouped "$SERVER4:7005" -- group=$SOMEBODY
daemon_start
server_start two "$SERVER4" 7001 line

# ---------------------------------------------------------------------------------------- a registration depends on its
# socket
server ip link add d1 type veth peer name d2
server ip link set d1 up
for row in "$SERVER4 $SERVER4 shutdown" "$SERVER6 :: shutdown" "$SERVER4 0.0.0.0 shutdown" "$SERVER6 $SERVER6 device s0"; do
	read -r theirs ours how device <<<"$row"
	what="registered at $theirs, then $how, server at $ours"
	intrudes hijack hijack "$RUN/one.sock" "$theirs" 7000 "$how"
	hijack=$PID
	soon said hijack free || bail "the intruder did not register"
	is "$what: the intruder did register" "$(head -n 1 "$TMP/hijack.log")" listening
	rm -f "$TMP/right.log"
	spawn server right env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" "$ours" 7000 --mode line ${device:+--device "$device"}
	right=$PID
	soon said right listening || bail "the server does not listen"
	is "$what: every client is served by the server" "$(asks_line "$theirs" 7000)" 20
	is "$what: the intruder gets no client" "$(grep -c stolen "$TMP/hijack.log")" 0
	check "$what: the intruder is cut off" soon said hijack "cut off"
	killed "$hijack"
	killed "$right"
done

# ------------------------------------------------- another user's server beside the service's own server fills no queue
# root_serves: a server with the preload at the IPv4 address alone; its process is in $PID
root_serves() {
	rm -f "$TMP/right.log"
	spawn server right env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" "$SERVER4" 7007 --mode line
	soon said right listening || bail "the server does not listen"
}
root_serves
right=$PID
intrudes fill fill "$RUN/wide.sock" "$SERVER6" 7007 600
check "at another address of the service, after its own server: the intruder connects to itself" soon said fill filled
is "it was not registered" "$(head -n 1 "$TMP/fill.log")" "refused EADDRINUSE"
is "every client of the service's own server is served" "$(asks_line "$SERVER4" 7007)" 20
killed "$PID"
killed "$right"
soon shows wide state "no server"
intrudes fill fill "$RUN/wide.sock" "$SERVER6" 7007 600
check "at another address of the service, before its own server: the intruder connects to itself" soon said fill filled
is "it was registered" "$(head -n 1 "$TMP/fill.log")" listening
root_serves
check "it is cut off" soon said fill "cut off"
is "every client of the service's own server is served again" "$(asks_line "$SERVER4" 7007)" 20
killed "$PID"

# The next server may be one without the preload: the hook lets its clients pass to it.
intrudes hijack hijack "$RUN/three.sock" "$SERVER4" 7003 shutdown
soon said hijack "cut off"
check "then the endpoint has no server" soon shows three state "no server"
plain_start plain "$SERVER4" 7003 line
is "a server without the preload starts: it gets its clients" "$(asks_line "$SERVER4" 7003)" 20
killed "$PID"

# ------------------------------------------------------------------------------------------------------ allowed servers
is "without a socket user nobody is not registered" "$(intruder $NOBODY listen "$RUN/one.sock")" "refused EACCES"
is "the group 0 does not help" "$(intruder $NOBODY:0 listen "$RUN/one.sock")" "refused EACCES"
is "root needs none" "$(intruder 0 listen "$RUN/three.sock")" listening
is "user: another user cannot even connect" "$(intruder $NOBODY listen "$RUN/named.sock" "$SERVER4" 7004)" "not connected"
is "user: that user is registered" "$(intruder $SOMEBODY listen "$RUN/named.sock")" listening
is "user: root is" "$(intruder 0 listen "$RUN/named.sock" "$SERVER4" 7004)" listening
is "group: a user outside it cannot even connect" "$(intruder $NOBODY listen "$RUN/grouped.sock" "$SERVER4" 7005)" "not connected"
is "group: a member is registered" "$(intruder $NOBODY:$SOMEBODY listen "$RUN/grouped.sock")" listening
is "group: so is a user with it as a supplementary group" "$(server setpriv --reuid $NOBODY --regid $NOBODY --groups $SOMEBODY -- \
	timeout 20 python3 "$TMP/intruder.py" listen "$RUN/grouped.sock")" listening
is "the sockets belong to them" "$(stat -c '%a %u %g' "$RUN"/{one,named,grouped}.sock | paste -sd,)" \
	"666 0 0,600 $SOMEBODY 0,660 0 $SOMEBODY"

# A server that is bound to another device gets no clients of this one, as with the kernel.
plain_start plain 0.0.0.0 7002 line --device d1
check "bound to another device, plain: clients of this one are refused" refused "$SERVER4" 7002
killed "$PID"
spawn server device env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" 0.0.0.0 7006 --mode line --device d1
soon said device listening || bail "no server on d1"
check "bound to another device, preloaded: clients of this one are refused" refused "$SERVER4" 7006
check "and the server gets an error" said device "does not take descriptor"
killed "$PID"

# The preload passes no socket to a daemon that does not run as root.
install -d -o $NOBODY "$TMP/false" "$TMP/false/listen"
intrudes false daemon "$TMP/false/one.sock"
false=$PID
soon said false daemon
ln -s ../one.sock "$TMP/false/listen/$SERVER4:7000"
spawn server wary env LD_PRELOAD="$PRELOAD" SHAKEOFF_RUN_DIR="$TMP/false" python3 "$HERE/server.py" "$SERVER4" 7000 --mode line
soon said wary '"listening"'
check "a daemon of another user gets no listening socket" said wary "not root's"
is "a daemon of another user has received none" "$(grep -c 'got a socket' "$TMP/false.log")" 0
killed "$PID"
killed "$false"

# ------------------------------------------------------------------------- no descriptor blocks the daemon, all at once
intrudes taken linger "$RUN/one.sock" 5 60
intrudes taken-extra linger "$RUN/one.sock" 5 60 extra
intrudes listen linger "$RUN/two.sock" 1 60
intrudes listen-extra linger "$RUN/three.sock" 1 60 extra
intrudes flip flip "$RUN/three.sock" "$SERVER4" 7003 8
intrudes crowd crowd "$RUN/one.sock" 100
for name in taken taken-extra listen listen-extra; do
	check "$name: a socket that lingers was passed" soon said "$name" sent
done
intrudes pile pile 72 120 "$RUN/two.sock" "$RUN/one.sock" "$RUN/three.sock"
check "many connections wait for registration" soon said crowd crowded
is "another user's server is still registered" "$(intruder $SOMEBODY listen "$RUN/one.sock" "$SERVER4" 7000)" listening
is "and a server of root" "$(intruder 0 listen "$RUN/one.sock")" listening
# Longer than the heartbeat allows the main thread to be stuck.
check "the daemon's heartbeat stays fresh" beats_on 8
check "descriptors were piled up" soon said pile "piled up"
check "the daemon's heartbeat stays fresh then" beats_on 3
at_most "the daemon stays below its limit of descriptors" "$(find "/proc/$DAEMON_PID/fd" -type l | wc -l)" 7000
is "a server of root is registered then" "$(intruder 0 listen "$RUN/one.sock")" listening
is "the server whose O_NONBLOCK was cleared was registered" "$(head -n 1 "$TMP/flip.log")" listening
is "another service is served" "$(asks_line "$SERVER4" 7001)" 20
begin=${EPOCHREALTIME/./}
daemon_stop
at_most "SIGTERM is answered (ms)" $(((${EPOCHREALTIME/./} - begin) / 1000)) 5000
is "the daemon stops cleanly" "$DAEMON_STATUS" 0
by_kernel() { [ "$(asks_line "$SERVER4" 7001 1)" = 1 ]; }
check "another service is served by the kernel then" soon by_kernel

# ----------------------------------------------------------------------------------------- the daemon always comes back
daemon_start
is "user nobody cannot open the daemon's lock file" "$(intruder $NOBODY lock "$RUN/shakeoffd.pid")" "cannot open it"
daemon_kill
daemon_start
check "killed, it starts again" beats
daemon_stop
# As an older version left it.
echo $$ >"$RUN/shakeoffd.pid"
chmod 644 "$RUN/shakeoffd.pid"
intrudes lock lock "$RUN/shakeoffd.pid"
soon said lock "locked it" || bail "the old lock file is not locked"
daemon_start
is "an old lock file that another process holds is replaced" "$(stat -c '%a %u' "$RUN/shakeoffd.pid")" "600 0"
refuses "by an effective lock: a second daemon is refused" 'another shakeoffd runs' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoffd" --config "$CONF" --run-dir "$RUN"
chmod 644 "$RUN/shakeoffd.pid"
refuses "a running old version has its lock file: a second daemon is refused" 'another shakeoffd runs' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoffd" --config "$CONF" --run-dir "$RUN"
daemon_stop

install -d -m 1777 "$TMP/open"
refuses "a run directory of another user" "belongs to the user $NOBODY" \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoffd" --config "$CONF" --run-dir "$TMP/false"
refuses "a run directory where others can write" 'mode 1777.*may not write' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoffd" --config "$CONF" --run-dir "$TMP/open"

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A local user without rights can neither serve what is another's, nor stop, slow or keep from starting the daemon.
. "$(dirname "$0")/lib/lib.sh"

NOBODY=65534 SOMEBODY=1000

# What is piled up would show sooner.
ulimit -n 8192

# as UID[:GID] COMMAND...: without groups and capabilities
as() { server setpriv --reuid "${1%:*}" --regid "${1#*:}" --clear-groups -- "${@:2}"; }
# intrudes NAME ARGUMENT...: in the background, as nobody; output in $TMP/NAME.log
intrudes() {
	local name=$1
	rm -f "$TMP/$name.log"
	spawn server "$name" setpriv --reuid $NOBODY --regid $NOBODY --clear-groups -- python3 "$TMP/intruder.py" "${@:2}"
}
intruder() { as "$1" timeout 20 python3 "$TMP/intruder.py" "${@:2}" 2>&1; }
said() { grep -q "$2" "$TMP/$1.log"; }

# beats_on SECONDS: whether the daemon lives all that time, its heartbeat never older than a second and a half
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

# ------------------------------------------------------------------- a registration is worth what its socket is worth
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
	is "$what: every client is the server's" "$(asks_line "$theirs" 7000)" 20
	is "$what: the intruder has got none" "$(grep -c stolen "$TMP/hijack.log")" 0
	check "$what: the intruder is cut off" soon said hijack "cut off"
	killed "$hijack"
	killed "$right"
done

# ---------------------------------------------------------------- a stranger beside the service's own server fills no queue
# root_serves: a server with the preload at the IPv4 address alone; its process is in $PID
root_serves() {
	rm -f "$TMP/right.log"
	spawn server right env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" "$SERVER4" 7007 --mode line
	soon said right listening || bail "the server does not listen"
}
root_serves
right=$PID
intrudes fill fill "$RUN/wide.sock" "$SERVER6" 7007 600
check "at another address of the service, after its own server: he connects to himself" soon said fill filled
is "he was not registered" "$(head -n 1 "$TMP/fill.log")" "refused EADDRINUSE"
is "every client of the service's own server is served" "$(asks_line "$SERVER4" 7007)" 20
killed "$PID"
killed "$right"
soon shows wide state "no server"
intrudes fill fill "$RUN/wide.sock" "$SERVER6" 7007 600
check "at another address of the service, before its own server: he connects to himself" soon said fill filled
is "he was registered" "$(head -n 1 "$TMP/fill.log")" listening
root_serves
check "he is cut off" soon said fill "cut off"
is "every client of the service's own server is served again" "$(asks_line "$SERVER4" 7007)" 20
killed "$PID"

# The server that comes next may be one without the preload: the hook leaves its clients to it.
intrudes hijack hijack "$RUN/three.sock" "$SERVER4" 7003 shutdown
soon said hijack "cut off"
check "then the place is nobody's" soon shows three state "no server"
plain_start plain "$SERVER4" 7003 line
is "a server without the preload comes: it gets its clients" "$(asks_line "$SERVER4" 7003)" 20
killed "$PID"

# --------------------------------------------------------------------------------------------------- who may serve
is "without a socket nobody is registered" "$(intruder $NOBODY listen "$RUN/one.sock")" "refused EACCES"
is "the group 0 does not help" "$(intruder $NOBODY:0 listen "$RUN/one.sock")" "refused EACCES"
is "root needs none" "$(intruder 0 listen "$RUN/three.sock")" listening
is "user: another one cannot even connect" "$(intruder $NOBODY listen "$RUN/named.sock" "$SERVER4" 7004)" "not connected"
is "user: that one is registered" "$(intruder $SOMEBODY listen "$RUN/named.sock")" listening
is "user: root is" "$(intruder 0 listen "$RUN/named.sock" "$SERVER4" 7004)" listening
is "group: another one cannot even connect" "$(intruder $NOBODY listen "$RUN/grouped.sock" "$SERVER4" 7005)" "not connected"
is "group: a member is registered" "$(intruder $NOBODY:$SOMEBODY listen "$RUN/grouped.sock")" listening
is "group: so is one that has it beside its own" "$(server setpriv --reuid $NOBODY --regid $NOBODY --groups $SOMEBODY -- \
	timeout 20 python3 "$TMP/intruder.py" listen "$RUN/grouped.sock")" listening
is "the sockets are theirs" "$(stat -c '%a %u %g' "$RUN"/{one,named,grouped}.sock | paste -sd,)" \
	"666 0 0,600 $SOMEBODY 0,660 0 $SOMEBODY"

# A server of another device's clients gets no others, as from the kernel.
plain_start plain 0.0.0.0 7002 line --device d1
check "bound to another device, plain: clients of this one are refused" refused "$SERVER4" 7002
killed "$PID"
spawn server device env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" 0.0.0.0 7006 --mode line --device d1
soon said device listening || bail "no server on d1"
check "bound to another device, preloaded: clients of this one are refused" refused "$SERVER4" 7006
check "and the server is told" said device "does not take descriptor"
killed "$PID"

# The preload gives no socket to a daemon that is not root's.
install -d -o $NOBODY "$TMP/false" "$TMP/false/listen"
intrudes false daemon "$TMP/false/one.sock"
false=$PID
soon said false daemon
ln -s ../one.sock "$TMP/false/listen/$SERVER4:7000"
spawn server wary env LD_PRELOAD="$PRELOAD" SHAKEOFF_RUN_DIR="$TMP/false" python3 "$HERE/server.py" "$SERVER4" 7000 --mode line
soon said wary '"listening"'
check "a daemon that is not root's gets no listening socket" said wary "not root's"
is "a daemon that is not root's has got none" "$(grep -c 'got a socket' "$TMP/false.log")" 0
killed "$PID"
killed "$false"

# ------------------------------------------------------- nothing that a descriptor does holds up the daemon, all at once
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
check "a crowd stands at the door" soon said crowd crowded
is "another user's server is registered all the same" "$(intruder $SOMEBODY listen "$RUN/one.sock" "$SERVER4" 7000)" listening
is "and one of root's" "$(intruder 0 listen "$RUN/one.sock")" listening
# Longer than the heartbeat lets the main thread be stuck.
check "the daemon's heartbeat stays young" beats_on 8
check "descriptors were piled up" soon said pile "piled up"
check "the daemon's heartbeat stays young then" beats_on 3
at_most "the daemon stays away from its limit of descriptors" "$(find "/proc/$DAEMON_PID/fd" -type l | wc -l)" 7000
is "a server of root's is registered then" "$(intruder 0 listen "$RUN/one.sock")" listening
is "the server whose O_NONBLOCK was cleared was registered" "$(head -n 1 "$TMP/flip.log")" listening
is "another service is served" "$(asks_line "$SERVER4" 7001)" 20
begin=${EPOCHREALTIME/./}
daemon_stop
at_most "SIGTERM is answered (ms)" $(((${EPOCHREALTIME/./} - begin) / 1000)) 5000
is "the daemon stops cleanly" "$DAEMON_STATUS" 0
by_kernel() { [ "$(asks_line "$SERVER4" 7001 1)" = 1 ]; }
check "another service is served by the kernel then" soon by_kernel

# ------------------------------------------------------------------------------------- the daemon always comes back
daemon_start
is "nobody can open the daemon's lock file" "$(intruder $NOBODY lock "$RUN/shakeoffd.pid")" "cannot open it"
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
is "an old lock file that somebody holds is replaced" "$(stat -c '%a %u' "$RUN/shakeoffd.pid")" "600 0"
refuses "by a lock that holds: a second daemon" 'another shakeoffd runs' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoffd" --config "$CONF" --run-dir "$RUN"
chmod 644 "$RUN/shakeoffd.pid"
refuses "an old version that runs has its lock file: a second daemon" 'another shakeoffd runs' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoffd" --config "$CONF" --run-dir "$RUN"
daemon_stop

install -d -m 1777 "$TMP/open"
refuses "a run directory of another user" "belongs to the user $NOBODY" \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoffd" --config "$CONF" --run-dir "$TMP/false"
refuses "a run directory where others can write" 'mode 1777.*may not write' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoffd" --config "$CONF" --run-dir "$TMP/open"

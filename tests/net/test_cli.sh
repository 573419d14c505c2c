#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The command line: text and JSON, help, its output about listening sockets and accept queues, and the commands that
# work while the daemon is down.
. "$(dirname "$0")/lib/lib.sh"

shakeoff() { server "$BUILD/shakeoff" "$@"; }
is_json() { check "$1 --json is JSON" sh -c "nsenter --net=/run/netns/$LAB-server $BUILD/shakeoff $1 --json | python3 -m json.tool"; }

# queue_of NAME FIELD: a field of a service in `shakeoff queues`
queue_of() {
	shakeoff queues --json | python3 -c '
import json, sys
print(*(queue[sys.argv[2]] for queue in json.load(sys.stdin)["queues"] if queue["service"] == sys.argv[1]))' "$@"
}

dead() { alive | grep -q false; }

lab_up

# -------------------------------------------------------------------------------------------------- help, nothing there

for command in attach detach status stats queues connections key "key show" "key rotate" "key generate"; do
	# shellcheck disable=SC2086 # words
	check "$command --help" shakeoff $command --help
done
check "--help" shakeoff --help
is "shakeoffd --check: the example is correct" "$(server "$BUILD/shakeoffd" --check "$BUILD/shakeoff.conf.example")" \
	"$BUILD/shakeoff.conf.example: configuration OK"
config_daemon discover=perhaps
refuses "shakeoffd --check: a wrong file is refused with its line" ':3: read .discover = perhaps., but discover is yes or no' \
	"$BUILD/shakeoffd" --check "$CONF"
matches "shakeoffd --help-config: every key is there" "$("$BUILD/shakeoffd" --help-config)" '^  reply-budget = NUMBER$'
refuses "shakeoffd --help-config: another form is refused" 'mdoc or example' "$BUILD/shakeoffd" --help-config=html
refuses "detach without an attachment" 's0' nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" detach s0
refuses "attach to nothing" 'nosuch0' nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" attach nosuch0
for command in status stats queues connections; do
	check "$command on a host without anything" sh -c "nsenter --net=/run/netns/$LAB-server $BUILD/shakeoff $command --json >/dev/null; [ \$? -le 1 ]"
done

# ---------------------------------------------------------------------------------- listening sockets, no configuration

server_plain() { # NAME ADDRESS PORT BACKLOG [ARGUMENT...]
	spawn server "$1" python3 "$HERE/server.py" "$2" "$3" --mode hold --backlog "$4" "${@:5}"
	soon grep -q listening "$TMP/$1.log" || bail "server.py does not listen on $2 port $3"
}

attached=$(shakeoff attach s0)
matches "attach prints the mode and both programs" "$attached" '^s0: attached in native mode \(program [0-9]+, tc program [0-9]+\)$'
matches "attach prints what to start when no daemon runs" "$attached" '^No daemon is running: start .shakeoffd.'
matches "a second attach finds both attached" "$(shakeoff attach s0)" '^s0: already attached in native mode \(program [0-9]+, tc program [0-9]+\)$'
matches "status reports that no daemon runs" "$(shakeoff status)" '^Daemon +not running'
matches "status without a daemon: no service" "$(shakeoff status)" 'No service is published'

server ip link add d0 type veth peer name d1
check "attach to a second interface" shakeoff attach d0
is "both interfaces share one datapath" "$(status interfaces.0.datapath)" "$(status interfaces.1.datapath)"
check "detach it again" shakeoff detach d0
server ip link del d0

nginx_start 80 100 plain
server_plain greedy "$SERVER4" 7001 65535
server_plain mptcp "$SERVER4" 7002 10 --mptcp
server_plain group1 "$SERVER4" 7003 30 --reuseport
server_plain group2 "$SERVER4" 7003 30 --reuseport
daemon_start_bare
soon shows "$SERVER4:80" state idle
is "status: a discovered listening socket is idle" "$(shown "$SERVER4:80" state)/$(shown "$SERVER4:80" handoff)" idle/listener
is "status: it is marked as discovered" "$(shown "$SERVER4:80" discovered)" True
is "status: an MPTCP socket is bypassed" "$(shown "$SERVER4:7002" state)/$(shown "$SERVER4:7002" bypass)" "bypassed/mptcp"
is "status: the interface supports the listener handoff" "$(status interfaces.0.admits)" true
matches "status: and names its tc program" "$(status interfaces.0.admit_id)" '^[0-9]+$'
text=$(shakeoff status)
matches "status sums the services up" "$text" '^[0-9]+ services: .*1 bypassed, [0-9]+ idle$'
matches "status: a row has the state and the handoff" "$text" "^$SERVER4:80 +idle .*listener +discovered +1 "
matches "status: the columns have headings" "$text" '^Interface +Mode +Attached by +MTU +XDP id +Tc id +Tc program +Name$'
matches "status: the tc program works" "$text" '^s0 .* [0-9]+ +[0-9]+ +works +shakeoff_xdp$'
matches "status: the reason is explained once, below" "$text" '^mptcp: an MPTCP socket'
is "status: bypassed services come before idle ones" "$(printf '%s\n' "$text" | grep -nE '^10\.9\.0\.1:' | head -n 1 | grep -c 7002)" 1
matches "attach does not mention a running daemon" "$(shakeoff attach s0 | wc -l)" '^1$'

is "queues: the capacity is the listen backlog" "$(queue_of "$SERVER4:80" send_q)/$(queue_of "$SERVER4:80" send_q_cause)" "100/listen backlog"
is "queues: or sysctl somaxconn" "$(queue_of "$SERVER4:7001" send_q)/$(queue_of "$SERVER4:7001" send_q_cause)" \
	"$(server cat /proc/sys/net/core/somaxconn)/somaxconn"
is "queues: sockets at one port are one queue" "$(queue_of "$SERVER4:7003" send_q)/$(queue_of "$SERVER4:7003" servers)" 60/2
spawn client waiting python3 -c '
import socket, sys, time
waiting = [socket.create_connection((sys.argv[1], 7001)) for _ in range(3)]
time.sleep(600)' "$SERVER4"
waits() { [ "$(queue_of "$SERVER4:7001" recv_q)" = 3 ]; }
soon waits
is "queues: Recv-Q is the number of connections in the listening socket" "$(queue_of "$SERVER4:7001" recv_q)" 3
matches "queues: services with waiting connections come first" "$(shakeoff queues | sed -n 2p)" "^$SERVER4:7001 +3 "
matches "queues: the columns have headings" "$(shakeoff queues)" '^Service +Recv-Q .* Servers +Top source +Addresses$'
# script(1) gives the command a terminal.
on_terminal() { TERM=xterm server script -qec "$BUILD/shakeoff $*" /dev/null; }
matches "status has colours on a terminal" "$(on_terminal status)" $'\033\\[32mworks'
matches "none with NO_COLOR" "$(NO_COLOR=1 on_terminal status | grep -c $'\033')" '^0$'
matches "none in a pipe" "$(shakeoff status | grep -c $'\033')" '^0$'
matches "connections: opened by the kernel while idle" "$(shakeoff connections)" "^$SERVER4:7001 +ESTABLISHED .* kernel +-$"

# More services than a screen has lines.
spawn server many python3 -c '
import signal, socket, sys
held = [socket.create_server((sys.argv[1], 10000 + i)) for i in range(100)]
signal.pause()' "$SERVER4"
soon shows "$SERVER4:10099" state idle
matches "status lists the first and counts the rest" "$(shakeoff status)" '^and [0-9]+ more: --all lists them$'
is "status --all lists all" "$(shakeoff status --all | grep -c "^$SERVER4:")" "$(services | grep -o "$SERVER4:" | wc -l)"
is "queues --all, too" "$(shakeoff queues --all | grep -c "^$SERVER4:")" "$(services | grep -o "$SERVER4:" | wc -l)"
kill "$PID"
daemon_stop
matches "status: a stopped daemon is not running" "$(shakeoff status)" '^Daemon +not running'

# The hook answers.
printf '[discovered]\nsyncookies = always\n' >"$CONF"
daemon_spawn --config "$CONF"
soon shows "$SERVER4:80" state active
is "status: syncookies = always is active" "$(shown "$SERVER4:80" active)/$(shown "$SERVER4:80" reason)" True/always
asks "$SERVER4" 80 --count 100 --http >/dev/null
is "stats: every validated connection was given to its listening socket" "$(counter admitted)/$(counter unadmitted)" "$(counter ack_valid)/0"
is "queues: admitted, of the service" "$(queue_of "$SERVER4:80" admitted)" "$(queue_of "$SERVER4:80" ack_valid)"
at_least "queues: and cookies" "$(queue_of "$SERVER4:80" cookies)" 100
matches "connections: opened by shakeoff" "$(shakeoff connections)" "^$SERVER4:80 .* shakeoff +[0-9]+ m?s$"
daemon_stop

# A flood of any rate.
printf '[discovered]\nflood-rate = 1\n' >"$CONF"
daemon_spawn --config "$CONF"
soon shows "$SERVER4:80" state idle
client curl -s -m 20 -o /dev/null "http://$SERVER4/"
is "status: a flood activates" "$(shown "$SERVER4:80" state)/$(shown "$SERVER4:80" cause)/$(shown "$SERVER4:80" activations)" active/syn_rate/1
matches "status: with the time since its beginning" "$(shown "$SERVER4:80" active_age_ms)" '^[0-9]+$'
matches "status: in words" "$(shakeoff status)" "^$SERVER4:80 +active +syn_rate +[0-9]+ m?s +listener"
matches "status: explained" "$(shakeoff status)" '^syn_rate: more SYNs'
daemon_kill
soon dead
is "status: a dead daemon leaves the listening socket active" "$(alive)/$(shown "$SERVER4:80" state)" false/active
nginx_stop

# ---------------------------------------------------------------------------------------------------- the queue handoff

check "detach" shakeoff detach s0
config web 80 backlog=100
daemon_start
nginx_start 80
asks "$SERVER4" 80 --count 100 --http >/dev/null

for command in status stats queues connections; do
	check "$command" shakeoff $command
	is_json $command
done
for name in syn_received synack_sent ack_valid ack_invalid admitted established accepted overflow passed; do
	matches "stats --json has counters.$name as an integer" "$(counter $name)" '^[0-9]+$'
done
at_least "syn_received counts" "$(counter syn_received)" 100
is "every validated connection was established" "$(counter established)" "$(counter ack_valid)"
is "and accepted" $(($(counter accepted) - $(queue from_kernel))) "$(counter ack_valid)"
is "status: a service with the queue handoff is always active" "$(shown web state)/$(shown web reason)/$(shown web discovered)" active/always/False

# A long connection.
spawn client lasting python3 -c '
import socket, sys, time
conn = socket.create_connection((sys.argv[1], 80))
time.sleep(600)' "$SERVER4"
soon sh -c "nsenter --net=/run/netns/$LAB-server $BUILD/shakeoff connections --json | grep -qi established"
matches "connections lists it with its state" "$(shakeoff connections --json)" '"ESTABLISHED"|"ESTAB"|"established"'
matches "connections shows its peer" "$(shakeoff connections)" "10\.9\.0\.2"
matches "queues shows the service and its capacity" "$(shakeoff queues)" 'web.*\b100\b'
matches "status shows the interface" "$(shakeoff status)" 's0'

daemon_kill
soon dead
for command in stats queues connections; do
	check "$command works without the daemon" shakeoff $command
	is_json $command
done
matches "status works without the daemon, and exits with status 1" "$(shakeoff status; echo "exit $?")" '^exit 1$'
matches "status: in words" "$(shakeoff status)" '^  s0: shakeoffd is dead'
is_json status
is "status: without the daemon a service with the queue handoff is down" "$(shown web state)" "daemon down"
at_least "counters are still there" "$(counter ack_valid)" 100

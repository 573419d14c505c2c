#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The order of the programs: other tc programs are attached before ours, or return each time; ours are detached, or get
# no packets. Clients are affected only until the daemon sees it, and `shakeoff status` shows what is missing, by its
# exit status, too.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

front() { server "$BUILD/tests/net/lib/tc_front" s0 "$@"; }
first() { [ "$(front "$1" first)" = "$2" ]; }

# in_front NAME ARGUMENT...: a foreign program; in $PID
in_front() {
	local name=$1
	shift
	rm -f "$TMP/$name.log"
	spawn server "$name" "$BUILD/tests/net/lib/tc_front" s0 "$@"
	soon grep -q attached "$TMP/$name.log" || bail "tc_front does not attach"
}

gone() {
	kill "$1" 2>/dev/null
	ends "$1" || bail "tc_front does not end"
}

# load_begins, load_ends: clients of both families, one after the other; "failed/tried" of IPv4 and of IPv6
load_begins() {
	local each
	LOADS=()
	for each in "4 $SERVER4" "6 $SERVER6"; do
		rm -f "$TMP/load${each%% *}.log"
		spawn client "load${each%% *}" "$BUILD/tests/net/lib/client" --dst "${each#* }" --port 7050 --seconds 60 --concurrency 1 \
			--interval-ms 10 --timeout-ms 30000 --request $'hello\n' --json
		LOADS+=("$PID")
	done
	sleep 0.5
}
load_ends() {
	local each result
	sleep 1
	for each in "${LOADS[@]}"; do
		kill "$each" 2>/dev/null
		ends "$each" || bail "the clients do not end"
	done
	for each in 4 6; do
		result=$(tail -n 1 "$TMP/load$each.log")
		echo "$(json failed <<<"$result")/$(json tried <<<"$result")"
	done
}

# brief WHAT: of the load that ends now at most as many have failed as begin within a second: there is one every 10 ms
brief() {
	local each
	for each in $(load_ends); do
		at_most "$1: connections fail only briefly ($each)" "${each%/*}" 100
	done
}

# few_failed WHAT: the same, and no new connection fails; all come through the hook
few_failed() {
	brief "$1"
	all_admitted "$1: from then on, IPv4" "$SERVER4" 7050 50
	all_admitted "$1: from then on, IPv6" "$SERVER6" 7050 50
}

# none_failed WHAT
none_failed() { is "$1: no connection fails" "$(load_ends | sed 's:/.*::' | xargs)" "0 0"; }

# by_kernel WHAT: the hook answers no client, and no client fails
by_kernel() {
	is "$1: the kernel serves, IPv4" "$(connections "$SERVER4" 7050 30)" 0/0/0
	is "$1: the kernel serves, IPv6" "$(connections "$SERVER6" 7050 30)" 0/0/0
}

exit_status() {
	server "$BUILD/shakeoff" status "$@" >/dev/null 2>&1
	echo $?
}
as_configured() { [ "$(exit_status)" = 0 ]; }
shortfall() { server "$BUILD/shakeoff" status --json | python3 -c 'import json, sys; print(*(s["name"] for s in json.load(sys.stdin)["shortfalls"]))'; }
exits_with() { [ "$(exit_status)/$(exit_status --json)/$(exit_status s0)" = "$1" ]; }
falls_short() { [ "$(shortfall)" = "$1" ]; }

# falls_short_by WHAT NAME REGEX: and the text output shows it
falls_short_by() {
	check "$1: status reports a shortfall" soon falls_short "$2"
	check "$1: the exit status shows it" soon exits_with 1/1/1 # at first the daemon may move to the front again for a tenth of a second
	matches "$1: in words" "$(server "$BUILD/shakeoff" status)" "$3"
}

# pin_of SUFFIX: the pin of a link of s0; pins: how many there are
pin_of() { find /sys/fs/bpf/shakeoff/"$(server stat -L -c %i /proc/self/ns/net)" -name "s0:*:$1" | grep .; }
pins() { pin_of '*' 2>/dev/null | wc -l; }

lab_up
config_daemon
discovered syncookies=always
plain_start line :: 7050 line
daemon_start
found '*:7050'
is "as configured: exit status 0, also for one interface and as JSON" "$(exit_status)/$(exit_status s0)/$(exit_status --json)" 0/0/0
is "as configured: as JSON" "$(status as_configured)/$(status shortfalls)" 'true/[]'
is "wrong arguments: exit status 2" "$(exit_status --nonsense)" 2

# --------------------------------------------------------------------------------------------------------- one in front

load_begins
in_front pass ingress pass
check "a program in front that lets pass: ours is first again" soon first ingress shakeoff_admit
few_failed "a program in front that lets pass"
is "it stays attached, and ours is attached once" "$(front ingress count)" 2
matches "the log names the other program" "$(cat "$TMP/shakeoffd.log")" 'the tc program in_front \(id [0-9]+\) was before'
check "as configured again" soon as_configured
gone "$PID"

load_begins
in_front next ingress next
check "a program in front that continues with the next: ours is first again" soon first ingress shakeoff_admit
none_failed "a program in front that continues with the next, and ours attached twice while the order changes"
gone "$PID"

load_begins
in_front egress egress pass
check "a program in front at egress: ours is first again" soon first egress shakeoff_outgoi
none_failed "a program in front at egress"
gone "$PID"
front egress remove shakeoff_outgoi
check "ours is detached at egress: it is attached again" soon first egress shakeoff_outgoi
check "as configured again" soon as_configured

rm -f "$(pin_of admit-daemon)"
check "its pin is removed, and the program with it: both come back" soon pin_of admit-daemon
all_admitted "it is put back" "$SERVER4" 7050 30
check "as configured again" soon as_configured

# Filters of clsact come after all programs of tcx.
server tc qdisc add dev s0 clsact
check "a filter of clsact" server tc filter add dev s0 ingress pref 1 bpf direct-action \
	obj "$BUILD/tests/net/lib/lose_metadata.bpf.o" sec tc
all_admitted "a filter of clsact, IPv4" "$SERVER4" 7050 30
all_admitted "a filter of clsact, IPv6" "$SERVER6" 7050 30
server tc qdisc del dev s0 clsact

# ----------------------------------------------------------------------------------------------------- one that insists

# The daemon has moved it twice: the next move is over its limit.
load_begins
in_front insist ingress pass insist
insists=$PID
falls_short_by "a program that insists" tc_order 's0: another tc program runs before shakeoff.s at ingress: in_front, id [0-9]+'
brief "a program that insists"
is "the service is not protected, and status shows why" "$(shown '*:7050' state)/$(shown '*:7050' reason)" "not protected/tc_order"
matches "and why, in the text output" "$(server "$BUILD/shakeoff" status)" '^tc_order: another tc program runs before shakeoff.s'
by_kernel "a program that insists"
load_begins
gone "$insists"
echo "# it was in front $(tail -n 1 "$TMP/insist.log") times"
at_most "the daemon does not keep moving it" "$(tail -n 1 "$TMP/insist.log")" 6
check "it is gone: the hook answers again, in a second or so" within 3 shows '*:7050' state active
none_failed "it is gone"
all_admitted "it is gone" "$SERVER4" 7050 30
check "as configured again" soon as_configured

# --------------------------------------------------------------------------------------- first, but nothing comes to it

# As if the hook had validated ACKs that never came to the tc program: for example dropped on a bond's member.
lose() {
	local map
	map=$(server bpftool -j map | python3 -c '
import json, subprocess, sys
own = set(json.loads(subprocess.check_output(["bpftool", "-j", "prog", "show", "id", sys.argv[1]]))["map_ids"])
print(*(each["id"] for each in json.load(sys.stdin) if each.get("name") == "admissions" and each["id"] in own))' \
		"$(status interfaces.0.admit_id)")
	server python3 - "$map" "$(server cat /sys/class/net/s0/ifindex 2>/dev/null || server ip -o link show s0 | cut -d: -f1)" <<-'PY'
		import json, subprocess, sys
		def octets(number, size): return [f"0x{octet:02x}" for octet in number.to_bytes(size, "little")]
		key = octets(int(sys.argv[2]), 4)
		entry = json.loads(subprocess.check_output(["bpftool", "-j", "map", "lookup", "id", sys.argv[1], "key", *key]))
		value = bytes(int(octet, 16) for octet in entry["value"])
		claimed = int.from_bytes(value[:8], "little") + 10
		subprocess.check_call(["bpftool", "map", "update", "id", sys.argv[1], "key", *key,
				       "value", *octets(claimed, 8), *(f"0x{octet:02x}" for octet in value[8:])])
	PY
}
lose
# The daemon would try again after two seconds: it is stopped until all is seen.
check "ACKs that do not come: status shows why" soon shows '*:7050' reason tc_lost
kill -STOP "$DAEMON_PID"
matches "ACKs that do not come: it is a shortfall" "$(shortfall)" '\btc_lost$'
is "ACKs that do not come: the exit status shows it" "$(exit_status)" 1
matches "ACKs that do not come: in words" "$(server "$BUILD/shakeoff" status)" \
	's0: validated ACKs do not reach the tc program'
by_kernel "ACKs that do not come"
kill -CONT "$DAEMON_PID"
check "after a while it is tried again" soon shows '*:7050' state active
all_admitted "it is tried again" "$SERVER4" 7050 30
check "as configured again" soon as_configured

# ----------------------------------------------------------------------------------------------------------- the daemon

kill -STOP "$DAEMON_PID"
falls_short_by "a daemon that stands still" daemon_dead 's0: shakeoffd is dead or hangs'
kill -CONT "$DAEMON_PID"
check "it continues: as configured" soon as_configured
daemon_stop
is "nothing is attached: exit status 1" "$(exit_status)" 1
server "$BUILD/shakeoff" attach s0 >/dev/null
is "no daemon: exit status 1" "$(exit_status)/$(shortfall)" 1/daemon_not_running

# Across daemons: the first daemon leaves its second instance attached, and the next daemon has another.
attached_pins=$(pins)
daemon_start
in_front pass ingress pass
check "attached by a command: ours is first again" soon first ingress shakeoff_admit
gone "$PID"
daemon_stop
in_front pass ingress pass
is "without a daemon it is not first, and status shows it" "$(exit_status)/$(shortfall)" '1/daemon_not_running tc_order'
daemon_start
check "the next daemon puts it first" soon first ingress shakeoff_admit
soon shows '*:7050' state active
all_admitted "the next daemon" "$SERVER4" 7050 30
is "ours is attached once, with one pin of each" "$(front ingress count)/$(pins)" "2/$attached_pins"
daemon_stop
server "$BUILD/shakeoff" detach s0
is "detached: the other stays, and no pin remains" "$(front ingress count)/$(front egress count)/$(pins)" 1/0/0
gone "$PID"

# ------------------------------------------------------------------------------------------------------ the XDP program

server ip link add v0 type veth peer name v1
server ip link set v0 up
server ip link set v1 up
server ip link set dev s0 xdpdrv obj "$BUILD/handshake.bpf.o" sec xdp
sed -i 's/^interface = s0/&\ninterface = v0/' "$CONF"
daemon_start
found '*:7050'
check "two interfaces: as configured" soon as_configured
server ip link del v0
falls_short_of_v0() { falls_short interface_missing && server "$BUILD/shakeoff" status | grep -q 'v0: the configuration names it'; }
check "a removed interface is missed" soon falls_short_of_v0
server ip link add v0 type veth peer name v1
server ip link set v0 up
server ip link set v1 up
check "it is back: as configured" soon as_configured
load_begins
server ip link set dev s0 xdp off
taken_away() { grep -q 's0 has lost the program of this daemon: it was taken away' "$TMP/shakeoffd.log"; }
check "the XDP program is detached: the daemon notices" within 5 taken_away
none_failed "the XDP program is taken off: the kernel serves"
check "status misses the interface" soon falls_short interface_missing
is "status of the other interface: as configured" "$(exit_status v0)" 0
is "status of the interface alone" "$(exit_status s0)" 1
daemon_stop

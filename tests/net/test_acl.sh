#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The ACL of sources: the effect of block, unblock, allow, disallow and acl on clients, with the daemon and without it,
# and of several commands at once.
. "$(dirname "$0")/lib/lib.sh"

OTHER4=10.9.0.3 OTHER6=2001:db8:9::3

shakeoff() { server "$BUILD/shakeoff" "$@"; }

# serves FROM ADDRESS PORT: succeeds if a client is answered
serves() {
	client python3 -c '
import socket, sys
try:
    with socket.create_connection((sys.argv[2], int(sys.argv[3])), timeout=1.5, source_address=(sys.argv[1], 0)) as conn:
        conn.sendall(b"hello\n")
        sys.exit(conn.recv(100) != b"hello\n")
except OSError:
    sys.exit(1)' "$@"
}

# whom PORT: prints which of the clients are answered; all connect at once
whom() {
	local from asked=() served=
	for from in "$CLIENT4" "$OTHER4"; do
		serves "$from" "$SERVER4" "$1" &
		asked+=("$from $!")
	done
	for from in "$CLIENT6" "$OTHER6"; do
		serves "$from" "$SERVER6" "$1" &
		asked+=("$from $!")
	done
	for from in "${asked[@]}"; do
		! wait "${from#* }" || served+=" ${from% *}"
	done
	echo "${served# }"
}
everybody="$CLIENT4 $OTHER4 $CLIENT6 $OTHER6"

# misused WHAT REGEX COMMAND...: exit status 2 and one line that matches
misused() {
	local what=$1 want=$2 output status
	shift 2
	output=$(shakeoff "$@" 2>&1 >/dev/null)
	status=$?
	matches "$what" "$status $output" "^2 .*$want"
}

# The number of entries in the kernel, including expired ones, which `acl show` omits.
held() {
	python3 - "$(server ip -d link show s0 | sed -n 's/.*prog\/xdp id \([0-9]*\).*/\1/p')" <<-'EOT'
		import json, subprocess, sys
		ask = lambda *words: json.loads(subprocess.check_output(["bpftool", "-j", *words]))
		count = 0
		for outer in ask("prog", "show", "id", sys.argv[1])["map_ids"]:
		    if ask("map", "show", "id", str(outer))["name"] not in ("acl4", "acl6"):
		        continue
		    for element in ask("map", "dump", "id", str(outer)):
		        inner = int.from_bytes(bytes(int(byte, 16) for byte in element["value"]), sys.byteorder)
		        count += len(ask("map", "dump", "id", str(inner)))
		print(count)
	EOT
}
holds() { [ "$(held)" = "$1" ]; }

lab_up
# The client must not be a gateway, which is not blocked without --force.
server ip route del 100.64.0.0/10
server ip -6 route del 3fff::/32
client ip addr add "$OTHER4/24" dev c0
client ip addr add "$OTHER6/64" dev c0 nodad
refuses "block without the program" 'not attached' nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" block 192.0.2.1
config web 80
service other 81
daemon_start
for port in 80 81; do
	for address in "$SERVER4" "$SERVER6"; do
		server_start "line-$port-$address" "$address" "$port" line
	done
done

# --------------------------------------------------------------------------------------------------------- block, allow

is "nothing is listed: all clients are served" "$(whom 80)" "$everybody"
is "nothing is shown" "$(shakeoff acl show)" ""
check "block prints nothing" sh -c "[ -z \"\$(nsenter --net=/run/netns/$LAB-server $BUILD/shakeoff block $CLIENT4 2>&1)\" ]"
is "a blocked host is not served, its neighbour is" "$(whom 80)" "$OTHER4 $CLIENT6 $OTHER6"
at_least "dropped packets are counted" "$(counter acl_blocked)" 1
shakeoff block 2001:db8:9::/64 --force
is "nor is a blocked network" "$(whom 80)" "$OTHER4"
shakeoff allow "$OTHER6"
is "except an allowed host in it" "$(whom 80)" "$OTHER4 $OTHER6"
is "acl show lists them in order, as they are written" "$(shakeoff acl show)" \
	"block $CLIENT4
block 2001:db8:9::/64
allow $OTHER6"
is "and as JSON" "$(shakeoff acl show --json | json datapaths.0.entries.1.prefix)" 2001:db8:9::/64
check "unblock" shakeoff unblock "$CLIENT4"
refuses "unblock removes only an entry that blocks" "there is no entry .block $OTHER6. for all services" \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" unblock "$OTHER6"
refuses "disallow removes only an entry that allows" "there is no entry .allow 2001:db8:9::/64. for all services" \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" disallow 2001:db8:9::/64
is "an unblocked host is served again" "$(whom 80)" "$CLIENT4 $OTHER4 $OTHER6"
check "disallow" shakeoff disallow "$OTHER6"
is "a disallowed host is blocked with its network" "$(whom 80)" "$CLIENT4 $OTHER4"
check "clear" shakeoff acl clear
is "after a clear all clients are served" "$(whom 80)" "$everybody"

shakeoff block "$CLIENT4" --service web
is "blocked from one service" "$(whom 80)" "$OTHER4 $CLIENT6 $OTHER6"
is "and served by the other" "$(whom 81)" "$everybody"
is "acl show names the service" "$(shakeoff acl show)" "block $CLIENT4 service web"
refuses "an unknown service is refused" 'there is no service .wab.; did you mean .web.' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" block "$CLIENT4" --service wab
refuses "unblock removes only the exact entry" "there is no entry .block $CLIENT4. for all services" \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" unblock "$CLIENT4"
check "unblock --service" shakeoff unblock "$CLIENT4" --service web

# An existing connection.
spawn client lasting python3 -c '
import os, socket, sys, time
conn = socket.create_connection((sys.argv[1], 80), timeout=20)
print("connected", flush=True)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
conn.settimeout(120)
conn.sendall(b"late\n")
print("served" if conn.recv(100) == b"late\n" else "cut", flush=True)' "$SERVER4" "$TMP/speak"
soon grep -q connected "$TMP/lasting.log"
shakeoff block "$CLIENT4"
before=$(counter acl_blocked)
touch "$TMP/speak"
check "packets of existing connections are dropped" soon grown acl_blocked $((before + 1))
check "a block cuts existing connections" sh -c "! grep -q served $TMP/lasting.log"
shakeoff acl clear
check "which continue after unblock" within 60 grep -q served "$TMP/lasting.log"

# ------------------------------------------------------------------------------------------------------------- duration

shakeoff block "$CLIENT4" --for 3s
shakeoff block 10.9.0.0/24 --for 1h30m --force
shakeoff allow "$OTHER4"
matches "acl show prints the remaining time" "$(shakeoff acl show)" "^block 10.9.0.0/24 for 1h(29m5[0-9]s|30m)\$"
is "both block" "$(whom 80)" "$OTHER4 $CLIENT6 $OTHER6"
shakeoff allow 10.9.0.0/24
check "--for ends: a shorter prefix has effect again" soon serves "$CLIENT4" "$SERVER4" 80
check "the daemon removes expired entries" soon holds 2
shakeoff acl clear

for wrong in 0 5x 1m1h -3s; do
	misused "--for $wrong is refused" 'a duration is written as 30s, 10m, 1h30m or 7d' block 192.0.2.1 --for "$wrong"
done
misused "bits after the length are refused" 'is it 192.0.2.1, or 192.0.2.0/24' block 192.0.2.1/24
misused "so is a word that is no prefix" 'a prefix is written as' block web
misused "block needs a prefix" 'an argument is missing' block
misused "an unknown action" 'did you mean .acl clear.' acl claer
misused "acl needs an action" 'an action is missing' acl
misused "unblock needs a prefix" 'an argument is missing: .unblock PREFIX' unblock
misused "load needs a file" 'an argument is missing: .acl load FILE' acl load
for action in "show" "clear" "load $TMP/list"; do
	# shellcheck disable=SC2086 # words
	misused "acl $action takes no service: it would mean all of them" 'no option .--service.' acl $action --service web
done
misused "clear prints nothing, JSON neither" 'no option .--json.' acl clear --json
misused "show needs nothing" 'one argument too many' acl show 192.0.2.1

# Words of older versions.
old="list"
misused "the old name of the command is refused with the new ones" 'use .acl show., .acl load FILE. or .acl clear.' "$old"
misused "show" 'use .acl show.' "$old" show
misused "load" 'use .acl load FILE.' "$old" load "$TMP/list"
misused "flush" 'use .acl clear.' "$old" flush
misused "delete" 'use .unblock PREFIX. or .disallow PREFIX.' "$old" delete 192.0.2.1
misused "an old action of the new command" 'use .acl clear.' acl flush

for command in block unblock allow disallow acl "acl show" "acl load" "acl clear"; do
	# shellcheck disable=SC2086 # words
	check "$command --help" shakeoff $command --help
done

# --------------------------------------------------------------------------------------------------- unintended entries

forced() { refuses "$1" "$2.*: if you mean it, add --force" nsenter --net="/run/netns/$LAB-server" "${@:3}"; }
server ip route add 198.51.100.0/24 via 10.9.0.9
server ip -6 route add 2001:db8:77::/48 via 2001:db8:9::9
session="203.0.113.99 50000 $SERVER4 22"
forced "the whole internet is not blocked by a slip" 'block 0.0.0.0/0 is shorter than /8' "$BUILD/shakeoff" block 0.0.0.0/0
forced "nor allowed" 'allow ::/0 is shorter than /16' "$BUILD/shakeoff" allow ::/0
forced "nor the host's own network" "block 10.0.0.0/8 holds $SERVER4, an address of this host" "$BUILD/shakeoff" block 10.0.0.0/8
forced "nor that of IPv6" "block 2001:db8::/32 holds $SERVER6, an address of this host" "$BUILD/shakeoff" block 2001:db8::/32
forced "nor a gateway" 'block 10.9.0.9 holds 10.9.0.9, a gateway of this host' "$BUILD/shakeoff" block 10.9.0.9
forced "nor one of IPv6" 'block 2001:db8:9::8/126 holds 2001:db8:9::9, a gateway of this host' \
	"$BUILD/shakeoff" block 2001:db8:9::8/126
forced "nor the other end of one's own session" 'block 203.0.113.0/24 holds 203.0.113.99, the other end of your SSH session' \
	env SSH_CONNECTION="$session" "$BUILD/shakeoff" block 203.0.113.0/24
# sudo gives its command another environment.
forced "nor below sudo" 'block 203.0.113.0/24 holds 203.0.113.99, the other end' \
	env SSH_CONNECTION="$session" sh -c 'env -u SSH_CONNECTION "$@"; exit $?' - "$BUILD/shakeoff" block 203.0.113.0/24
printf '198.18.0.0/15\n10.9.0.0/16\n' >"$TMP/list"
refuses "a file that has one is not loaded" "block 10.9.0.0/16 holds $SERVER4.*add --force; nothing is changed" \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" acl load "$TMP/list"
is "none of these is listed" "$(shakeoff acl show)" ""
is "--force does it" "$(shakeoff acl load --force "$TMP/list") $(shakeoff block 203.0.113.0/24 && shakeoff acl show | wc -l)" \
	"2 entries loaded 3"
shakeoff acl clear
check "no --force is needed for loopback, other networks, and the own network as allowed" \
	sh -c "for p in 'block 127.0.0.0/8' 'block fe80::/10' 'block 224.0.0.0/3' 'block 11.0.0.0/8' 'allow 10.9.0.0/24'; do nsenter \
		--net=/run/netns/$LAB-server $BUILD/shakeoff \$p || exit 1; done"
shakeoff acl clear
chmod 666 "$TMP/list"
matches "a list that others may have written gets a warning" "$(shakeoff acl load --force "$TMP/list" 2>&1)" 'can be written by users other than its owner'
rm "$TMP/list"
mkfifo "$TMP/list"
refuses "a pipe instead of a list is refused without waiting" 'is not a regular file' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" acl load "$TMP/list"
rm "$TMP/list"
is "a pipe of the shell is read" "$(shakeoff acl load <(echo 192.0.2.1))" "1 entries loaded"
shakeoff acl clear

# ---------------------------------------------------------------------------------------------------------------- files

printf '# a list\n%s\nallow %s service web ; a friend\n203.0.113.0/24 for 1h\n' "$CLIENT4" "$OTHER4" >"$TMP/list"
is "load prints how many" "$(shakeoff acl load "$TMP/list")" "3 entries loaded"
is "loaded entries have effect" "$(whom 80)" "$OTHER4 $CLIENT6 $OTHER6"
shakeoff block "$CLIENT6" --for 10m
printf '%s\n' "$OTHER6" >"$TMP/next"
shakeoff acl load "$TMP/next" >/dev/null
is "the next file replaces it, and entries added by hand stay" "$(whom 80)" "$CLIENT4 $OTHER4"
printf '192.0.2.1\nallow nobody\n' >"$TMP/wrong"
refuses "a wrong line is refused with its number" 'wrong:2: .nobody.: a prefix is written as.*nothing is changed$' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" acl load "$TMP/wrong"
is "and changes nothing" "$(whom 80)" "$CLIENT4 $OTHER4"
refuses "a file that is not there" 'No such file' nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" acl load "$TMP/nosuch"
shakeoff allow 192.0.2.7 --service web
shakeoff acl show | sed 's/ for .*//' >"$TMP/saved"
shakeoff acl clear
shakeoff acl load - <"$TMP/saved" >/dev/null
is "the output of acl show can be loaded" "$(shakeoff acl show)" "$(cat "$TMP/saved")"
matches "an unknown service in a list gets a warning" "$(echo '192.0.2.1 service later' | shakeoff acl load - 2>&1)" \
	'there is no service .later. at present'
shakeoff acl clear

# ---------------------------------------------------------------------------------------------------- several at a time

python3 -c '
for i in range(1000000):
    address = 0x64000000 + i * 1021 % 0x40000000
    print(f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}")' >"$TMP/million"
is "a million entries are loaded" "$(shakeoff acl load "$TMP/million")" "1000000 entries loaded"
is "and do not affect other clients" "$(whom 80)" "$everybody"
# Both kinds of commands at once: one replaces the maps, the others write to those in use.
pids=()
for i in $(seq 20); do
	shakeoff block "192.0.2.$i" &
	pids+=($!)
	[ "$i" -ne 10 ] || { shakeoff acl load "$TMP/next" >/dev/null & pids+=($!); }
done
wait "${pids[@]}"
is "no entry is lost when many commands change the lists at once" "$(shakeoff acl show | grep -c '^block 192\.0\.2\.')" 20
is "and the file is loaded" "$(shakeoff acl show | grep -c "^block $OTHER6\$")/$(shakeoff acl show | wc -l)" 1/21
shakeoff acl clear

# A command that waits for a list on standard input does not stop others from changing the lists.
mkfifo "$TMP/slow"
shakeoff acl load - <"$TMP/slow" >/dev/null &
slow=$!
exec 5>"$TMP/slow"
check "a list that comes slowly blocks no other command" timeout 60 nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" \
	block "$CLIENT4"
echo "$CLIENT6" >&5
exec 5>&-
wait $slow
is "both have effect when it is there" "$(whom 80)" "$OTHER4 $OTHER6"

# Nor does a command that shows them in a pager; 10,000 lines are more than a pipe holds.
head -n 10000 "$TMP/million" | shakeoff acl load - >/dev/null
mkfifo "$TMP/pager"
shakeoff acl show >"$TMP/pager" &
shown=$!
exec 5<"$TMP/pager"
read -r _ <&5
check "a list that is shown in a pager blocks no other command" timeout 60 nsenter --net="/run/netns/$LAB-server" \
	"$BUILD/shakeoff" block "$OTHER4"
exec 5<&-
wait $shown
shakeoff acl clear

# ------------------------------------------------------------------------------------------------ from daemon to daemon

pins=/sys/fs/bpf/shakeoff/$(stat -L -c %i "/run/netns/$LAB-server")
# A service has no addresses until its server has found the new daemon.
comes_back() { soon served_on web "$SERVER4:80" "[$SERVER6]:80" || bail "the server has not come back"; }
listed() { shakeoff acl show | sed 's/ for 5[0-9]m.*/ for 50m/'; }

shakeoff block "$CLIENT4" --for 59m59s
shakeoff block "$OTHER6" --service web
echo "$CLIENT6" | shakeoff acl load - >/dev/null
before=$(listed)
daemon_stop
check "the daemon detaches its program" sh -c "! nsenter --net=/run/netns/$LAB-server ip -d link show s0 | grep -q prog/xdp"
daemon_start
is "a stopped daemon leaves the lists to the next daemon" "$(listed)" "$before"
comes_back
is "its program blocks by them" "$(whom 80)" "$OTHER4"
shakeoff acl load "$TMP/next" >/dev/null
is "the next file still replaces loaded entries, and no others" "$(listed)" \
	"block $CLIENT4 for 50m
block $OTHER6
block $OTHER6 service web"
daemon_kill
daemon_start
is "after a crash the program still has them" "$(listed | wc -l)" 3
daemon_stop
mkdir -p "$TMP/unfit/web.sock/in-the-way"
matches "a daemon that takes them over, and then cannot start" \
	"$(server timeout 60 "$BUILD/shakeoffd" --config "$CONF" --run-dir "$TMP/unfit" 2>&1 | tr '\n' ' ')" 'hold again .*web.sock'
check "keeps them, too" [ -e "$pins/acl_filter" ]
shakeoff attach s0 >/dev/null
is "shakeoff attach takes them over, too" "$(listed | wc -l)" 3
shakeoff detach s0 >/dev/null
shakeoff attach s0 >/dev/null
is "detach removes them" "$(listed)" ""
shakeoff detach s0 >/dev/null
check "and leaves nothing in bpffs" [ ! -e "$pins" ]
daemon_start
shakeoff block "$CLIENT4"
daemon_stop
check "the lists stay in bpffs" [ -e "$pins/acl_filter" ]
daemon_start
shakeoff acl clear
daemon_stop
check "bpffs is empty when nothing is listed" [ ! -e "$pins" ]
daemon_start
comes_back

# ------------------------------------------------------------------------------------------------ while others are busy

# With a lock of its own, which can be held for long without disturbing other tests.
# shellcheck disable=SC2016 # for the inner shell
own_lock=(unshare --mount sh -c 'mount --bind "$0" /run/shakeoff-acl.lock && exec "$@"' "$TMP/lock")
touch "$TMP/lock"
# Without a daemon its exit status is 1.
attached() { shakeoff status 2>/dev/null | grep -q "^Daemon"; }

daemon_stop
shakeoff attach s0 >/dev/null
exec 6>"$TMP/lock"
flock 6
server "${own_lock[@]}" "$BUILD/shakeoff" block "$CLIENT4" 6>&- &
waiting=$!
sleep 1
shakeoff detach s0 >/dev/null
server "${own_lock[@]}" "$BUILD/shakeoff" attach s0 >/dev/null 6>&- &
soon attached
flock -u 6
wait $waiting
is "a block that had to wait has effect in the new program" "$(shakeoff acl show)" "block $CLIENT4"
wait $!
shakeoff detach s0 >/dev/null
flock 6
spawn server shakeoffd "${own_lock[@]}" "$BUILD/shakeoffd" --run-dir "$RUN" --config "$CONF" 6>&-
# shellcheck disable=SC2034 # for ready
DAEMON_PID=$PID
check "a daemon does not wait forever for a stopped command" within 60 ready web
matches "and logs it" "$(cat "$TMP/shakeoffd.log")" 'could not be restored: a command keeps the lists locked'
daemon_stop
exec 6>&-
daemon_start
comes_back

# --------------------------------------------------------------------------------------------------- without the daemon

daemon_kill
shakeoff block "$CLIENT4" --for 4s
client python3 -c '
import socket, sys
try:
    socket.create_connection((sys.argv[1], 80), timeout=0.5)
except OSError:
    pass' "$SERVER4"
at_least "without the daemon the hook blocks" "$(server "$BUILD/shakeoff" stats --json | json verdicts.acl_blocked)" 1
nothing_shown() { [ -z "$(shakeoff acl show)" ]; }
check "an expired entry is not shown" soon nothing_shown
is "though it is still in the map" "$(held)" 1
daemon_start
check "a new daemon does" soon holds 0
check "all clients are served again" soon serves "$CLIENT4" "$SERVER4" 80

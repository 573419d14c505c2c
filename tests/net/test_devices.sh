#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The devices that the hook is attached to: devices that cannot be served are refused with one sentence, devices that
# change while it is attached stay protected, and status never reports protection where nothing is answered.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

shakeoff() { server "$BUILD/shakeoff" "$@"; }
SERVER_NS=(nsenter "--net=/run/netns/$LAB-server" --)
# interface NAME FIELD: a field of an interface in status
interface() {
	shakeoff status --json | python3 -c '
import json, sys
print(*(json.dumps(i[sys.argv[2]]) if not isinstance(i[sys.argv[2]], str) else i[sys.argv[2]] for i in json.load(sys.stdin)["interfaces"] if i["name"] == sys.argv[1]))' "$@" 2>/dev/null
}
interface_shows() { [ "$(interface "$1" "$2")" = "$3" ]; }
logged() { grep -qE -- "$1" "$TMP/shakeoffd.log"; }

lab_up
config_daemon
discovered syncookies=always
plain_start dual :: 7000 line

# ------------------------------------------------------------------------------------------- without an Ethernet header

tun_up() { server ip tuntap add dev tun0 mode tun 2>/dev/null && server ip link set tun0 up; }
if tun_up; then
	refuses "tun: attach reports that it has no Ethernet header, and what to do" \
		'tun0 carries packets without an Ethernet header \(tun\).*attach to the Ethernet devices' \
		"${SERVER_NS[@]}" "$BUILD/shakeoff" attach tun0
	printf '[daemon]\ninterface = s0\ninterface = tun0\n' >"$TMP/tun.conf"
	refuses "tun: so does the daemon about its configuration" 'interface tun0 carries packets without an Ethernet header' \
		"${SERVER_NS[@]}" "$BUILD/shakeoffd" --config "$TMP/tun.conf" --run-dir "$RUN"
	is "tun: nothing was attached" "$(server ip link show | grep -c xdp)" 0
	# Attached in another way it is named, and the other interfaces work.
	check "shakeoff attach" shakeoff attach s0
	server ip link set dev tun0 xdpgeneric obj "$BUILD/handshake.bpf.o" sec xdp || bail "ip link does not attach"
	printf '[discovered]\nsyncookies = always\n' >"$TMP/all.conf"
	daemon_start_bare --config "$TMP/all.conf"
	check "ip link, tun: the log names it" soon logged 'interface tun0 carries packets without an Ethernet header'
	check "ip link, tun: services are active on the other interface" soon shows '*:7000' state active
	is "ip link, tun: status shows why nothing is answered there" "$(interface tun0 reason)/$(interface tun0 admits)" \
		no_ethernet/false
	all_admitted "ip link, tun: on the other interface" "$SERVER4" 7000 50
	daemon_stop
	shakeoff detach s0 >/dev/null
	daemon_spawn --run-dir "$RUN"
	check "ip link, tun alone: the daemon does not start" ends "$DAEMON_PID"
	check "ip link, tun alone: it reports that no interface has shakeoff" logged 'no interface has shakeoff'
	DAEMON_PID=
	matches "ip link, tun alone: status reports that nothing is answered" "$(shakeoff status)" 'no: no Ethernet header'
	server ip link set dev tun0 xdpgeneric off
	server ip link del tun0
	rm -f "$TMP/shakeoffd.log"
else
	pass "tun # SKIP this kernel has none"
fi

# ----------------------------------------------------------------------------------------- changes while it is attached

daemon_start_bare --config "$CONF"
found '*:7000'
all_admitted "attached" "$SERVER4" 7000 50

routes() {
	server ip address replace "$SERVER6/64" dev "$1" nodad
	server ip neighbour replace "$CLIENT4" lladdr "$CLIENT_MAC" dev "$1" nud permanent
	server ip neighbour replace "$CLIENT6" lladdr "$CLIENT_MAC" dev "$1" nud permanent
}
server ip link set s0 down
server ip link set s0 name renamed0
check "renamed while it is down: status shows that it is down" soon interface_shows renamed0 reason down
is "down: no service is shown as protected" "$(shown '*:7000' state)/$(shown '*:7000' reason)" "not protected/down"
server ip link set renamed0 up
routes renamed0
check "up again under its new name: active" soon shows '*:7000' state active
check "renamed: the hook answers" soon comes_through "$SERVER4" 7000
all_admitted "renamed" "$SERVER4" 7000 50
all_admitted "renamed, IPv6" "$SERVER6" 7000 50
check "renamed: the log has both names" \
	logged 's0 is called renamed0 now, and stays protected; the configuration names s0'
server ip link set renamed0 name s0
check "named back: active" soon interface_shows s0 admits true
all_admitted "named back" "$SERVER4" 7000 50

# The SYN-ACK's offer follows the MTU, like the kernel's.
offered() {
	client python3 -c '
import socket, sys
s = socket.create_connection((sys.argv[1], 7000), timeout=20)
print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))' "$SERVER4"
}
client ip link set c0 mtu 3000 2>/dev/null
for mtu in 1400 2000; do
	server ip link set s0 mtu $mtu || bail "MTU $mtu"
	check "MTU $mtu: status shows it" soon interface_shows s0 mtu $mtu
	offers() { [ "$(offered)" -le $((mtu - 40)) ] && [ "$(offered)" -ge $((mtu - 60)) ]; }
	check "MTU $mtu: the SYN-ACK's MSS is the new one's" soon offers
	all_admitted "MTU $mtu" "$SERVER4" 7000 50
done
server ip link set s0 mtu 1500
client ip link set c0 mtu 1500

# Another program is attached to the interface without the daemon's knowledge.
ip -n "$LAB-server" link add other0 type veth peer name other1 || bail "no second pair"
server ip link set other0 up
server ip link set other1 up
check "shakeoff attach: an interface that the daemon's configuration does not name" shakeoff attach other0
check "not named: status shows why nothing is answered there" soon interface_shows other0 reason not_named
is "not named: services are protected on the other one" "$(shown '*:7000' state)" active
shakeoff detach other0 >/dev/null

# An address of a device without the hook: its packets are not seen.
server ip address add 10.9.66.1/24 dev other0
plain_start other 10.9.66.1 7002 line
check "an address on another device: its service is not shown as protected" soon shows 10.9.66.1:7002 reason elsewhere
is "an address on another device: it is not protected" "$(shown 10.9.66.1:7002 state)" "not protected"
matches "an address on another device beside one on this: it is marked" "$(shakeoff status)" '10\.9\.66\.1:7000 \(elsewhere\)'
is "the service that has both is protected" "$(shown '*:7000' state)" active
server ip address add 10.9.66.1/32 dev lo
check "the same address on lo, too: its packets come in anywhere" soon shows 10.9.66.1:7002 state active
server ip address del 10.9.66.1/32 dev lo

# A listener on an address that the host does not have: no client is answered for it.
spawn server freebind python3 -c '
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
s.bind(("10.9.77.1", 7001))
s.listen()
time.sleep(600)'
config_daemon
service_on nowhere 10.9.77.1:7001 -- handoff=listener
discovered syncookies=always
daemon_stop
daemon_start
check "a service without an address of the host is not shown as protected" soon shows nowhere state "no server"
ip -n "$LAB-server" address add 10.9.77.1/32 dev s0
check "its address comes: active" soon shows nowhere state active
daemon_stop

# --------------------------------------------------------------------------------------------------------------- bridge

server ip address flush dev s0
server ip link add br0 type bridge forward_delay 0 || bail "no bridge"
server ip link set s0 master br0
server ip link set br0 address "$SERVER_MAC"
server ip link set br0 up
server ip address add "$SERVER4/24" dev br0
routes br0
netfilter=/proc/sys/net/bridge/bridge-nf-call-iptables
bridge_netfilter() { ! server test -e $netfilter || server sh -c "echo $1 >$netfilter; echo $1 >${netfilter/iptables/ip6tables}"; }
bridge_netfilter 0
config_daemon
discovered syncookies=always
daemon_start_bare --config "$CONF"
found '*:7000'
all_admitted "attached to a bridge's port, the address on the bridge" "$SERVER4" 7000 50
daemon_stop
if server test -e $netfilter; then
	bridge_netfilter 1
	daemon_start_bare --config "$CONF"
	check "a bridge that gives packets to netfilter: the reason is the bridge" soon shows '*:7000' reason bridge
	is "a bridge that gives packets to netfilter: all clients are served by the kernel" \
		"$(connections "$SERVER4" 7000 50)" 0/0/0
	daemon_stop
else
	pass "bridge-nf-call-iptables # SKIP this kernel has no br_netfilter"
fi
sed -i 's/interface = s0/interface = br0/' "$CONF"
daemon_start_bare --config "$CONF"
found '*:7000'
all_admitted "attached to the bridge itself" "$SERVER4" 7000 50
refuses "a port below a bridge that has a program: attach reports it" 's0 is below br0, which has an XDP program' \
	"${SERVER_NS[@]}" "$BUILD/shakeoff" attach s0
daemon_stop

# ------------------------------------------------------------------------------------ a table of addresses that is full

for i in $(seq 0 1699); do
	echo "address add 10.60.$((i / 250)).$((i % 250 + 1))/32 dev lo"
done | ip -n "$LAB-server" -batch - || bail "no addresses"
spawn server many python3 -c '
import socket, time
kept = [socket.create_server(("0.0.0.0", port)) for port in range(8001, 8040)]
print("listening", flush=True)
time.sleep(600)'
soon grep -q listening "$TMP/many.log" || bail "no listeners"
daemon_start_bare --config "$CONF"
room() { [ "$(shown "0.0.0.0:$1" no_room)" -gt 0 ]; }
check "more addresses than the table has room for: the highest port has none" \
	within 60 shows 0.0.0.0:8039 state "no room"
plain_start low 0.0.0.0 7100 line
check "a lower port that comes later has its addresses" within 60 shows 0.0.0.0:7100 state active
is "and all of them have room" "$(shown 0.0.0.0:7100 no_room)" 0
check "the highest ports made room for it" room 8038
matches "status shows how many have no room, and from which port on" "$(shakeoff status)" \
	'0.0.0.0:8039: [0-9]+ of its addresses have no room, from [0-9.]+:8039 on'
all_admitted "the lower port" "$SERVER4" 7100 50
is "addresses without room are served by the kernel" "$(client python3 -c '
import socket, sys
for _ in range(20):
    socket.create_connection((sys.argv[1], 8039), timeout=20)
print("connected")' "$SERVER4")" connected
daemon_stop

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# All kinds of plain listening sockets, and all ways in which packets reach them, while every SYN is answered by the hook.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

lab_up
# Everything is discovered, but for two ports.
config_daemon exclude=7090 "exclude=$SERVER4:7091"
discovered syncookies=always
daemon_start

# --------------------------------------------------------------------------------------------------- kinds of sockets

plain_start dual :: 7000 line
found '*:7000'
all_admitted "dual-stack, IPv4" "$SERVER4" 7000 200
all_admitted "dual-stack, IPv6" "$SERVER6" 7000 200
all_admitted "dual-stack, 64 clients at once" "$SERVER6" 7000 2000 --concurrency 64

plain_start any4 0.0.0.0 7001 line
found '0.0.0.0:7001'
all_admitted "IPv4 only, any address" "$SERVER4" 7001 200
plain_start bound "$SERVER6" 7002 line
found "[$SERVER6]:7002"
all_admitted "one IPv6 address" "$SERVER6" 7002 200
plain_start device 0.0.0.0 7003 line --device s0
found '0.0.0.0:7003'
all_admitted "bound to a device" "$SERVER4" 7003 200
ip -n "$LAB-server" link add other0 type veth peer name other1 || bail "no second pair"
plain_start elsewhere 0.0.0.0 7003 line --device other0 --mptcp
plain_start only 0.0.0.0 7006 line --device other0
check "bound to another device: it is bypassed, and why is shown" soon shows 0.0.0.0:7006 bypass device
is "bound to another device: what it is there says nothing of a socket here" "$(shown 0.0.0.0:7003 state)" active
all_admitted "bound to a device, beside one bound to another" "$SERVER4" 7003 200

# A listener on an address beside one on any: the kernel's look-up decides, and so does ours.
plain_start wide 0.0.0.0 7004 name --reuseport
plain_start narrow "$SERVER4" 7004 name --reuseport
narrow=$PID
found "$SERVER4:7004"
is "a listener on the address itself wins over one on any" \
	"$(client timeout 20 bash -c "exec 3<>/dev/tcp/$SERVER4/7004; cat <&3")" "$narrow"

for i in 1 2 3 4; do
	plain_start "group$i" :: 7005 name --reuseport
done
found '*:7005'
four() { shows '*:7005' servers 4; }
check "SO_REUSEPORT: four sockets are one service" soon four
is "SO_REUSEPORT: all four get their share of 400 connections" "$(client python3 -c '
import collections, socket, sys
count = collections.Counter()
for i in range(400):
    count[socket.create_connection((sys.argv[1 + i % 2], 7005), timeout=20).recv(100)] += 1
print(len(count), min(count.values()) >= 40, sum(count.values()))' "$SERVER4" "$SERVER6")" "4 True 400"

# A group whose members are chosen by a program of the server's own (SO_ATTACH_REUSEPORT_CBPF): always the second.
spawn server chosen python3 -c '
import ctypes, select, socket, struct
members = []
for _ in range(3):
    member = socket.socket()
    member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    member.bind(("0.0.0.0", 7007))
    member.listen(128)
    members.append(member)
program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 1))  # BPF_RET | BPF_K: 1
members[0].setsockopt(socket.SOL_SOCKET, 51, struct.pack("HxxxxxxQ", 1, ctypes.addressof(program)))
print("listening", flush=True)
while True:
    for member in select.select(members, [], [])[0]:
        conn, _ = member.accept()
        conn.sendall(b"%d" % members.index(member))
        conn.close()'
soon grep -q listening "$TMP/chosen.log" || bail "no group with a program"
found '0.0.0.0:7007'
before=$(let_through)
is "SO_REUSEPORT with a program: every connection is given to the member that it chooses" "$(client python3 -c '
import collections, socket, sys
count = collections.Counter(socket.create_connection((sys.argv[1], 7007), timeout=30).recv(100) for _ in range(60))
print(dict(count))' "$SERVER4")" "{b'1': 60}"
is "SO_REUSEPORT with a program: all come through the hook" $(($(let_through) - before)) 60

# What discovery is told to leave alone, and what nobody can reach from outside.
plain_start excluded 0.0.0.0 7090 line
plain_start excluded2 "$SERVER4" 7091 line
plain_start loopback 127.0.0.1 7092 line
plain_start loopback2 0.0.0.0 7094 line --device lo
plain_start after 0.0.0.0 7093 line
found '0.0.0.0:7093'
is "exclude = PORT, exclude = ADDRESS:PORT, a listener on loopback: no services" "$(services | grep -c ':709[0124]')" 0
is "an excluded port is the kernel's" "$(connections "$SERVER4" 7090 50)" 0/0/0
is "so is an excluded address and port" "$(connections "$SERVER4" 7091 50)" 0/0/0

# ------------------------------------------------------------------------------------------ how packets come to them

plain_start flight :: 7010 collect
found '*:7010'
tap client python3 "$HERE/raw_first_flight.py" 7010 4
tap client python3 "$HERE/raw_first_flight.py" 7010 6

# Threaded NAPI: ACK, data and FIN are one list to the tc program before TCP has seen the first of them.
threaded() { ip netns exec "$LAB-server" sh -c "echo $1 >/sys/class/net/s0/threaded" || bail "no threaded NAPI"; }
threaded 1
tap client python3 "$HERE/raw_bursts.py" 7010 4 100 "threaded NAPI, IPv4"
tap client python3 "$HERE/raw_bursts.py" 7010 6 100 "threaded NAPI, IPv6"
tap client python3 "$HERE/raw_first_flight.py" 7010 4
all_admitted "threaded NAPI" "$SERVER4" 7001 500
threaded 0

# Another program at tcx ingress before ours, behind which the metadata is gone: the tc program reads the cookie itself.
# The daemon would go before it: it stands still meanwhile. The hook goes on without it.
kill -STOP "$DAEMON_PID"
spawn server lose "$BUILD/tests/net/lib/lose_metadata" s0
lose=$PID
soon grep -q attached "$TMP/lose.log" || bail "lose_metadata does not attach"
all_admitted "metadata lost on the way, IPv4" "$SERVER4" 7001 200
all_admitted "metadata lost on the way, IPv6" "$SERVER6" 7002 200
tap client python3 "$HERE/raw_bursts.py" 7010 4 50 "metadata lost on the way"
tap client python3 "$HERE/raw_first_flight.py" 7010 6
kill "$lose"
ends "$lose"
kill -CONT "$DAEMON_PID"
read -r had lost < <(tail -n 1 "$TMP/lose.log")
echo "# of $had packets with metadata $lost have lost it"
at_least "it was lost indeed" "$lost" 400

# Tagged frames: with a priority alone, which the kernel takes without a VLAN device.
cat >"$TMP/tagged.py" <<'EOT'
from rawtcp import TCP, Client, Dot1Q, Tap, Wire

wire, tap = Wire(), Tap()
for family, port in ((4, 7001), (6, 7002)):
    client = Client(wire, port, family, between=[Dot1Q(vlan=0, prio=5)])
    answer = client.syn()
    tap.check(f"IPv{family}, priority tag: the SYN-ACK carries the same", answer is not None and Dot1Q in answer, repr(answer))
    wire.send(client.frame("A"), client.frame("PA", b"hello\n"))
    tap.is_(f"IPv{family}, priority tag: served", client.everything(), (b"hello\n", "F"))
EOT
cp "$HERE/rawtcp.py" "$TMP/"
before=$(counter ack_admitted)
tap client python3 "$TMP/tagged.py"
is "priority tag: through the hook" $(($(counter ack_admitted) - before)) 2

# And those of a VLAN device of the host, whose new address is a service's, too.
vlan() { # server|client DEVICE LAST-BYTE
	ip -n "$LAB-$1" link add link "$2" name "$2.9" type vlan id 9 2>/dev/null || return 1
	ip -n "$LAB-$1" address add "10.9.9.$3/24" dev "$2.9"
	ip -n "$LAB-$1" link set "$2.9" up
}
# A client that is bound to its VLAN device: any other takes an answer without a tag, too. How many of COUNT were served.
vlan_served() {
	client timeout 120 python3 -c '
import socket, sys
served = 0
for _ in range(int(sys.argv[1])):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"c0.9")
    client.settimeout(10)
    try:
        client.connect(("10.9.9.1", 7001))
        client.sendall(b"hello\n")
        served += client.recv(10) == b"hello\n"
    except OSError:
        pass
    client.close()
print(served)' "$1"
}
vlan_is_known() { server "$BUILD/shakeoff" status --json | grep -q '10.9.9.1:7001'; }
if vlan server s0 1 && vlan client c0 2; then
	client ethtool -K c0.9 tx off >/dev/null 2>&1
	check "VLAN: a new address of the host is taken up" soon vlan_is_known
	# A veth gives its peer's tags beside the frame, unless the peer puts them into it.
	before=$(let_through) passed=$(counter syn_bypass)
	is "VLAN: clients whose tag the hook does not see are served" "$(vlan_served 50)" 50
	is "VLAN: by the kernel alone" $(($(let_through) - before)) 0
	at_least "VLAN: and their SYNs are counted as passed to it" $(($(counter syn_bypass) - passed)) 50
	matches "VLAN: status says which device hides tags, and what to do" \
		"$(server "$BUILD/shakeoff" status)" 's0 has VLAN devices above it.*txvlan off'
	client ethtool -K c0 txvlan off >/dev/null || bail "no tag in the frame"
	before=$(let_through)
	is "VLAN: clients whose tag is in the frame are served" "$(vlan_served 50)" 50
	is "VLAN: all through the hook" $(($(let_through) - before)) 50
	client ethtool -K c0 txvlan on >/dev/null
	ip -n "$LAB-server" link del s0.9
else
	pass "VLAN device # SKIP this kernel has none"
fi

# A socket that is bound to a device above the interface: its SYNs come by, and the hook does not find it.
ABOVE4=10.9.8.1 ABOVE_MAC=02:00:00:09:08:01
above() {
	ip -n "$LAB-server" link add link s0 name above0 address $ABOVE_MAC type macvlan mode bridge 2>/dev/null || return 1
	ip -n "$LAB-server" address add $ABOVE4/24 dev above0
	ip -n "$LAB-server" link set above0 up
	ip -n "$LAB-server" neighbour replace 10.9.8.2 lladdr "$CLIENT_MAC" dev above0 nud permanent
	ip -n "$LAB-server" route add 100.64.0.0/10 via 10.9.8.2 metric 1
	ip -n "$LAB-client" address add 10.9.8.2/24 dev c0
	ip -n "$LAB-client" neighbour replace $ABOVE4 lladdr $ABOVE_MAC dev c0 nud permanent
}
if above; then
	plain_start above $ABOVE4 7020 line --device above0
	check "macvlan: a socket bound to it is bypassed, and why is shown" soon shows $ABOVE4:7020 bypass device
	is "macvlan: none of 100 connections fails, none comes through the hook" "$(connections $ABOVE4 7020 100)" 0/0/0
	passed() { echo $(($(counter syn_bypass) + $(counter syn_no_server))); }
	before=$(passed)
	client "$BUILD/tests/bench/flood" --dev c0 --dst $ABOVE4 --port 7020 --rate 100000 --seconds 2 --json >"$TMP/flood.log"
	at_least "macvlan: a flood passes, but what the wire loses" $(($(passed) - before)) $(($(tail -n 1 "$TMP/flood.log" | json sent) / 2))
	ip -n "$LAB-server" link del above0
else
	pass "macvlan # SKIP this kernel has none"
fi
is "the kernel refused no connection of the hook's" "$(counter unadmitted)" 0
daemon_stop

# ------------------------------------------------------------------------------------------------------- generic mode

check "shakeoff attach --mode generic" server "$BUILD/shakeoff" attach s0 --mode generic
daemon_start
found '0.0.0.0:7001'
all_admitted "generic mode, IPv4" "$SERVER4" 7001 200
all_admitted "generic mode, IPv6" "$SERVER6" 7002 200
tap client python3 "$HERE/raw_bursts.py" 7010 4 50 "generic mode"
tap client python3 "$HERE/raw_first_flight.py" 7010 6
daemon_stop
server "$BUILD/shakeoff" detach s0

# ------------------------------------------------------------------------------------------------------ discover = no

config web 7001 handoff=listener
daemon_start
check "discover = no: what is configured is served" soon shows web state active
all_admitted "discover = no, what is configured" "$SERVER4" 7001 50
is "discover = no: nothing else is a service" "$(services)" web
is "discover = no: what is not configured is the kernel's" "$(connections "$SERVER4" 7000 50)" 0/0/0

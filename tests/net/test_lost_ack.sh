#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A server that speaks first, and a client whose final ACK gets lost: the SYN-ACK is sent again, and the client says once
# more that it is there. In a flood nothing is remembered.
. "$(dirname "$0")/lib/lib.sh"

VLAN4=10.9.9.1 VLAN6=2001:db8:9:9::1

# synack_retries NUMBER: how often the host, and so the daemon, sends a SYN-ACK again
synack_retries() { server sh -c "echo $1 >/proc/sys/net/ipv4/tcp_synack_retries"; }

# begin HANDOFF ADDRESS [KEY=VALUE...]: a service and its server
begin() {
	config_daemon discover=no
	case $2 in *:*) service_on greet "[$2]:7000" -- handoff="$1" syncookies=always "${@:3}" ;;
	*) service_on greet "$2:7000" -- handoff="$1" syncookies=always "${@:3}" ;;
	esac
	rm -f "$TMP/greet.log"
	daemon_start
	if [ "$1" = queue ]; then server_start greet "$2" 7000 greet; else plain_start greet "$2" 7000 greet; fi
	SERVER_PID=$PID
	soon shows greet state active || bail "the service is not answered for"
}

end() {
	killed "$SERVER_PID"
	daemon_stop
}

# heard ADDRESS SECONDS: what is heard of the server, or silence
heard() { client python3 "$HERE/lost_ack.py" "$1" 7000 "$2"; }
queue_is() { [ "$(queue "$1")" = "$2" ]; }

# served_late WHAT ADDRESS
served_late() {
	local before begun said
	before=$(counter synack_repeated) begun=$(date +%s%N)
	said=$(heard "$2" 20)
	echo "# $1: after $((($(date +%s%N) - begun) / 1000000)) ms, with the client's start"
	is "$1: the server is heard" "$said" "220 hello"
	is "$1: the SYN-ACK was sent again for that, once" $(($(counter synack_repeated) - before)) 1
	check "$1: nothing is half-open any more" soon queue_is half_open 0
}

# A VLAN between the two; the tags are in the frames, not beside them. Not every kernel has such devices.
vlan_up() {
	client ethtool -K c0 txvlan off >/dev/null 2>&1
	server ip link add link s0 name s0.9 type vlan id 9 2>/dev/null || return
	client ip link add link c0 name c0.9 type vlan id 9
	server ip address add $VLAN4/24 dev s0.9
	client ip address add 10.9.9.2/24 dev c0.9
	server ip address add $VLAN6/64 dev s0.9 nodad
	client ip address add 2001:db8:9:9::2/64 dev c0.9 nodad
	server ip link set s0.9 up
	client ip link set c0.9 up
}

lab_up
addresses="$SERVER4 $SERVER6"
if vlan_up; then
	addresses+=" $VLAN4 $VLAN6"
else
	pass "in a VLAN of the host's # SKIP this kernel has no VLAN devices"
fi
handoffs=queue
! kernel_admits || handoffs="queue listener"
for handoff in $handoffs; do
	for address in $addresses; do
		begin "$handoff" "$address"
		served_late "$handoff, $address" "$address"
		end
	done
	begin "$handoff" "$SERVER4"
	synack_retries 0
	sleep 0.5 # the daemon follows
	is "$handoff: without repetitions it is silent" "$(heard "$SERVER4" 2.5)" silence
	end
	synack_retries 5
done

# When it is sent again, and when no more.
synack_retries 2
config greet 7000
rm -f "$TMP/greet.log"
daemon_start
server_start greet4 "$SERVER4" 7000 greet
greet4=$PID
server_start greet6 "$SERVER6" 7000 greet
soon shows greet state active || bail "the service is not answered for"
half_open() { client python3 "$HERE/raw_half_open.py" 7000 "$1" >"$TMP/half_open$1" 2>&1 || echo "not ok - IPv$1" >>"$TMP/half_open$1"; }
half_open 4 &
four=$!
half_open 6
wait $four
tap cat "$TMP/half_open4" "$TMP/half_open6"
killed "$greet4"
killed "$PID"
daemon_stop

# Whose address somebody makes up is not to be flooded by us.
synack_retries 1
for family in 4 6; do
	address=SERVER$family
	begin queue "${!address}" flood-rate=1000000
	read -r answered again windows < <(client python3 "$HERE/raw_made_up.py" 7000 $family 300 4)
	is "IPv$family: 300 made-up SYNs from one prefix: each is answered" "$answered" 300
	at_least "IPv$family: and some again" "$again" 64
	at_most "IPv$family: no more than 64 a second, in $windows seconds" "$again" $((64 * windows))
	check "IPv$family: nothing of them is left" soon queue_is half_open 0
	end
done

synack_retries 5

# A full accept queue ignores the ACK; the repetition brings another, and by then there is room.
config_daemon discover=no
service_on hold "$SERVER4:7000" -- backlog=1
daemon_start
server_start hold "$SERVER4" 7000 hold
SERVER_PID=$PID
tap client python3 "$HERE/raw_full_queue.py" 7000 "$SERVER_PID"
end

# flooded RATE: made-up SYNs for three seconds; the most that was half-open, and what was sent again
flooded() {
	local most=0 now flood
	spawn client flood "$BUILD/tests/bench/flood" --dev c0 --dst "$SERVER4" --port 7000 --rate "$1" --seconds 3 --json
	flood=$PID
	while kill -0 "$flood" 2>/dev/null; do
		now=$(queue half_open)
		[ "$now" -le "$most" ] || most=$now
	done
	wait "$flood"
	echo "$most"
}

begin queue "$SERVER4"
client python3 -c '
import socket
sockets = [socket.create_connection(("'"$SERVER4"'", 7000)) for _ in range(20)]
print(all(s.recv(100) == b"220 hello\n" for s in sockets))' | grep -qx True || fail "20 clients are greeted"
is "handshakes that are complete are not half-open, and nothing was sent again" \
	"$(soon queue_is half_open 0 && counter synack_repeated)" 0

most=$(flooded 200000)
echo "# a flood of 200,000 SYNs a second: at most $most half-open"
at_most "a flood: the table is left alone" "$most" 1000
is "a flood: nothing is sent again" "$(counter synack_repeated)" 0
check "a flood: the table is dropped" soon queue_is half_open 0
is "in the moments after it, neither is anything remembered" "$(heard "$SERVER4" 2.5)" silence

# Below flood-rate nothing tells that it is a flood: the table bounds it. Ten seconds later it is at rest again.
end
begin queue "$SERVER4" flood-rate=1000000
begin=$SECONDS
most=$(flooded 12000)
repeated=$(counter synack_repeated) took=$((SECONDS - begin + 1))
echo "# 12,000 made-up SYNs a second below flood-rate: at most $most half-open, $repeated sent again, $(counter synack_sent) answered"
at_least "made-up SYNs below flood-rate: the table fills" "$most" 4000
at_most "but not beyond its bound, and what comes in a second, until it is counted" "$most" $((8192 + 12000))
at_most "and of the SYN-ACKs no more than 4,000 a second are sent again" "$repeated" $((4000 * took))
end

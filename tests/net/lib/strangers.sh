# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Honest clients from new addresses (strangers.py), in a flood, at services that shakeoff bypasses: sourced after env.sh
# by test_bypass.sh and tests/bench/bypass.sh.
#
# The flood has one CPU, and the server's end of the wire a thread on another, with the server and the clients there:
# otherwise the flood is slowed down by the work that it causes, and a client that gets the flood's CPU never sees a
# flood.

FLOOD_CPU=0 REST_CPU=$(($(nproc) - 1))
STRANGERS=0 # used so far: of 65,536

napi_threads() { ps -eo pid=,comm= | awk '$2 ~ "^napi/s0-" { print $1 }' | sort; }

# strangers_lab: prepares the lab that is up
strangers_lab() {
	local before thread
	ip -n "$LAB-client" route add local 10.50.0.0/16 dev lo
	ip -n "$LAB-server" route add 10.50.0.0/16 via "$CLIENT4"
	before=$(napi_threads)
	ip netns exec "$LAB-server" sh -c 'echo 1 >/sys/class/net/s0/threaded' || bail "no threaded NAPI"
	for thread in $(comm -13 <(echo "$before") <(napi_threads)); do
		taskset -p -c "$REST_CPU" "$thread" >/dev/null && renice -n -10 -p "$thread" >/dev/null
	done
}

# bypassed_server SIDE ADDRESS PORT [ARGUMENT...]: a server that answers a line
bypassed_server() {
	local name=$LAB-$1-$3
	rm -f "$TMP/$name.log"
	spawn "$1" "$name" taskset -c "$REST_CPU" python3 "$HERE/server.py" "$2" "$3" --mode line --backlog 4096 "${@:4}"
	soon grep -q listening "$TMP/$name.log" || bail "server.py does not listen on $2 port $3"
}

# The three kinds of services that only the kernel can serve. Each has a port.
MPTCP_PORT=8001 FIREWALL_PORT=8002 DNAT_PORT=8003
port_of() { local name=${1^^}_PORT && echo "${!name}"; }

bypassed_mptcp() { bypassed_server server "$SERVER4" $MPTCP_PORT --mptcp; }

# As in careful firewalls: a client whose SYN was not seen cannot connect.
bypassed_firewall() {
	bypassed_server server "$SERVER4" $FIREWALL_PORT
	server nft -f - <<-EOT || bail "nft refuses the rules"
		table inet strict {
			chain input {
				type filter hook input priority filter
				ct state established,related accept
				tcp dport $FIREWALL_PORT tcp flags & (fin|syn|rst|ack) != syn drop
			}
		}
	EOT
}

# Like a container's published port, with the proxy that listens on the host. Beside a NAT rule everything is bypassed.
bypassed_dnat() {
	"$TOP/scripts/lab.sh" behind "$LAB" || bail "the namespace behind the server did not come up"
	bypassed_server behind "$BEHIND4" 80
	bypassed_server server "$SERVER4" $DNAT_PORT
	server nft -f - <<-EOT || bail "nft refuses the rules"
		table ip published {
			chain prerouting {
				type nat hook prerouting priority dstnat
				iifname s0 tcp dport $DNAT_PORT dnat to $BEHIND4:80
			}
		}
	EOT
}

is_bypassed() { [ -n "$(shown "$SERVER4:$1" bypass)" ]; }

# in_flood PORT SYNS COUNT RATE: the result of COUNT clients; one line of JSON, in which `flood` is the flood's result
in_flood() {
	local flood result
	rm -f "$TMP/flood.log"
	spawn client flood "$BUILD/tests/bench/flood" --dev c0 --dst "$SERVER4" --port "$1" --rate "$2" --seconds 60 --cpu "$FLOOD_CPU" --json
	flood=$PID
	sleep 1
	result=$(client taskset -c "$REST_CPU" python3 "$HERE/strangers.py" "$SERVER4" "$1" "$STRANGERS" "$3" "$4") || bail "no clients"
	STRANGERS=$((STRANGERS + $3))
	kill "$flood" 2>/dev/null
	ends "$flood" || bail "the flood did not end"
	RESULT="${result%\}}, \"flood\": $(tail -n 1 "$TMP/flood.log")}"
	json flood.sent <<<"$RESULT" >/dev/null || bail "the flood did not take place"
}

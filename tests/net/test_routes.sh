#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The SYN-ACK is the one that the kernel sends on that route: MSS, window, scale, hops, TOS and ECN follow routes, devices and sysctls
# while the hook answers. Where routes cannot be followed, addresses are bypassed, and it is said why.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

lab_up
# Whatever the machine has.
server sh -c 'echo "4096 131072 6291456" >/proc/sys/net/ipv4/tcp_rmem; echo 2 >/proc/sys/net/ipv4/tcp_ecn'
server ip route add 198.18.0.0/15 via 10.9.0.2
server ip -6 route add 2001:db8:77::/48 via 2001:db8:9::2
for family in 4 6; do
	address=SERVER$family
	plain_start "listener$family" "${!address}" 7000 line
	plain_start "kernel$family" "${!address}" 7001 line
done
config_daemon discover=no reply-budget=0
service listener 7000 handoff=listener
service_on queue4 "$SERVER4:7002" --
service_on queue6 "[$SERVER6]:7002" --
daemon_start
server_start queue4 "$SERVER4" 7002 line
server_start queue6 "$SERVER6" 7002 line
found listener
for family in 4 6; do soon shows "queue$family" state active; done

before=$(counter synack_sent)
tap client python3 "$HERE/route_rows.py" "$LAB-server" 7000 7002 7001
at_least "the hook has answered them" $(($(counter synack_sent) - before)) 200

# A rule for some connections alone, whose table says something else.
bypassed4() { [ "$(shown listener bypassed_addresses)" = "['10.9.0.1:7000']" ]; }
none_bypassed() { [ "$(shown listener bypassed_addresses)" = "[]" ]; }
server ip route add 10.9.0.0/24 dev s0 mtu 1300 table 100
server ip rule add from "$SERVER4" lookup 100
check "a rule by source, whose table differs: the address is bypassed within a second" within 1 bypassed4
matches "the log says why" "$(cat "$TMP/shakeoffd.log")" 'bypassed at IPv4 addresses, because of routes: policy rules.*10\.9\.0\.0/24'
matches "status says so" "$(server "$BUILD/shakeoff" status)" '10\.9\.0\.1:7000 \(bypassed\)'
is "IPv6 is answered as before" "$(connections "$SERVER6" 7000 5)" 0/0/5
before=$(counter syn_bypass)
is "IPv4 is served by the kernel" "$(connections "$SERVER4" 7000 5 | cut -d/ -f1)" 0
at_least "its SYNs have passed" $(($(counter syn_bypass) - before)) 5
server ip route change 10.9.0.0/24 dev s0 table 100
check "once the table does not differ it is answered again" within 1 none_bypassed
all_admitted "IPv4, answered again" "$SERVER4" 7000 5
server ip rule del from "$SERVER4" lookup 100

# More than there is room for.
for i in $(seq 0 16999); do
	echo "route add 100.$((64 + i / 65536)).$((i / 256 % 256)).$((i % 256)) dev s0 mtu $((1000 + i % 2))"
done >"$TMP/many"
server ip -batch "$TMP/many"
check "more routes than there is room for: the address is bypassed" soon bypassed4
matches "the log says why" "$(cat "$TMP/shakeoffd.log")" 'because of routes: more of them'
server ip route flush root 100.64.0.0/16
check "once they are gone it is answered again" soon none_bypassed

# Without lo nothing can be asked of the kernel.
daemon_stop
server ip link set lo down
server ip route replace "$RAW4" dev s0 mtu 1300
daemon_start
soon shows listener state active
is "with lo down the daemon starts, and what routes say holds from the first SYN on" \
	"$(client python3 - "$HERE" <<'EOT'
import sys
sys.path.insert(0, sys.argv[1])
from rawtcp import TCP, Client, Wire
print(dict(Client(Wire(), 7000, 4).syn()[TCP].options)["MSS"])
EOT
)" 1260

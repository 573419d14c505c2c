#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Queue handoff: what the kernel's input path refuses makes no connection, and none of its data reaches the server: the same sources are
# served and refused as by the kernel alone, which serves the neighbouring port. On kernels without BPF programs at netfilter's hooks the
# self-test is there for that.
. "$(dirname "$0")/lib/lib.sh"
if ! grep -qw bpf_nf_link_attach /proc/kallsyms; then
	pass "the input chain # SKIP this kernel has no BPF programs at netfilter's hooks"
	exit 0
fi

FOREIGN4=198.51.100.7 FOREIGN6=2001:db8:51::7 # behind c0, as far as routes say
FOREIGN=$FOREIGN4,$FOREIGN6 RAW=$RAW4,$RAW6
lab_up
ip -n "$LAB-server" route add 198.51.100.0/24 dev s0
ip -n "$LAB-server" -6 route add 2001:db8:51::/64 dev s0
ip -n "$LAB-server" neighbour replace "$FOREIGN4" lladdr "$CLIENT_MAC" dev s0 nud permanent
ip -n "$LAB-server" neighbour replace "$FOREIGN6" lladdr "$CLIENT_MAC" dev s0 nud permanent
config_pair queue 7000 backlog=8
daemon_start
server_start queue4 "$SERVER4" 7000 line 8
server_start queue6 "$SERVER6" 7000 line 8
plain_start kernel4 "$SERVER4" 7001 line
plain_start kernel6 "$SERVER6" 7001 line
check "the services are served" soon shows queue6 served True

# came PORT[,PORT...] SOURCE[,SOURCE...] [COUNT [TTL]]: in one line; "served N", "answered N" or "silent N" for each
came() { client timeout 60 python3 "$HERE/raw_input.py" "$@" | paste -sd/; }
# A SYN-ACK alone counts as nothing: behind it there is no connection.
served_or_not() { sed 's/answered\|silent/refused/g'; }
# alike WHAT SOURCE[,SOURCE] WANT: so it fares on the kernel's port, and so on ours; in both families, if there are two sources
alike() {
	local want=$3
	case $2 in *,*) want=$3/$3 ;; esac
	is "$1: by the kernel, by the queue handoff" "$(came 7001,7000 "$2" | served_or_not)" "$want/$want"
}

# ------------------------------------------------------------------------------------------------------------ the firewall
rules() {
	server nft -f - <<-EOT || bail "nft refuses the rules"
		table inet guard
		delete table inet guard
		table inet guard {
			counter by_interface { }
			counter by_loopback { }
			counter foreign { }
			chain input {
				type filter hook input priority filter; policy drop
				iifname s0 tcp dport 7000 counter name by_interface
				iifname lo tcp dport 7000 counter name by_loopback
				iifname lo accept
				icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
				$1
				ip saddr 10.9.0.0/24 accept
				ip6 saddr 2001:db8:9::/64 accept
				counter name foreign
			}
		}
	EOT
}
packets() { server nft -j list counter inet guard "$1" | json nftables.1.counter.packets; }

rules ""
alike "a source that the input chain drops" $FOREIGN "refused 1"
at_least "its ACKs and data passed the hook" "$(($(counter ack_to_input) + $(counter segment_to_input)))" 6
is "and neither came to the daemon" "$(counter ack_valid)/$(counter segment_queued)/$(counter established)" 0/0/0
alike "one that it accepts" "$RAW" "served 1"
at_least "the chain saw what it dropped" "$(packets foreign)" 4
at_least "first data come in by the interface" "$(packets by_interface)" 10
is "and nothing by lo" "$(packets by_loopback)" 0
is "20 of them, beyond the backlog, get nothing" "$(came 7000 $FOREIGN 10 | served_or_not)" \
	"refused 10/refused 10"
is "and hold no position in the accept queue" "$(server "$BUILD/shakeoff" queues --json | python3 -c '
import json, sys
print(*(queue["recv_q"] for queue in json.load(sys.stdin)["queues"]))')" "0 0"
for address in "$SERVER4" "$SERVER6"; do
	is "$address: 200 honest clients with first data: none fails, nothing is sent twice" \
		"$(connections "$address" 7000 200 --concurrency 4 | cut -d/ -f1,2)" 0/0
done

# An ACK that was refused is not a duplicate for ever: the chain opens between the first and the second.
before=$(packets foreign)
spawn client late python3 "$HERE/raw_input.py" 7000 $FOREIGN4 1 0 "$TMP/open"
late=$PID
refused_more() { [ "$(packets foreign)" -ge $((before + 3)) ]; }
soon refused_more || bail "its first ACK and data did not come to the chain"
rules "ip saddr 198.51.100.0/24 accept; ip6 saddr 2001:db8:51::/64 accept"
touch "$TMP/open"
wait "$late"
is "an ACK that was refused opens its connection later, once it is not" "$(cat "$TMP/late.log")" "served 1"
alike "once the chain accepts it" $FOREIGN "served 1"
rules "meta mark 0 ct state new,established accept"
alike "the usual rules of connection tracking" "$RAW" "served 1"
# Rules that tell a SYN from an ACK: the endpoints are bypassed, and its own handshake.
bypassed_by_rules() { [[ $(shown queue4 bypass_rule)$(shown queue6 bypass_rule) = *guard*guard* ]]; }
rules "ip saddr 198.51.100.0/24 tcp flags & (fin|syn|rst|ack) == syn drop; ip6 saddr 2001:db8:51::/64 tcp flags & (fin|syn|rst|ack) == syn drop; accept"
check "rules that look at SYNs: the endpoints are bypassed" within 10 bypassed_by_rules
is "status says why" "$(shown queue4 bypass) $(shown queue6 bypass)" "syn_rules syn_rules"
sent=$(counter synack_sent)
alike "a source whose SYNs are dropped" $FOREIGN "refused 1"
alike "any other" "$RAW" "served 1"
rules "ct state established accept; tcp flags & (fin|syn|rst|ack) == syn ct state new accept; drop"
check "only new ones with a SYN: the endpoints are bypassed" within 10 bypassed_by_rules
alike "new ones with a SYN" "$RAW" "served 1"
is "all by the kernel's own handshake" "$(counter synack_sent)" "$sent"
server nft delete table inet guard
answered_again() { came 7000 "$RAW4" && grown synack_sent "$sent"; }
check "without the rules the hook answers again" within 10 answered_again

# -------------------------------------------------------------------------------------------------------------- routes
ip -n "$LAB-server" link add other type veth peer name another && ip -n "$LAB-server" link set other up && ip -n "$LAB-server" link set another up
server sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.s0.rp_filter=1
ip -n "$LAB-server" route replace 198.51.100.0/24 dev other
alike "rp_filter, and the way back is another" $FOREIGN4 "refused 1"
alike "rp_filter, and it is this one" "$RAW4" "served 1"
alike "a martian source" 127.0.0.7 "refused 1"

# --------------------------------------------------------------------------------------------------------------- IPsec
if server ip xfrm policy list >/dev/null 2>&1; then
	ip -n "$LAB-server" route replace 198.51.100.0/24 dev s0
	# policies add|delete: of some sources alone, in front of both ports
	policies() {
		local port
		for port in 7000 7001; do
			server ip xfrm policy "$1" dir in src 198.51.100.0/24 dst "$SERVER4" proto tcp dport $port "${@:2}"
			server ip xfrm policy "$1" dir in src 2001:db8:51::/64 dst "$SERVER6" proto tcp dport $port "${@:2}"
		done
	}
	policies add tmpl proto esp mode transport
	untouched() { [ "$(came 7000 "$FOREIGN")" = "silent 1/silent 1" ]; }
	check "IPsec: endpoints that it is required for are bypassed" within 5 untouched
	sent=$(counter synack_sent)
	is "IPsec: plain segments, by the kernel, by the queue handoff" "$(came 7001,7000 "$FOREIGN")" "silent 1/silent 1/silent 1/silent 1"
	alike "IPsec: of sources that it is not for" "$RAW" "served 1"
	is "IPsec: all by the kernel's own handshake" "$(counter synack_sent)" "$sent"
	policies delete
	check "IPsec: without the policies the hook answers again" within 5 answered_again
fi

# ---------------------------------------------------------------------------------------------------------- IP_MINTTL
config_pair near 7002
service_on near_listener4 "$SERVER4:7003" -- handoff=listener
service_on near_listener6 "[$SERVER6]:7003" -- handoff=listener
daemon_stop
daemon_start
for family in 4 6; do
	address=SERVER$family
	spawn server near$family env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" "${!address}" 7002 --mode line --min-ttl 200
	for port in 7003 7004; do
		plain_start near$family$port "${!address}" $port line --min-ttl 200
	done
done
check "IP_MINTTL: the services are served" soon shows near6 served True
ports=7004,7002 far="silent 1/silent 1/silent 1/silent 1" close="served 1/served 1/served 1/served 1"
if kernel_admits; then
	check "IP_MINTTL: a listening socket is found" soon shows near_listener6 served True
	ports=$ports,7003 far="$far/silent 1/silent 1" close="$close/served 1/served 1"
fi
is "IP_MINTTL: from too far away, by the kernel and by each handoff" "$(came $ports "$RAW" 1 64)" "$far"
is "IP_MINTTL: from near" "$(came $ports "$RAW" 1 255)" "$close"

pinned=/sys/fs/bpf/shakeoff/$(stat -L -c %i "/run/netns/$LAB-server")
check "a running daemon has its program pinned" test -d "$pinned"
daemon_stop
is "a stopped daemon leaves no program behind" "$(find "$pinned" 2>/dev/null)" ""

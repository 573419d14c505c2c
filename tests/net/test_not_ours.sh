#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Traffic that only looks like a service's is not touched: forwarded packets, packets that go through NAT, group
# addresses, and ports where netfilter refuses an ACK whose SYN it has not seen. Every service that is not bypassed is
# active all the time.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

# answered_by ADDRESS PORT [COUNT [SECONDS]]: prints which servers (server.py name) answer, and how many of the
# connections
answered_by() {
	client python3 -c '
import collections, socket, sys
count = collections.Counter()
for _ in range(int(sys.argv[3])):
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[4])) as conn:
            count[conn.recv(100).decode().strip()] += 1
    except OSError as error:
        count[type(error).__name__] += 1
print(*(f"{name}:{times}" for name, times in sorted(count.items())))' "$1" "$2" "${3:-20}" "${4:-20}"
}

# Rules are seen as they change; the self-test then needs a few tries.
becomes() { # DESCRIPTION SERVICE FIELD VALUE
	if soon shows "$2" "$3" "$4"; then
		pass "$1"
	else
		fail "$1" "$3: $(shown "$2" "$3"), bypass: $(shown "$2" bypass), addresses bypassed: $(shown "$2" bypassed_addresses)"
	fi
}
bypassed() { becomes "$1: it is bypassed, and status shows why" "$2" bypass netfilter; }
back() { becomes "$1: it is active again" "$2" state active; }
none_bypassed() { is "$1: none of its addresses is bypassed" "$(shown "$2" bypassed_addresses)" '[]'; }

nft_rules() { server nft -f - || bail "nft refuses the rules"; }

lab_up
"$TOP/scripts/lab.sh" behind "$LAB" || bail "the namespace behind the server did not come up"
config_daemon
discovered syncookies=always
daemon_start

for family in 4 6; do
	address=BEHIND$family
	spawn behind "inner$family" python3 "$HERE/server.py" "${!address}" 80 --mode name
	declare "INNER$family=$PID"
	soon grep -q listening "$TMP/inner$family.log" || bail "no server behind"
	soon client timeout 1 bash -c "exec 3<>/dev/tcp/${!address}/80" || bail "the server does not forward"
done
plain_start web :: 80 name
web=$PID
plain_start proxy :: 8080 name # as docker-proxy
proxy=$PID
for port in 7001 7002 7003 7004 7005; do
	plain_start "line$port" 0.0.0.0 $port line
done
found '*:80'
found '*:8080'

# ------------------------------------------------------------------------------------------------------------ forwarded

for family in 4 6; do
	address=BEHIND$family inner=INNER$family own=SERVER$family
	is "forwarded, IPv$family: the server behind answers, though the host listens on that port" \
		"$(answered_by "${!address}" 80)" "${!inner}:20"
	is "forwarded, IPv$family: the host's own server answers at its address" "$(answered_by "${!own}" 80)" "$web:20"
done
# The host has this address, too, but on another interface.
is "the host's address on another interface is served as well" "$(answered_by 10.9.1.1 80)" "$web:20"

# ----------------------------------------------------------------------------------------------------------------- DNAT

is "before there is a rule the host's own server answers" "$(answered_by "$SERVER4" 8080)" "$proxy:20"
nft_rules <<-EOT
	table inet published {
		chain prerouting {
			type nat hook prerouting priority dstnat
			iifname s0 meta nfproto ipv4 tcp dport 8080 dnat ip to $BEHIND4:80
			iifname s0 meta nfproto ipv6 tcp dport 8080 dnat ip6 to [$BEHIND6]:80
		}
	}
EOT
bypassed "DNAT" '*:8080'
for family in 4 6; do
	address=SERVER$family inner=INNER$family
	is "DNAT, IPv$family: the server behind answers all of 100" "$(answered_by "${!address}" 8080 100)" "${!inner}:100"
done

# Beside any NAT rule, the kernel takes every request that it is given for a packet that NAT has changed, and forgets it
# (net/netfilter/nf_nat_proto.c). Untracked packets do not get there.
bypassed "beside NAT" '*:80'
is "beside NAT: the host's own server answers" "$(answered_by "$SERVER4" 80)" "$web:20"
nft_rules <<-EOT
	table inet raw {
		chain prerouting {
			type filter hook prerouting priority raw
			tcp dport 80 notrack
		}
		chain output {
			type filter hook output priority raw
			tcp sport 80 notrack
		}
	}
EOT
back "beside NAT, but notrack" '*:80'
none_bypassed "beside NAT, but notrack" '*:80'
before=$(let_through)
is "beside NAT, but notrack: the host's own server answers" "$(answered_by "$SERVER4" 80)/$(answered_by "$SERVER6" 80)" "$web:20/$web:20"
is "beside NAT, but notrack: through the hook" $(($(let_through) - before)) 40
is "beside NAT, but notrack: DNAT still works" "$(shown '*:8080' bypass)/$(answered_by "$SERVER4" 8080)" "netfilter/$INNER4:20"
server nft delete table inet raw
server nft delete table inet published
back "DNAT, rule gone" '*:8080'
none_bypassed "DNAT, rule gone" '*:8080'
is "DNAT, rule gone: the host's own server answers" "$(answered_by "$SERVER4" 8080)" "$proxy:20"

nft_rules <<-EOT
	table ip four {
		chain prerouting {
			type nat hook prerouting priority dstnat
			iifname s0 tcp dport 8080 dnat to $BEHIND4:80
		}
	}
EOT
becomes "IPv4 NAT alone: the IPv4 addresses are bypassed" '*:80' bypassed_addresses "['$SERVER4:80', '10.9.1.1:80']"
before=$(let_through)
is "IPv4 NAT alone: the host's own server answers" "$(answered_by "$SERVER4" 80)/$(answered_by "$SERVER6" 80)" "$web:20/$web:20"
is "IPv4 NAT alone: IPv6 through the hook" $(($(let_through) - before)) 20
server nft delete table ip four
becomes "IPv4 NAT gone: none of its addresses is bypassed" '*:80' bypassed_addresses '[]'

# ---------------------------------------------------------------------------------------------------- rules that refuse

nft_rules <<-EOT
	table inet strict {
		chain input {
			type filter hook input priority filter
			ct state established,related accept
			tcp dport 7001 tcp flags & (fin|syn|rst|ack) == syn ct state new accept
			tcp dport 7001 drop
		}
	}
EOT
bypassed "nftables: new ones by SYN only" 0.0.0.0:7001
is "nftables: new connections only with a SYN: none of 100 connections fails, none comes through the hook" "$(connections "$SERVER4" 7001 100)" 0/0/0

# A bypassed service gets every SYN.
before=$(counter syn_bypass)
client "$BUILD/tests/bench/flood" --dev c0 --dst "$SERVER4" --port 7001 --rate 300000 --seconds 2 --json >"$TMP/flood.log"
at_least "bypassed: a flood passes, except for losses of the wire" $(($(counter syn_bypass) - before)) $(($(tail -n 1 "$TMP/flood.log" | json sent) / 2))
server nft delete table inet strict
back "nftables, rules gone" 0.0.0.0:7001
all_admitted "nftables, rules gone" "$SERVER4" 7001 100

# The rules of most hosts.
nft_rules <<-EOT
	table inet usual {
		chain input {
			type filter hook input priority filter; policy drop
			iifname lo accept
			ct state invalid drop
			ct state established,related accept
			icmp type echo-request accept
			icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, echo-request } accept
			tcp dport { 80, 7001, 7002, 7003, 7004, 7005, 8080 } accept
		}
	}
EOT
sleep 3
is "a usual firewall: nothing is bypassed" "$(shown 0.0.0.0:7001 bypass)$(shown '*:80' bypass)" ""
all_admitted "a usual firewall" "$SERVER4" 7001 100
server nft delete table inet usual

server sh -c 'echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose'
nft_rules <<-EOT
	table inet loose {
		chain input {
			type filter hook input priority filter
			tcp dport 7002 ct state invalid drop
		}
	}
EOT
bypassed "nf_conntrack_tcp_loose = 0 and invalid ones dropped" 0.0.0.0:7002
is "nf_conntrack_tcp_loose = 0: none of 100 connections fails" "$(connections "$SERVER4" 7002 100)" 0/0/0
server nft delete table inet loose
server sh -c 'echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose'
back "nf_conntrack_tcp_loose = 1, rules gone" 0.0.0.0:7002

rule=(INPUT -p tcp --dport 7003 ! --syn -m conntrack --ctstate NEW -j DROP)
server iptables -A "${rule[@]}" || bail "iptables refuses the rule"
bypassed "iptables" 0.0.0.0:7003
is "iptables: none of 100 connections fails" "$(connections "$SERVER4" 7003 100)" 0/0/0
server iptables -D "${rule[@]}"
back "iptables, rule gone" 0.0.0.0:7003
all_admitted "iptables, rule gone" "$SERVER4" 7003 100

# ----------------------------------------------------------------------------------------------- rules on the SYN alone

# Such rules would never see a handshake that the hook makes.

address_bypassed() { server "$BUILD/shakeoff" status | grep -qF "$1 (bypassed)"; }

no_way_in() {
	local family address flood before passed
	bypassed "$1" '*:8080'
	for family in 4 6; do
		address=SERVER$family
		before=$(let_through) passed=$(counter syn_bypass)
		flood_begins "flood$family" --dst "${!address}" --port 8080 --rate 50000
		flood=$PID
		soon grown syn_bypass "$passed" || fail "the flood does not take place"
		is "$1, IPv$family: in a flood of that port no client connects" "$(answered_by "${!address}" 8080 1 2)" "TimeoutError:1"
		flood_ends "flood$family" "$flood"
		is "$1, IPv$family: the hook has let no client through" $(($(let_through) - before)) 0
	done
	is "$1: the others are active" "$(shown '*:80' state)$(shown '*:80' bypass)" active
}

way_in_again() {
	local family address
	back "$1, rules gone" '*:8080'
	for family in 4 6; do
		address=SERVER$family
		is "$1, rules removed, IPv$family: it answers" "$(answered_by "${!address}" 8080)" "$proxy:20"
	done
}

rule=(INPUT -p tcp --syn --dport 8080 -j DROP)
server iptables -A "${rule[@]}" || bail "iptables refuses the rule"
check "iptables --syn: the IPv4 address is bypassed" soon address_bypassed "$SERVER4:8080"
server ip6tables -A "${rule[@]}" || bail "ip6tables refuses the rule"
no_way_in "iptables --syn"
server iptables -D "${rule[@]}"
server ip6tables -D "${rule[@]}"
way_in_again "iptables --syn"

nft_rules <<-EOT
	table inet synonly {
		chain input {
			type filter hook input priority filter
			tcp dport 8080 tcp flags & (fin|syn|rst|ack) == syn drop
		}
	}
EOT
no_way_in "nftables, SYNs alone"
server nft delete table inet synonly
way_in_again "nftables, SYNs alone"

# As on most hosts: a route to the outside, from which the probes may seem to come then.
ip -n "$LAB-server" route add default via "$CLIENT4"
ip -n "$LAB-server" -6 route add default via "$CLIENT6"

# Limits sources from outside, where floods come from, but not the own network.
nft_rules <<-EOT
	table inet outside {
		chain input {
			type filter hook input priority filter
			ip saddr 10.9.0.0/24 tcp dport 7002 accept
			tcp dport 7002 tcp flags & (fin|syn|rst|ack) == syn drop
		}
	}
EOT
bypassed "SYNs from outside alone" 0.0.0.0:7002
server nft delete table inet outside
back "SYNs from outside alone, rules gone" 0.0.0.0:7002

# Rules that count SYNs count none while the hook answers.
nft_rules <<-EOT
	table inet counting {
		set rates { type ipv4_addr; size 1024; flags dynamic; timeout 1m; }
		set counts { type ipv4_addr; size 1024; flags dynamic; }
		chain input {
			type filter hook input priority filter
			tcp flags & (fin|syn|rst|ack) == syn add @rates { ip saddr limit rate over 2/minute burst 2 packets } drop
			tcp flags & (fin|syn|rst|ack) == syn add @counts { ip saddr ct count over 2 } drop
		}
	}
EOT
for port in 7001 7002 7003 7004 7005; do
	becomes "SYNs counted by their source: port $port is bypassed" 0.0.0.0:$port bypass syn_rules
done
server nft delete table inet counting
back "SYNs counted by their source, rules gone" 0.0.0.0:7001
nft_rules <<-EOT
	table inet plain {
		chain input {
			type filter hook input priority filter; policy drop
			iifname lo accept
			icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
			tcp dport { 80, 7001, 7002, 7003, 7004, 7005, 8080 } accept
		}
	}
EOT
sleep 3
is "a firewall without states: nothing is bypassed" "$(shown 0.0.0.0:7001 bypass)$(shown '*:80' bypass)" ""
all_admitted "a firewall without states" "$SERVER4" 7001 100
server nft delete table inet plain
sleep 2
is "the self-test leaves nothing in the connection tracking table" \
	"$(server grep -cE 'SYN_SENT|src=(192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|2001:0db8:5ac0:)' /proc/net/nf_conntrack)" 0

# ------------------------------------------------------------------------------------------------------ group addresses

cat >"$TMP/groups.py" <<'EOT'
import sys

from rawtcp import Client, Tap, Wire

wire, tap = Wire(), Tap()
for what, mac, address in (("broadcast MAC, the host's IPv4 address", "ff:ff:ff:ff:ff:ff", None),
                           ("IPv4 broadcast", "ff:ff:ff:ff:ff:ff", "10.9.0.255"), ("IPv4 broadcast in a unicast frame", None, "10.9.0.255"),
                           ("IPv4 multicast", "01:00:5e:00:00:01", "224.0.0.1"), ("IPv4 multicast in a unicast frame", None, "224.0.0.1"),
                           ("IPv6 multicast", "33:33:00:00:00:01", "ff02::1"), ("IPv6 multicast in a unicast frame", None, "ff02::1")):
    client = Client(wire, 80, 6 if address and ":" in address else 4)
    frame = client.frame("S", seq=client.isn, ack=0, options=client.options)
    if mac:
        frame.dst = mac
    if address:
        frame.payload.dst = address
    wire.send(frame)
    answer = client.receive(0.3)
    tap.check(f"a SYN to {what}: no SYN-ACK", answer is None or not answer["TCP"].flags.S, repr(answer))
EOT
cp "$HERE/rawtcp.py" "$TMP/"
tap client python3 "$TMP/groups.py"
spawn server groups python3 -c '
import socket, struct
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 5300))
sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.9.9.9") + socket.inet_aton("10.9.0.1"))
print("listening", flush=True)
while True:
    print(sock.recv(100).decode(), flush=True)'
soon grep -q listening "$TMP/groups.log"
client python3 -c '
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.0.2"))
sock.sendto(b"multicast", ("239.9.9.9", 5300))
sock.sendto(b"broadcast", ("10.9.0.255", 5300))'
check "UDP to a multicast group arrives" soon grep -q multicast "$TMP/groups.log"
check "UDP to the broadcast address arrives" soon grep -q broadcast "$TMP/groups.log"
daemon_stop

# ---------------------------------------------------------------------------- rules that are there before the daemon is

rule=(INPUT -p tcp --dport 7004 ! --syn -m conntrack --ctstate NEW -j DROP)
legacy=0
server iptables-legacy -A "${rule[@]}" 2>/dev/null && legacy=1
server iptables -A INPUT -p tcp --dport 7005 ! --syn -m conntrack --ctstate NEW -j DROP
daemon_start
bypassed "iptables before the daemon" 0.0.0.0:7005
is "iptables before the daemon: none of 100 connections fails" "$(connections "$SERVER4" 7005 100)" 0/0/0
if [ $legacy = 1 ]; then
	bypassed "iptables-legacy before the daemon" 0.0.0.0:7004
	is "iptables-legacy: none of 100 connections fails" "$(connections "$SERVER4" 7004 100)" 0/0/0
else
	pass "iptables-legacy before the daemon # SKIP this kernel has no iptables but that of nf_tables"
fi
is "the others are active" "$(shown 0.0.0.0:7001 state)/$(shown '*:80' state)" active/active
all_admitted "the others" "$SERVER4" 7001 100
is "the kernel refused no connection of the hook" "$(counter unadmitted)" 0

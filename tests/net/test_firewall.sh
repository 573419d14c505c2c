#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What a firewall lets in, and what it refuses, is the same with the kernel alone, idle and active: rules/*, on four ports that the rules
# treat alike. Port 8001 is the kernel's alone, 8002 idle, 8003 active, 8004 has the queue handoff. The first line of a rule set says
# whether the service at 8003 is bypassed under it, or stays active, and how many connections each source tries.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

PORTS=(8001 8002 8003)
declare -A MEANING=([8002]=idle [8003]=active [8004]="queue handoff")
# Kernels on which connections of the queue handoff pass the rules, or places that some client may not reach are left.
[ "${QUEUE:-1}" = 0 ] || PORTS+=(8004)

# A neighbour, a neighbour that is refused, and one from outside; of each family.
DENIED4=10.9.0.20 DENIED6=2001:db8:9::20 OUTSIDE4=8.8.4.4 OUTSIDE6=2600::7

lab_up
for address in $DENIED4/24 $OUTSIDE4/32; do ip -n "$LAB-client" address add "$address" dev c0; done
for address in $DENIED6/64 $OUTSIDE6/128; do ip -n "$LAB-client" address add "$address" dev c0 nodad; done
ip -n "$LAB-server" route add default via "$CLIENT4"
ip -n "$LAB-server" -6 route add default via "$CLIENT6"

config_daemon exclude=8001
discovered syncookies=adaptive
service_on active '*:8003' -- handoff=listener syncookies=always
service queue 8004
daemon_start
for port in 8001 8002 8003; do plain_start "s$port" :: $port name; done
server_start q4 "$SERVER4" 8004 name
server_start q6 "$SERVER6" 8004 name
soon shows active state active || bail "the service is not active"
soon shows '*:8002' state idle || bail "the service is not idle"

# served TIMES: which sources are served at the ports
served() {
	client python3 "$HERE/sources.py" "$1" "${PORTS[@]}" -- \
		"$SERVER4/$CLIENT4" "$SERVER4/$DENIED4" "$SERVER4/$OUTSIDE4" "$SERVER6/$CLIENT6" "$SERVER6/$DENIED6" "$SERVER6/$OUTSIDE6"
}

# With @PORT@ a line is one for each port.
expand() {
	sed -E "/@PORT@/{h;s/@PORT@/8001/g;p;g;s/@PORT@/8002/g;p;g;s/@PORT@/8003/g;p;g;s/@PORT@/8004/g}
		${3:+/^@$((10 - $3))@/d;} s/^@[46]@//; s/@DENIED@/$1/; s/@ICMP@/$2/; s/@FAMILY@/$3/
		/^@GEO@/{r $TMP/geo
		d}" "$4"
}
awk 'BEGIN { for (i = 0; i < 20000; i++) printf "%d.%d.%d.0/25,\n", 100 + i / 2560, i / 10 % 256, i % 10 * 20 }' >"$TMP/geo"

load() { # FILE
	case $1 in
	*.nft)
		{
			echo "flush ruleset"
			expand '' '' '' "$1"
		} | server nft -f -
		;;
	*)
		expand $DENIED4 icmp 4 "$1" | server "ip${1##*.ip}-restore" && expand $DENIED6 ipv6-icmp 6 "$1" | server "ip6${1##*.ip}-restore"
		;;
	esac
}
unload() {
	server nft flush ruleset
	for tool in iptables-legacy ip6tables-legacy; do
		server "$tool" -w 20 -L >/dev/null 2>&1 || continue
		server "$tool" -w 20 -F && server "$tool" -w 20 -X && server "$tool" -w 20 -P INPUT ACCEPT ||
			echo "# $tool cannot unload its rules"
	done
}

# left: by a rule on SYNs. nat: no rule does, but beside chains of type nat the kernel takes no request from the hook.
state_is() { # bypass|nat|active
	case $1 in
	bypass) # the self-test may have found it, too
		[[ "$(shown active bypass) $(shown '*:8002' bypass)" =~ ^(syn_rules|netfilter)\ (syn_rules|netfilter)$ ]] &&
			[ -n "$(shown active bypass_rule)" ]
		;;
	nat) shows active bypass netfilter && shows '*:8002' bypass netfilter && [ -z "$(shown active bypass_rule)" ] ;;
	active) shows active state active && shows '*:8002' state idle && [ -z "$(shown active bypassed_addresses | tr -d '[]')" ] ;;
	esac
}

# With arguments: these rule sets alone.
[ $# -gt 0 ] || set -- "$TOP"/tests/net/rules/*
for file; do
	name=$(basename "$file")
	IFS=: read -r heading _ <"$file"
	want=${heading#\# } times=1
	case $want in *times) times=${want//[!0-9]/} want=${want%%,*} ;; esac
	if [[ $name == *legacy ]] && ! server iptables-legacy -L >/dev/null 2>&1; then
		pass "$name # SKIP this kernel has no iptables but that of nf_tables"
		continue
	fi
	load "$file" || bail "the rules of $name cannot be loaded"
	[ "$want" = bypass ] || sleep 2
	check "$name: the service is $want" within 10 state_is "$want"
	[ "$want" = active ] || echo "# $(shown active bypass_rule)"
	mapfile -t result < <(served "$times")
	matches "$name: the kernel alone refuses some, and lets in others" "${result[0]}" '=[1-9].*=[0-4]\b'
	for i in $(seq 1 $((${#PORTS[@]} - 1))); do
		is "$name: ${MEANING[${PORTS[i]}]}: the same sources are served and refused" "${result[i]}" "${result[0]}"
	done
	unload
	check "$name, rules gone: the service is active" within 40 state_is active
	state_is active || { server iptables-legacy-save; server ip6tables-legacy-save; server nft list ruleset; } | sed 's/^/# /'
done

# ---------------------------------------------------------------------------------- handshakes under way at a reload

# Where connections of the queue handoff do not pass the rules, all is the kernel's as soon as there is one.
grep -qw bpf_nf_link_attach /proc/kallsyms || PORTS=(8001 8002 8003)
mkdir "$TMP/reload"
spawn client reload python3 "$HERE/raw_reload.py" "$TMP/reload" "${PORTS[@]}" -- 12
reload=$PID
soon test -e "$TMP/reload/ready" || bail "no client has begun"
server nft -f - <<-EOT || bail "nft refuses the rules"
	table inet reload {
		chain input {
			type filter hook input priority filter
			ip saddr 203.0.113.9 tcp flags & (syn | ack) == syn drop
			ip6 saddr 2001:db8:51::9 tcp flags & (syn | ack) == syn drop
		}
	}
EOT
check "a rule about SYNs of others comes: the service is bypassed" within 10 state_is bypass
touch "$TMP/reload/come"
soon test -e "$TMP/reload/half"
server nft delete table inet reload
touch "$TMP/reload/gone"
wait "$reload"
mapfile -t result <"$TMP/reload.log"
for i in "${!PORTS[@]}"; do
	is "${MEANING[${PORTS[i]}]:-the kernel alone}: no handshake under way is lost when the rule comes and goes" "${result[i]}" served=24
done
check "the rule gone: the service is active" within 40 state_is active

# --------------------------------------------------------------------------------------------- the operator's way out

daemon_stop
config_daemon exclude=8001 syn-rules=ignore
discovered syncookies=always
service_on active '*:8003' -- handoff=listener syncookies=always syn-rules=obey
load "$TOP/tests/net/rules/deny-address.nft"
daemon_start
check "syn-rules = ignore: the hook answers in spite of a rule" soon shows '*:8002' state active
check "syn-rules = obey, of a service: it is bypassed" soon shows active bypass syn_rules

# ------------------------------------------------------------------------------------- the reader of rules goes away

child() { pgrep -P "$DAEMON_PID" -x shakeoff-rules; }
pid=$(child)
matches "the reader of rules has CAP_NET_ADMIN and CAP_NET_RAW, no more, for good" \
	"$(grep -E 'Cap(Prm|Eff|Bnd)|NoNewPrivs' "/proc/$pid/status" | tr -s '\t\n' ' ')" \
	'^CapPrm: 0*3000 CapEff: 0*3000 CapBnd: 0*3000 NoNewPrivs: 1 $'
unload
soon shows active state active
kill -KILL "$pid"
check "without the reader the service is bypassed" soon shows active bypass syn_rules
matches "without the reader: it is said why" "$(shown active bypass_rule)" 'has died'

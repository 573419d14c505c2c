#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Connection tracking does not see the SYNs that the hook answers, and a firewall drops what it finds invalid: a client that uses a port
# again, while the last connection from there is remembered, is served all the same.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

lab_up
client sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse'
server nft -f - <<-EOT || bail "nft refuses the rules"
	table inet usual {
		chain input {
			type filter hook input priority filter; policy drop
			iifname lo accept
			ct state invalid counter drop
			ct state established,related accept
			icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
			tcp dport { 7000, 7001 } accept
		}
	}
EOT
plain_start greet :: 7000 greet
# greeted_again WHAT PORT: the same ports for each, so that the next ones meet what the last ones left
greeted_again() {
	local address
	for address in "$SERVER4" "$SERVER6"; do
		is "$1: $address greets whoever comes again from a port that ended with FIN" \
			"$(client "$HERE/again.py" "$address" 7000 "$2" fin)" "greeted greeted greeted"
		is "$1: $address greets whoever comes again from a port that ended with RST" \
			"$(client "$HERE/again.py" "$address" 7000 $(($2 + 1)) reset)" "greeted greeted greeted"
	done
}

# The queue handoff, whose ACKs pass the same chain, on the ports of connections that the kernel began and tracking remembers as such.
if grep -qw bpf_nf_link_attach /proc/kallsyms; then
	for address in "$SERVER4" "$SERVER6"; do
		plain_start "before$address" "$address" 7001 greet
		is "before the queue: $address greets" "$(client "$HERE/again.py" "$address" 7001 40010 fin)" "greeted greeted greeted"
		killed "$PID"
	done
	config_pair queue 7001
	daemon_start
	server_start queue4 "$SERVER4" 7001 greet
	server_start queue6 "$SERVER6" 7001 greet
	for address in "$SERVER4" "$SERVER6"; do
		is "queue: $address greets whoever comes again from a port that ended with FIN" \
			"$(client "$HERE/again.py" "$address" 7001 40010 fin)" "greeted greeted greeted"
		is "queue: $address greets whoever comes again from a port that ended with RST" \
			"$(client "$HERE/again.py" "$address" 7001 40011 reset)" "greeted greeted greeted"
	done
	is "queue: all of them came through the hook" "$(counter ack_valid)" 12
	daemon_stop
fi

config_daemon
discovered syncookies=adaptive
daemon_start
check "the server is found" soon shows '*:7000' state idle
greeted_again "idle" 40000
daemon_stop

config_daemon
discovered syncookies=always
daemon_start
found '*:7000'
admitted=$(counter ack_admitted)
greeted_again "active" 40000
is "active: all of them came through the hook" $(($(counter ack_admitted) - admitted)) 12
daemon_stop

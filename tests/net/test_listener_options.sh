#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Handshakes that the hook completes into a plain server's listening socket are the kernel's own in every row of a matrix of client
# options: SYN-ACK, both sockets, data both ways, and a clock that does not go back.
. "$(dirname "$0")/lib.sh"
needs_admission

# rows FAMILY [OFF]
rows() {
	tap client python3 "$HERE/option_rows.py" 7000 7001 "$1" "$TMP/info$1-7000.log" "$TMP/info$1-7001.log" "${@:2}"
}

answered() {
	daemon_start
	soon shows info state engaged || bail "the service is not answered: $(shown info state) $(shown info left)"
}

lab_up
# The buffers that make the window scale, whatever the machine has.
for side in server client; do
	$side sh -c 'echo "4096 131072 6291456" >/proc/sys/net/ipv4/tcp_rmem'
done
for family in 4 6; do
	address=SERVER$family
	for port in 7000 7001; do
		spawn server "info$family-$port" python3 "$HERE/server.py" "${!address}" $port --mode info
		soon grep -q listening "$TMP/info$family-$port.log" || bail "server.py does not listen"
	done
done
config info 7000 handoff=listener
answered

for family in 4 6; do
	before=$(counter ack_admitted)
	rows $family
	at_least "IPv$family: the rows were admitted by the hook" $(($(counter ack_admitted) - before)) 40
done
is "the kernel refused none of them" "$(counter unadmitted)" 0

# What the server's own sysctls switch off is not negotiated by the hook either. The daemon starts anew, or the first client might
# come before it has seen the change.
for option in sack timestamps wscale; do
	sysctl=tcp_${option/wscale/window_scaling}
	daemon_stop
	server sh -c "echo 0 >/proc/sys/net/ipv4/$sysctl"
	answered
	before=$(counter ack_admitted)
	rows 4 $option
	rows 6 $option
	is "$sysctl = 0: both connections were admitted by the hook" $(($(counter ack_admitted) - before)) 2
	is "$sysctl = 0: the kernel refused neither" "$(counter unadmitted)" 0
	server sh -c "echo 1 >/proc/sys/net/ipv4/$sysctl"
done

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Handshakes that the hook completes into a plain server's listening socket are the kernel's own in every row of a matrix of client
# options: SYN-ACK, both sockets, data both ways, and a clock that does not go back.
. "$(dirname "$0")/lib.sh"
needs_admission

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
daemon_start
soon shows info state engaged || bail "the service is not answered: $(shown info state) $(shown info left)"

for family in 4 6; do
	before=$(counter ack_admitted)
	tap client python3 "$HERE/option_rows.py" 7000 7001 $family "$TMP/info$family-7000.log" "$TMP/info$family-7001.log"
	at_least "IPv$family: the rows were admitted by the hook" $(($(counter ack_admitted) - before)) 40
done
is "the kernel refused none of them" "$(counter unadmitted)" 0

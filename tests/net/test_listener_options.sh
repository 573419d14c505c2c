#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Handshakes that the hook completes into a plain server's listening socket are the kernel's own in every row of a matrix of client
# options: SYN-ACK, both sockets, data both ways, and a clock that does not go back.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

lab_up
# The buffers that make the window scale, whatever the machine has.
for side in server client; do
	$side sh -c 'echo "4096 131072 6291456" >/proc/sys/net/ipv4/tcp_rmem'
done
# serves PORT [ARGUMENT...]: on both addresses
serves() {
	local port=$1 family address
	for family in 4 6; do
		address=SERVER$family
		spawn server "info$family-$port" python3 "$HERE/server.py" "${!address}" "$port" --mode info "${@:2}"
		soon grep -q listening "$TMP/info$family-$port.log" || bail "server.py does not listen"
	done
}

# rows OFFLOAD-PORT KERNEL-PORT LEAST [MAXSEG|OFF]
rows() {
	local family before
	for family in 4 6; do
		before=$(counter ack_admitted)
		tap client python3 "$HERE/option_rows.py" "$1" "$2" $family "$TMP/info$family-$1.log" "$TMP/info$family-$2.log" "${@:4}"
		at_least "IPv$family: the rows were admitted by the hook" $(($(counter ack_admitted) - before)) "$3"
	done
}

for port in 7000 7001; do serves $port; done
for port in 7002 7003; do serves $port --maxseg 1250; done
# Less than any class, which is what the kernel takes of a request.
for port in 7004 7005; do serves $port --maxseg 400; done
config_daemon discover=no
for port in 7000 7002 7004; do service info$port $port handoff=listener; done
answered() {
	daemon_start
	for port in 7000 7002 7004; do
		soon shows info$port state active || bail "port $port is not answered: $(shown info$port state) $(shown info$port bypass)"
	done
}
answered

rows 7000 7001 40
rows 7002 7003 8 1250
rows 7004 7005 8 400
is "the kernel refused none of them" "$(counter unadmitted)" 0

# What the server's own sysctls switch off is not negotiated by the hook either. The daemon starts anew, or the first client might
# come before it has seen the change.
for option in sack timestamps wscale; do
	sysctl=tcp_${option/wscale/window_scaling}
	daemon_stop
	server sh -c "echo 0 >/proc/sys/net/ipv4/$sysctl"
	answered
	rows 7000 7001 1 $option
	is "$sysctl = 0: the kernel refused neither" "$(counter unadmitted)" 0
	server sh -c "echo 1 >/proc/sys/net/ipv4/$sysctl"
done

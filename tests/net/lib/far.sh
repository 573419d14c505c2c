# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Clients that are far away: a lab with a long wire (lab.sh far) for each round trip, each with the same server behind
# the listener handoff, the queue handoff, the kernel's cookies and the plain kernel. Sourced after env.sh by the
# scripts that measure in them. Each lab belongs to its subshell: far_lab.

FAR_LISTENER=7000 FAR_QUEUE=7001 FAR_KERNEL=7002

# far_lab MS COMMAND...: runs the command in a lab of that round trip, with a separate LAB and TMP, which are removed
# after it: TMP is inside the caller's, and results go to the caller's $FAR_OUT. Run it in the background.
far_lab() {
	# shellcheck disable=SC2034 # for the command
	FAR_OUT=$TMP
	LAB=$LAB-$1 RUN=$RUN-$1 TMP=$TMP/$1
	# shellcheck disable=SC2034 # for env.sh
	CONF=$TMP/shakeoff.conf DAEMON_PID=
	export SHAKEOFF_RUN_DIR=$RUN
	trap 'clean_up' EXIT
	trap 'exit 143' TERM INT
	mkdir -p "$TMP"
	LINE_LOG=$TMP/line.log "$TOP/scripts/lab.sh" far "$LAB" "$(python3 -c "print($1 / 2)")" || bail "no lab of $1 ms"
	far_servers
	shift
	"$@"
	exit
}

far_systems() {
	! kernel_admits || echo listener
	echo queue cookies kernel
}

far_servers() {
	local family address
	# State that the kernel keeps of a client must not affect the next connection.
	server sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save'
	# The servers choose another one themselves: in a namespace only sockets may use any control.
	server sh -c 'echo reno >/proc/sys/net/ipv4/tcp_congestion_control'
	config_daemon discover=no
	! kernel_admits || service listener $FAR_LISTENER handoff=listener syncookies=always
	service queue $FAR_QUEUE handoff=queue syncookies=always
	daemon_start
	for family in 4 6; do
		address=SERVER$family
		spawn server listener$family python3 "$HERE/far_server.py" "${!address}" $FAR_LISTENER
		spawn server kernel$family python3 "$HERE/far_server.py" "${!address}" $FAR_KERNEL
		spawn server queue$family env LD_PRELOAD="$PRELOAD" python3 "$HERE/far_server.py" "${!address}" $FAR_QUEUE
		for address in listener kernel queue; do
			soon grep -q listening "$TMP/$address$family.log" || bail "no server: $address$family"
		done
		ip -n "$LAB-server" neighbour replace "$RAW4" lladdr "$CLIENT_MAC" dev s0 nud permanent
		ip -n "$LAB-server" neighbour replace "$RAW6" lladdr "$CLIENT_MAC" dev s0 nud permanent
	done
	! kernel_admits || soon shows listener state active || bail "the listener handoff is not answered for"
	soon shows queue state active || bail "the queue handoff is not answered for"
}

# kernel_counter TABLE NAME: of the server's network namespace, such as Tcp RetransSegs
kernel_counter() { server python3 -c '
import sys
for path in "/proc/self/net/snmp", "/proc/self/net/netstat":
    lines = [line.split() for line in open(path) if line.startswith(sys.argv[1] + ":")]
    if lines and sys.argv[2] in lines[0]:
        print(dict(zip(*lines))[sys.argv[2]])' "$1" "$2"; }

far_logged() { [ "$(grep -c rtt_ms "$TMP/$1.log")" -ge "$2" ]; }

# far_cell MS CONTROL FAMILY SYSTEM CONNECTIONS ANSWERS SIZE: a line of JSON: what clients and server saw of that many
# connections
far_cell() {
	local ms=$1 control=$2 family=$3 system=$4 address=SERVER$3 port log=$4$3 resent probes before clients
	case $system in
	listener) port=$FAR_LISTENER ;;
	queue) port=$FAR_QUEUE ;;
	*) port=$FAR_KERNEL log=kernel$family ;;
	esac
	[ "$system" != cookies ] || server sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies'
	before=$(grep -c rtt_ms "$TMP/$log.log")
	resent=$(kernel_counter Tcp RetransSegs) probes=$(kernel_counter TcpExt TCPLossProbes)
	clients=$(client python3 "$HERE/far_client.py" "${!address}" "$port" "$control" "${@:5}")
	within 10 far_logged "$log" $((before + $5)) || bail "$system, IPv$family, $control, $ms ms: $clients" >&2
	resent=$(($(kernel_counter Tcp RetransSegs) - resent)) probes=$(($(kernel_counter TcpExt TCPLossProbes) - probes))
	[ "$system" != cookies ] || server sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_syncookies'
	grep rtt_ms "$TMP/$log.log" | tail -n +$((before + 1)) | python3 -c '
import json, statistics, sys
ms, control, family, system, size, resent, probes = sys.argv[1:8]
clients, servers = json.loads(sys.argv[8]), [json.loads(line) for line in sys.stdin]
errors = clients["errors"] + [server["error"] for server in servers if "error" in server]
errors += ["control is " + server["control"] for server in servers if server.get("control", control) != control]
print(json.dumps({
    "ms": int(ms), "control": control, "family": int(family), "system": system, "size": int(size), "errors": errors,
    "rtt_ms": sorted(server["rtt_ms"] for server in servers), "resent": int(resent), "probes": int(probes),
    "seconds": round(statistics.median(clients["seconds"]), 3) if clients["seconds"] else None,
    "cwnd": max((server.get("cwnd", 0) for server in servers), default=0)}))' \
		"$ms" "$control" "$family" "$system" "$7" "$resent" "$probes" "$clients"
}

# far_controls: those of bbr, cubic and reno that this kernel has
far_controls() {
	local control
	modprobe -aq tcp_bbr tcp_cubic 2>/dev/null
	for control in bbr cubic reno; do
		! grep -qw "$control" /proc/sys/net/ipv4/tcp_available_congestion_control || echo "$control"
	done
}

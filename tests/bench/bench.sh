#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# bench.sh [--json] [--rounds N] [--family 4|6]: figures that mean something on any machine, because they are ratios within
# one run. Three labs stand beside each other (a bare XDP_TX program, the kernel's SYN cookies, shakeoff); rounds alternate between
# them, and the median counts.
#
#	SYN-ACKs/s    one CPU floods as fast as it can, SYNs with all of Linux's options
#	connections/s 64 clients, one HTTP request a connection, against the same nginx with and without the offload
set -u

json_wanted=0 rounds=5 family=4
while [ $# -gt 0 ]; do
	case $1 in
	--json) json_wanted=1 ;;
	--rounds) rounds=$2 && shift ;;
	--family) family=$2 && shift ;;
	*)
		sed -n '4,10s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	esac
	shift
done

fatal() {
	echo "bench: $*" >&2
	exit 1
}
[ "$(id -u)" -eq 0 ] || fatal "needs root, for network namespaces and BPF: sudo make bench"
bail() {
	show_tails
	fatal "$*"
}
show_tails() {
	local log
	for log in "$TMP"/*.log; do
		[ ! -s "$log" ] || tail -n 5 "$log" | sed "s,^,$(basename "$log"): ," >&2
	done
}

# shellcheck source=tests/net/env.sh
. "$(dirname "$0")/../net/env.sh"
base=$LAB
leave() {
	local status=$?
	trap - EXIT
	"$TOP/scripts/lab.sh" down "$base-bare" 2>/dev/null
	"$TOP/scripts/lab.sh" down "$base-kernel" 2>/dev/null
	LAB=$base-shakeoff
	clean_up
	exit "$status"
}
trap leave EXIT
say() { [ $json_wanted -eq 1 ] || echo "$*"; }

if [ "$family" = 6 ]; then address=$SERVER6; else address=$SERVER4; fi

LAB=$base-bare
lab_up
server ip link set dev s0 xdpdrv obj "$BUILD/tests/bench/bounce.bpf.o" sec xdp

LAB=$base-kernel
lab_up
server sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies' # always, as the hook does
nginx_start 80 4096 plain

LAB=$base-shakeoff
lab_up
config web 80 backlog=4096
daemon_start
nginx_start 80 4096

# flood MODE [SUFFIX]: the result goes to flood-MODE, or flood-MODE-SUFFIX
flood() {
	LAB=$base-$1
	client "$BUILD/tests/bench/flood" --dev c0 --dst "$address" --port 80 --seconds 2 --cpu 0 --json \
		>>"$TMP/flood-$1${2:+-$2}" || bail "the flood failed"
}

# CPU time of the daemon, all threads, in clock ticks.
daemon_ticks() { sed 's/.*) //' "/proc/$DAEMON_PID/stat" | awk '{ print $12 + $13 }'; }

serve() {
	local ticks=0
	LAB=$base-$1
	[ "$1" != shakeoff ] || ticks=$(daemon_ticks)
	client "$BUILD/tests/net/client" --dst "$address" --port 80 --seconds 3 --concurrency 64 --http --json >"$TMP/served" ||
		bail "connections failed: $(cat "$TMP/served")"
	[ "$1" != shakeoff ] || ticks=$(($(daemon_ticks) - ticks))
	python3 -c '
import json, os, sys
result = json.load(open(sys.argv[1]))
result["daemon_seconds"] = int(sys.argv[2]) / os.sysconf("SC_CLK_TCK")
print(json.dumps(result))' "$TMP/served" "$ticks" >>"$TMP/serve-$1"
}

# The daemon has listed the sockets that there are: from then on a flood is spared their look-up.
sleep 3
for ((round = 1; round <= rounds; round++)); do
	say "floods: round $round of $rounds ..."
	for mode in bare kernel shakeoff; do
		flood $mode
	done
done
for ((round = 1; round <= rounds; round++)); do
	say "connections: round $round of $rounds ..."
	for mode in kernel shakeoff; do
		serve $mode
	done
done
# Tuples that have a socket, TIME-WAIT above all, cost their look-up again, and some of the flood's share a slot with them.
say "floods beside sockets ..."
for ((round = 1; round <= rounds; round++)); do
	flood bare after
	flood shakeoff after
done
LAB=$base-shakeoff
time_wait=$(server ss -Htan state time-wait | wc -l)

python3 - "$TMP" "$json_wanted" "$family" "$time_wait" <<'EOT'
import json, statistics, sys
directory, json_wanted, family, time_wait = sys.argv[1], sys.argv[2] == "1", int(sys.argv[3]), int(sys.argv[4])
read = lambda name: [json.loads(line) for line in open(f"{directory}/{name}")]
answers = lambda name: [run["synacks_per_second"] for run in read(name)]
flood = {mode: answers(f"flood-{mode}") for mode in ("bare", "kernel", "shakeoff")}
served = {mode: read(f"serve-{mode}") for mode in ("kernel", "shakeoff")}
rate = {mode: [run["ok"] / run["seconds"] for run in runs] for mode, runs in served.items()}
median = statistics.median
ratio = lambda over, under: median(a / b if b else 0 for a, b in zip(over, under))
result = {
    "family": family,
    "rounds": len(flood["bare"]),
    "synacks_per_second": {mode: round(median(values)) for mode, values in flood.items()},
    "share_of_bare_xdp_tx": round(ratio(flood["shakeoff"], flood["bare"]), 3),
    "share_beside_sockets": round(ratio(answers("flood-shakeoff-after"), answers("flood-bare-after")), 3),
    "time_wait_sockets": time_wait,
    "multiple_of_kernel_cookies": round(ratio(flood["shakeoff"], flood["kernel"]), 2),
    "connections_per_second": {mode: round(median(values)) for mode, values in rate.items()},
    "share_of_kernel_connections": round(ratio(rate["shakeoff"], rate["kernel"]), 3),
    "connections_per_daemon_cpu_second": round(median(run["ok"] / (run["daemon_seconds"] or 1e-9) for run in served["shakeoff"])),
    "connect_ms_p50": {mode: median(run["connect_ms"]["p50"] for run in runs) for mode, runs in served.items()},
}
if json_wanted:
    print(json.dumps(result))
    sys.exit()
answered, connections = result["synacks_per_second"], result["connections_per_second"]
print(f"""
IPv{family}, medians of {result["rounds"]} rounds                 bare XDP_TX   kernel cookies        shakeoff
  SYN-ACKs/s, one CPU floods             {answered["bare"]:>11,}{answered["kernel"]:>17,}{answered["shakeoff"]:>16,}
  connections/s, 64 clients, nginx                 -{connections["kernel"]:>17,}{connections["shakeoff"]:>16,}

  SYN-ACKs as a share of a bare XDP_TX           {result["share_of_bare_xdp_tx"]:.2f}
  the same beside {time_wait:>7,} sockets in TIME-WAIT   {result["share_beside_sockets"]:.2f}
  SYN-ACKs as a multiple of kernel cookies       {result["multiple_of_kernel_cookies"]:.1f}
  connections handed over per second of the daemon's CPU time   {result["connections_per_daemon_cpu_second"]:,}
  connections/s as a share of the kernel's own handshake        {result["share_of_kernel_connections"]:.2f}""")
EOT

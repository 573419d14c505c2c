#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# bench.sh [--json] [--rounds N] [--family 4|6]: figures that are comparable between machines, because they are ratios
# within one run. Labs run beside each other; short rounds alternate between them, and the median counts.
#
#	SYN-ACKs/s    one CPU floods as fast as it can, SYNs with all of Linux's options
#	connections/s 64 clients in a process a CPU, one HTTP request a connection, against the same nginx
#	connect       one client, one connection after the other
#
#	bare      a bare XDP_TX program             plain    the kernel's handshake as it comes
#	kernel    the kernel's SYN cookies, always  pass     the same behind an XDP program that passes everything
#	queue     shakeoff's queue handoff          adaptive its listener handoff, while idle (syncookies = adaptive)
#	listener  its listener handoff, active     lookups  the same, with a socket look-up for every SYN
#
# A process a CPU, because a single process leaves the other CPUs idle for a tenth of their time, and the cost of a
# packet then falls on its CPU alone: a veth pair handles a packet on the CPU that sent it. The rounds of connections
# are short and many, because a machine's speed drifts; "95 of 100" is the confidence interval of the median of their
# ratios.
#
# For any native XDP program a veth pair copies every frame into a separate page, which a network card's driver does not
# do with received frames: `pass` shows what part of the difference to `plain` that is.
set -u

json_wanted=0 rounds=9 family=4
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"
while [ $# -gt 0 ]; do
	case $1 in
	--json) json_wanted=1 ;;
	--rounds) rounds=$2 && shift ;;
	--family) family=$2 && shift ;;
	*) usage ;;
	esac
	shift
done

PROCESSES=$(nproc)
[ "$PROCESSES" -le 16 ] || PROCESSES=16
base=$LAB run_base=$RUN
FLOODS="bare kernel queue"
SERVES="plain pass kernel queue"
LISTENERS=
if kernel_admits; then
	FLOODS="$FLOODS listener lookups" SERVES="$SERVES listener adaptive" LISTENERS="listener adaptive lookups"
fi
QUEUE_PID=
leave() {
	local status=$? mode
	trap - EXIT
	for mode in bare plain pass kernel $LISTENERS; do
		"$TOP/scripts/lab.sh" down "$base-$mode" >/dev/null 2>&1
	done
	LAB=$base-queue DAEMON_PID=$QUEUE_PID
	clean_up
	exit "$status"
}
trap leave EXIT
say() { [ $json_wanted -eq 1 ] || echo "$*"; }

if [ "$family" = 6 ]; then address=$SERVER6; else address=$SERVER4; fi

# ----------------------------------------------------------------------------------------------------------------- labs

# Every lab has a daemon, with its own directory and file.
begin() {
	LAB=$base-$1 RUN=$run_base-$1 CONF=$TMP/$1.conf
	export SHAKEOFF_RUN_DIR=$RUN
	lab_up
}

shakes_off() { # KEY=VALUE...
	config web 80 backlog=4096 "$@"
	daemon_start
}
answers() { shows web handoff listener && shows web state "$1"; }

begin bare
server ip link set dev s0 xdpdrv obj "$BUILD/tests/bench/bounce.bpf.o" sec xdp
begin plain
nginx_start 80 4096 plain
begin pass
server ip link set dev s0 xdpdrv obj "$BUILD/tests/bench/peer.bpf.o" sec xdp
nginx_start 80 4096 plain
begin kernel
server sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies' # always, like the hook
nginx_start 80 4096 plain

begin queue
shakes_off
nginx_start 80 4096
QUEUE_PID=$DAEMON_PID
for mode in $LISTENERS; do
	begin "$mode"
	nginx_start 80 4096 plain
	# This many connections a second are no flood here.
	if [ "$mode" = adaptive ]; then
		shakes_off handoff=listener syncookies=adaptive flood-rate=1000000
	else
		shakes_off handoff=listener
	fi
	within 5 answers "$([ "$mode" = adaptive ] && echo idle || echo active)" || bail "$mode: $(shown web state) $(shown web bypass)"
done

# Only the daemon marks the filter as complete; without it, and without that mark, every SYN is looked up.
filter_off() {
	daemon_kill
	server python3 - "$(server ip -d link show dev s0 | sed -n 's/.*prog\/xdp id \([0-9]*\).*/\1/p')" <<-'EOT'
		import json, subprocess, sys
		bpftool = lambda *words: subprocess.run(["bpftool", "-j", *words], check=True, capture_output=True, text=True).stdout
		filter_ready, flags_at, key = 0x8, 16, ("key", "0", "0", "0", "0")  # shakeoff_control.flags, include/shakeoff/control.h
		for number in json.loads(bpftool("prog", "show", "id", sys.argv[1]))["map_ids"]:
		    if json.loads(bpftool("map", "show", "id", str(number)))["name"].startswith("shakeoff_v"):
		        value = json.loads(bpftool("map", "lookup", "id", str(number), *key))["value"]
		        value[flags_at] = hex(int(value[flags_at], 16) & ~filter_ready)
		        bpftool("map", "update", "id", str(number), *key, "value", *value)
		        sys.exit()
		sys.exit("there is no control map")
	EOT
}
[ -z "$LISTENERS" ] || filter_off || bail "the filter could not be switched off"

# --------------------------------------------------------------------------------------------------------------- rounds

# flood MODE [SUFFIX]: the result goes to flood-MODE, or flood-MODE-SUFFIX
flood() {
	LAB=$base-$1
	client "$BUILD/tests/bench/flood" --dev c0 --dst "$address" --port 80 --seconds 1 --cpu 0 --json \
		>>"$TMP/flood-$1${2:+-$2}" || bail "the flood failed"
}

# CPU time of the queue handoff's daemon, all threads, in clock ticks.
daemon_ticks() { sed 's/.*) //' "/proc/$QUEUE_PID/stat" | awk '{ print $12 + $13 }'; }

# requests SECONDS CLIENTS [PROCESSES]: a line of JSON a process
requests() {
	local pids=() pid status=0 number
	for ((number = 0; number < ${3:-1}; number++)); do
		client "$BUILD/tests/net/lib/client" --dst "$address" --port 80 --seconds "$1" --concurrency $(($2 / ${3:-1})) --http --json &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || status=1
	done
	return $status
}

serve() {
	local ticks
	LAB=$base-$1
	ticks=$(daemon_ticks)
	requests 0.3 64 "$PROCESSES" >"$TMP/served" || bail "$1: connections failed: $(cat "$TMP/served")"
	ticks=$(($(daemon_ticks) - ticks))
	python3 -c '
import json, os, statistics, sys
results = [json.loads(line) for line in open(sys.argv[1])]
print(json.dumps({
    "ok": sum(result["ok"] for result in results),
    "per_second": sum(result["ok"] / result["seconds"] for result in results),
    "connect_ms": {which: statistics.median(result["connect_ms"][which] for result in results) for which in ("p50", "p99")},
    "daemon_seconds": int(sys.argv[2]) / os.sysconf("SC_CLK_TCK"),
}))' "$TMP/served" "$ticks" >>"$TMP/serve-$1"
}

serve_one() {
	LAB=$base-$1
	requests 0.25 1 >>"$TMP/single-$1" || bail "$1: connections failed"
}

# time_wait MODE NUMBER: how many sockets in TIME-WAIT the server may have. A client of this many connections reuses its
# ports every second, and the kernel renews connections in TIME-WAIT: the benchmark measures handshakes.
time_wait() { LAB=$base-$1 server sh -c "echo $2 >/proc/sys/net/ipv4/tcp_max_tw_buckets"; }

# The daemons have listed the existing sockets: from then on SYNs of a flood need no look-up.
sleep 3
for ((round = 1; round <= rounds; round++)); do
	say "floods: round $round of $rounds ..."
	for mode in $FLOODS; do
		flood "$mode"
	done
done
for mode in $SERVES; do
	time_wait "$mode" 0
done
# The clean-up after one system would slow down the next.
in_random_order() { tr " " "\n" <<<"$1" | shuf; }
for ((round = 1; round <= 6 * rounds; round++)); do
	say "connections: round $round of $((6 * rounds)) ..."
	for mode in $(in_random_order "$SERVES"); do
		serve "$mode"
	done
	[ $((round % 6)) -eq 0 ] || continue
	for mode in $(in_random_order "$SERVES $SERVES"); do
		serve_one "$mode"
	done
done
if [ -n "$LISTENERS" ]; then
	LAB=$base-listener
	admitted=$(counter ack_admitted)
	made=$(cat "$TMP/serve-listener" "$TMP/single-listener" | python3 -c '
import json, sys
print(sum(json.loads(line)["ok"] for line in sys.stdin))')
	[ "$admitted" -ge $((made * 95 / 100)) ] || bail "of $made connections to the listener only $admitted came through the hook"
fi

# Tuples that have a socket, above all TIME-WAIT, need their look-up again, and some SYNs of the flood hit a filter slot
# of theirs.
say "floods beside sockets ..."
AFTER="queue ${LISTENERS:+listener}"
for mode in $AFTER; do
	time_wait "$mode" 100000
	LAB=$base-$mode
	requests 2 64 >"$TMP/served" || bail "$mode: connections failed: $(cat "$TMP/served")"
done
LAB=$base-queue
time_wait=$(server ss -Htan state time-wait | wc -l)
for ((round = 1; round <= rounds; round++)); do
	for mode in bare $AFTER; do
		flood "$mode" after
	done
done

python3 - "$TMP" "$json_wanted" "$family" "$time_wait" <<'EOT'
import json, os, statistics, sys
directory, json_wanted, family, time_wait = sys.argv[1], sys.argv[2] == "1", int(sys.argv[3]), int(sys.argv[4])
median = statistics.median
read = lambda name: [json.loads(line) for line in open(f"{directory}/{name}")]
named = lambda kind: {name[len(kind):]: read(name) for name in os.listdir(directory) if name.startswith(kind)}
flood = {mode: [run["synacks_per_second"] for run in runs] for mode, runs in named("flood-").items()}
served, single = named("serve-"), named("single-")
rate = {mode: [run["per_second"] for run in runs] for mode, runs in served.items()}
ratios = lambda over, under: sorted(a / b if b else 0 for a, b in zip(over, under))
ratio = lambda over, under: round(median(ratios(over, under)), 3)


# Half a sample is on either side of its median, give or take 1.96 standard deviations of a binomial distribution.
def interval(over, under):
    values = ratios(over, under)
    half, give = len(values) / 2, 0.98 * len(values) ** 0.5
    return [round(values[max(0, int(half - give))], 3), round(values[min(len(values) - 1, int(half + give))], 3)]


milliseconds = lambda runs, which: {mode: round(median(run["connect_ms"][which] for run in of), 3) for mode, of in runs.items()}
handoffs = [mode for mode in ("queue", "listener") if mode in flood]
nanoseconds = {mode: median(1e9 / value for value in values) for mode, values in flood.items()}
result = {
    "family": family,
    "rounds": len(flood["bare"]),
    "synacks_per_second": {mode: round(median(values)) for mode, values in flood.items()},
    "share_of_bare_xdp_tx": {mode: ratio(flood[mode], flood["bare"]) for mode in flood if mode in (*handoffs, "lookups")},
    "share_beside_sockets": {mode: ratio(flood[mode + "-after"], flood["bare-after"]) for mode in handoffs},
    "time_wait_sockets": time_wait,
    "lookup_ns": round(nanoseconds["lookups"] - nanoseconds["listener"]) if "lookups" in flood else None,
    "multiple_of_kernel_cookies": {mode: ratio(flood[mode], flood["kernel"]) for mode in handoffs},
    "connections_per_second": {mode: round(median(values)) for mode, values in rate.items()},
    "share_of_plain_connections": {mode: ratio(values, rate["plain"]) for mode, values in rate.items()},
    "share_of_plain_interval": {mode: interval(values, rate["plain"]) for mode, values in rate.items()},
    "share_of_pass_connections": {mode: ratio(values, rate["pass"]) for mode, values in rate.items()},
    "connections_per_daemon_cpu_second": round(median(run["ok"] / (run["daemon_seconds"] or 1e-9) for run in served["queue"])),
    "connect_ms_64_clients": {which: milliseconds(served, which) for which in ("p50", "p99")},
    "connect_ms_1_client": {which: milliseconds(single, which) for which in ("p50", "p99")},
}
if json_wanted:
    print(json.dumps(result))
    sys.exit()


def table(title, modes, rows):
    print(f"\n{title:<44}" + "".join(f"{mode:>11}" for mode in modes))
    for name, values, form in rows:
        print(f"  {name:<42}" + "".join(f"{format(values[mode], form) if mode in values else '-':>11}" for mode in modes))


table(f"IPv{family}, medians of {result['rounds']} rounds", ("bare", "kernel", "queue", "listener", "lookups"), (
    ("SYN-ACKs/s, one CPU floods", result["synacks_per_second"], ",.0f"),
    ("as a share of a bare XDP_TX", result["share_of_bare_xdp_tx"], ".2f"),
    (f"the same beside {time_wait:,} in TIME-WAIT", result["share_beside_sockets"], ".2f"),
    ("as a multiple of kernel cookies", result["multiple_of_kernel_cookies"], ".1f")))
if result["lookup_ns"] is not None:
    print(f"  a socket look-up for every SYN costs {result['lookup_ns']} ns (lookups beside listener)")
table("Connections without a flood", ("plain", "pass", "kernel", "queue", "listener", "adaptive"), (
    ("connections/s, 64 clients, nginx", result["connections_per_second"], ",.0f"),
    ("as a share of the kernel's handshake", result["share_of_plain_connections"], ".3f"),
    ("the same, 95 of 100", {mode: "{:.2f}-{:.2f}".format(*ends) for mode, ends in result["share_of_plain_interval"].items()}, ""),
    ("as a share of it behind an XDP program", result["share_of_pass_connections"], ".3f"),
    ("connect p50, 64 clients (ms)", result["connect_ms_64_clients"]["p50"], ".2f"),
    ("connect p99, 64 clients (ms)", result["connect_ms_64_clients"]["p99"], ".2f"),
    ("connect p50, 1 client (ms)", result["connect_ms_1_client"]["p50"], ".3f"),
    ("connect p99, 1 client (ms)", result["connect_ms_1_client"]["p99"], ".3f")))
print(f"  connections handed over per second of CPU time of the queue's daemon: {result['connections_per_daemon_cpu_second']:,}")
EOT

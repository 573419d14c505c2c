#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# floods.sh [--json] [--seconds N] [--family 4|6] [--pace MB] [KIND...]: every kind of flood that the generator knows,
# or the named ones, as fast as one CPU can, against an unmodified nginx while idle (listener handoff, syncookies =
# adaptive). Each runs twice from idle: alone, and beside honest clients and a transferring connection; and again behind
# an ideal filter, an XDP program that knows the made-up sources and only drops their packets. The losses there are
# caused by the veth pair and by the flood's use of the CPU.
#
# --seconds  how long each flood lasts (default 4)
# --pace     megabytes a second that the connection requests (default 100; 0: the maximum, reduced by the flood's CPU)
#
#	reached TCP  segments of the flood alone that the kernel's TCP received (TcpInSegs), and their part of all sent
#	fragments    fragments that IP took in for reassembly (IpReasmReqds, Ip6ReasmReqds)
#	passed       packets of it that the hook passed; dropped: the first three verdicts
#	honest       connections tried and failed during the flood
#	transfer     bytes a second of an open connection during the flood, relative to before
#	ideal        the last three columns behind the ideal filter
set -u

json_wanted=0 seconds=4 family=4 pace=100 kinds=
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"
while [ $# -gt 0 ]; do
	case $1 in
	--json) json_wanted=1 ;;
	--seconds) seconds=$2 && shift ;;
	--family) family=$2 && shift ;;
	--pace) pace=$2 && shift ;;
	-*) usage ;;
	*) kinds+=" $1" ;;
	esac
	shift
done
say() { [ $json_wanted -eq 1 ] || echo "$*" >&2; }

if [ "$family" = 6 ]; then address=$SERVER6; else address=$SERVER4; fi
kernel_admits || fatal "this kernel has no bpf_sk_assign_tcp_reqsk: it came with 6.9"
if [ -z "$kinds" ]; then
	kinds=$("$BUILD/tests/bench/flood" --help | sed '1,/Kinds:/d' | awk '{ print $1 }')
	[ "$family" = 6 ] || kinds=${kinds//ext-chain/}
fi

# ------------------------------------------------------------------------------------------------------------- counting

# The counters of the kernel and the hook so far, as JSON.
counted() {
	server python3 - "$BUILD/shakeoff" <<-'EOT'
		import json, subprocess, sys
		lines = [line.split() for line in open("/proc/net/snmp")]
		snmp = {names[0][:-1]: dict(zip(names[1:], map(int, values[1:]))) for names, values in zip(lines[::2], lines[1::2])}
		snmp6 = dict(line.split() for line in open("/proc/net/snmp6"))
		verdicts = {}
		for line in subprocess.run([sys.argv[1], "stats"], check=True, capture_output=True, text=True).stdout.splitlines():
		    words = line.split()
		    if len(words) > 2 and words[1] in ("PASS", "TX", "DROP"):
		        verdicts[words[0]] = (words[1], int(words[2]))
		print(json.dumps({"segments": snmp["Tcp"]["InSegs"], "wrong": snmp["Tcp"]["InErrs"],
		                  "fragments": snmp["Ip"]["ReasmReqds"] + int(snmp6["Ip6ReasmReqds"]), "verdicts": verdicts}))
	EOT
}

generate() { # KIND
	spawn client flood "$BUILD/tests/bench/flood" --dev c0 --dst "$address" --port 80 --kind "$1" --seconds "$seconds" --cpu 0 --json
	FLOOD_PID=$PID
}
generated() { # its result is in $FLOODED
	wait "$FLOOD_PID" || bail "the flood failed"
	FLOODED=$(tail -n 1 "$TMP/flood.log")
}

# A daemon that has just found the server, while idle.
idle() {
	[ -z "$DAEMON_PID" ] || daemon_stop
	daemon_start
	within 10 shows web state idle || bail "the service is $(shown web state) $(shown web reason), not idle"
}

alone() {
	local before
	idle
	before=$(counted)
	generate "$1"
	generated
	echo "\"alone\": {\"flood\": $FLOODED, \"before\": $before, \"after\": $(counted)}"
}

beside() {
	local honest transfer
	spawn client transfer python3 "$TOP/tests/bench/transfer.py" "$address" 80 /large "$pace"
	transfer=$PID
	sleep 2.5
	generate "$1"
	honest=$(client "$BUILD/tests/net/lib/client" --dst "$address" --port 80 --seconds "$seconds" --concurrency 4 --interval-ms 5 --http --json)
	generated
	kill -0 "$transfer" 2>/dev/null || bail "$1: the open connection was lost"
	killed "$transfer"
	echo "{\"flood\": $FLOODED, \"honest\": $honest, \"transfer\": [$(sed 's/.*/[&]/; s/ /, /' "$TMP/transfer.log" | paste -sd,)]}"
	rm "$TMP/transfer.log"
}

# --------------------------------------------------------------------------------------------------------------- rounds

ours=$LAB ideal=$LAB-ideal
leave() {
	local status=$?
	trap - EXIT
	"$TOP/scripts/lab.sh" down "$ideal" >/dev/null 2>&1
	LAB=$ours clean_up
	exit "$status"
}
trap leave EXIT

# lab NAME: with a server that has a large file
lab() {
	LAB=$1
	lab_up
	nginx_start 80 4096 plain
	truncate -s 256M "$TMP/www/large"
}

lab "$ideal"
server ip link set dev s0 xdpdrv obj "$BUILD/tests/bench/ideal.bpf.o" sec xdp
lab "$ours"
config web 80 handoff=listener syncookies=adaptive
for kind in $kinds; do
	say "$kind ..."
	{
		echo "{\"kind\": \"$kind\", "
		alone "$kind"
		echo ", \"beside\": "
		idle
		beside "$kind"
		echo ", \"ideal\": "
		LAB=$ideal beside "$kind"
		echo "}"
	} >"$TMP/line"
	tr -d '\n' <"$TMP/line" >>"$TMP/results"
	echo >>"$TMP/results"
done

python3 - "$TMP/results" "$json_wanted" "$family" "$seconds" <<'EOT'
import json, sys
path, json_wanted, family, seconds = sys.argv[1], sys.argv[2] == "1", int(sys.argv[3]), float(sys.argv[4])


def rate(samples, begin, end):
    within = [sample for sample in samples if begin <= sample[0] <= end]
    return (within[-1][1] - within[0][1]) / (within[-1][0] - within[0][0]) * 1e9 if len(within) > 1 else 0


def met(run):
    """Returns the results of honest clients and of an open connection beside the flood."""
    begin = run["flood"]["start_ns"]
    idle = rate(run["transfer"], begin - 1.5e9, begin)
    during = rate(run["transfer"], begin, begin + run["flood"]["seconds"] * 1e9)
    return {
        "honest_tried": run["honest"]["tried"],
        "honest_failed": run["honest"]["failed"],
        "transfer_before": round(idle),
        "transfer_during": round(during),
        "transfer_share": round(during / idle, 3) if idle else None,
    }


def row(line):
    alone = line["alone"]
    before, after, sent = alone["before"], alone["after"], alone["flood"]["sent"]
    verdicts = {name: (action, count - before["verdicts"][name][1]) for name, (action, count) in after["verdicts"].items()}
    segments = after["segments"] - before["segments"]
    return {
        "kind": line["kind"],
        "sent": sent,
        "sent_per_second": round(alone["flood"]["sent_per_second"]),
        "reached_tcp": segments,
        "share_reached_tcp": segments / sent,
        "wrong_in_tcp": after["wrong"] - before["wrong"],
        "fragments": after["fragments"] - before["fragments"],
        "passed": sum(count for action, count in verdicts.values() if action == "PASS"),
        "dropped": {name: count for name, (action, count) in verdicts.items() if action == "DROP" and count},
        "answered": sum(count for action, count in verdicts.values() if action == "TX"),
        **met(line["beside"]),
        "ideal": met(line["ideal"]),
    }


rows = [row(json.loads(line)) for line in open(path)]
if json_wanted:
    print(json.dumps({"family": family, "seconds": seconds, "rows": rows}))
    sys.exit()
print(f"\nIPv{family}, {seconds:g} s each, one CPU floods")
print(f"  {'':<14}{'sent/s':>12}{'reached TCP':>20}{'fragments':>11}{'passed':>10}{'answered':>12}{'honest':>9}{'failed':>8}"
      f"{'transfer':>10}{'ideal: honest':>16}{'failed':>8}{'transfer':>10}  dropped")
for row in rows:
    drops = sorted(row["dropped"].items(), key=lambda item: -item[1])[:3]
    reached = f"{row['reached_tcp']:,} ({row['share_reached_tcp']:.3%})"
    print(f"  {row['kind']:<14}{row['sent_per_second']:>12,}{reached:>20}{row['fragments']:>11,}{row['passed']:>10,}{row['answered']:>12,}"
          f"{row['honest_tried']:>9,}{row['honest_failed']:>8,}{row['transfer_share'] or 0:>10.2f}"
          f"{row['ideal']['honest_tried']:>16,}{row['ideal']['honest_failed']:>8,}{row['ideal']['transfer_share'] or 0:>10.2f}  "
          + ", ".join(f"{name} {count:,}" for name, count in drops))
EOT

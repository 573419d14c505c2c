#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# forgery.sh [--json] [--seconds N] [--rate PPS] [--family 4|6] [--plain PPS]: how many connections random ACKs forge, with
# timestamps and without, beside what the strength of the cookies predicts; shakeoff's and, in the same run, the kernel's own.
#
# --seconds  how long each flood of ACKs lasts (default 60)
# --rate     ACKs a second (default 1000000)
# --plain    SYNs without timestamps a second beside them, whose cookies fill the memory that ACKs are asked for in (default 0)
set -u

json_wanted=0 seconds=60 rate=1000000 family=4 plain=0
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"
while [ $# -gt 0 ]; do
	case $1 in
	--json) json_wanted=1 ;;
	--seconds) seconds=$2 && shift ;;
	--rate) rate=$2 && shift ;;
	--family) family=$2 && shift ;;
	--plain) plain=$2 && shift ;;
	*) usage ;;
	esac
	shift
done
say() { [ $json_wanted -eq 1 ] || echo "$*"; }

if [ "$family" = 6 ]; then address=$SERVER6; else address=$SERVER4; fi
PORT=80

# -------------------------------------------------------------------------------------------------------------- servers

accepted() { tail -n 1 "$TMP/accepts.log"; }

has_accepted() { [ "$(accepted)" = "$1" ]; }

# accepts_start [PRELOAD]
accepts_start() {
	rm -f "$TMP/accepts.log"
	spawn server accepts env LD_PRELOAD="${1:-}" python3 "$TOP/tests/bench/accepts.py" "$address" $PORT
	within 5 grep -q 0 "$TMP/accepts.log" || bail "the server does not listen"
}

begin() {
	lab_up
	case $1 in
	kernel)
		server sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies' # always, as the hook does
		accepts_start
		return
		;;
	queue)
		config web $PORT
		daemon_start
		accepts_start "$PRELOAD"
		;;
	listener)
		config web $PORT handoff=listener
		daemon_start
		accepts_start
		;;
	esac
	within 5 shows web state active || bail "$1: the service is not answered for"
}

end() {
	[ -z "$DAEMON_PID" ] || daemon_stop
	"$TOP/scripts/lab.sh" down "$LAB" >/dev/null
}

# ------------------------------------------------------------------------------------------------------------- counting

# A counter of /proc/net/netstat in the server's namespace.
netstat_counter() {
	server python3 -c '
import sys
lines = [line.split() for line in open("/proc/net/netstat")]
for names, values in zip(lines[::2], lines[1::2]):
    if sys.argv[1] in names:
        print(values[names.index(sys.argv[1])])' "$1"
}

# judged MODE: ACKs whose cookie was looked at, so far
judged() {
	if [ "$1" = kernel ]; then
		echo $(($(netstat_counter SyncookiesFailed) + $(netstat_counter SyncookiesRecv)))
	else
		server "$BUILD/shakeoff" stats --json | python3 -c '
import json, sys
counters = json.load(sys.stdin)["counters"]
names = ("ack_bad_cookie", "ack_expired", "ack_not_issued", "ack_kernel_cookie", "ack_valid", "ack_admitted")
print(sum(counters[name] for name in names))'
	fi
}

not_issued() { if [ "$1" = kernel ]; then echo 0; else counter ack_not_issued; fi; }
share() { if [ "$1" = kernel ]; then echo 0; else status datapaths.0.issued_false_positive_rate; fi; }

generate() { client "$BUILD/tests/bench/flood" --dev c0 --dst "$address" --port $PORT --json "$@"; }

# measure MODE KIND: a line of JSON in $TMP/results
measure() {
	local mode=$1 before_accepted before_verified before_not_issued pid beside='' shares=''
	# The kernel looks at cookies for two minutes after it has sent one (TCP_SYNCOOKIE_VALID).
	generate --rate 1000 --seconds 0.1 >/dev/null || bail "the flood failed"
	before_accepted=$(accepted) before_verified=$(judged "$mode") before_not_issued=$(not_issued "$mode")
	spawn client "$mode-$2" "$BUILD/tests/bench/flood" --dev c0 --dst "$address" --port $PORT --json \
		--kind "$2" --rate "$rate" --seconds "$seconds" --cpu 0
	pid=$PID
	if [ "$plain" -gt 0 ]; then
		spawn client beside "$BUILD/tests/bench/flood" --dev c0 --dst "$address" --port $PORT --json \
			--kind syn-plain --rate "$plain" --seconds "$seconds" --cpu 1
		beside=$PID
	fi
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		shares+=" $(share "$mode")"
	done
	wait "$pid" || bail "the flood failed"
	[ -z "$beside" ] || wait "$beside" || bail "the flood beside it failed"
	echo "{\"mode\": \"$mode\", \"kind\": \"$2\", \"flood\": $(tail -n 1 "$TMP/$mode-$2.log"), \"shares\": [$(tr ' ' ',' <<<"${shares# }")]," \
		"\"judged\": $(($(judged "$mode") - before_verified)), \"not_issued\": $(($(not_issued "$mode") - before_not_issued))," \
		"\"forged\": $(($(accepted) - before_accepted))}" >>"$TMP/results"
}

# What is not counted cannot be forged: honest connections, with timestamps and without, have to show.
control() {
	local before
	before=$(accepted)
	for timestamps in 0 1; do
		client sh -c "echo $timestamps >/proc/sys/net/ipv4/tcp_timestamps"
		client "$BUILD/tests/net/lib/client" --dst "$address" --port $PORT --count 5 >/dev/null || bail "$1: honest clients fail"
	done
	within 2 has_accepted $((before + 10)) || bail "$1: of ten connections $(($(accepted) - before)) were counted"
}

# ---------------------------------------------------------------------------------------------------------------- rounds

MODES="queue kernel"
! kernel_admits || MODES="listener $MODES"
for mode in $MODES; do
	begin "$mode"
	for kind in ack ack-ts; do
		say "$mode: $rate random ACKs a second for $seconds s, $([ $kind = ack ] && echo without || echo with) timestamps ..."
		measure "$mode" $kind
	done
	control "$mode"
	end
done

python3 - "$TMP/results" "$json_wanted" "$family" "$seconds" "$plain" <<'EOT'
import json, sys
path, json_wanted, family, seconds, plain = sys.argv[1], sys.argv[2] == "1", int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
TIMESTAMPS, PLAIN, KERNEL = 2.0 ** -31, 2.0 ** -27, 2.0 ** -29  # bpf/lib/cookie.h; net/ipv4/syncookies.c
WARM = 2  # seconds until cookies are asked for: SHAKEOFF_FORGERY_WARM_NS


def expect(row):
    row["share"] = sum(row["shares"]) / len(row["shares"])
    warm = min(1, WARM / seconds)
    strength = KERNEL if row["mode"] == "kernel" else TIMESTAMPS if row["kind"] == "ack-ts" else PLAIN
    row["expected_by_mac"] = row["judged"] * strength
    asked = strength == PLAIN
    row["expected"] = row["expected_by_mac"] * (warm + (1 - warm) * row["share"] if asked else 1)
    row["sent"] = row["flood"]["sent"]
    row["sent_per_second"] = row["flood"]["sent_per_second"]
    del row["flood"], row["shares"]
    return row


rows = [expect(json.loads(line)) for line in open(path)]
if json_wanted:
    print(json.dumps({"family": family, "seconds": seconds, "plain_syns_per_second": plain, "rows": rows}))
    sys.exit()
beside = f", beside {plain:,} SYNs without timestamps a second" if plain else ""
print(f"\nIPv{family}, {seconds:g} s each{beside}")
print(f"  {'':<26}{'ACKs/s':>12}{'judged':>14}{'by the MAC':>12}{'expected':>12}{'forged':>8}{'not_issued':>9}")
for row in rows:
    name = ("the kernel's own" if row["mode"] == "kernel" else row["mode"]) + (", timestamps" if row["kind"] == "ack-ts" else "")
    print(f"  {name:<26}{row['sent_per_second']:>12,.0f}{row['judged']:>14,}{row['expected_by_mac']:>12.4f}{row['expected']:>12.4f}"
          f"{row['forged']:>8}{row['not_issued']:>9}")
print("\n  judged: ACKs whose cookie was looked at. by the MAC: connections that so many random ACKs forge by chance.")
print("  expected: the same, where an ACK without timestamps must also be of a cookie that was sent lately, with the")
print("  first two seconds, in which that is not asked. forged: what the server accepted. not_issued: refused for that alone.")
EOT

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Clients that are 40, 150 and 300 ms away: an accepted socket knows their round trip from the first moment, nothing is sent twice, and
# much data takes no longer than with the plain kernel. tests/bench/round_trip.sh shows the whole table.
. "$(dirname "$0")/lib/lib.sh"
# shellcheck source=tests/net/lib/far.sh
. "$HERE/far.sh"

needs_admission

# What is measured at each distance: congestion controls; the rest goes with two of them.
measure() {
	local ms=$1 control family system
	for control in $(controls_at "$ms"); do
		for family in 4 6; do
			for system in $(far_systems); do
				undisturbed far_cell "$ms" "$control" "$family" "$system" 4 3 14000 >>"$FAR_OUT/cells$ms" || return
			done
		done
	done
	[ "$ms" != 150 ] || much_data || return
	[ "$ms" != 40 ] || timestamps
}

controls_at() {
	case $1 in
	150) far_controls ;;
	*) far_controls | head -n 1 ;;
	esac
}

# undisturbed COMMAND...: of a cell where something was sent twice another is made, three in all: a machine that stands still has that
# happen once, a wrong round trip every time.
undisturbed() {
	local cell
	for _ in 1 2 3; do
		cell=$("$@") || return
		case $cell in *'"resent": 0, "probes": 0,'*) break ;; esac
	done
	echo "$cell"
}

# In turns, so that a machine that gets slower does so for both.
much_data() {
	local system
	for _ in 1 2 3; do
		for system in listener kernel; do
			far_cell "$ms" "$(far_controls | head -n 1)" 4 "$system" 1 1 5000000 >>"$FAR_OUT/cells$ms" || return
		done
	done
}

timestamps() {
	client python3 "$HERE/raw_round_trip.py" clocks $FAR_LISTENER >"$FAR_OUT/clocks" 2>&1 || echo "not ok - it did not get to its end" >>"$FAR_OUT/clocks"
	client python3 "$HERE/raw_round_trip.py" lost $FAR_LISTENER $FAR_QUEUE $FAR_KERNEL >"$FAR_OUT/lost" 2>&1
	soon sh -c "[ \"\$(cat '$TMP'/*.log | grep -cE '\"port\": 3000[0-5]')\" = 6 ]"
	grep -hE '"port": 3000[0-5]' "$TMP"/*.log >>"$FAR_OUT/lost"
}

for control in bbr cubic reno; do
	far_controls | grep -qx "$control" || echo "# this kernel has no $control"
done
FAR_PIDS=()
for ms in 40 150 300; do
	far_lab "$ms" measure "$ms" >"$TMP/lab$ms" 2>&1 &
	FAR_PIDS+=($!)
done
trap 'kill "${FAR_PIDS[@]}" 2>/dev/null; wait; exit 143' TERM INT HUP PIPE
for pid in "${FAR_PIDS[@]}"; do
	wait "$pid" || bail "$(cat "$TMP"/lab* "$TMP/lost")"
done

# verdicts: of all cells, as TAP
tap python3 - "$TMP" <<'EOT'
import json, statistics, sys

cells = [json.loads(line) for ms in (40, 150, 300) for line in open(f"{sys.argv[1]}/cells{ms}")]
lost = [json.loads(line) for line in open(f"{sys.argv[1]}/lost") if line.startswith("{")]


def check(good, what, *why):
    print(f"{'ok' if good else 'not ok'} - {what}")
    for line in why if not good else ():
        print(f"# {line}")


for cell in cells:
    print("#", json.dumps(cell))
check(not any(cell["errors"] for cell in cells), "no connection fails")
for cell in cells:
    if cell["system"] != "listener" or cell["size"] != 14000:
        continue
    name = f"{cell['ms']} ms, {cell['control']}, IPv{cell['family']}: "
    check(cell["rtt_ms"][0] >= cell["ms"], name + "no socket believes in less than the round trip", cell["rtt_ms"])
    check(statistics.median(cell["rtt_ms"]) <= cell["ms"] + 30, name + "nor in much more", cell["rtt_ms"])
    check(cell["resent"] == cell["probes"] == 0, name + "nothing is sent twice", cell)
seconds = {system: [cell["seconds"] for cell in cells if cell["size"] == 5000000 and cell["system"] == system]
           for system in ("listener", "kernel")}
ratio = statistics.median(seconds["listener"]) / statistics.median(seconds["kernel"])
print(f"# 5 MB over 150 ms: {seconds}, {ratio:.2f} of the plain kernel's time")
check(ratio <= 1.3, "5 MB over 150 ms take no longer than with the plain kernel", seconds)
# By family and port: 30000 listener, queue, kernel, and the same of IPv6.
rtt = {said["port"] - 30000: said["rtt_ms"] for said in lost}
print(f"# rtt at accept() after a lost SYN-ACK, 40 ms away: {rtt}")
for i, name in enumerate(f"{system}, IPv{family}" for family in (4, 6) for system in ("listener", "queue", "kernel")):
    # Python answers the SYN-ACK, which takes its time, but never a second.
    check(i in rtt and (rtt[i] == 0 or 40 <= rtt[i] < 240), f"{name}: a SYN-ACK that was sent again tells its own round trip, or none",
          rtt)
EOT
tap cat "$TMP/clocks"

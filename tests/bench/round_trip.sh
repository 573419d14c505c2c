#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# round_trip.sh [--json] [--rounds N] [--delays "MS ..."] [--family 4|6]: what clients that are far away get, in one run side by side:
# from the listener handoff, the queue handoff, the kernel with tcp_syncookies = 2 and the plain kernel, with each congestion control.
#
#	rtt at accept()  what the kernel believes of an accepted connection's round trip (0: nothing); four connections
#	sent twice       segments and tail loss probes, in three answers of 14,000 bytes to each of them: none of it was lost
#	1 MB, 5 MB       seconds that an answer takes, the median of N (3)
#
# Each distance is a lab of its own; they run beside each other.
set -u

json_wanted=0 rounds=3 delays="40 150 300" family=4
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net/lib/far.sh
. "$TOP/tests/net/lib/far.sh"
while [ $# -gt 0 ]; do
	case $1 in
	--json) json_wanted=1 ;;
	--rounds) rounds=$2 && shift ;;
	--delays) delays=$2 && shift ;;
	--family) family=$2 && shift ;;
	*) usage ;;
	esac
	shift
done

measure() {
	local ms=$1 control system size round
	for control in $(far_controls); do
		for system in $(far_systems); do
			far_cell "$ms" "$control" "$family" "$system" 4 3 14000 >>"$FAR_OUT/cells$ms" || return
		done
		# In turns, so that a machine that gets slower does so for all.
		for size in 1000000 5000000; do
			for ((round = 1; round <= rounds; round++)); do
				for system in $(far_systems); do
					far_cell "$ms" "$control" "$family" "$system" 1 1 "$size" >>"$FAR_OUT/cells$ms" || return
				done
			done
		done
	done
}

FAR_PIDS=()
for ms in $delays; do
	far_lab "$ms" measure "$ms" >"$TMP/lab$ms" 2>&1 &
	FAR_PIDS+=($!)
done
trap 'kill "${FAR_PIDS[@]}" 2>/dev/null; wait; exit 143' TERM INT HUP PIPE
for pid in "${FAR_PIDS[@]}"; do
	wait "$pid" || bail "$(cat "$TMP"/lab*)"
done

# shellcheck disable=SC2086 # a list
python3 - "$TMP" "$json_wanted" "$family" $delays <<'EOT'
import json, statistics, sys
directory, json_wanted, family, delays = sys.argv[1], sys.argv[2] == "1", sys.argv[3], sys.argv[4:]
cells = [json.loads(line) for ms in delays for line in open(f"{directory}/cells{ms}")]
if json_wanted:
    print(json.dumps(cells))
    sys.exit(any(cell["errors"] for cell in cells))
names = {"listener": "shakeoff, listener", "queue": "shakeoff, queue", "cookies": "kernel cookies", "kernel": "kernel"}
rows = {}
for cell in cells:
    rows.setdefault((cell["control"], cell["ms"], cell["system"]), {}).setdefault(cell["size"], []).append(cell)
seconds = lambda row, size: statistics.median(cell["seconds"] for cell in row[size])
print(f"IPv{family}")
print(f"{'':18}{'':20}{'rtt at accept()':>20}{'sent twice':>12}{'1 MB':>9}{'5 MB':>9}{'cwnd':>7}")
for control, ms, system in sorted(rows, key=lambda key: (["bbr", "cubic", "reno"].index(key[0]), key[1], list(names)[::-1].index(key[2]))):
    row = rows[control, ms, system]
    small = row[14000][0]
    rtt = f"{small['rtt_ms'][0]:.0f} to {small['rtt_ms'][-1]:.0f} ms"
    print(f"{control + ', ' + str(ms) + ' ms':18}{names[system]:20}{rtt:>20}{small['resent'] + small['probes']:>12}"
          f"{seconds(row, 1000000):>7.2f} s{seconds(row, 5000000):>7.2f} s{max(cell['cwnd'] for cell in row[5000000]):>7}")
errors = [error for cell in cells for error in cell["errors"]]
if errors:
    sys.exit(f"connections failed: {errors}")
EOT

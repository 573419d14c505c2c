#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# bypass.sh [--json] [--clients N] [--kinds "KIND..."] [--rates "SYNS..."]: what honest clients that nobody has seen before
# get in a flood from a service that only the kernel can serve, without shakeoff and with it. The two labs stand beside each other, and take
# turns at each rate; who is first changes. The same rate may be given several times.
#
# --clients  how many in each flood, 20 a second (default 100); each waits ten seconds
# --kinds    mptcp: an MPTCP listener; firewall: one behind rules that know connections by
#            their SYN; dnat: a published port (default: all)
# --rates    SYNs a second (default 50000 100000 300000 1000000)
#
#	served    of the clients: had their answer
#	at first  of the clients: connected at their first SYN
#	p50, p99  how long it took to connect, of those that were served
#	SYNs      a second, as the generator got them out: where a CPU has others to serve, it pauses
#	SYN-ACKs  a second, to the flood
set -u

json_wanted=0 clients=100 kinds="mptcp firewall dnat" rates="50000 100000 300000 1000000"
# shellcheck source=tests/bench/lib.sh
. "$(dirname "$0")/lib.sh"
while [ $# -gt 0 ]; do
	case $1 in
	--json) json_wanted=1 ;;
	--clients) clients=$2 && shift ;;
	--kinds) kinds=$2 && shift ;;
	--rates) rates=$2 && shift ;;
	*) usage ;;
	esac
	shift
done
# shellcheck source=tests/net/lib/strangers.sh
. "$TOP/tests/net/lib/strangers.sh"
[ "$(nproc)" -gt 1 ] || fatal "needs a second CPU"
say() { [ $json_wanted -eq 1 ] || echo "$*" >&2; }

base=$LAB
leave() {
	local status=$?
	trap - EXIT
	"$TOP/scripts/lab.sh" down "$base-none" >/dev/null 2>&1
	LAB=$base-daemon clean_up
	exit "$status"
}
trap leave EXIT

for kind in $kinds; do
	for mode in none daemon; do
		LAB=$base-$mode
		lab_up
		strangers_lab
		"bypassed_$kind"
	done
	config_daemon
	daemon_start_bare --config "$CONF"
	soon is_bypassed "$(port_of "$kind")" || bail "$kind: it is not bypassed"
	order="none daemon"
	for rate in $rates; do
		for mode in $order; do
			say "$kind, $rate SYNs a second, $mode ..."
			LAB=$base-$mode
			in_flood "$(port_of "$kind")" "$rate" "$clients" 20
			echo "{\"kind\": \"$kind\", \"rate\": $rate, \"mode\": \"$mode\", \"result\": $RESULT}" >>"$TMP/results"
		done
		if [ "$order" = "none daemon" ]; then order="daemon none"; else order="none daemon"; fi
	done
	LAB=$base-daemon
	daemon_stop
	for mode in none daemon; do
		"$TOP/scripts/lab.sh" down "$base-$mode" >/dev/null
	done
done

python3 - "$TMP/results" "$json_wanted" <<'EOT'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
for row in rows:
    row["synacks_per_second"] = row["result"]["flood"]["synacks_per_second"]
    row["sent_per_second"] = row["result"].pop("flood")["sent_per_second"]
    row |= row.pop("result")
if sys.argv[2] == "1":
    print(json.dumps(rows))
    sys.exit()
print(f"\n  {'':<10}{'':>11}" + "".join(f"{mode:>14}{'':48}" for mode in ("no daemon", "daemon")))
print(f"  {'listener':<10}{'rate':>11}" + f"{'served':>9}{'at first':>10}{'p50 ms':>9}{'p99 ms':>9}{'SYNs/s':>13}{'SYN-ACKs/s':>12}" * 2)
cell = lambda row: (f"{row['served'] / row['tried']:>9.0%}{row['at_first_syn'] / row['tried']:>10.0%}{row['p50_ms'] or 0:>9.1f}"
                    f"{row['p99_ms'] or 0:>9.0f}{row['sent_per_second']:>13,.0f}{row['synacks_per_second']:>12,.0f}")
for without, shakeoff in zip(*([row for row in rows if row["mode"] == mode] for mode in ("none", "daemon"))):
    print(f"  {without['kind']:<10}{without['rate']:>11,}{cell(without)}{cell(shakeoff)}")
EOT

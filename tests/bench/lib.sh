# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What the benchmarks share: env.sh, how they fail, and that nothing of them stays. Sourced by tests/bench/*.sh, whose head is what
# they say when asked wrongly.

fatal() {
	echo "$(basename "$0" .sh): $*" >&2
	exit 1
}
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
# The comment at the script's head, from its fourth line on.
usage() {
	sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}
[ "$(id -u)" -eq 0 ] || fatal "needs root, for network namespaces and BPF"

# shellcheck source=tests/net/lib/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../net/lib/env.sh"
leave() {
	local status=$?
	trap - EXIT
	clean_up
	exit "$status"
}
trap leave EXIT

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# verify.sh         compares the figures of this kernel's verifier for every BPF program with scripts/verify.baseline;
#                   exit status 1 if one has grown by more than a tenth
# verify.sh write   writes them as the new baseline
#
# Numbers of another kernel or compiler differ: the baseline's first line names those that it was made with.
set -eu

cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
baseline=scripts/verify.baseline

[ "$(id -u)" -eq 0 ] || {
	echo "verify.sh: needs root, to load the programs" >&2
	exit 1
}
made_with="Linux $(uname -r | grep -oE '^[0-9]+\.[0-9]+'), $("${CLANG:-clang}" --version | head -n 1 | grep -oE 'clang version [0-9]+')"
now=$("$BUILD/tests/bench/verify" "$BUILD"/*.bpf.o)

if [ "${1:-}" = write ]; then
	printf '# %s: object program instructions states peak_states stack\n%s\n' "$made_with" "$now" >"$baseline"
	echo "$baseline is written"
	exit 0
fi

before=$(sed -n '1s/^# \(.*\): object .*/\1/p' "$baseline")
[ "$before" = "$made_with" ] || echo "The baseline is of $before, this is $made_with."
printf '%s\n' "$now" | awk -v baseline="$baseline" '
	function field(old, new) {
		grown = new > old * 1.1
		if (grown)
			failed = 1
		return sprintf("%10d%9s%s", new, old ? sprintf("%+.1f %%", (new - old) * 100 / old) : "", grown ? "!" : " ")
	}
	BEGIN {
		while ((getline line <baseline) > 0)
			if (split(line, part, " ") == 6 && part[1] != "#") {
				known[part[2]] = 1
				for (i = 3; i <= 6; i++)
					old[part[2], i] = part[i]
			}
		printf "%-20s %20s %20s %20s %20s\n", "program", "instructions", "states", "peak states", "stack"
	}
	{
		if (!($2 in known)) {
			printf "%s is not in the baseline\n", $2
			failed = 1
			next
		}
		delete known[$2]
		printf "%-20s %s %s %s %s\n", $2, field(old[$2, 3], $3), field(old[$2, 4], $4), field(old[$2, 5], $5), field(old[$2, 6], $6)
	}
	END {
		for (name in known) {
			printf "%s is in the baseline, and in no object\n", name
			failed = 1
		}
		if (failed)
			print "A program has grown by more than a tenth (!), or come or gone: make it smaller, or `make verify-baseline` if it has to be so."
		exit failed
	}'

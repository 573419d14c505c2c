#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the hook answers is what the kernel would have answered, in every row of two matrices (segments; listening sockets, routes, sysctls),
# except for what shakeoff-limits(7) says; and what that says is true.
# MATRIX=segments or MATRIX=sockets: one of the two. ROW=TEXT: the rows with it in their name, and not whether the page is true.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

# The labs are those of variant.sh, each of which cleans up by itself.
clean_up() {
	[ ${#labs[@]} -eq 0 ] || kill "${labs[@]}" 2>/dev/null
	wait
	rm -rf "$TMP"
}

labs=()
for matrix in ${MATRIX:-segments sockets}; do
	for variant in plain cookies idle active queue; do
		"$TOP/tests/net/conformance/variant.sh" $variant "$matrix" "$TMP/$matrix.$variant.json" >"$TMP/$matrix.$variant.log" 2>&1 &
		labs+=($!)
	done
	# Most rows of segments are done by then, and the others wait.
	sleep 8
done
wait "${labs[@]}"
labs=()
for matrix in ${MATRIX:-segments sockets}; do
	tap /usr/bin/python3 "$TOP/tests/net/conformance/compare.py" "$TMP" "$matrix" "$TOP/user/man/shakeoff-limits.7"
done

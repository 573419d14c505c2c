#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The wall clocks of a fleet's hosts, which its timestamps follow, may be half a minute apart: the host that completes a
# connection reads the options in the client's echo, and the connection's timestamps continue from the values that the
# client has seen.
. "$(dirname "$0")/lib/lib.sh"

lab_up
(umask 077 && "$BUILD/shakeoff" key generate >"$TMP/key")
config_daemon discover=no "key-file=$TMP/key"
service queue 7000
! kernel_admits || service listener 7001 handoff=listener
daemon_start
for family in 4 6; do
	address=SERVER$family
	server_start "queue$family" "${!address}" 7000 line
	tap client python3 "$HERE/raw_foreign_clock.py" 7000 $family
	kernel_admits || continue
	plain_start "listener$family" "${!address}" 7001 line
	shows_served() { [ "$(shown listener servers)" = $((family == 4 ? 1 : 2)) ]; }
	soon shows_served || bail "the listening socket is not found"
	soon comes_through "${!address}" 7001 || bail "the hook does not answer for the listening socket"
	tap client python3 "$HERE/raw_foreign_clock.py" 7001 $family
done

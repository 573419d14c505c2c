#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Hosts of a fleet have different clocks for their timestamps (each since its own start): the connection's goes on from what the
# client has seen, whoever completes it, and neither PAWS nor the measurement of round-trip times meets a leap.
. "$(dirname "$0")/lib.sh"

lab_up
config queue 7000
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
	tap client python3 "$HERE/raw_foreign_clock.py" 7001 $family
done

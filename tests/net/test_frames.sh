#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Frames as they come: VLAN tags, IP options, IPv6 extension headers, odd TCP options, SYNs with data, TCP-MD5.
. "$(dirname "$0")/lib/lib.sh"

lab_up
config_daemon discover=no
service_on line '*:7000' --
daemon_start
# One socket for both families.
server_start line :: 7000 line

tap client python3 "$HERE/raw_frames.py" 7000
# Any connection of any of these frames is one that the hook answered and the daemon made.
is "every one came through the hook" $(($(counter accepted) - $(queue from_kernel))) "$(counter ack_valid)"

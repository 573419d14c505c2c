#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Frames as they come: VLAN tags, IP options, IPv6 extension headers, odd TCP options, SYNs with data, TCP-MD5.
. "$(dirname "$0")/lib.sh"

lab_up
cat >"$CONF" <<EOT
[daemon]
interface = s0

[service line]
listen = *:7000
handoff = queue
engage = always
EOT
daemon_start
spawn server line env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" 0.0.0.0 7000 --mode line
within 5 grep -q listening "$TMP/line.log" || bail "the server does not listen"
spawn server line6 env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" :: 7000 --mode line
within 5 grep -q listening "$TMP/line6.log" || bail "the server does not listen on IPv6"

tap client python3 "$HERE/raw_frames.py" 7000
# Any connection of any of these frames is one that the hook answered and the daemon made.
is "every one came through the hook" "$(counter accepted)" "$(counter ack_valid)"

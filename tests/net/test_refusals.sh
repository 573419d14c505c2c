#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What cannot be done is refused with one clear sentence and exit status 1, and nothing has changed.
. "$(dirname "$0")/lib/lib.sh"

daemon=$BUILD/shakeoffd

lab_up
config web 80

# A wrong file: the line is named, what was read and what is allowed.
wrong() {
	local what=$1 want=$2
	shift 2
	printf '%s\n' "$@" >"$TMP/wrong.conf"
	refuses "$what" "$want" nsenter --net="/run/netns/$LAB-server" "$daemon" --config "$TMP/wrong.conf" --run-dir "$RUN"
}
wrong "an unknown policy" 'wrong\.conf:6: .*overflow.*(maybe|allowed|drop)' \
	'[daemon]' 'interface = s0' '[service web]' 'listen = 10.9.0.1:80' 'handoff = queue' 'overflow = maybe'
wrong "an unknown key" 'wrong\.conf:3: .*colour' '[daemon]' 'interface = s0' 'colour = red'
wrong "an address without a port" 'wrong\.conf:4: .*10\.9\.0\.1' '[daemon]' 'interface = s0' '[service web]' 'listen = 10.9.0.1'
wrong "a backlog of nothing" 'wrong\.conf:5: .*backlog' '[daemon]' 'interface = s0' '[service web]' 'listen = 10.9.0.1:80' 'backlog = 0'
wrong "an interface that is not there" 'nosuch0' '[daemon]' 'interface = nosuch0' '[service web]' 'listen = 10.9.0.1:80' 'handoff = queue'
refuses "a file that is not there" 'nosuch\.conf' \
	nsenter --net="/run/netns/$LAB-server" "$daemon" --config "$TMP/nosuch.conf" --run-dir "$RUN"
is "none of them attached anything" "$(server ip -d link show dev s0 | grep -c 'prog/xdp')" 0

# No rights.
refuses "without capabilities" '[Cc]ap|[Pp]ermi|root|right' \
	nsenter --net="/run/netns/$LAB-server" setpriv --bounding-set -all --inh-caps -all --reuid 65534 --regid 65534 --clear-groups \
	"$daemon" --config "$CONF" --run-dir "$TMP/run2"

# A foreign program stays, and is named.
server ip link set dev s0 xdpdrv obj "$BUILD/tests/bench/bounce.bpf.o" sec xdp
foreign=$(server ip -d link show dev s0 | grep -oE 'prog/xdp id [0-9]+')
refuses "a foreign XDP program on the interface" 's0.*bounce|bounce.*s0' \
	nsenter --net="/run/netns/$LAB-server" "$daemon" --config "$CONF" --run-dir "$RUN"
refuses "attach does not replace it either" 's0' nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" attach s0
is "the foreign program is still there" "$(server ip -d link show dev s0 | grep -oE 'prog/xdp id [0-9]+')" "$foreign"
server ip link set dev s0 xdpdrv off

# One daemon a run directory.
daemon_start
refuses "a second daemon in the same run directory" "$RUN|runs|running" \
	nsenter --net="/run/netns/$LAB-server" "$daemon" --config "$CONF" --run-dir "$RUN"
is "the first goes on to beat" "$(alive)" true

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Three ways to the hook: the daemon attaches; `shakeoff attach` did; `ip link` did. What the daemon did not attach it leaves.
. "$(dirname "$0")/lib/lib.sh"

attached() { server ip -d link show dev s0 | grep -oE 'prog/xdp id [0-9]+'; }
served() { client curl -s -m 20 "http://$SERVER4/"; }

lab_up
config web 80

server ip link set dev s0 xdpdrv obj "$BUILD/handshake.bpf.o" sec xdp
by_ip=$(attached)
is "ip link: without a daemon other traffic passes" "$(client ping -c 1 -W 20 "$SERVER4" | grep -c ' 0% packet loss')" 1
daemon_start
nginx_start 80
is "ip link: the daemon adopts the program" "$(attached)" "$by_ip"
is "ip link: clients are served" "$(served)" "served by nginx"
at_least "ip link: by the hook" "$(counter ack_valid)" 1
daemon_stop
is "ip link: the program stays when the daemon stops" "$(attached)" "$by_ip"
daemon_start
soon served
is "ip link: the next daemon adopts it again" "$(served)/$(attached)" "served by nginx/$by_ip"
daemon_stop
check "shakeoff detach takes it off" server "$BUILD/shakeoff" detach s0
is "nothing is attached" "$(attached)" ""

check "shakeoff attach" server "$BUILD/shakeoff" attach s0
by_attach=$(attached)
daemon_start
soon served
is "shakeoff attach: the daemon adopts the program" "$(served)/$(attached)" "served by nginx/$by_attach"
daemon_stop
is "shakeoff attach: the program stays when the daemon stops" "$(attached)" "$by_attach"
check "shakeoff detach" server "$BUILD/shakeoff" detach s0
is "nothing is attached" "$(attached)" ""
refuses "a second detach says that there is nothing" 's0' nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" detach s0

daemon_start
soon served
is "the daemon attaches: clients are served" "$(served)" "served by nginx"
daemon_stop
is "and detaches when it stops" "$(attached)" ""

# Generic mode, where a driver has no XDP.
check "shakeoff attach --mode generic" server "$BUILD/shakeoff" attach s0 --mode generic
daemon_start
# nginx has been served by its own socket meanwhile, and registers again by itself.
soon served_on web "$SERVER4:80"
is "generic mode: clients are served" "$(served)" "served by nginx"
at_least "generic mode: by the hook" "$(counter ack_valid)" 1
daemon_stop
check "shakeoff detach" server "$BUILD/shakeoff" detach s0

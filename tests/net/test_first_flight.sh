#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What follows the final ACK before its socket exists reaches the connection in order: no byte lost, nothing sent twice.
. "$(dirname "$0")/lib/lib.sh"

lab_up
config_pair collect 7000
daemon_start
server_start four "$SERVER4" 7000 collect
server_start six "$SERVER6" 7000 collect

tap client python3 "$HERE/raw_first_flight.py" 7000 4
tap client python3 "$HERE/raw_first_flight.py" 7000 6

# Threaded NAPI: ACK and data arrive in one burst, worked on by a thread on a CPU of its choice.
ip netns exec "$LAB-server" sh -c 'echo 1 >/sys/class/net/s0/threaded' || bail "no threaded NAPI"
tap client python3 "$HERE/raw_first_flight.py" 7000 4
daemon_stop
config_pair line 7001
daemon_start
server_start line4 "$SERVER4" 7001 line
server_start line6 "$SERVER6" 7001 line
for address in "$SERVER4" "$SERVER6"; do
	is "threaded NAPI, $address: none of 500 connections fails, nothing is sent twice" "$(connections "$address" 7001 500 | cut -d/ -f1,2)" 0/0
done

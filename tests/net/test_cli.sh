#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The command line: text and JSON, help, and what works while the daemon is down.
. "$(dirname "$0")/lib.sh"

shakeoff() { server "$BUILD/shakeoff" "$@"; }

lab_up
for command in attach detach status stats queues connections; do
	check "$command --help" shakeoff $command --help
done
check "--help" shakeoff --help
refuses "detach without an attachment" 's0' nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" detach s0
refuses "attach to nothing" 'nosuch0' nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" attach nosuch0
for command in status stats queues connections; do
	check "$command on a host without anything" sh -c "nsenter --net=/run/netns/$LAB-server $BUILD/shakeoff $command --json >/dev/null; [ \$? -le 1 ]"
done

config web 80 backlog=100
daemon_start
nginx_start 80
client "$BUILD/tests/net/client" --dst "$SERVER4" --port 80 --count 100 --http >/dev/null

for command in status stats queues connections; do
	check "$command" shakeoff $command
	check "$command --json is JSON" sh -c "nsenter --net=/run/netns/$LAB-server $BUILD/shakeoff $command --json | python3 -m json.tool"
done
for name in syn_received synack_sent ack_valid ack_invalid established accepted overflow passed; do
	matches "stats --json has counters.$name as an integer" "$(counter $name)" '^[0-9]+$'
done
at_least "syn_received counts" "$(counter syn_received)" 100
is "what was validated was established" "$(counter established)" "$(counter ack_valid)"
is "and accepted" $(($(counter accepted) - $(queue from_kernel))) "$(counter ack_valid)"

# A connection that lasts.
spawn client lasting python3 -c '
import socket, sys, time
conn = socket.create_connection((sys.argv[1], 80))
time.sleep(30)' "$SERVER4"
within 5 sh -c "nsenter --net=/run/netns/$LAB-server $BUILD/shakeoff connections --json | grep -qi established"
matches "connections lists it with its state" "$(shakeoff connections --json)" '"ESTABLISHED"|"ESTAB"|"established"'
matches "connections shows its peer" "$(shakeoff connections)" "10\.9\.0\.2"
matches "queues shows the service and its capacity" "$(shakeoff queues)" 'web.*\b100\b'
matches "status shows the interface" "$(shakeoff status)" 's0'

daemon_kill
for command in status stats queues connections; do
	check "$command --json works without the daemon" sh -c "nsenter --net=/run/netns/$LAB-server $BUILD/shakeoff $command --json | python3 -m json.tool"
done
at_least "counters are still there" "$(counter ack_valid)" 100

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The final ACK and the first data of a connection come in by two receive queues, worked on by two CPUs at the same moment: no connection
# is reset, none fails, and none waits for a retransmission, as with the plain kernel beside it. COUNT: connections of each kind.
. "$(dirname "$0")/lib/lib.sh"

COUNT=${COUNT:-2000}
needs_admission
if [ "$(nproc)" -lt 2 ]; then
	pass "two queues # SKIP there is one CPU only"
	exit 0
fi

# Segments that the server's kernel has sent again.
# shellcheck disable=SC2016 # for awk
resent() { server awk '/^Tcp:/ { n++; for (i = 1; i <= NF; i++) if (n == 1) name[i] = $i; else if (name[i] == "RetransSegs") print $i }' \
	/proc/self/net/snmp; }

# both FAMILY PORT NAME: COUNT clients, as JSON in $TMP/NAME.json, with what the server's kernel has sent again meanwhile
both() {
	local raw=RAW$1 address=SERVER$1 before result
	before=$(resent)
	result=$(client "$BUILD/tests/net/lib/two_cpus" c0 "${!raw}" "${!address}" "$2" "$COUNT") || bail "the client failed: $result"
	echo "${result%\}}, \"server_resent\": $(($(resent) - before))}" >"$TMP/$3.json"
	echo "# IPv$1, $3: $(cat "$TMP/$3.json")"
}
of() { json "$2" <"$TMP/$1.json"; }

lab_up
config_daemon discover=no
# More SYNs than a service has while idle are the test's, not a flood's.
service queues 7000 handoff=listener syncookies=always backlog=4096
service held 7002 handoff=queue backlog=4096
daemon_start
for family in 4 6; do
	address=SERVER$family
	server_start "queue$family" "${!address}" 7002 line 4096
	plain_start "hook$family" "${!address}" 7000 line --backlog 4096
	plain_start "kernel$family" "${!address}" 7001 line --backlog 4096
done
soon shows queues state active || bail "the service is not answered for"

is "each CPU sends by its own queue" \
	"$(client unshare --mount sh -c 'mount -t sysfs sysfs /sys && cat /sys/class/net/c0/queues/tx-[01]/xps_cpus' | tr -d '0,\n')" 12
for family in 4 6; do
	both $family 7001 kernel
	for handoff in listener:7000:ack_admitted queue:7002:ack_valid; do
		IFS=: read -r name port counted <<<"$handoff"
		before=$(counter "$counted")
		both $family "$port" "$name"
		at_least "IPv$family, $name: they came through the hook" $(($(counter "$counted") - before)) $((COUNT * 95 / 100))
		is "IPv$family, $name: no connection is reset" "$(of "$name" reset)" 0
		is "IPv$family, $name: none fails" "$(of "$name" failed)/$(of "$name" served)" "0/$COUNT"
		at_most "IPv$family, $name: no more wait above 150 ms than with the plain kernel" "$(of "$name" waited)" \
			"$(of kernel waited)"
		at_most "IPv$family, $name: nothing more is sent again by the server" "$(of "$name" server_resent)" \
			"$(of kernel server_resent)"
	done
done

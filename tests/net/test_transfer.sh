#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Much data through an accepted connection, in each direction: intact, and not slower than over a normal one. MB: how much.
. "$(dirname "$0")/lib/lib.sh"

MB=${MB:-100}

cat >"$TMP/up.py" <<'EOT'
import hashlib, socket, sys, time
address, port, megabytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
block = open("/dev/urandom", "rb").read(1 << 20)
digest = hashlib.sha256()
conn = socket.create_connection((address, port), timeout=120)
start = time.monotonic()
for _ in range(megabytes):
    conn.sendall(block)
conn.shutdown(socket.SHUT_WR)
answer = conn.makefile().readline().strip()
took = time.monotonic() - start
for _ in range(megabytes):
    digest.update(block)
print("intact" if answer == digest.hexdigest() else "corrupt", int(megabytes / took))
EOT

lab_up
config web 80
service up 7000
daemon_start
nginx_start 80
head -c "$((MB << 20))" /dev/urandom >"$TMP/www/big"
want=$(sha256sum <"$TMP/www/big")
server_start up4 "$SERVER4" 7000 collect
server_start up6 "$SERVER6" 7000 collect
for family in 4 6; do
	address=SERVER$family
	spawn server "plain$family" python3 "$HERE/server.py" "${!address}" 7001 --mode collect
	soon grep -q listening "$TMP/plain$family.log"
done
sed 's/:80 /:81 /; s/nginx.pid/nginx2.pid/' "$TMP/nginx.conf" >"$TMP/nginx2.conf"
spawn server nginx2 nginx -c "$TMP/nginx2.conf"
soon client curl -sf -o /dev/null "http://$SERVER4:81/"

# down ADDRESS PORT: MB/s; the better of two, as the first may find cold caches
down() { client curl -sgf -m 120 -o /dev/null -w '%{speed_download}\n' "http://$1:$2/big" "http://$1:$2/big" -o /dev/null |
	sort -n | tail -n 1 | awk '{ print int($1 / 1048576) }'; }

greatest() { printf '%s\n' "$@" | sort -n | tail -n 1; }

# up ADDRESS PORT: the same
up() {
	local intact rate
	read -r intact rate < <(client python3 "$TMP/up.py" "$1" "$2" "$MB")
	[ "$intact" = intact ] && echo "$rate"
}

# not_slower WHAT COMMAND ADDRESS OURS KERNELS: two ports; the best of some tries each, as whatever else the machine does can only make it slower
not_slower() {
	local offload=0 kernel=0
	for _ in 1 2 3 4 5 6; do
		offload=$(greatest "$offload" "$("$2" "$3" "$4")")
		kernel=$(greatest "$kernel" "$("$2" "$3" "$5")")
		[ "$offload" -lt $((kernel * 6 / 10)) ] || break
	done
	at_least "$1 at $offload MB/s, normally $kernel" "$offload" $((kernel * 6 / 10))
}

for timestamps in 1 0; do
	client sh -c "echo $timestamps >/proc/sys/net/ipv4/tcp_timestamps"
	for address in "$SERVER4" "$SERVER6"; do
		host=$address
		case $address in *:*) host="[$address]" ;; esac
		what="$address, timestamps $([ $timestamps = 1 ] && echo on || echo off)"
		is "$what: $MB MB down are intact" "$(client curl -sgf -m 120 "http://$host/big" | sha256sum)" "$want"
		not_slower "$what: down" down "$host" 80 81
		check "$what: $MB MB up are intact" up "$address" 7000
		not_slower "$what: up" up "$address" 7000 7001
	done
done

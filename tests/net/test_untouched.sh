#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What no service claims is left alone: other protocols, other ports, ports that nobody serves, connections of the host itself.
. "$(dirname "$0")/lib/lib.sh"

udp() {
	client python3 -c '
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sock = socket.socket(family, socket.SOCK_DGRAM)
sock.settimeout(20)
sock.sendto(b"x" * int(sys.argv[2]), (sys.argv[1], 5300))
sys.exit(len(sock.recvfrom(65535)[0]) != int(sys.argv[2]))' "$@"
}

lab_up
config web 80
service no_server 81
service ended 82
daemon_start
nginx_start 80

spawn server udp python3 -c '
import socket
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
sock.bind(("::", 5300))
while True:
    data, peer = sock.recvfrom(65535)
    sock.sendto(data, peer)'
spawn server plain python3 -m http.server 8080 --bind "$SERVER4" --directory "$TMP/www"
soon client curl -sf -m 1 -o /dev/null "http://$SERVER4:8080/"
spawn client web python3 -m http.server 8081 --bind "$CLIENT4" --directory "$TMP/www"
soon server curl -sf -m 1 -o /dev/null "http://$CLIENT4:8081/"

for address in "$SERVER4" "$SERVER6"; do
	check "$address: ping" client ping -c 2 -i 0.1 -W 20 -q "$address"
	check "$address: ping in fragments" client ping -c 2 -i 0.1 -W 20 -q -s 4000 "$address"
	check "$address: UDP" udp "$address" 500
	check "$address: UDP in fragments" udp "$address" 8000
	check "$address: a port without a listener gets the kernel's RST" refused "$address" 9999
	check "$address: so does a service that no server has ever served" refused "$address" 81
done
is "another port of the same address is the kernel's" "$(client curl -s -m 20 "http://$SERVER4:8080/")" "served by nginx"
is "connections that the host opens work" "$(server curl -s -m 20 "http://$CLIENT4:8081/")" "served by nginx"
# The port of a service, as the host's own source port: the hook answers for it while its server may be restarting (60 s), but
# a SYN-ACK belongs to the socket that has sent the SYN.
server_start ended "$SERVER4" 82 line
killed "$PID"
from_82() { server curl -sf -m 20 -o "$TMP/page" --local-port 82 "http://$CLIENT4:8081/"; }
# The address is in use until the daemon has closed its copy of the listening socket.
check "even from a port whose service the hook answers for" soon from_82
is "with what was asked for" "$(cat "$TMP/page")" "served by nginx"
check "and it did answer for it" client timeout 20 bash -c "exec 3<>/dev/tcp/$SERVER4/82"
is "over loopback the service is served as well" "$(server curl -s -m 20 "http://$SERVER4/")" "served by nginx"
is "and over loopback with IPv6" "$(server curl -sg -m 20 "http://[$SERVER6]/")" "served by nginx"

# Another address of the host, on the same interface, that is in no service.
ip -n "$LAB-server" address add 10.9.0.5/24 dev s0
check "another address, same port: the kernel refuses" refused 10.9.0.5 80
is "no SYN of all this was answered with a cookie but nginx's own" "$(counter synack_sent)" "$(counter ack_valid)"

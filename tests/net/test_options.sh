#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The accepted socket and the client's are what a handshake of the kernel's own between the same two ends makes them: window
# scales, SACK, timestamps, MSS, windows.
. "$(dirname "$0")/lib/lib.sh"

lab_up
config_pair info 7000
daemon_start
server_start offload4 "$SERVER4" 7000 info
server_start offload6 "$SERVER6" 7000 info
# The same server on the kernel's own handshake.
for family in 4 6; do
	address=SERVER$family
	spawn server "kernel$family" python3 "$HERE/server.py" "${!address}" 7001 --mode info
	soon grep -q listening "$TMP/kernel$family.log" || bail "server.py does not listen"
done

# A client with its own view, and the server's line about it: one line each, to be compared.
cat >"$TMP/look.py" <<'EOT'
import importlib.util, json, socket, sys, time
address, port, log, sockopts = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
spec = importlib.util.spec_from_file_location("server", sys.path[0] + "/server.py")
server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(server)
conn = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
for option in sockopts:
    level, name, value = option.split(":")
    conn.setsockopt(getattr(socket, level), getattr(socket, name), int(value))
conn.settimeout(20)
conn.connect((address, port))
mine = server.tcp_info(conn)
own = conn.getsockname()[1]
end = time.monotonic() + 20
while time.monotonic() < end:
    lines = [json.loads(line) for line in open(log)]
    theirs = [line["info"] for line in lines if line.get("port") == own and "info" in line]
    if theirs:
        break
    time.sleep(0.01)
conn.sendall(b"x")
conn.shutdown(socket.SHUT_WR)
conn.recv(100)
timestamps = mine["options"] & 1
names = ["options", "snd_wscale", "rcv_wscale", "snd_mss", "snd_wnd", "rcv_wnd"]


def wire(info):
    """What counts on the wire. A repaired socket reports an MSS without timestamps as if there were some, and a window scale of
    0/0 as one that was negotiated; neither makes a difference to a segment."""
    if not info["snd_wscale"] and not info["rcv_wscale"]:
        info["options"] &= ~4
    if not timestamps and info is theirs[0] and port == 7000:
        info["snd_mss"] += 12
    return info


def classes(info):
    """What a cookie without timestamps can carry of it (bpf/lib/cookie.h)."""
    info["snd_mss"] = max(size for size in ([536, 1300, 1440, 1460], [1220, 1340, 1420, 1440])[":" in address]
                          if size <= info["snd_mss"])
    info["snd_wscale"] = 8 if info["snd_wscale"] >= 8 else 7 if info["snd_wscale"] == 7 else 0
    info["snd_wnd"] = None  # what the scale makes of the ACK's window
    return info


seen = [wire(theirs[0]), wire(mine)]
if not timestamps:
    seen[0] = classes(seen[0])
show = lambda info: " ".join(f"{name}={info[name]}" for name in names)
print("server:", show(seen[0]), "client:", show(seen[1]))
EOT
cp "$HERE/server.py" "$TMP/server.py"

compare() {
	local what=$1 family=$2 address
	shift 2
	address=SERVER$family
	kernel=$(client python3 "$TMP/look.py" "${!address}" 7001 "$TMP/kernel$family.log" "$@" 2>&1 | tail -n 1)
	offload=$(client python3 "$TMP/look.py" "${!address}" 7000 "$TMP/offload$family.log" "$@" 2>&1 | tail -n 1)
	is "IPv$family, $what" "$offload" "$kernel"
}

# The smallest MSS without timestamps: the cookie has room for nothing else, and the SYN-ACK says so to the client.
bare() {
	local family=$1 mss=$2 address=SERVER$1
	got=$(client python3 "$TMP/look.py" "${!address}" 7000 "$TMP/offload$family.log" "IPPROTO_TCP:TCP_MAXSEG:$mss" 2>&1 | tail -n 1)
	matches "IPv$family, timestamps off: the smallest MSS, and nothing else, at both ends" "$got" \
		"server: options=0 snd_wscale=0 rcv_wscale=0 snd_mss=$mss .*client: options=0 snd_wscale=0 rcv_wscale=0 snd_mss=$mss "
}

sysctl_of() { nsenter --net="/run/netns/$LAB-client" -- sh -c "echo '$2' >/proc/sys/net/ipv4/$1"; }

for family in 4 6; do
	sysctl_of tcp_rmem '4096 131072 6291456'
	for stamps in 1 0; do
		sysctl_of tcp_timestamps $stamps
		with="timestamps $([ $stamps = 1 ] && echo on || echo off)"
		compare "$with: as Linux comes" $family
		compare "$with: a small window scale" $family SOL_SOCKET:SO_RCVBUF:131072
		sysctl_of tcp_sack 0
		[ $stamps = 0 ] || compare "$with: no SACK" $family
		sysctl_of tcp_sack 1
		sysctl_of tcp_window_scaling 0
		compare "$with: no window scale" $family
		sysctl_of tcp_window_scaling 1
		mss=$([ $family = 4 ] && echo 536 || echo 1220)
		if [ $stamps = 1 ]; then
			compare "$with: the smallest MSS" $family "IPPROTO_TCP:TCP_MAXSEG:$mss"
		else
			bare $family "$mss"
		fi
	done
	sysctl_of tcp_timestamps 1
	for scale in 2097152 4194304 16777216 33554432; do
		sysctl_of tcp_rmem "4096 131072 $scale"
		compare "the client's greatest buffer $scale" $family
	done
done

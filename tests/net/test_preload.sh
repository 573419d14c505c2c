#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Under the preload a listening socket behaves as the kernel's own does; an unmodified server outlives the daemon.
. "$(dirname "$0")/lib/lib.sh"

PROBE=$BUILD/tests/net/lib/preload_probe
netns=/run/netns/$LAB-client

# probe LABEL ADDRESS PORT [ARGUMENT...]
probe() {
	local label=$1
	shift
	tap server env LD_PRELOAD="$PRELOAD" "$PROBE" "$@" --queue --label "$label" --netns "$netns"
}

# CPU time of processes, in ticks
ticks() { cat "${@/#//proc/}" 2>/dev/null | awk '{ sum += $14 + $15 } END { print sum + 0 }'; }

lab_up
tap server "$PROBE" "$SERVER4" 7000 --label "kernel, IPv4" --netns "$netns"
tap server "$PROBE" :: 7000 --connect "$SERVER4" --label "kernel, dual-stack" --netns "$netns"

config probe 7000
service wide 7001
service moved 7002
service web 80
daemon_start
before=$(counter accepted)
probe "IPv4" "$SERVER4" 7000
probe "IPv6" "$SERVER6" 7000
probe "dual-stack, an IPv4 client" :: 7001 --connect "$SERVER4"
probe "dual-stack, an IPv6 client" :: 7001 --connect "$SERVER6"
at_least "these connections came through the daemon's queue" $(($(counter accepted) - before)) 600
tap server env LD_PRELOAD="$PRELOAD" "$PROBE" 127.0.0.1 7000 --label "not a service's address"
tap server env LD_PRELOAD="$PRELOAD" SHAKEOFF_RUN_DIR="$TMP/none" "$PROBE" "$SERVER4" 7003 --label "without a daemon"

# Programs that a server starts inherit its listening socket when they would without the preload, and only then.
cat >"$TMP/serve.py" <<-'EOT'
	import os, socket, sys
	fd = int(sys.argv[1])
	behind = os.readlink(f"/proc/self/fd/{fd}").split("[")[1][:-1]
	kind = "queue" if f" {behind} " in open("/proc/net/unix").read().replace("\n", " ") else "kernel"
	listening = socket.socket(fileno=fd)
	listening.settimeout(20)
	print("listening", flush=True)
	connection, peer = listening.accept()
	connection.sendall(f"{kind}, {peer[0]}".encode())
EOT
cat >"$TMP/count.py" <<-'EOT'
	import os
	links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
	print(sum(os.readlink(link).startswith("socket") for link in links if os.path.islink(link)))
EOT
cat >"$TMP/start.py" <<-'EOT'
	import os, socket, subprocess, sys
	directory, address, port, how = sys.argv[1:]
	listening = socket.create_server((address, int(port)))
	fd = listening.fileno()
	serve = [sys.executable, directory + "/serve.py"]
	count = [sys.executable, directory + "/count.py"]
	if how == "pass_fds":
	    subprocess.run(serve + [str(fd)], pass_fds=[fd])
	elif how == "stdin":
	    subprocess.run(serve + ["0"], stdin=listening)
	elif how == "dup2":
	    if os.fork() == 0:
	        os.dup2(fd, 33)
	        os.execv(serve[0], serve + ["33"])
	    os.wait()
	elif how == "set_inheritable":
	    listening.set_inheritable(True)
	    subprocess.run(serve + [str(fd)], close_fds=False)
	elif how == "default":
	    subprocess.run(count, close_fds=False)
	elif how == "set_inheritable(False)":
	    listening.set_inheritable(True)
	    listening.set_inheritable(False)
	    subprocess.run(count, close_fds=False)
	elif how == "close_fds":
	    listening.set_inheritable(True)
	    subprocess.run(count, close_fds=True)
	elif how == "a duplicate closed":
	    os.close(os.dup2(fd, 33))
	    subprocess.run(count, close_fds=False)
EOT
# The command; what comes after it is how the server starts its program.
starter() { echo /usr/bin/python3 "$TMP/start.py" "$TMP" "$SERVER4" 7000; }
for how in pass_fds stdin dup2 set_inheritable; do
	# shellcheck disable=SC2046 # words
	spawn server "$how" env LD_PRELOAD="$PRELOAD" $(starter) "$how"
	soon grep -q listening "$TMP/$how.log"
	is "$how: a program that inherits the listening socket accepts from the daemon's queue" \
		"$(client timeout 20 bash -c "exec 3<>/dev/tcp/$SERVER4/7000; cat <&3")" "queue, $CLIENT4"
	check "$how: it ends" ends "$PID"
done
for how in default "set_inheritable(False)" close_fds "a duplicate closed"; do
	# shellcheck disable=SC2046 # words
	is "$how: a program that does not inherit it holds no socket" \
		"$(server env LD_PRELOAD="$PRELOAD" $(starter) "$how")" 0
done

# An operator changes a server's address to the wildcard and restarts it.
server_start narrow "$SERVER4" 7002 line
killed "$PID"
server_start any 0.0.0.0 7002 line
any=$PID
is "restarted on any address, a server gets what came for the one it had" \
	"$(client timeout 20 bash -c "exec 3<>/dev/tcp/$SERVER4/7002; echo hello >&3; cat <&3")" hello
kill "$any"

# nginx's workers have given up root; they register again by the listening socket that they inherited.
nginx_start 80
mapfile -t workers < <(pgrep -P "$NGINX_PID")
daemon_kill
page() { "$1" curl -sf -m 20 -o /dev/null "http://$SERVER4:80/" && "$1" curl -sgf -m 20 -o /dev/null "http://[$SERVER6]:80/"; }
check "daemon killed: nginx serves who comes past the hook" page server
check "daemon killed: again" page server
before=$(ticks "${workers[@]/%//stat}")
sleep 2
at_most "daemon killed: the workers do not spin (ticks of CPU time, a tenth of those of two seconds)" \
	$(($(ticks "${workers[@]/%//stat}") - before)) $((2 * $(getconf CLK_TCK) / 10))
daemon_start
check "daemon restarted: nginx serves" soon page client
result=$(asks "$SERVER4" 80 --count 500 --concurrency 8 --http)
is "daemon restarted: none of 500 connections fails" "$(json failed <<<"$result")" 0
is "nginx has nothing to say" "$(grep -v 'signal process started' "$TMP/nginx.log")" ""
daemon_stop
check "daemon stopped: nginx serves, through the kernel" soon page client
kill "$NGINX_PID"

# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# A separate lab (see scripts/lab.sh), a daemon in it, servers and clients: for tests, benchmarks and the demonstration.
# A script that sources this file defines bail MESSAGE, and calls clean_up at the end.
#
# Everything that is made has a unique name and is removed with it: several may run beside each other.
set -u

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$HERE/../../.." && pwd)
BUILD=${BUILD:-$TOP/build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
# Debian's own programs: another python3 would not find its scapy.
export BUILD PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export PYTHONDONTWRITEBYTECODE=1

# The two ends of the lab, and the network behind the server.
SERVER4=10.9.0.1 SERVER6=2001:db8:9::1
# shellcheck disable=SC2034 # for tests
CLIENT4=10.9.0.2 CLIENT6=2001:db8:9::2 SERVER_MAC=02:00:00:09:00:01 CLIENT_MAC=02:00:00:09:00:02
# shellcheck disable=SC2034 # for tests
BEHIND4=10.9.1.2 BEHIND6=2001:db8:9:1::2
# Addresses that the client's kernel does not know: raw clients speak TCP from there (rawtcp.py).
RAW4=10.9.0.77 RAW6=2001:db8:9::77

LAB=so$$
TMP=$(mktemp -d "${TMPDIR:-/tmp}/shakeoff-test.XXXXXX") || exit 1
chmod 755 "$TMP" # servers give up root
RUN=$TMP/run
CONF=$TMP/shakeoff.conf
export SHAKEOFF_RUN_DIR=$RUN
PRELOAD=$BUILD/libshakeoff-preload.so
DAEMON_PID=

# ------------------------------------------------------------------------------------------------------------ the lab

server() { nsenter --net="/run/netns/$LAB-server" -- "$@"; }
client() { nsenter --net="/run/netns/$LAB-client" -- "$@"; }
behind() { nsenter --net="/run/netns/$LAB-behind" -- "$@"; }

# The daemon first: it detaches by itself. The end of the lab removes the rest.
clean_up() {
	# A daemon that a test has stopped handles its signal when it continues.
	[ -z "$DAEMON_PID" ] || { kill "$DAEMON_PID" && kill -CONT "$DAEMON_PID"; } 2>/dev/null
	"$TOP/scripts/lab.sh" down "$LAB" >/dev/null 2>&1
	wait 2>/dev/null
	rm -rf "$TMP"
}
trap 'exit 143' TERM INT HUP PIPE

lab_up() {
	"$TOP/scripts/lab.sh" up "$LAB" || bail "the lab did not come up"
	ip -n "$LAB-server" neighbour replace "$RAW4" lladdr "$CLIENT_MAC" dev s0 nud permanent
	ip -n "$LAB-server" neighbour replace "$RAW6" lladdr "$CLIENT_MAC" dev s0 nud permanent
}

# Succeeds if this kernel can complete handshakes into listening sockets (6.9 and later).
kernel_admits() { grep -qw bpf_sk_assign_tcp_reqsk /proc/kallsyms; }

# within SECONDS COMMAND...: repeats the command until it succeeds
within() {
	local end
	end=$(($(date +%s%N) + $1 * 1000000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%N)" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# soon COMMAND...: the same, for events that happen at once or never: the machine may be slow, and pause now and then
soon() { within 30 "$@"; }

# spawn server|client|behind NAME COMMAND...: in the background; output in $TMP/NAME.log, its process in $PID
spawn() {
	local side=$1 name=$2
	shift 2
	nsenter --net="/run/netns/$LAB-$side" -- "$@" >>"$TMP/$name.log" 2>&1 </dev/null &
	PID=$!
}

# killed PID: kills it at once, without a message from the shell
killed() {
	kill -KILL "$1"
	wait "$1" 2>/dev/null
}

# ends PID [SECONDS]: waits until it has ended
ends() { within "${2:-30}" sh -c "! kill -0 $1"; }

# ------------------------------------------------------------------------------------------------------------ shakeoff

# settings [KEY=VALUE...]: as lines of the file
settings() {
	local line
	for line; do
		echo "${line/=/ = }"
	done
}

# config_daemon [KEY=VALUE...]: a configuration without a service
config_daemon() { { printf '[daemon]\ninterface = s0\n' && settings "$@"; } >"$CONF"; }

# config NAME PORT [KEY=VALUE...]: a configuration with only one service, on both addresses of the server
config() {
	config_daemon discover=no
	service "$@"
}

# service NAME PORT [KEY=VALUE...]: one more
service() {
	local name=$1 port=$2
	shift 2
	service_on "$name" "$SERVER4:$port" "[$SERVER6]:$port" -- "$@"
}

# config_pair NAME PORT [KEY=VALUE...]: two services, NAME4 and NAME6: for servers with one process a family
config_pair() {
	local name=$1 port=$2
	shift 2
	config_daemon discover=no
	service_on "${name}4" "$SERVER4:$port" -- "$@"
	service_on "${name}6" "[$SERVER6]:$port" -- "$@"
}

# service_on NAME ADDRESS:PORT... -- [KEY=VALUE...]: with the queue handoff and cookies always, unless a KEY sets
# otherwise
service_on() {
	{
		printf '\n[service %s]\n' "$1"
		case " $* " in *' handoff='*) ;; *) echo 'handoff = queue' ;; esac
		case " $* " in *' syncookies='*) ;; *) echo 'syncookies = always' ;; esac
		shift
		while [ "$1" != -- ]; do
			echo "listen = $1"
			shift
		done
		shift
		settings "$@"
	} >>"$CONF"
}

# discovered KEY=VALUE...: settings of discovered services
discovered() { { printf '\n[discovered]\n' && settings "$@"; } >>"$CONF"; }

# Starts the daemon on the configuration and waits until its sockets are there.
daemon_start() {
	local name
	daemon_spawn --config "$CONF"
	name=$(sed -n 's/^\[service \(.*\)\]/\1/p' "$CONF" | tail -n 1)
	soon ready "$name" || bail "shakeoffd did not start"
}

# daemon_start_bare [ARGUMENT...]: without a configuration
daemon_start_bare() {
	daemon_spawn "$@"
	soon beats || bail "shakeoffd did not start"
}

daemon_spawn() {
	spawn server shakeoffd "$BUILD/shakeoffd" --run-dir "$RUN" "$@"
	DAEMON_PID=$PID
}

# Its heartbeat shows that it runs; a socket may belong to a dead daemon.
beats() { kill -0 "$DAEMON_PID" && alive | grep -q true && [ "$(status datapaths.0.daemon.pid)" = "$DAEMON_PID" ]; }
ready() { beats && { [ -z "$1" ] || [ -S "$RUN/$1.sock" ]; }; }

daemon_stop() {
	kill "$DAEMON_PID" 2>/dev/null
	ends "$DAEMON_PID" || bail "shakeoffd did not stop"
	wait "$DAEMON_PID" 2>/dev/null
	# shellcheck disable=SC2034 # for tests
	DAEMON_STATUS=$?
	DAEMON_PID=
}

daemon_kill() {
	killed "$DAEMON_PID"
	DAEMON_PID=
}

# The value at a path such as counters.ack_valid in a JSON text on standard input.
json() {
	python3 -c '
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    value = value[int(key) if isinstance(value, list) else key]
print(json.dumps(value) if not isinstance(value, str) else value)' "$1"
}

status() { server "$BUILD/shakeoff" status --json | json "$1"; }
alive() { status datapaths.0.daemon.alive; }
# A field of the first service, such as recv_q.
queue() { server "$BUILD/shakeoff" queues --json | json "queues.0.$1"; }
counter() { server "$BUILD/shakeoff" stats --json | json "counters.$1"; }

# shown NAME FIELD: what `shakeoff status` shows of a service, such as state or bypass; empty if there is no such service
shown() {
	server "$BUILD/shakeoff" status --json | python3 -c '
import json, sys
services = [service for path in json.load(sys.stdin)["datapaths"] for service in path["services"]]
print(*(service[sys.argv[2]] for service in services if service["name"] == sys.argv[1]))' "$@" 2>/dev/null
}
shows() { [ "$(shown "$1" "$2")" = "$3" ]; }

# served_on NAME ADDRESS:PORT...: whether the service has a server on each of these. Servers that find the daemon again,
# after an outage, come one after the other.
served_on() {
	local addresses endpoint
	addresses=$(shown "$1" addresses)
	for endpoint in "${@:2}"; do
		case $addresses in *"'$endpoint'"*) ;; *) return 1 ;; esac
	done
}

# The names of all services that have a server, sorted, in one line.
services() {
	server "$BUILD/shakeoff" status --json | python3 -c '
import json, sys
print(*sorted(service["name"] for path in json.load(sys.stdin)["datapaths"] for service in path["services"] if service["served"]))' 2>/dev/null
}

# nginx_start PORT [BACKLOG [plain]]: a real nginx on both addresses; under the preload, unless plain
nginx_start() {
	local port=$1 backlog=${2:-511} preload=$PRELOAD
	[ "${3:-}" != plain ] || preload=
	mkdir -p "$TMP/www" "$TMP/nginx"
	echo "served by nginx" >"$TMP/www/index.html"
	cat >"$TMP/nginx.conf" <<-EOT
		user www-data;
		worker_processes 2;
		daemon off;
		pid $TMP/nginx.pid;
		error_log $TMP/nginx.log warn;
		events { worker_connections 8192; }
		http {
			access_log off;
			client_body_temp_path $TMP/nginx/body;
			proxy_temp_path $TMP/nginx/proxy;
			fastcgi_temp_path $TMP/nginx/fastcgi;
			uwsgi_temp_path $TMP/nginx/uwsgi;
			scgi_temp_path $TMP/nginx/scgi;
			server {
				listen $SERVER4:$port backlog=$backlog;
				listen [$SERVER6]:$port backlog=$backlog;
				root $TMP/www;
			}
		}
	EOT
	spawn server nginx env LD_PRELOAD="$preload" nginx -e "$TMP/nginx.log" -c "$TMP/nginx.conf"
	NGINX_PID=$PID
	soon client curl -sf -m 2 -o /dev/null "http://$SERVER4:$port/" || bail "nginx does not answer"
	soon client curl -sgf -m 2 -o /dev/null "http://[$SERVER6]:$port/" || bail "nginx does not answer over IPv6"
}

nginx_stop() {
	kill "$NGINX_PID" 2>/dev/null
	ends "$NGINX_PID" || bail "nginx did not stop"
}

# server_start NAME ADDRESS PORT MODE [BACKLOG]: tests/net/lib/server.py under the preload; pid in $PID, output in $TMP/NAME.log
server_start() {
	spawn server "$1" env LD_PRELOAD="$PRELOAD" python3 "$HERE/server.py" "$2" "$3" --mode "$4" --backlog "${5:-128}"
	soon grep -q listening "$TMP/$1.log" || bail "server.py does not listen on $2 port $3"
}

# plain_start NAME ADDRESS PORT MODE [ARGUMENT...]: the same without the preload
plain_start() {
	local name=$1
	rm -f "$TMP/$name.log"
	spawn server "$name" python3 "$HERE/server.py" "$2" "$3" --mode "${@:4}"
	soon grep -q listening "$TMP/$name.log" || bail "server.py does not listen on $2 port $3"
}

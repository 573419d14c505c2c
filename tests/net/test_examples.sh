#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The console examples of README.md and of the manual pages are run, each in a scene of its own, and print what the texts show.
# UPDATE=1: writes what they print into the texts. EXAMPLE=TEXT: only examples of files, or with commands, that contain it.
. "$(dirname "$0")/lib/lib.sh"
needs_admission

# What cannot be run, and why.
declare -A not_run=(
	['systemctl enable --now shakeoffd']="systemd is not process 1 of the lab"
)
NOT_RUN=$(printf '%s\n' "${!not_run[@]}")
ROOT=$TMP/root LOG=$TMP/example.log PIDS=$TMP/pids
export TOP ROOT LOG PIDS NOT_RUN
export DESTDIR=$ROOT

texts=("$TOP/README.md" "$TOP"/user/man/*.[1-9] "$TOP"/user/man/*.in)
examples() { /usr/bin/python3 "$TOP/tests/net/lib/examples.py" "$@"; }

# ---------------------------------------------------------------------------------------------------- what examples find

# The commands as they are installed, an nginx that needs no configuration, and `settled`: the daemon has found what there is.
stage() {
	make -s -C "$TOP" install >"$TMP/install.log" 2>&1 || bail "make install failed: $(cat "$TMP/install.log")"
	mkdir -p "$TMP/bin" "$TMP/work" "$ROOT/etc"
	cat >"$TMP/bin/settled" <<-'EOT'
		#!/bin/bash
		# Three looks in a row see the same, and nothing is missing.
		same=0 before=
		for _ in {1..100}; do
			now=$(shakeoff status --json | python3 -c '
		import json, sys
		status = json.load(sys.stdin)
		print(status["as_configured"], *((s["name"], s["state"]) for path in status["datapaths"] for s in path["services"]))' 2>/dev/null)
			same=$([ "$now" = "$before" ] && echo $((same + 1)) || echo 0)
			case $now in 'True '*) [ "$same" -lt 3 ] || exit 0 ;; esac
			before=$now
			sleep 0.2
		done
		echo "the services do not settle: $before"
		exit 1
	EOT
	cat >"$TMP/bin/nginx" <<-EOT
		#!/bin/bash
		# In the background when it serves, as with "daemon on".
		/usr/sbin/nginx -e "$TMP/nginx.log" -c "$TMP/nginx.conf" "\$@" >>"$LOG" 2>&1 </dev/null &
		echo \$! >>"$PIDS"
		for _ in {1..100}; do
			grep -q '"servers": 0' <<<"\$(shakeoff queues --json)" || exit 0
			sleep 0.1
		done
		exit 1
	EOT
	cat >"$TMP/nginx.conf" <<-EOT
		worker_processes 2;
		daemon off;
		pid $TMP/nginx.pid;
		events { worker_connections 64; }
		http { access_log off; server { listen $SERVER4:80; } }
	EOT
	chmod +x "$TMP"/bin/*
}

# play NUMBER: its output in $TMP/output. A mount namespace of its own has an empty /run.
play() {
	examples script "$1" "${texts[@]}" >"$TMP/script"
	: >"$PIDS"
	# shellcheck disable=SC2016 # for the inner shell
	server unshare --mount bash -c 'mount -t tmpfs tmpfs /run && cd "$1/work" && exec bash "$1/script"' play "$TMP" \
		>"$TMP/output" 2>&1 </dev/null
}

# ------------------------------------------------------------------------------------------------------------- the scenes

WEB_PID=
servers_start() {
	[ -z "$WEB_PID" ] || return 0
	plain_start web "$SERVER4" 80 line --backlog 511
	# shellcheck disable=SC2153 # of plain_start
	WEB_PID=$PID
}

# Two servers, and nothing of shakeoff.
fresh() { servers_start; }

# What there is after the README's two commands.
idle() {
	servers_start
	server shakeoff attach s0 >/dev/null
	daemon_start_bare
	soon shows "$SERVER4:80" state idle
	server settled
}

# The same in a flood, and honest clients in it.
flood() {
	idle
	flood_begins flood --dst "$SERVER4" --port 80 --rate 100000
	FLOOD_PID=$PID
	soon shows "$SERVER4:80" state active
	asks "$SERVER4" 80 --count 20 --request $'hello\n' >/dev/null
}

# A service whose accept queue the daemon keeps; its server is not there yet.
queue() {
	[ -z "$WEB_PID" ] || { kill "$WEB_PID" && ends "$WEB_PID"; }
	WEB_PID=
	config_daemon discover=no
	service_on web "$SERVER4:80" --
	daemon_start
}

# A host of a fleet.
fleet() {
	servers_start
	(umask 077 && server shakeoff key generate >"$TMP/shakeoff.key")
	config_daemon "key-file=$TMP/shakeoff.key"
	daemon_start
	server settled
}

# Whatever the scene and the example have left.
strike() {
	local pid
	[ -z "${FLOOD_PID:-}" ] || flood_ends flood "$FLOOD_PID"
	FLOOD_PID=
	[ ! -e "$PIDS" ] || while read -r pid; do
		kill "$pid" 2>/dev/null && ends "$pid"
	done <"$PIDS"
	[ -z "$DAEMON_PID" ] || daemon_stop
	server shakeoff detach s0 >/dev/null 2>&1
	rm -rf "${TMP:?}/work" "${ROOT:?}/etc" && mkdir -p "$TMP/work" "$ROOT/etc"
	printf '[daemon]\ninterface = s0\n' >"$ROOT/etc/shakeoff.conf"
}

lab_up
stage
plain_start mptcp "$SERVER4" 8080 hold --mptcp
export PATH=$TMP/bin:$ROOT/usr/local/sbin:$PATH
all=$(examples list "${texts[@]}")
while IFS=$'\t' read -r number scene place commands; do
	case "$place $commands" in *"${EXAMPLE:-}"*) ;; *) continue ;; esac
	strike
	"$scene"
	play "$number"
	tap examples compare "$number" "$TMP/output" "${texts[@]}"
done <<<"$all"
strike

# A list that has more than it needs hides what is not run.
for command in "${!not_run[@]}"; do
	matches "not run, ${not_run[$command]}: $command" "$all" "(^|	| ; )$command($| ; )"
done

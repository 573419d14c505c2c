#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the daemon's processes may do after the start, whether the daemon still works then, and the hardening of the
# programs and the unit.
. "$(dirname "$0")/lib/lib.sh"

# /proc/PID/status of every thread of the daemon, and of its children
held() {
	python3 - "$DAEMON_PID" <<-'END'
		import os, sys

		BITS = dict(NET_BIND_SERVICE=10, NET_ADMIN=12, SYS_ADMIN=21, SYS_NICE=23, PERFMON=38, BPF=39)
		mask = lambda *names: sum(1 << BITS[name] for name in names)
		DAEMON = mask("NET_BIND_SERVICE", "NET_ADMIN", "SYS_NICE", "PERFMON", "BPF")

		def fields(path):
		    return dict(line.rstrip("\n").split(":\t", 1) for line in open(path) if ":\t" in line)

		def told(what, want, paths):
		    wrong = []
		    for path in paths:
		        got = fields(path)
		        wrong += ["%s: %s is %s" % (path, key, got.get(key)) for key, value in want.items()
		                  if int(got.get(key, "-1"), 16 if key.startswith("Cap") else 10) != value]
		    print("ok - " + what if paths and not wrong else "not ok - %s: %s" % (what, wrong or "nothing there"))

		def want(capabilities):
		    return dict(CapInh=0, CapPrm=capabilities, CapEff=capabilities, CapBnd=capabilities, CapAmb=0, NoNewPrivs=1, Seccomp=2)

		pid = int(sys.argv[1])
		tasks = sorted(os.listdir("/proc/%d/task" % pid))
		told("every thread of the daemon (%s) has what it needs, for good, and filtered system calls" %
		     ("several" if len(tasks) > 3 else len(tasks)), want(DAEMON), ["/proc/%d/task/%s/status" % (pid, task) for task in tasks])
		children = [child for task in tasks for child in open("/proc/%d/task/%s/children" % (pid, task)).read().split()]
		names = {child: open("/proc/%s/comm" % child).read().strip() for child in children}
		brokers = [child for child in children if names[child] == "shakeoff-broker"]
		told("one process beside it has CAP_SYS_ADMIN, and nothing else", want(mask("SYS_ADMIN")),
		     ["/proc/%s/status" % child for child in brokers])
		others = [child for child in children if child not in brokers]
		wrong = [names[child] for child in others if int(fields("/proc/%s/status" % child)["CapPrm"], 16) & mask("SYS_ADMIN")]
		print("ok - no other one has it" if len(brokers) == 1 and not wrong else "not ok - no other one has it: %s %s" % (brokers, wrong))
		open_files = sorted(os.readlink("/proc/%s/fd/%s" % (child, fd)).split(":")[0]
		                    for child in brokers for fd in os.listdir("/proc/%s/fd" % child))
		print("ok - it has nothing open but its end of the socket" if open_files == ["/dev/null"] * 3 + ["socket"]
		      else "not ok - it has open: %s" % open_files)
	END
}
broker() { tr ' ' '\n' <"/proc/$DAEMON_PID/task/$DAEMON_PID/children" | while read -r child; do
	[ "$(cat "/proc/$child/comm" 2>/dev/null)" != shakeoff-broker ] || echo "$child"
done; }
attached() { server ip -d link show dev "$1" | grep -q 'prog/xdp id'; }
# Both links are pinned there. (bpftool before 7.3 does not show tcx.)
both_attached() { attached "$1" && [ -e "$(pins)/$1:$(server cat "/proc/self/net/dev_snmp6/$1" | awk '$1 == "ifIndex" { print $2 }'):admit-daemon" ]; }
pins() { echo "/sys/fs/bpf/shakeoff/$(stat -L -c %i "/run/netns/$LAB-server")"; }
served() { client curl -s -m 20 "http://$SERVER4:$1/"; }
# Lines of the kernel's log about refused system calls.
refused_calls() { dmesg 2>/dev/null | grep "type=1326" | grep -cE "pid=($1) "; }

# The check is possible only where the log is readable and has such lines: a program that tries a refused call shows it.
"$BUILD/tests/bpf/test_privilege" >/dev/null 2>&1
check "the kernel's log shows refused system calls" sh -c 'dmesg | grep type=1326 | grep -q test_privilege'

lab_up
config web 80
sed -i 's/^interface = s0/&\ninterface = x0/' "$CONF"
server ip link add x0 type veth peer name x1
server ip link set x0 up
refuses "without CAP_SETPCAP it does not start" 'CAP_SETPCAP is missing' \
	nsenter --net="/run/netns/$LAB-server" setpriv --bounding-set=-setpcap "$BUILD/shakeoffd" --run-dir "$RUN" --config "$CONF"
daemon_start
nginx_start 80
tap held
is "clients are served" "$(served 80)" "served by nginx"

# These need the broker, or programs loaded earlier.
server ip link del x0
soon grep -q 'x0 is gone' "$TMP/shakeoffd.log"
server ip link add x0 type veth peer name x1
server ip link set x0 up
if kernel_admits; then
	check "an interface that comes back gets both programs" soon both_attached x0
else
	check "an interface that comes back gets the program" soon attached x0
fi
server ip link set s0 down
server ip link set s0 name renamed0
server ip link set renamed0 up
check "a renamed interface stays protected" soon grep -q 'is called renamed0 now, and stays protected' "$TMP/shakeoffd.log"
server ip link set renamed0 down
server ip link set renamed0 name s0
server ip link set s0 up
server ip addr replace "$SERVER6/64" dev s0 nodad
soon served 80
is "clients are served as before" "$(served 80)" "served by nginx"
helper=$(broker) daemon=$DAEMON_PID
is "no system call was refused" "$(refused_calls "$DAEMON_PID|$helper")" 0
daemon_stop
is "it stops without a failure" "$DAEMON_STATUS" 0
check "and detaches" sh -c "! nsenter --net=/run/netns/$LAB-server ip -d link show | grep -q prog/xdp"
check "the process beside it is gone" sh -c "! kill -0 $helper"
is "no system call was refused at the end" "$(refused_calls "$daemon|$helper")" 0

# Neither process continues without the other.
daemon_start
helper=$(broker)
daemon_kill
check "it ends when the daemon dies" ends "$helper"
daemon_start
kill -KILL "$(broker)"
ends "$DAEMON_PID" || bail "the daemon goes on"
wait "$DAEMON_PID"
is "without it the daemon ends with a failure, so that systemd restarts it" $? 1
DAEMON_PID=
matches "and says why" "$(cat "$TMP/shakeoffd.log")" 'the process that finds BPF programs and maps has ended'
daemon_start
soon served 80
is "the next daemon serves again" "$(served 80)" "served by nginx"
daemon_stop

# A directory for pins that a user has made: pins in it belong to that user.
strange=/sys/fs/bpf/$LAB
mkdir "$strange" && chown 65534 "$strange"
for dir in "$strange" "$strange/below"; do
	refuses "pins are not put where users can change them" 'users other than root can change' \
		nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" attach s0 --bpffs "$dir"
done
chown 0 "$strange" && chmod 770 "$strange"
refuses "nor where a group can" 'users other than root can change' \
	nsenter --net="/run/netns/$LAB-server" "$BUILD/shakeoff" attach s0 --bpffs "$strange"
chmod 1777 "$strange"
check "below a sticky directory they are" server "$BUILD/shakeoff" attach s0 --bpffs "$strange/below"
server "$BUILD/shakeoff" detach s0 --bpffs "$strange/below" >/dev/null
rmdir "$strange/below" "$strange"

# hardened OBJECT: what readelf shows of it
hardened() {
	local object=$BUILD/$1 kind=
	case $1 in *.so) ;; *) kind=PIE ;; esac
	readelf -dW "$object" | grep -E 'FLAGS_1' | grep -w NOW | grep -q "$kind" || echo "no BIND_NOW or PIE"
	readelf -lW "$object" | grep -q GNU_RELRO || echo "no RELRO"
	readelf -lW "$object" | grep GNU_STACK | grep -q 'RW ' || echo "an executable stack"
	readelf -sW "$object" | grep -q __stack_chk_fail || echo "no stack protector"
	readelf -sW "$object" | grep -qE '__[a-z]+_chk(@|$)' || echo "no fortified call"
	! grep -qaF "$TOP" "$object" || echo "has the directory's name in it"
}
for object in shakeoffd shakeoff libshakeoff.so libshakeoff-preload.so; do
	is "$object is hardened" "$(hardened "$object")" ""
done
is "CFLAGS from outside do not remove that" \
	"$(make -C "$TOP" -n V=1 BUILD="$TMP/other" CFLAGS='-O1' "$TMP/other/obj/user/cli/main.o" 2>/dev/null |
		grep -oE -- '-D_FORTIFY_SOURCE=[23]|-fstack-protector-strong' | sort -u | wc -l)" 2

# stays_behind PROCESS: whether the policy against services that this process made remains after the next run
stays_behind() {
	printf '#!/bin/sh\n%s %s\nexit 101\n' "$(sed -n "s/^mark='\(.*\)'$/\1/p" "$TOP/scripts/deps.sh")" "$1" >"$TMP/policy"
	POLICY=$TMP/policy "$TOP/scripts/deps.sh" build && [ -e "$TMP/policy" ] && echo there
}
bash -c 'exec -a scripts/deps.sh sleep 60' &
other=$!
soon grep -qa 'deps\.sh' "/proc/$other/cmdline"
is "deps.sh removes the policy of a killed run, and no other" "$(stays_behind 4194305)/$(stays_behind $other)" "/there"
kill $other

sed 's,@PREFIX@,/usr/local,g' "$TOP/scripts/shakeoffd.service" >"$TMP/shakeoffd.service"
is "and every file that the daemon writes outside of its directory is writable" \
	"$(sed -n 's/.*define ACL_LOCK_PATH "\(.*\)"/\1/p' "$TOP/user/acl/lock.h" | grep -cFf - "$TMP/shakeoffd.service")" 2
if command -v systemd-analyze >/dev/null; then
	check "systemd-analyze security: the unit's exposure is 3.0 or less" \
		systemd-analyze security --offline=true --threshold=30 --no-pager "$TMP/shakeoffd.service"
else
	pass "systemd-analyze security # SKIP no systemd-analyze here"
fi

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# deps.sh [build|test|fuzz|lint|all]: the Debian packages that building, testing, fuzzing and linting need. For root it
# installs missing packages; for other users it prints what is missing and how to get it.
set -eu

# `make -j2` runs this for several uses at once: one after the other, because otherwise the second apt-get finds the
# lists locked, and the policy against services (below) is missing while it installs. A shell script can be locked like
# any other file.
exec 9<"$0"
flock 9

# use, package, purpose
packages() {
	cat <<-EOT
		build gcc                  the daemon, the command line and the libraries
		build libc6-dev            C library headers
		build pkg-config           finds the libraries below
		build clang                compiles the BPF programs
		build llvm                 llvm-strip: debug information out of the BPF objects, BTF stays
		build bpftool              vmlinux.h from the running kernel, skeletons
		build libbpf-dev           loads and attaches BPF programs
		build libmnl-dev           netlink: sockets, links, addresses
		build libinih-dev          reads the configuration file
		build libjansson-dev       --json
		build libsmartcols-dev     tables on the terminal
		build libcap-ng-dev        drops privileges
		build libseccomp-dev       keeps the daemon to the system calls that it needs
		build libnftables-dev      reads the firewall's rules
		build libsystemd-dev       tells systemd when the daemon is ready
		build libsodium-dev        cookie keys from a fleet's master secret
		test  libcmocka-dev        unit tests
		test  iproute2             namespaces, veth pairs, ss, nstat
		test  ethtool              checksum offload off on the client's end of a veth pair
		test  iputils-ping         other protocols must keep working
		test  procps               process tables
		test  util-linux           nsenter
		test  nginx-light          an unmodified server
		test  redis-server         an unmodified server
		test  openssh-server       an unmodified server
		test  nftables             rules that stand in the way of an ACK without a SYN
		test  iptables             the same, by the other name
		test  python3              an unmodified server, and clients
		test  python3-scapy        single packets that no honest client sends
		test  curl                 an unmodified client
		test  wrk                  many clients at once
		test  faketime             hosts whose wall clocks differ
		test  strace               makes system calls of the daemon last longer
		test  tcpdump              shows what was on the wire when a test fails
		fuzz  clang                the compiler that has libFuzzer
		fuzz  libclang-rt-$clang-dev   libFuzzer and the sanitizers for clang
		lint  clang-format         the tree's style
		lint  clang-tidy           static analysis
		lint  shellcheck           the scripts
		lint  mandoc               the manual pages
	EOT
}

installed() {
	dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q '^install ok installed$'
}

# nginx has several packages; any of them is an unmodified server.
satisfied() {
	case $1 in
	nginx-light) command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] ;;
	gcc) command -v cc >/dev/null 2>&1 && installed gcc ;;
	pkg-config) command -v pkg-config >/dev/null 2>&1 ;;
	*) installed "$1" ;;
	esac
}

# Packages of servers start them at once, and at every boot. A policy file prevents that during the installation; a
# policy that the machine already has stays. Services installed here stay off: the tests start their own.
policy=${POLICY:-/usr/sbin/policy-rc.d} # POLICY: for the test
mark='# made by shakeoff scripts/deps.sh while it installs packages, process'
forbid_services() {
	[ ! -e "$policy" ] || return 0
	printf '#!/bin/sh\n%s %s\nexit 101\n' "$mark" $$ >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
}

# A killed run leaves its policy behind, and no service would start any more. The policy of another tree may be in use.
forget_old_policy() {
	pid=$(sed -n "s|^$mark \\([0-9][0-9]*\\)\$|\\1|p" "$policy" 2>/dev/null | tail -n 1)
	[ -n "$pid" ] || return 0
	! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q 'deps\.sh' || return 0
	rm -f "$policy"
}

keep_off() {
	for package in $missing; do
		case $package in
		nginx-light) unit=nginx ;;
		redis-server) unit=redis-server ;;
		openssh-server) unit=ssh ;;
		*) continue ;;
		esac
		update-rc.d "$unit" disable >/dev/null 2>&1 || true
	done
}

[ "$(id -u)" -ne 0 ] || forget_old_policy

use=${1:-all}
case $use in
build | test | fuzz | lint | all) ;;
*)
	echo "deps.sh: unknown use '$use': build, test, fuzz, lint or all" >&2
	exit 2
	;;
esac

# The compiler's runtime is a separate package, with the number of the release's clang in its name.
clang_version() { apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -n 1; }
clang=14
case $use in
fuzz | all)
	# A freshly installed machine has no package lists yet.
	[ -n "$(clang_version)" ] || [ "$(id -u)" -ne 0 ] || apt-get update -qq >/dev/null 2>&1 || true
	clang=$(clang_version)
	clang=${clang:-14}
	;;
esac

command -v dpkg-query >/dev/null 2>&1 || {
	echo "deps.sh: not a Debian system: install by your own means what this lists, then touch the stamp or go on:" >&2
	packages >&2
	exit 0
}

missing=
# shellcheck disable=SC2034 # what_for is for the reader
while read -r package_use package what_for; do
	[ "$use" = all ] || [ "$use" = "$package_use" ] || continue
	satisfied "$package" || missing="$missing $package"
done <<EOT
$(packages)
EOT

[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "shakeoff needs Debian packages that are not installed:$missing" >&2
	echo "Install them with: sudo apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
forbid_services
# Another process may be installing: unattended-upgrades on a machine that has just booted, a build in another tree.
# shellcheck disable=SC2086 # a list
apt_install() { apt-get -o DPkg::Lock::Timeout=600 install -qq -y --no-install-recommends $missing >"$log" 2>&1; }
log=$(mktemp)
if ! apt_install; then
	# The package lists may be missing or too old.
	apt-get update -qq >/dev/null 2>&1 || true
	apt_install || {
		cat "$log" >&2
		rm -f "$log"
		echo "deps.sh: apt-get could not install:$missing" >&2
		exit 1
	}
fi
rm -f "$log"
keep_off

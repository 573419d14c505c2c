#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Runs every test, or those that the arguments name, and totals them:
#
#	tests/run.sh [NAME...]
#
# A name is that of one test (bpf/handle/test_syn), or a part of the names of several (bpf/, listener).
#
# A test prints TAP: lines with "ok" and "not ok". The last line is "N passed, N failed, N skipped"; the exit status is
# 0 if tests passed and none failed. BUILD: where the programs are. JOBS: how many network tests run at once (1); of the
# other tests, one a CPU.
# AGAIN=1: for machines with noisy neighbours; a failed test of the programs or the network is shown, and runs once more
# when all others are done: the second result counts.
set -u

cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
export CMOCKA_MESSAGE_OUTPUT=TAP
export PATH=$PATH:/usr/sbin:/sbin
# A test that hangs has failed, too.
LIMIT=${LIMIT:-600}
JOBS=${JOBS:-1}
AGAIN=${AGAIN:-0}

passed=0 failed=0 skipped=0
out=$(mktemp -d "${TMPDIR:-/tmp}/shakeoff-run.XXXXXX")
names=() programs=() begins=() # by the process
again=()                       # programs that run once more
trap 'rm -rf "$out"' EXIT
trap 'kill "${!names[@]}" 2>/dev/null; wait; exit 130' INT TERM

# Whether a test has exactly this name
is_test() { [ -f "$BUILD/tests/$1" ] || [ -f "tests/$1.sh" ]; }

# wanted NAME [ARGUMENT...]
wanted() {
	local name=$1
	shift
	[ $# -gt 0 ] || return 0
	for part; do
		if is_test "$part"; then
			[ "$name" != "$part" ] || return 0
		else
			case $name in *"$part"*) return 0 ;; esac
		fi
	done
	return 1
}

# Every "not ok", and every unfulfilled plan, is a failure; so is a bad exit status without an explanation.
evaluate() {
	local name=$1 status=$2 file=$3 seconds=$4 program=$5 ok bad skip plan word=ok
	# cmocka says "not ok 3 # SKIP"
	skip=$(grep -cE '^(not )?ok .*# *(SKIP|skip)' "$file")
	ok=$(grep -E '^ok( |$)' "$file" | grep -cvE '# *(SKIP|skip)')
	bad=$(grep -E '^not ok( |$)' "$file" | grep -cvE '# *(SKIP|skip)')
	plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$file" | awk '{ sum += $1 } END { print sum + 0 }')
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
		echo "not ok - $name ended with status $status" >>"$file"
	elif [ $((ok + bad + skip)) -eq 0 ] || [ "$plan" -gt $((ok + bad + skip)) ]; then
		bad=$((bad + 1))
		echo "not ok - $name did not get to its end" >>"$file"
	fi
	if [ "$bad" -gt 0 ] && [ "$AGAIN" -eq 1 ] && [ "${name%%/*}" != unit ]; then
		word=AGAIN
		again+=("$program")
	else
		[ "$bad" -eq 0 ] || word=FAILED
		passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	fi
	printf '%-6s %-34s %4d passed' "$word" "$name" "$ok"
	[ "$bad" -eq 0 ] || printf ', %d failed' "$bad"
	[ "$skip" -eq 0 ] || printf ', %d skipped' "$skip"
	printf '  (%d s)\n' "$seconds"
	[ "$bad" -eq 0 ] || sed 's/^/       | /' "$file"
}

# begin NAME PROGRAM: in the background
begin() {
	timeout --kill-after=20 "$LIMIT" "$2" >"$out/${1//\//.}" 2>&1 </dev/null &
	names[$!]=$1 programs[$!]=$2 begins[$!]=$SECONDS
}

# end MAXIMUM: waits until at most this many are running, and evaluates those that have ended
end() {
	local pid status
	while [ ${#names[@]} -gt "$1" ]; do
		wait -n -p pid "${!names[@]}"
		status=$?
		evaluate "${names[$pid]}" "$status" "$out/${names[$pid]//\//.}" $((SECONDS - begins[pid])) "${programs[$pid]}"
		unset "names[$pid]"
	done
}

# "net/test_attach" of tests/net/test_attach.sh
name_of() {
	local name=${1##*tests/}
	echo "${name%.sh}"
}

kind= # of the running tests: all tests of one kind end before the next kind begins
for program in "$BUILD"/tests/unit/test_* "$BUILD"/tests/bpf/test_* "$BUILD"/tests/bpf/*/test_* tests/net/test_*.sh; do
	[ -x "$program" ] || continue
	[ -f "$program" ] || continue
	case $program in *.o | *.d | *.h) continue ;; esac
	name=$(name_of "$program")
	wanted "$name" "$@" || continue
	case $name in
	unit/*) ;;
	*)
		if [ "$(id -u)" -ne 0 ]; then
			echo "skip   $name: needs root"
			skipped=$((skipped + 1))
			continue
		fi
		;;
	esac
	case $name in
	net/*) jobs=$JOBS ;;
	*) jobs=$(nproc) ;; # they share nothing but the machine
	esac
	[ "${name%%/*}" = "$kind" ] || end 0
	kind=${name%%/*}
	end $((jobs - 1))
	begin "$name" "$program"
done
end 0
AGAIN=0
for program in "${again[@]}"; do
	begin "$(name_of "$program")" "$program"
	end 0
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# lint.sh           style, static analysis, both compilers, headers alone, arrows between rooms, scripts; exit status 1
#                   if it found anything
# lint.sh quick     only the checks that take seconds, for `make check`
# lint.sh format    formats the C files
# shellcheck disable=SC2317 # functions are called through step
set -u

cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
export PATH=$PATH:/usr/sbin:/sbin

mapfile -t c_files < <(find include bpf user tests scripts -name '*.[ch]' | sort)
mapfile -t user_files < <(find user tests -name '*.c' ! -name '*.bpf.c' | sort)
mapfile -t python_files < <(find scripts tests -name '*.py' | sort)
mapfile -t scripts < <(find scripts tests .ci -type f \( -name '*.sh' -o -path .ci/run \) | sort)

if [ "${1:-}" = format ]; then
	exec clang-format -i "${c_files[@]}"
fi

found=0
# step WHAT COMMAND...: quiet unless it finds something
step() {
	local what=$1 output
	shift
	if output=$("$@" 2>&1); then
		printf 'ok      %s\n' "$what"
	else
		printf 'FOUND   %s\n%s\n' "$what" "$output"
		found=1
	fi
}

flags=(-std=gnu11 -D_GNU_SOURCE -Iinclude -Iuser -Ibpf -Itests/bpf "-I$BUILD" "-I$BUILD/tests")

# Both compilers, on every file of user space; the build itself uses one of them.
compile() {
	local status=0 file
	for file in "${user_files[@]}"; do
		"$1" "${flags[@]}" -Wall -Wextra -Werror -O2 -fsyntax-only "$file" || status=1
	done
	return "$status"
}

tidy() {
	printf '%s\0' "${user_files[@]}" |
		xargs -0 -P "$(nproc)" -n 1 clang-tidy --quiet -- "${flags[@]}" -include scripts/lint_errno.h 2>&1 |
		grep -v 'warnings generated\|^Suppressed\|^Use -header' >"$tidied"
	! grep -E 'warning:|error:' "$tidied" >/dev/null || {
		cat "$tidied"
		return 1
	}
}
tidied=$(mktemp)
trap 'rm -f "$tidied"' EXIT

formatted() {
	printf '%s\0' "${c_files[@]}" | xargs -0 -P "$(nproc)" -n 20 clang-format --dry-run -Werror
}

licensed() {
	local file missing=0
	for file in "${c_files[@]}" "${scripts[@]}" "${python_files[@]}" Makefile; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause' || {
			echo "$file: no SPDX line"
			missing=1
		}
	done
	return "$missing"
}

# A text that names a test (unit/test_x, bpf/room/test_y, net/test_z) names one that is there.
named_tests() {
	local name missing=0
	while read -r name; do
		[ -e "tests/$name.c" ] || [ -e "tests/$name.sh" ] || {
			echo "$name: no such test"
			missing=1
		}
	done < <(grep -ohP '\b(unit|bpf|net)/([a-z]+/)?test_(?!x\b)[a-z_0-9]+(?![a-z_0-9*])' ./*.md ./*/README.md user/man/* | sort -u)
	return "$missing"
}

posix() {
	# Scripts with #!/bin/sh must run in any sh.
	grep -lE '^#!/bin/sh' "${scripts[@]}" | xargs -r -n 1 sh -n
}

step 'clang-format (make format repairs it)' formatted
step 'headers alone' scripts/headers.sh
step 'arrows between rooms' scripts/arrows.py
step 'SPDX' licensed
step 'tests that texts name' named_tests
[ "${1:-}" != quick ] || exit $found
step 'gcc' compile gcc
step 'clang' compile clang
step 'clang-tidy' tidy
step 'shellcheck' shellcheck -x -e SC1091 "${scripts[@]}"
step 'sh' posix
step 'python' python3 -c 'import ast, sys; [ast.parse(open(name).read(), name) for name in sys.argv[1:]]' "${python_files[@]}"
step 'mandoc' mandoc -Tlint -Wwarning user/man/*.[1-9] "$BUILD/shakeoff.conf.5"
exit $found

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# headers.sh: every header compiles alone, so that it includes what it uses: those of bpf/ for BPF, those of bpf/lib, include/ and
# user/ for the host.
set -u

cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build} CC=${CC:-cc} CLANG=${CLANG:-clang}

# The headers of bpf/lib and include/, and some of bpf/core, have two worlds, and find the kernel's types there (vmlinux.h) or here (linux/types.h).
for_bpf() {
	case $1 in
	bpf/lib/* | bpf/core/ctx.h | bpf/core/metadata.h | include/*) printf '#include "vmlinux.h"\n' ;;
	esac
	printf '#include "%s"\n' "$PWD/$1"
}
bpf() {
	for_bpf "$1" | "$CLANG" -std=gnu11 -O2 -target bpf -mcpu=v3 -DBPF_NO_KFUNC_PROTOTYPES -Wall -Wextra -Werror -Wno-unused-function \
		-Iinclude -Ibpf "-I$BUILD" -fsyntax-only -x c - || echo "$1 does not compile alone for BPF"
}
host() {
	printf '#include "%s"\n' "$PWD/$1" | "$CC" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Iinclude -Iuser -Ibpf "-I$BUILD" \
		-fsyntax-only -x c - || echo "$1 does not compile alone"
}
export -f for_bpf bpf host

# all FUNCTION FOLDER...
all() {
	local function=$1
	shift
	find "$@" -name '*.h' -print0 | sort -z | xargs -0 -P "$(nproc)" -I '{}' bash -c "$function {}"
}
found=$({
	all bpf bpf
	all host bpf/lib bpf/core/ctx.h bpf/core/metadata.h include user
} 2>&1)
[ -z "$found" ] || {
	printf '%s\n' "$found"
	exit 1
}

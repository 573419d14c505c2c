/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Included by scripts/lint.sh before every file that clang's analyzer checks. The analyzer of clang 14 cannot follow a
 * negated symbol: it takes "return -errno" for a possible success. Here errno is one of a few known values.
 */
#include <errno.h>

static inline int *lint_errno(void)
{
	static int known;

	switch (*__errno_location()) {
	case EAGAIN: known = EAGAIN; break;
	case EINTR: known = EINTR; break;
	case ENOENT: known = ENOENT; break;
	default: known = EIO;
	}
	return &known;
}
#undef errno
#define errno (*lint_errno())

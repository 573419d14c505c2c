/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

#include "common/cleanup.h"
#include "acl/lock.h"

#define POLL_MS 20

int acl_lock(uint32_t patience_ms, int *result)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000l };
	/* Not readable for others: every process that can open the file can take the lock. */
	cleanup_fd int fd = open(ACL_LOCK_PATH, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	for (uint32_t waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB); waited_ms += POLL_MS) {
		if (errno != EWOULDBLOCK || waited_ms >= patience_ms)
			return -errno;
		nanosleep(&pause, NULL);
	}
	*result = take_fd(&fd);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "common/cleanup.h"
#include "common/list_lock.h"

int list_lock(bool wait, int *result)
{
	/* Not for others to read: a lock can be taken by whoever can open the file. */
	cleanup_fd int fd = open(LIST_LOCK_PATH, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)))
		if (errno != EINTR)
			return -errno;
	*result = take_fd(&fd);
	return 0;
}

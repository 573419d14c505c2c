/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SHAKEOFF_COMMON_FILE_H
#define SHAKEOFF_COMMON_FILE_H

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

/* Reads a file to its end, or `size` bytes of it. Returns the number of bytes read, or a negative errno. */
static inline ssize_t file_read_all(int fd, char *text, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = read(fd, text + used, size - used);

		if (!got)
			break;
		if (got < 0 && errno != EINTR)
			return -errno;
		used += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)used;
}

#endif

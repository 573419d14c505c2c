/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Cleanup attributes: release what a variable owns when it goes out of scope, and preserve errno.
 *
 *	cleanup_fd int fd = open(...);
 *	cleanup_free char *text = NULL;
 *	...
 *	*result = take_fd(&fd); // handed over: no longer closed here
 */
#ifndef SHAKEOFF_CLEANUP_H
#define SHAKEOFF_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_fd_function(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_free_function(void *pointer)
{
	int saved = errno;

	free(*(void **)pointer);
	errno = saved;
}

static inline void cleanup_file_function(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	errno = saved;
}

#define cleanup_fd __attribute__((cleanup(cleanup_fd_function)))
#define cleanup_free __attribute__((cleanup(cleanup_free_function)))
#define cleanup_file __attribute__((cleanup(cleanup_file_function)))

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_pointer(pointer)                                                                                          \
	({                                                                                                             \
		__typeof__(pointer) taken_ = (pointer);                                                                \
		(pointer) = NULL;                                                                                      \
		taken_;                                                                                                \
	})

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The C library's functions that close and duplicate descriptors: hidden descriptors stay open, a listener's
 * descriptors are counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libshakeoff/preload.h"

/* ------------------------------------------------------------------------------------------------------- closing */

/*
 * Returns whether a descriptor stays open. In a vfork child a template stays open only for the program that will
 * inherit its listening descriptor.
 */
static bool stays_open(int fd)
{
	return preload_fd(fd) == PRELOAD_FD_HIDDEN && (!preload_is_vfork_child() || preload_is_needed_by_exec(fd));
}

PRELOAD_EXPORTED int close(int fd)
{
	struct preload_guard guard;
	int result;

	if (!preload_fd(fd))
		return preload_real()->close(fd);
	if (stays_open(fd)) {
		errno = EBADF;
		return -1;
	}
	if (preload_is_vfork_child())
		return preload_real()->close(fd);
	preload_lock(&guard);
	preload_forget(fd);
	result = preload_real()->close(fd);
	preload_unlock(&guard);
	return result;
}

static bool any_in_range(unsigned int first, unsigned int last)
{
	unsigned int fd;

	for (fd = first; fd <= last && fd < PRELOAD_MAX_FD; fd++)
		if (preload_fd((int)fd))
			return true;
	return false;
}

/* Closes the server's descriptors, and leaves out the hidden ones. */
static int close_around(unsigned int first, unsigned int last, int flags)
{
	unsigned int fd, begin = first;
	int result = 0;

	for (fd = first; fd <= last && fd < PRELOAD_MAX_FD && result == 0; fd++) {
		if (preload_fd((int)fd) != PRELOAD_FD_HIDDEN)
			continue;
		if (begin < fd)
			result = preload_real()->close_range(begin, fd - 1, flags);
		begin = fd + 1;
	}
	return result == 0 && begin <= last ? preload_real()->close_range(begin, last, flags) : result;
}

static int close_ours(unsigned int first, unsigned int last, int flags)
{
	struct preload_guard guard;
	unsigned int fd;
	int result;

	preload_lock(&guard);
	for (fd = first; fd <= last && fd < PRELOAD_MAX_FD; fd++)
		if (preload_fd((int)fd) && preload_fd((int)fd) != PRELOAD_FD_HIDDEN)
			preload_forget((int)fd);
	result = close_around(first, last, flags);
	preload_unlock(&guard);
	return result;
}

/* Closes hidden descriptors last, because then it is known what the next program will inherit. */
static int close_in_vfork_child(unsigned int first, unsigned int last, int flags)
{
	int result = close_around(first, last, flags);
	unsigned int fd;

	for (fd = first; fd <= last && fd < PRELOAD_MAX_FD; fd++)
		if (preload_fd((int)fd) == PRELOAD_FD_HIDDEN && !stays_open((int)fd))
			preload_real()->close((int)fd);
	return result;
}

PRELOAD_EXPORTED int close_range(unsigned int first, unsigned int last, int flags)
{
	if (first > last || flags & (int)CLOSE_RANGE_CLOEXEC || !any_in_range(first, last))
		return preload_real()->close_range(first, last, flags);
	return preload_is_vfork_child() ? close_in_vfork_child(first, last, flags) : close_ours(first, last, flags);
}

PRELOAD_EXPORTED void closefrom(int first)
{
	unsigned int from = first < 0 ? 0 : (unsigned int)first;

	if (!any_in_range(from, ~0U))
		preload_real()->closefrom(first);
	else if (preload_is_vfork_child())
		close_in_vfork_child(from, ~0U, 0);
	else
		close_ours(from, ~0U, 0);
}

/* --------------------------------------------------------------------------------------------------- duplicating */

/* Notes that `fd` is a new duplicate of a listening descriptor. */
static int duplicated(struct preload_listener *listener, int fd)
{
	struct preload_guard guard;

	if (fd < 0)
		return fd;
	if (fd >= PRELOAD_MAX_FD) {
		preload_real()->close(fd);
		errno = EMFILE;
		return -1;
	}
	if (preload_is_vfork_child()) {
		preload_duplicated_in_vfork_child(listener, fd);
		return fd;
	}
	preload_lock(&guard);
	preload_duplicated(listener, fd);
	preload_unlock(&guard);
	return fd;
}

PRELOAD_EXPORTED int dup(int fd)
{
	struct preload_listener *listener = preload_listener(fd);
	int result = preload_real()->dup(fd);

	return listener ? duplicated(listener, result) : result;
}

static int dup_onto(int from, int to, int flags)
{
	struct preload_listener *listener = preload_listener(from);
	struct preload_guard guard;
	int result;

	preload_lock(&guard);
	if (from != to && preload_real()->fcntl(from, F_GETFD) >= 0 && (!listener || (unsigned int)to < PRELOAD_MAX_FD))
		preload_forget(to);
	result = preload_real()->dup3(from, to, flags);
	if (result >= 0 && listener)
		preload_duplicated(listener, to);
	preload_unlock(&guard);
	return result;
}

static int dup_in_vfork_child(int from, int to, int flags)
{
	const struct preload_listener *listener = preload_listener(from);
	int result = preload_real()->dup3(from, to, flags);

	if (result >= 0 && listener)
		preload_duplicated_in_vfork_child(listener, to);
	return result;
}

static int dup_tracked(int from, int to, int flags)
{
	return preload_is_vfork_child() ? dup_in_vfork_child(from, to, flags) : dup_onto(from, to, flags);
}

PRELOAD_EXPORTED int dup2(int from, int to)
{
	if (from == to || (!preload_fd(from) && !preload_fd(to)))
		return preload_real()->dup2(from, to);
	return dup_tracked(from, to, 0);
}

PRELOAD_EXPORTED int dup3(int from, int to, int flags)
{
	if (from == to || (!preload_fd(from) && !preload_fd(to)))
		return preload_real()->dup3(from, to, flags);
	return dup_tracked(from, to, flags);
}

/* Handles fcntl() and ioctl(). A vfork child has its own descriptors, so this is done for it, too. */
static int control(int fd, int command, void *argument)
{
	struct preload_listener *listener = preload_listener(fd);
	int result = preload_real()->fcntl(fd, command, argument);

	if (!listener || result < 0)
		return result;
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC: return duplicated(listener, result);
	case F_SETFD: preload_follow_cloexec(listener); break;
	}
	return result;
}

/* The third argument is an int, a pointer or missing; it is passed on unchanged. */
PRELOAD_EXPORTED int fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(fd, command, argument);
}

PRELOAD_EXPORTED int fcntl64(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(fd, command, argument);
}

/* FIOCLEX and FIONCLEX do the same as F_SETFD. */
PRELOAD_EXPORTED int ioctl(int fd, unsigned long request, ...)
{
	struct preload_listener *listener = preload_listener(fd);
	va_list arguments;
	void *argument;
	int result;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	result = preload_real()->ioctl(fd, request, argument);
	if (listener && result == 0 && (request == FIOCLEX || request == FIONCLEX))
		preload_follow_cloexec(listener);
	return result;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads the bytes of the configuration file. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/file.h"
#include "common/trusted_file.h"
#include "config/reader.h"

#define FILE_MAX (1u << 20)

__attribute__((format(printf, 3, 4))) static char *fail(struct config_reader *reader, int result, const char *format,
							...)
{
	va_list arguments;

	reader->result = result;
	va_start(arguments, format);
	vsnprintf(reader->error, reader->error_size, format, arguments);
	va_end(arguments);
	return NULL;
}

char *config_file_read(struct config_reader *reader, size_t *length)
{
	const char *path = reader->path;
	/* Non-blocking, because a pipe instead of a file must not hold up the start. */
	cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup_free char *buffer = NULL;
	struct stat st;
	ssize_t used;

	if (fd < 0 || fstat(fd, &st))
		return fail(reader, -errno, "%s: cannot open the configuration file: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fail(reader, -EISDIR, "%s: is a directory, not a configuration file", path);
	if (!S_ISREG(st.st_mode))
		return fail(reader, -EINVAL, "%s: is not a regular file", path);
	if (untrusted_because(&st))
		return fail(reader, -EPERM, "%s: the configuration file %s", path, untrusted_because(&st));
	buffer = malloc(FILE_MAX + 1);
	if (!buffer)
		return fail(reader, -ENOMEM, "%s: out of memory", path);

	used = file_read_all(fd, buffer, FILE_MAX + 1);
	if (used < 0)
		return fail(reader, (int)used, "%s: cannot read the configuration file: %s", path,
			    strerror((int)-used));
	if (used > (ssize_t)FILE_MAX)
		return fail(reader, -EFBIG, "%s: is longer than %u bytes, the maximum for a configuration file", path,
			    FILE_MAX);
	buffer[used] = '\0';
	*length = (size_t)used;
	return take_pointer(buffer);
}

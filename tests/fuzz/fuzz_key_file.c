/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libFuzzer: any bytes as a key file. Only one line of 64 digits is accepted.
 *
 * link: user/shakeoffd/hook/key_file.c user/shakeoffd/hook/master.c
 */
#include <ctype.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shakeoffd/hook/key_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/dev/shm/shakeoff-fuzz-key-XXXXXX";

static void remove_file(void)
{
	unlink(path);
}

static int open_file(void)
{
	static int fd = -1;

	if (fd < 0) {
		fd = mkstemp(path);
		atexit(remove_file);
	}
	if (fd < 0 || ftruncate(fd, 0))
		abort();
	return fd;
}

static size_t digits(const uint8_t *data, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += isxdigit(data[i]) != 0;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct key_file file = { .path = path };
	struct master *master = NULL;
	char error[512] = "";
	int fd = open_file();

	if (pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	if (!key_file_read(&file, &master, error, sizeof(error))) {
		if (digits(data, size) != (size_t)2 * MASTER_BYTES)
			abort();
		master_close(master);
	} else if (!strstr(error, path)) {
		abort();
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The key file: one line of 64 hexadecimal digits, the master secret of a fleet. As ssh does with private keys, a file that
 * others than its owner can read or write is refused (the group may read it if it is root's, and no access control list
 * names others), and so is a symbolic link.
 */
#ifndef SHAKEOFFD_HOOK_KEY_FILE_H
#define SHAKEOFFD_HOOK_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "shakeoffd/hook/master.h"

/* Which content a path had: another inode, or another time of change, is another content. All zero: there was no file. */
struct key_file_state {
	dev_t device;
	ino_t inode;
	struct timespec changed;
};

struct key_file {
	const char *path;
	struct key_file_state read; /* when it was last read, well or not; not where another attempt may do better */
	struct key_file_state seen; /* when it was last looked at */
};

/*
 * Reads the file. 0 and *master, or a negative errno, *master untouched and `error` one sentence without a newline, which says
 * nothing of what the file holds.
 */
int key_file_read(struct key_file *file, struct master **master, char *error, size_t error_size);

/*
 * Whether there is something new to read. To be called about once a second: it waits until a change has stood from one call to
 * the next, so that nobody reads what is half written.
 */
bool key_file_changed(struct key_file *file);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The key file: one line of 64 hexadecimal digits, the master secret of a fleet. As ssh does for private keys, it
 * refuses a file that users other than its owner can read or write (root's group may read it if no access control list
 * names others), and a symbolic link.
 */
#ifndef SHAKEOFFD_HOOK_KEY_FILE_H
#define SHAKEOFFD_HOOK_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "shakeoffd/hook/master.h"

/*
 * Identifies the contents of a path: another inode or another time of change means other contents. All zero: there was
 * no file.
 */
struct key_file_state {
	dev_t device;
	ino_t inode;
	struct timespec changed;
};

struct key_file {
	const char *path;
	struct key_file_state
		read; /* at the last reading, successful or not; not updated where another try may succeed */
	struct key_file_state seen; /* at the last check */
};

/*
 * Reads the file. Returns 0 and *master. On failure returns a negative errno, leaves *master untouched, and `error` is
 * one sentence without a newline that reveals nothing of the file's contents.
 */
int key_file_read(struct key_file *file, struct master **master, char *error, size_t error_size);

/*
 * Returns whether there is something new to read. Call it about once a second: it waits until a change has stayed from
 * one call to the next, so that a file is not read while it is being written.
 */
bool key_file_changed(struct key_file *file);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files that control root's processes: only root, or the user who runs the process, may have written them. */
#ifndef SHAKEOFF_TRUSTED_FILE_H
#define SHAKEOFF_TRUSTED_FILE_H

#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Returns what is wrong with a file, as the rest of a sentence, or NULL. st: of the open file. An access control list
 * that lets others write appears in the mode as the group's permissions.
 */
static inline const char *untrusted_because(const struct stat *st)
{
	if (st->st_uid && st->st_uid != geteuid())
		return "belongs to another user: check its contents and run chown root on it";
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return "can be written by users other than its owner: check its contents and run chmod go-w on it";
	return NULL;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files that say what root's processes do: only root, or who runs the process, may have written them. */
#ifndef SHAKEOFF_TRUSTED_FILE_H
#define SHAKEOFF_TRUSTED_FILE_H

#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * What is wrong with a file, as the rest of a sentence, or NULL. st: of the open file. An access control list that lets others
 * write shows in the mode, as what the group may do.
 */
static inline const char *untrusted_because(const struct stat *st)
{
	if (st->st_uid && st->st_uid != geteuid())
		return "belongs to another user: chown root it, and look at what it says";
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return "can be written by others than its owner: chmod go-w it, and look at what it says";
	return NULL;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/process.h"

pid_t process_parent(pid_t pid)
{
	char path[64], text[512];
	cleanup_file FILE *file = NULL;
	const char *after_name;
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file || !fgets(text, sizeof(text), file))
		return 0;
	after_name = strrchr(text, ')'); /* the name may have blanks and parentheses */
	return after_name && sscanf(after_name, ") %*c %d", &parent) == 1 ? parent : 0;
}

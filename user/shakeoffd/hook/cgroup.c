/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "datapath/datapath.h"
#include "shakeoffd/hook/cgroup.h"

/* Returns where cgroup2 is mounted: alone, or beside the older hierarchies (cgroups(7)). NULL: it is not mounted. */
static const char *mount_point(void)
{
	static const char *const usual[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		struct statfs fs;

		if (!statfs(usual[i], &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
			return usual[i];
	}
	return NULL;
}

/*
 * Finds the directory of a process. The line of cgroup2 is "0::/PATH", as seen from the daemon's own cgroup namespace.
 */
static bool directory_of(pid_t pid, char *directory, size_t size)
{
	char file_name[64], line[PATH_MAX];
	const char *mount = mount_point();
	cleanup_file FILE *file = NULL;

	if (!mount)
		return false;
	snprintf(file_name, sizeof(file_name), "/proc/%d/cgroup", pid);
	file = fopen(file_name, "re");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "0::/", 4))
			return (size_t)snprintf(directory, size, "%s%s", mount, line + 3) < size;
	}
	return false;
}

struct programs {
	uint32_t ids[DATAPATH_CGROUP_MAX];
	uint32_t count;
};

static void programs_of(pid_t pid, struct programs *programs)
{
	char directory[2 * PATH_MAX];

	programs->count = 0;
	if (directory_of(pid, directory, sizeof(directory)))
		datapath_cgroup_ingress(directory, programs->ids, &programs->count);
}

static bool has(const struct programs *programs, uint32_t id)
{
	for (uint32_t i = 0; i < programs->count; i++)
		if (programs->ids[i] == id)
			return true;
	return false;
}

bool cgroup_filters(pid_t pid)
{
	struct programs theirs, ours;

	if (pid <= 0) /* it is in another PID namespace */
		return false;
	programs_of(pid, &theirs);
	if (!theirs.count)
		return false;
	programs_of(getpid(), &ours);
	for (uint32_t i = 0; i < theirs.count; i++)
		if (!has(&ours, theirs.ids[i]))
			return true;
	return false;
}

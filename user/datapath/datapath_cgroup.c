/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* BPF programs of control groups that see the input for their sockets. */
#include <errno.h>
#include <fcntl.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"

int datapath_cgroup_ingress(const char *directory, uint32_t ids[DATAPATH_CGROUP_MAX], uint32_t *count)
{
	cleanup_fd int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t flags, found = DATAPATH_CGROUP_MAX;

	if (fd < 0)
		return -errno;
	/* -ENOSPC: there are more programs; those that fit are returned. */
	if (bpf_prog_query(fd, BPF_CGROUP_INET_INGRESS, BPF_F_QUERY_EFFECTIVE, &flags, ids, &found) && errno != ENOSPC)
		return -errno;
	*count = found < DATAPATH_CGROUP_MAX ? found : DATAPATH_CGROUP_MAX;
	return 0;
}

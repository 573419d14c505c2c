/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gets descriptors of BPF objects by their ids: the only calls that need CAP_SYS_ADMIN once everything is attached. */
#define DATAPATH_MAY_FIND_BY_ID /* datapath_internal.h forbids these calls elsewhere */
#include <errno.h>

#include "datapath/datapath_internal.h"

static datapath_find_fn find = datapath_find;

int datapath_find(enum datapath_object object, uint32_t id)
{
	uint32_t next = 0;
	int result = -1;

	errno = EINVAL;
	switch (object) {
	case DATAPATH_PROGRAM: result = bpf_prog_get_fd_by_id(id); break;
	case DATAPATH_MAP: result = bpf_map_get_fd_by_id(id); break;
	case DATAPATH_LINK: result = bpf_link_get_fd_by_id(id); break;
	/* The kernel assigns ids from 1 to INT_MAX (idr_alloc_cyclic() of kernel/bpf/syscall.c). */
	case DATAPATH_NEXT_LINK: result = bpf_link_get_next_id(id, &next) ? -1 : (int)next; break;
	}
	return result < 0 ? -errno : result;
}

void datapath_find_by(datapath_find_fn other)
{
	find = other ? other : datapath_find;
}

/* Returns a descriptor as libbpf's own functions do, with the cause in errno. */
static int found(enum datapath_object object, uint32_t id)
{
	int result = find(object, id);

	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

int program_by_id(uint32_t id)
{
	return found(DATAPATH_PROGRAM, id);
}

int map_by_id(uint32_t id)
{
	return found(DATAPATH_MAP, id);
}

int link_by_id(uint32_t id)
{
	return found(DATAPATH_LINK, id);
}

int link_id_after(uint32_t id, uint32_t *next)
{
	int result = found(DATAPATH_NEXT_LINK, id);

	if (result < 0)
		return -1;
	*next = (uint32_t)result;
	return 0;
}

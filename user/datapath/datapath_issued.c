/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The memory of cookies that have been sent: for who looks. */
#include <errno.h>
#include <sys/mman.h>

#include "common/issued.h"
#include "datapath/datapath_internal.h"

#define ASKED_SIZE (2 * SHAKEOFF_ASKED_WORDS * sizeof(uint64_t))

int datapath_asked_share(struct datapath *datapath, uint64_t now_ns, double *share)
{
	uint64_t *words = mmap(NULL, ASKED_SIZE, PROT_READ, MAP_SHARED, datapath->maps[MAP_ASKED], 0);

	if (words == MAP_FAILED)
		return -errno;
	*share = asked_share(words, now_ns);
	munmap(words, ASKED_SIZE);
	return 0;
}

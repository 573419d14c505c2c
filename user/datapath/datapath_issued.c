/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The false positive rate of the issued cookies, for display. */
#include <errno.h>
#include <sys/mman.h>

#include "common/issued.h"
#include "datapath/datapath_internal.h"

#define ISSUED_SIZE (2 * SHAKEOFF_ISSUED_WORDS * sizeof(uint64_t))

int datapath_issued_false_positive_rate(struct datapath *datapath, uint64_t now_ns, double *share)
{
	uint64_t *words = mmap(NULL, ISSUED_SIZE, PROT_READ, MAP_SHARED, datapath->maps[MAP_ISSUED], 0);

	if (words == MAP_FAILED)
		return -errno;
	*share = issued_false_positive_rate(words, now_ns);
	munmap(words, ISSUED_SIZE);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>

#include "shakeoffd/sys/softnet.h"

/*
 * Sums up the drops. The file has one line per CPU, with hexadecimal numbers: packets processed, packets dropped
 * (softnet_seq_show(), net/core/net-procfs.c).
 */
bool softnet_dropped(uint64_t *seen)
{
	FILE *file = fopen("/proc/net/softnet_stat", "re");
	uint64_t dropped, total = 0, before = *seen;

	if (!file)
		return false;
	while (fscanf(file, "%*x %" SCNx64 "%*[^\n]", &dropped) == 1)
		total += dropped;
	fclose(file);
	*seen = total;
	return total != before;
}

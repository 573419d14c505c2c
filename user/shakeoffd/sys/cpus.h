/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SHAKEOFFD_SYS_CPUS_H
#define SHAKEOFFD_SYS_CPUS_H

#include <stdint.h>
#include <unistd.h>

/* Returns the number of online CPUs, among which packets may be spread. */
static inline uint32_t online_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus > 0 ? (uint32_t)cpus : 1;
}

#endif

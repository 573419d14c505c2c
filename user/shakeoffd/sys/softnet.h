/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that the kernel drops between the driver and the stack, because RPS found another CPU's backlog queue full.
 */
#ifndef SHAKEOFFD_SYS_SOFTNET_H
#define SHAKEOFFD_SYS_SOFTNET_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Returns whether the kernel has dropped more packets since the last call. *seen keeps the caller's last count. Returns
 * false if the counter cannot be read.
 */
bool softnet_dropped(uint64_t *seen);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets that the kernel drops between the driver and the stack: where RPS puts them into another CPU's backlog queue that is full. */
#ifndef SHAKEOFFD_SYS_SOFTNET_H
#define SHAKEOFFD_SYS_SOFTNET_H

#include <stdbool.h>
#include <stdint.h>

/* Whether there were more since this was last asked; *seen is the caller's memory of it. False also where it cannot be read. */
bool softnet_dropped(uint64_t *seen);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fixed-width types: of vmlinux.h in BPF programs, of the kernel's headers in user space. */
#ifndef SHAKEOFF_TYPES_H
#define SHAKEOFF_TYPES_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#include <stdbool.h>
#endif

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network byte order, for constants and values alike, in BPF and on the host. */
#ifndef SHAKEOFF_BYTEORDER_H
#define SHAKEOFF_BYTEORDER_H

#include <bpf/bpf_endian.h>

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring buffers to the daemon, and the sizes of records. */
#ifndef SHAKEOFF_BPF_CORE_RING_H
#define SHAKEOFF_BPF_CORE_RING_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>

#include "core/maps.h"
#include "lib/compiler.h"

/*
 * bpf_ringbuf_reserve() takes only constant sizes, so there are three: for an ACK with no or little payload, for a
 * segment of an ordinary MTU, and for the largest packet (an aggregated one of 64 KiB).
 */
#define EVENT_SMALL_PACKET 160
#define EVENT_MEDIUM_PACKET 1536
#define EVENT_LARGE_PACKET 65536

/* Returns a tuple's ring, always the same one. The hash needs no secret: an uneven spread costs only balance. */
static __always_inline void *ring_of(const struct shakeoff_tuple *tuple, const struct shakeoff_control *control)
{
	__u32 hash = tuple->remote[0] ^ tuple->remote[1] ^ tuple->remote[2] ^ tuple->remote[3] ^
		     (tuple->remote_port | ((__u32)tuple->local_port << 16));
	__u32 count = control->rings, index;

	if (!count)
		return NULL;
	hash *= 0x9e3779b1; /* 2^32 divided by the golden ratio: mixes upwards (Knuth, TAOCP 3, section 6.4) */
	index = (hash >> 16) % count;
	return bpf_map_lookup_elem(&rings, &index);
}

#endif

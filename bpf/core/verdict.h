/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one exit: counts a verdict and maps it to its XDP action. */
#ifndef SHAKEOFF_BPF_CORE_VERDICT_H
#define SHAKEOFF_BPF_CORE_VERDICT_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/verdict.h>

#include "core/dbg.h"
#include "core/maps.h"
#include "lib/compiler.h"

/*
 * The meaning of each verdict: the XDP action in the low byte, the counters (SHAKEOFF_COUNTS_*) above it. Numbers,
 * because a table that is not static (CONST_TABLE) is part of the skeleton, which does not know our types.
 */
CONST_TABLE __u16 verdict_meanings[SHAKEOFF_VERDICT_COUNT] = {
#define X(constant, name, xdp, counted, help) [SHAKEOFF_##constant] = XDP_##xdp | (counted) << 8,
	SHAKEOFF_VERDICTS(X)
#undef X
};

static __always_inline __u32 verdict_action(__u16 meaning)
{
	return meaning & 0xff;
}

static __always_inline __u32 verdict_counts(__u16 meaning)
{
	return meaning >> 8;
}

static __always_inline bool verdict_passes(__u32 verdict)
{
	return verdict < SHAKEOFF_VERDICT_COUNT && verdict_action(verdict_meanings[verdict]) == XDP_PASS;
}

/* Returns whether the verdict is for a segment that belongs to no socket. */
static __always_inline bool verdict_is_no_socket(__u32 verdict)
{
	return verdict < SHAKEOFF_VERDICT_COUNT &&
	       (verdict_counts(verdict_meanings[verdict]) & SHAKEOFF_COUNTS_NO_SOCKET);
}

#define NO_SERVICE 0xffffffffu

static __always_inline void count_service(__u32 service, __u32 counts)
{
	struct shakeoff_service_counters *counters;

	if (!counts || service == NO_SERVICE)
		return;
	counters = bpf_map_lookup_elem(&service_counts, &service);
	if (!counters)
		return;
	if (counts & SHAKEOFF_COUNTS_SYN)
		counters->syn++;
	if (counts & SHAKEOFF_COUNTS_SYNACK) {
		counters->synack++;
		return; /* the most frequent verdict counts as nothing else */
	}
	if (counts & SHAKEOFF_COUNTS_ACK_VALID)
		counters->ack_valid++;
	if (counts & SHAKEOFF_COUNTS_ACK_INVALID)
		counters->ack_invalid++;
	if (counts & SHAKEOFF_COUNTS_OVERFLOW)
		counters->overflow++;
}

/* Counts a verdict for its packet's service (NO_SERVICE: none). Returns the XDP action. */
static __always_inline int count_verdict(__u32 verdict, __u32 service)
{
	/* A copy: clang 14 reads a variable again whose address is taken, and the verifier loses its bound. */
	__u32 key = verdict;
	__u64 *packets = bpf_map_lookup_elem(&verdicts, &key);
	__u16 meaning;

	if (!packets || verdict >= SHAKEOFF_VERDICT_COUNT)
		return XDP_ABORTED; /* only for the verifier */
	(*packets)++;
	meaning = verdict_meanings[verdict];
	count_service(service, verdict_counts(meaning));
	if (service != NO_SERVICE)
		dbg(verdict);
	return verdict_action(meaning);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one exit: a verdict is counted, and mapped to its XDP action. */
#ifndef SHAKEOFF_BPF_COUNT_H
#define SHAKEOFF_BPF_COUNT_H

/* What a verdict comes to: the XDP action, and what it counts towards. */
struct verdict_meaning {
	__u8 action;
	__u8 counts;
};

CONST_TABLE struct verdict_meaning verdict_meanings[SHAKEOFF_VERDICT_COUNT] = {
#define X(constant, name, xdp, counted, help) [SHAKEOFF_##constant] = { .action = XDP_##xdp, .counts = (counted) },
	SHAKEOFF_VERDICTS(X)
#undef X
};

static __always_inline _Bool verdict_passes(__u32 verdict)
{
	return verdict < SHAKEOFF_VERDICT_COUNT && verdict_meanings[verdict].action == XDP_PASS;
}

/* Whether it says that a segment belonged to no socket. */
static __always_inline _Bool verdict_is_stray(__u32 verdict)
{
	return verdict < SHAKEOFF_VERDICT_COUNT && (verdict_meanings[verdict].counts & SHAKEOFF_COUNTS_STRAY);
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
		return; /* the commonest is nothing else */
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
	/* A variable of its own: clang 14 reads one whose address is taken again, and the verifier loses its bound. */
	__u32 key = verdict;
	__u64 *packets = bpf_map_lookup_elem(&verdicts, &key);
	const struct verdict_meaning *meaning;

	if (!packets || verdict >= SHAKEOFF_VERDICT_COUNT)
		return XDP_ABORTED; /* cannot be: for the verifier */
	(*packets)++;
	meaning = &verdict_meanings[verdict];
	count_service(service, meaning->counts);
	return meaning->action;
}

#endif

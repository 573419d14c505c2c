/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which key, when; and the cookie under it. */
#ifndef SHAKEOFF_BPF_EPOCH_H
#define SHAKEOFF_BPF_EPOCH_H

#define NSEC_PER_MSEC 1000000

/*
 * CLOCK_MONOTONIC, as exact as a tick, which is enough for everything here and costs a fifth of reading the hardware's
 * clock; that one before kernel 5.11, which has no coarse clock for BPF. Never ahead of the exact clock.
 */
static __always_inline __u64 clock_now(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_ktime_get_coarse_ns))
		return bpf_ktime_get_coarse_ns();
	return bpf_ktime_get_ns();
}

static __always_inline __u32 epoch_now(const struct shakeoff_control *control, __u64 now_ns)
{
	return (now_ns + control->epoch_offset_ns) / SHAKEOFF_EPOCH_NS;
}

/* The cookie of an epoch for the packet in scratch. bits: of cookie_encode(). A global function: see scratch_get(). */
__noinline __u32 epoch_cookie(__u32 client_isn, __u32 epoch, __u32 bits)
{
	__u32 slot = epoch % SHAKEOFF_KEY_SLOTS;
	const struct shakeoff_key *key = bpf_map_lookup_elem(&cookie_keys, &slot);
	const struct scratch *scratch = scratch_get();

	if (!key || !scratch) /* cannot be: for the verifier */
		return 0;
	return cookie_isn(key, &scratch->packet.flow, client_isn, epoch, bits);
}

/* The clock of the kernel's TCP timestamps, in milliseconds (tcp_clock_ms(), include/net/tcp.h). */
static __always_inline __u32 timestamp_clock(__u64 now_ns)
{
	return now_ns / NSEC_PER_MSEC;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether an ACK brings back one of our cookies. */
#ifndef SHAKEOFF_BPF_COOKIE_VERIFY_H
#define SHAKEOFF_BPF_COOKIE_VERIFY_H

#include "core/kernel.h"

#include <shakeoff/abi.h>
#include <shakeoff/issued.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "lib/tcpopt.h"
#include "cookie/epoch.h"

enum cookie_status {
	COOKIE_GOOD,
	COOKIE_BAD,
	COOKIE_EXPIRED,    /* as far as timestamps show */
	COOKIE_NOT_ISSUED, /* good, but not sent lately (shakeoff/issued.h) */
	COOKIE_UNREADABLE, /* the options are not all in the frame */
};

/*
 * Returns whether the echoed clock is too old. A failed cookie does not tell why it failed. With timestamps the echo
 * does, as far as it can be believed: only a name in the statistics depends on it. Without timestamps nothing does: the
 * key of a past epoch is overwritten.
 */
static __always_inline bool echo_is_old(const struct hook_ctx *hook, const struct cookie_flow *flow, __u32 tsecr)
{
	const __u64 *key = epoch_offset_key(hook->scratch->now.epoch);
	__u32 clock_ms = hook->scratch->now.clock_ms;

	if (!key) /* only for the verifier */
		return 0;
	clock_ms += cookie_offset_final(cookie_offset_init(flow, key), flow, key);
	return cookie_age(tsecr, clock_ms, cookie_bits(tsecr, clock_ms)) > (__s32)(SHAKEOFF_EPOCH_NS / NSEC_PER_MSEC);
}

/*
 * When the socket's clock is this far ahead of the client's echo, in ms, the kernel takes no round-trip time from it:
 * tcp_rtt_tsopt_us(), net/ipv4/tcp_input.c: INT_MAX / (USEC_PER_SEC / TCP_TS_HZ).
 */
#define TS_NO_SAMPLE_MS 2147484u

/*
 * Returns ts_base, from which the connection's timestamps go on. The first round-trip sample is the kernel's clock plus
 * ts_base when the ACK meets the socket, minus the echo: the time since the SYN-ACK. 2 ms are added because three
 * clocks are truncated to milliseconds, so that the sample is never too short. In a fleet the echo may be of another
 * host's clock: no sample is better than a wrong one.
 */
static __always_inline __u32 verify_ts_base(const struct hook_ctx *hook, __u32 tsecr, __u32 offset, __u32 bits)
{
	if (hook->control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH)
		return tsecr + TS_NO_SAMPLE_MS - (__u32)(hook->scratch->now.now_ns / NSEC_PER_MSEC);
	return offset + cookie_ts_add(bits) + (__u32)(hook->scratch->now.epoch_offset_ns / NSEC_PER_MSEC) + 2;
}

/* Reads the echo of a good cookie of this epoch to *handshake. */
static __always_inline void verify_echo(const struct hook_ctx *hook, const struct cookie_flow *flow, __u32 tsecr,
					__u32 epoch, struct handshake *handshake)
{
	const __u64 *key = epoch_offset_key(epoch);
	__u32 offset, bits;

	if (!key) /* only for the verifier */
		return;
	offset = cookie_offset_final(cookie_offset_init(flow, key), flow, key);
	bits = cookie_bits(tsecr, hook->scratch->now.clock_ms + offset);
	handshake->unseen = shakeoff_issued_hash(handshake->unseen, bits);
	handshake->echo_age_ms = cookie_age(tsecr, hook->scratch->now.clock_ms + offset, bits);
	cookie_decode_timestamps(bits, &handshake->options);
	handshake->ts_base = verify_ts_base(hook, tsecr, offset, bits);
}

static __always_inline enum cookie_status verify_timestamps(const struct hook_ctx *hook, const struct tcpopt *opt,
							    const struct cookie_flow *flow, struct handshake *handshake)
{
	bool accept_next = hook->control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH;
	const struct now *now = &hook->scratch->now;

	UNROLL
	for (int attempt = 0; attempt < 2; attempt++) {
		__u64 expected;
		__u32 epoch;

		if (!cookie_epoch(handshake->cookie, now->epoch, accept_next, attempt, &epoch))
			continue;
		expected = epoch_cookie(handshake->client_isn, epoch, COOKIE_TIMESTAMPS);
		if ((__u32)expected != handshake->cookie)
			continue;
		handshake->unseen = expected >> 32;
		verify_echo(hook, flow, opt->tsecr, epoch, handshake);
		return COOKIE_GOOD;
	}
	return echo_is_old(hook, flow, opt->tsecr) ? COOKIE_EXPIRED : COOKIE_BAD;
}

static __always_inline enum cookie_status verify_plain(const struct hook_ctx *hook, bool ipv6,
						       struct handshake *handshake)
{
	bool accept_next = hook->control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH;

	UNROLL
	for (int attempt = 0; attempt < COOKIE_PLAIN_ATTEMPTS; attempt++) {
		__u32 epoch;
		int bits;

		if (!cookie_epoch_plain(hook->scratch->now.epoch, accept_next, attempt, &epoch))
			continue;
		bits = epoch_read_plain(handshake->client_isn, epoch, handshake->cookie);
		if (bits < 0)
			continue;
		/* A client that has negotiated timestamps, but leaves them out or empties them, gets no options. */
		cookie_decode_plain(bits & COOKIE_TIMESTAMPS ? 0 : bits, ipv6, &handshake->options);
		return COOKIE_GOOD;
	}
	return COOKIE_BAD;
}

/*
 * Checks whether the ACK brings back one of our cookies. Fills client_isn, cookie, unseen, echo_age_ms, options and
 * ts_base of the handshake in scratch.
 */
static __always_inline enum cookie_status ack_verify(const struct packet *packet, const struct hook_ctx *hook,
						     const struct tcpopt *opt)
{
	struct handshake *handshake = &hook->scratch->handshake;

	handshake->cookie = packet->ack - 1;
	handshake->client_isn = packet->seq - 1;
	/* An echo of 0 is none (RFC 7323, section 3.2). */
	return opt->timestamps && opt->tsecr ? verify_timestamps(hook, opt, &packet->flow, handshake) :
					       verify_plain(hook, packet->flow.ipv6, handshake);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Does an ACK bring back a cookie of ours? */
#ifndef SHAKEOFF_BPF_JUDGE_H
#define SHAKEOFF_BPF_JUDGE_H

enum cookie_judgement {
	COOKIE_GOOD,
	COOKIE_BAD,
	COOKIE_EXPIRED,
	COOKIE_UNASKED,    /* good, but sent to nobody lately (asked.h) */
	COOKIE_UNREADABLE, /* the options are not all in the frame */
};

/*
 * Why a cookie with timestamps failed cannot be seen in its one epoch bit; the echoed clock tells, as far as it can be
 * believed: only a name in the statistics depends on it. It is the clock of the host that answered the SYN: in a fleet the
 * name is a guess.
 */
static __always_inline _Bool timestamp_is_old(__u32 tsecr, __u32 clock_ms)
{
	__u32 age_ms = clock_ms - tsecr;

	return age_ms > SHAKEOFF_EPOCH_NS / NSEC_PER_MSEC && age_ms < 10 * SHAKEOFF_EPOCH_NS / NSEC_PER_MSEC;
}

/* Does the ACK bring back a cookie of ours? Fills opening->client_isn, cookie and options. */
static __always_inline enum cookie_judgement ack_judge(const struct packet *packet, const struct walk *walk,
						       const struct tcpopt *opt, struct opening *opening)
{
	_Bool accept_next = walk->control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH;
	const struct moment *moment = &walk->scratch->moment;
	__u32 cookie = packet->ack - 1;
	__u32 client_isn = packet->seq - 1;
	__u32 bits = cookie_bits(cookie, opt->tsecr, opt->timestamps);
	_Bool plausible = 0;

	UNROLL
	for (int attempt = 0; attempt < 2; attempt++) {
		__u64 expected;
		__u32 epoch;

		if (!cookie_epoch(cookie, opt->timestamps, moment->epoch, accept_next, attempt, &epoch))
			continue;
		plausible = 1;
		expected = epoch_cookie(client_isn, epoch, bits);
		if ((__u32)expected != cookie)
			continue;
		opening->client_isn = client_isn;
		opening->cookie = cookie;
		opening->unseen = expected >> 32;
		cookie_decode(bits, packet->flow.ipv6, &opening->options);
		return COOKIE_GOOD;
	}
	return !plausible || (opt->timestamps && timestamp_is_old(opt->tsecr, moment->clock_ms)) ? COOKIE_EXPIRED :
												   COOKIE_BAD;
}

#endif

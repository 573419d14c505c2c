/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Does an ACK bring back a cookie of ours? */
#ifndef SHAKEOFF_BPF_JUDGE_H
#define SHAKEOFF_BPF_JUDGE_H

enum cookie_judgement {
	COOKIE_GOOD,
	COOKIE_BAD,
	COOKIE_EXPIRED,    /* as far as timestamps tell */
	COOKIE_UNASKED,    /* good, but sent to nobody lately (asked.h) */
	COOKIE_UNREADABLE, /* the options are not all in the frame */
};

/*
 * Why a cookie failed cannot be seen in it. With timestamps the echoed clock tells, as far as it can be believed: only a name in the
 * statistics depends on it. It is the clock of the host that answered the SYN: in a fleet the name is a guess. Without, nothing
 * does: the key of an epoch that is over has been overwritten.
 */
static __always_inline _Bool timestamp_is_old(__u32 tsecr, __u32 clock_ms)
{
	__u32 age_ms = clock_ms - tsecr;

	return age_ms > SHAKEOFF_EPOCH_NS / NSEC_PER_MSEC && age_ms < 10 * SHAKEOFF_EPOCH_NS / NSEC_PER_MSEC;
}

static __always_inline enum cookie_judgement judge_timestamps(const struct walk *walk, const struct tcpopt *opt,
							      _Bool ipv6, struct opening *opening)
{
	_Bool accept_next = walk->control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH;
	const struct moment *moment = &walk->scratch->moment;
	__u32 bits = cookie_bits(opt->tsecr);

	UNROLL
	for (int attempt = 0; attempt < 2; attempt++) {
		__u64 expected;
		__u32 epoch;

		if (!cookie_epoch(opening->cookie, moment->epoch, accept_next, attempt, &epoch))
			continue;
		expected = epoch_cookie(opening->client_isn, epoch, bits);
		if ((__u32)expected != opening->cookie)
			continue;
		opening->unseen = expected >> 32;
		cookie_decode(bits, ipv6, &opening->options);
		return COOKIE_GOOD;
	}
	return timestamp_is_old(opt->tsecr, moment->clock_ms) ? COOKIE_EXPIRED : COOKIE_BAD;
}

static __always_inline enum cookie_judgement judge_plain(const struct walk *walk, _Bool ipv6, struct opening *opening)
{
	_Bool accept_next = walk->control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH;

	UNROLL
	for (int attempt = 0; attempt < COOKIE_PLAIN_ATTEMPTS; attempt++) {
		__u32 epoch;
		int bits;

		if (!cookie_epoch_plain(walk->scratch->moment.epoch, accept_next, attempt, &epoch))
			continue;
		bits = epoch_read_plain(opening->client_isn, epoch, opening->cookie);
		if (bits < 0)
			continue;
		cookie_decode(bits, ipv6, &opening->options);
		return COOKIE_GOOD;
	}
	return COOKIE_BAD;
}

/* Does the ACK bring back a cookie of ours? Fills client_isn, cookie, unseen and options of the opening in scratch. */
static __always_inline enum cookie_judgement ack_judge(const struct packet *packet, const struct walk *walk,
						       const struct tcpopt *opt)
{
	struct opening *opening = &walk->scratch->opening;

	opening->cookie = packet->ack - 1;
	opening->client_isn = packet->seq - 1;
	return opt->timestamps ? judge_timestamps(walk, opt, packet->flow.ipv6, opening) :
				 judge_plain(walk, packet->flow.ipv6, opening);
}

#endif

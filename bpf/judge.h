/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Does an ACK bring back a cookie: one of ours, or one of the kernel's own? */
#ifndef SHAKEOFF_BPF_JUDGE_H
#define SHAKEOFF_BPF_JUDGE_H

enum cookie_judgement { COOKIE_GOOD, COOKIE_BAD, COOKIE_EXPIRED };

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
		__u32 epoch;

		if (!cookie_epoch(cookie, opt->timestamps, moment->epoch, accept_next, attempt, &epoch))
			continue;
		plausible = 1;
		if (epoch_cookie(client_isn, epoch, bits) != cookie)
			continue;
		opening->client_isn = client_isn;
		opening->cookie = cookie;
		cookie_decode(bits, packet->flow.ipv6, &opening->options);
		return COOKIE_GOOD;
	}
	return !plausible || (opt->timestamps && timestamp_is_old(opt->tsecr, moment->clock_ms)) ? COOKIE_EXPIRED :
												   COOKIE_BAD;
}

/*
 * Is it the final ACK of a handshake that the kernel answered with its own SYN cookie (net/ipv4/syncookies.c)? The helpers
 * came with kernel 6.0; they read no more of the headers than is set here. Headers are words, because clang would relocate
 * the structures' bit-fields, and not every kernel has all of those.
 */
static __always_inline _Bool kernel_cookie_good(const struct packet *packet)
{
	const struct cookie_flow *flow = &packet->flow;
	__u32 tcp[5] = { flow->client_port | ((__u32)flow->server_port << 16), to_be32(packet->seq),
			 to_be32(packet->ack) };
	__u32 ip[10] = {};

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_tcp_raw_check_syncookie_ipv4))
		return 0;
	if (flow->ipv6) {
		__builtin_memcpy(&ip[2], flow->client, 16);
		__builtin_memcpy(&ip[6], flow->server, 16);
		return !bpf_tcp_raw_check_syncookie_ipv6((void *)ip, (void *)tcp);
	}
	ip[3] = flow->client[0];
	ip[4] = flow->server[0];
	return !bpf_tcp_raw_check_syncookie_ipv4((void *)ip, (void *)tcp);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Out-of-state segments: segments without a socket. Where the hook answers no SYNs, the kernel refuses each of them
 * with RST. When they come faster than the service's flood_rate, the hook drops them, until over the hold time they
 * average less than half of that.
 *
 * The socket filter saves most look-ups:
 *
 *				the tuple may have a socket	it cannot
 *	few of them, idle	passes				is looked up, and counted if there is no socket
 *	few of them, a flood	is looked up			is looked up
 *	many of them		is looked up			is dropped, unless it brings back a cookie
 *
 * Every 64th segment that passes or is dropped by the filter alone is looked up nevertheless. So a flood from a tuple
 * whose slot is taken is counted; a socket that the filter has missed gets into it; and sources whose handshakes the
 * kernel makes become known (source.h).
 */
#ifndef SHAKEOFF_BPF_HANDLE_OUT_OF_STATE_H
#define SHAKEOFF_BPF_HANDLE_OUT_OF_STATE_H

#include "core/kernel.h"

#include <shakeoff/abi.h>
#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "core/verdict.h"
#include "lib/compiler.h"
#include "packet/malformed.h"
#include "socket/kernel_syncookie.h"
#include "socket/lookup.h"
#include "socket/socket_filter.h"
#include "socket/validated.h"
#include "limit/source.h"
#include "limit/surge.h"
#include "cookie/verify.h"
#include "handle/ack.h"

#define SEGMENT_SAMPLE 64

static __always_inline bool segment_is_sampled(const struct hook_ctx *hook)
{
	return !(++hook->scratch->segments % SEGMENT_SAMPLE);
}

/* Returns whether out-of-state segments are dropped now. Ends a surge that is over. */
static __always_inline bool out_of_state_surge(struct shakeoff_service *service, __u64 now_ns)
{
	return surge_lasts(&service->out_of_state, now_ns);
}

static __always_inline enum shakeoff_no_socket_kind no_socket_kind(__u8 flags)
{
	if (flags_are_malformed(flags))
		return SHAKEOFF_NO_SOCKET_INVALID;
	if (flags & TCPHDR_SYN)
		return SHAKEOFF_NO_SOCKET_SYNACK;
	if (flags & TCPHDR_RST)
		return SHAKEOFF_NO_SOCKET_RST;
	return flags & TCPHDR_FIN ? SHAKEOFF_NO_SOCKET_FIN : SHAKEOFF_NO_SOCKET_ACK;
}

/* Counts an out-of-state segment. stands_for: the number of segments that it represents. */
static __always_inline void out_of_state_count(const struct packet *packet, const struct hook_ctx *hook,
					       __u32 stands_for)
{
	struct shakeoff_service *service = hook->service;
	__u32 rate = service->flood_rate;

	if (service->out_of_state.since_ns)
		stands_for = surge_batch(&hook->scratch->out_of_state, rate);
	if (!surge_count(hook, SURGE_OUT_OF_STATE, SHAKEOFF_FLOOD_WINDOW_NS, stands_for, rate))
		return;
	service->out_of_state_kind = no_socket_kind(packet->flags);
	service->out_of_state_times++;
}

/* Returns how many segments a sampled one stands for. Less at low rates, so that two of them do not make a flood. */
static __always_inline __u32 no_socket_sample_weight(const struct shakeoff_service *service)
{
	__u32 half = service->flood_rate / (2 * FLOOD_WINDOWS_PER_SECOND);

	return half >= SEGMENT_SAMPLE ? SEGMENT_SAMPLE : half ? half : 1;
}

/*
 * Returns the verdict on a well-formed segment without a socket, where the hook answers no SYNs. few: the verdict while
 * there are few. The kernel's own cookies come back even in a flood; before kernel 6.0 the hook cannot recognize them,
 * and lets ACKs pass.
 */
static __always_inline enum shakeoff_verdict no_socket_to_kernel(const struct packet *packet,
								 const struct hook_ctx *hook, enum shakeoff_verdict few)
{
	if (!out_of_state_surge(hook->service, hook->now_ns))
		return few;
	if (packet->flags & TCPHDR_SYN)
		return SHAKEOFF_SYNACK_NO_SOCKET;
	if (packet->flags & TCPHDR_RST)
		return SHAKEOFF_RST_NO_SOCKET;
	if (!kernel_cookies_are_known())
		return few;
	return kernel_cookie_good(packet, hook->control) ? SHAKEOFF_ACK_KERNEL_COOKIE : SHAKEOFF_NO_SOCKET_DROP;
}

/* What the hook does with segments without a socket. */
enum mode {
	MODE_NO_SERVER, /* no socket listens, or SYNs cannot be answered: the kernel handles them */
	MODE_IDLE,      /* the kernel handles them, too: it makes the handshakes */
	MODE_COOKIES,   /* likewise, but ACKs may bring back our cookies */
	MODE_ANSWERING, /* the hook alone handles them */
};

/*
 * Returns whether the segment may be the reply to a SYN: a SYN-ACK, or a refusal (RFC 9293, section 3.10.7.1: an RST
 * with ACK and sequence number 0).
 */
static __always_inline bool may_answer_syn(const struct packet *packet)
{
	const __u8 refusal = TCPHDR_RST | TCPHDR_ACK;

	return (packet->flags & TCPHDR_SYN) || ((packet->flags & refusal) == refusal && !packet->seq);
}

/*
 * Returns whether the filter makes a look-up unnecessary: see the table above. A possible reply to a SYN is always
 * looked up: it belongs to a connection that the host itself begins, which the filter may not know yet.
 */
static __always_inline bool filter_spares(const struct packet *packet, enum mode mode, bool dropping,
					  bool may_have_socket)
{
	if (may_answer_syn(packet))
		return 0;
	return dropping ? !may_have_socket : may_have_socket && mode == MODE_IDLE;
}

/* What is known of a segment before its socket is looked for. */
struct sighting {
	bool dropping;        /* out-of-state segments are dropped now */
	bool may_have_socket; /* by the filter, if it was consulted */
	bool spared;          /* the filter makes a look-up unnecessary */
	bool sampled;         /* its socket is looked up nevertheless */
};

static __always_inline void segment_sight(const struct packet *packet, const struct hook_ctx *hook, enum mode mode,
					  struct sighting *sighting)
{
	sighting->dropping = out_of_state_surge(hook->service, hook->now_ns);
	sighting->may_have_socket = 1;
	if (sighting->dropping || mode == MODE_IDLE)
		sighting->may_have_socket = filter_may_have(&packet->flow, hook->control);
	sighting->spared = filter_spares(packet, mode, sighting->dropping, sighting->may_have_socket);
	sighting->sampled = sighting->spared && segment_is_sampled(hook);
}

/*
 * Returns the verdict on a segment without a socket by the filter, while out-of-state segments are dropped. No map
 * knows its tuple, either. VERDICT_NONE: it is an ACK, which may be honest; *status is then the status of its cookie.
 */
static __always_inline enum shakeoff_verdict segment_dismiss(struct xdp_md *ctx, const struct packet *packet,
							     const struct hook_ctx *hook, enum mode mode,
							     enum cookie_status *status)
{
	if (source_is_malformed(&packet->flow) || flags_are_malformed(packet->flags))
		return SHAKEOFF_BAD_SEGMENT;
	if (mode <= MODE_IDLE)
		return no_socket_to_kernel(packet, hook, SHAKEOFF_NO_SOCKET_PASS);
	if ((packet->flags & (TCPHDR_ACK | TCPHDR_RST)) != TCPHDR_ACK) {
		tuple_of(&packet->flow, &hook->scratch->tuple);
		return rst_ignore(packet, hook);
	}
	*status = ack_cookie(ctx);
	return VERDICT_NONE;
}

/* Adds to the filter a socket that it did not know: the host's own connections begin so, with a SYN-ACK. */
static __always_inline void segment_note_socket(const struct packet *packet, const struct hook_ctx *hook,
						enum socket_found found, bool may_have_socket)
{
	if ((found == SOCKET_EXISTS || found == SOCKET_TIME_WAIT) && (!may_have_socket || (packet->flags & TCPHDR_SYN)))
		filter_note(&packet->flow, hook->control, 0);
}

/* Counts a segment by what the verdict means for its socket, and returns the verdict. */
static __always_inline enum shakeoff_verdict segment_count(struct xdp_md *ctx, const struct packet *packet,
							   const struct hook_ctx *hook, const struct sighting *sighting,
							   enum shakeoff_verdict verdict)
{
	if (sighting->sampled && verdict == SHAKEOFF_SOCKET)
		source_look(ctx, hook->service_id);
	if (verdict_is_no_socket(verdict))
		out_of_state_count(packet, hook,
				   sighting->sampled && !sighting->dropping ? no_socket_sample_weight(hook->service) :
									      1);
	return verdict;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Out-of-state segments: segments of no socket. Where the hook answers no SYNs the kernel refuses them, one by one, with RST; when they come
 * faster than the service's flood_rate they are dropped here, until they come at less than half of that on average over the hold time.
 *
 * The socket filter spares most look-ups:
 *
 *				the tuple may have a socket	it cannot
 *	few of them, idle	passes				is looked up, and counted if there is no socket
 *	few of them, a flood	is looked up			is looked up
 *	many of them		is looked up			is dropped, unless it brings back a cookie
 *
 * Of those that pass or are dropped by the filter alone every 64th is looked up all the same. So whoever floods from a tuple
 * whose slot is taken is counted; a socket that the filter does not know, though it should, gets into it; and sources whose
 * handshakes the kernel makes become known (source.h).
 */
#ifndef SHAKEOFF_BPF_HANDLE_OUT_OF_STATE_H
#define SHAKEOFF_BPF_HANDLE_OUT_OF_STATE_H

#define SEGMENT_SAMPLE 64

static __always_inline bool segment_is_sampled(const struct hook_ctx *hook)
{
	return !(++hook->scratch->segments % SEGMENT_SAMPLE);
}

/* Whether out-of-state segments are dropped now. Ends what has been without a surge for long enough. */
static __always_inline bool out_of_state_surge(struct shakeoff_service *service, __u64 now_ns)
{
	return surge_lasts(&service->out_of_state_ns, service->out_of_state_surge_ns, now_ns);
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

/* Counts an out-of-state segment that stands for so many. */
static __always_inline void out_of_state_count(const struct packet *packet, const struct hook_ctx *hook,
					       __u32 stands_for)
{
	struct shakeoff_service *service = hook->service;
	__u32 rate = service->flood_rate;

	if (service->out_of_state_ns) {
		stands_for = batch_of(&hook->scratch->out_of_state, rate);
		if (stands_for)
			surge_by(hook, SURGE_OUT_OF_STATE, stands_for, rate);
		return;
	}
	if (!window_counts(&service->out_of_state_window_ns, &service->out_of_state_window_counted,
			   SHAKEOFF_FLOOD_WINDOW_NS, hook->now_ns, stands_for, rate))
		return;
	surge_by(hook, SURGE_OUT_OF_STATE, service->out_of_state_window_counted, rate);
	service->out_of_state_kind = no_socket_kind(packet->flags);
	service->out_of_state_times++;
	service->out_of_state_ns = hook->now_ns;
}

/* How many a sampled segment stands for: where a few make a flood, so many that no two of them do. */
static __always_inline __u32 no_socket_sample_weight(const struct shakeoff_service *service)
{
	__u32 half = service->flood_rate / (2 * FLOOD_WINDOWS_PER_SECOND);

	return half >= SEGMENT_SAMPLE ? SEGMENT_SAMPLE : half ? half : 1;
}

/*
 * Of a segment without a socket that a TCP may have sent, where the hook answers no SYNs. few: the verdict while there are few.
 * Cookies of the kernel's own come back even in a flood; before kernel 6.0 the hook cannot know them, and lets ACKs pass.
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

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether an ACK brings back one of the kernel's own cookies. */
#ifndef SHAKEOFF_BPF_SOCKET_KERNEL_SYNCOOKIE_H
#define SHAKEOFF_BPF_SOCKET_KERNEL_SYNCOOKIE_H

#include "core/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/byteorder.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "socket/socket_filter.h"

static __always_inline bool kernel_cookies_are_known(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_tcp_raw_check_syncookie_ipv4);
}

/*
 * Returns whether it is the final ACK of a handshake that the kernel answered with its own SYN cookie
 * (net/ipv4/syncookies.c). The helpers came with kernel 6.0; they read only the header fields that are set here.
 * Headers are words, because clang would relocate the structures' bit-fields, and not every kernel has all of those. A
 * separate static function, to save stack.
 *
 * The kernel makes a socket for such an ACK, and the filter must know it before the next segment comes: the SYN may
 * have come before the present filter was begun.
 */
static __noinline int kernel_cookie_good(const struct packet *packet, const struct shakeoff_control *control)
{
	const struct cookie_flow *flow = &packet->flow;
	__u32 tcp[5] = { flow->client_port | ((__u32)flow->server_port << 16), bpf_htonl(packet->seq),
			 bpf_htonl(packet->ack) };
	__u32 ip[10] = {};
	bool good;

	if (!kernel_cookies_are_known())
		return 0;
	if (flow->ipv6) {
		__builtin_memcpy(&ip[2], flow->client, 16);
		__builtin_memcpy(&ip[6], flow->server, 16);
		good = !bpf_tcp_raw_check_syncookie_ipv6((void *)ip, (void *)tcp);
	} else {
		ip[3] = flow->client[0];
		ip[4] = flow->server[0];
		good = !bpf_tcp_raw_check_syncookie_ipv4((void *)ip, (void *)tcp);
	}
	if (good)
		filter_note(flow, control, 0);
	return good;
}

#endif

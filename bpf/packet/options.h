/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The TCP options of the packet in scratch, read from the frame. */
#ifndef SHAKEOFF_BPF_PACKET_OPTIONS_H
#define SHAKEOFF_BPF_PACKET_OPTIONS_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "core/state.h"
#include "lib/compiler.h"
#include "lib/tcpopt.h"
#include "packet/parse.h"

enum options_found { OPTIONS_READ, OPTIONS_AUTHENTICATE, OPTIONS_MISSING };

/* Reads len bytes of options in scratch. A global function: see scratch_get(). */
__noinline int options_read(__u32 len)
{
	struct scratch *scratch = scratch_get();

	return scratch && tcpopt_read(scratch->options, len, &scratch->opt) ? OPTIONS_AUTHENTICATE : OPTIONS_READ;
}

/* Reads the options of a segment to scratch->opt; OPTIONS_MISSING if they are not all in the frame. */
static __always_inline enum options_found options_find(void *data, void *end, const struct packet *packet,
						       struct scratch *scratch)
{
	const __u32 *words = tcp_options(data, end, packet, TCPOPT_LINUX_SYN_BYTES);
	int len;

	if (words && packet->header_len == sizeof(struct tcphdr) + TCPOPT_LINUX_SYN_BYTES &&
	    tcpopt_read_linux_syn(words, &scratch->opt))
		return OPTIONS_READ;
	scratch->opt = (struct tcpopt){ .wscale = SHAKEOFF_NO_WSCALE };
	len = tcp_options_copy(data, end, packet, scratch->options);
	return len < 0 ? OPTIONS_MISSING : options_read(len);
}

/* Returns the MSS of a client that names none, which every path carries: RFC 9293, section 3.7.1. */
static __always_inline __u16 default_mss(const struct packet *packet)
{
	return packet->flow.ipv6 ? 1220 : 536;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * With -DSHAKEOFF_DEBUG: a line in /sys/kernel/tracing/trace_pipe for each packet of a service, with its flow and its
 * verdict (kernel 5.16 and later). Empty otherwise.
 */
#ifndef SHAKEOFF_BPF_CORE_DBG_H
#define SHAKEOFF_BPF_CORE_DBG_H

#ifdef SHAKEOFF_DEBUG

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/byteorder.h>
#include <shakeoff/verdict.h>

#include "core/ctx.h"
#include "core/state.h"
#include "lib/compiler.h"

#define DBG_NAME_LEN 32

CONST_TABLE char dbg_verdicts[SHAKEOFF_VERDICT_COUNT][DBG_NAME_LEN] = {
#define X(constant, name, xdp, counted, help) [SHAKEOFF_##constant] = name,
	SHAKEOFF_VERDICTS(X)
#undef X
};

/* Prints the verdict, less than SHAKEOFF_VERDICT_COUNT, on the packet in scratch. */
static __always_inline void dbg(__u32 verdict)
{
	const struct scratch *scratch = scratch_get();
	const struct cookie_flow *flow;

	if (!scratch) /* only for the verifier */
		return;
	flow = &scratch->packet.flow;
	if (flow->ipv6)
		bpf_printk("shakeoff: [%pI6]:%u > [%pI6]:%u flags %x: %s", flow->client, bpf_ntohs(flow->client_port),
			   flow->server, bpf_ntohs(flow->server_port), scratch->packet.flags, dbg_verdicts[verdict]);
	else
		bpf_printk("shakeoff: %pI4:%u > %pI4:%u flags %x: %s", flow->client, bpf_ntohs(flow->client_port),
			   flow->server, bpf_ntohs(flow->server_port), scratch->packet.flags, dbg_verdicts[verdict]);
}

#else

#define dbg(verdict)                                                                                                   \
	do {                                                                                                           \
	} while (0)

#endif

#endif

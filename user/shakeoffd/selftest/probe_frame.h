/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The frames of the self-test's probes: the SYN that begins a handshake, or the ACK that ends it. */
#ifndef SHAKEOFFD_SELFTEST_PROBE_FRAME_H
#define SHAKEOFFD_SELFTEST_PROBE_FRAME_H

#include <netinet/in.h>
#include <stdint.h>

#include <shakeoff/probe.h>

enum probe_kind {
	PROBE_ACK, /* without options */
	PROBE_SYN, /* with an MSS, because some firewalls refuse a SYN without one */
};

struct probe_flow {
	struct in6_addr source, address; /* of the same family; IPv4 mapped */
	uint16_t port;                   /* host byte order */
	enum probe_kind kind;
};

/* Fills in probe number `index` of the probes that share `common`. */
void probe_frame_fill(struct shakeoff_probe_frame *probe, const struct shakeoff_probe *common, uint32_t index,
		      const struct probe_flow *flow);

#endif

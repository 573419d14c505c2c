/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a probe of the self-test looks like: the ACK that ends a handshake, without options and without payload. */
#ifndef SHAKEOFF_PROBE_FRAME_H
#define SHAKEOFF_PROBE_FRAME_H

#include <netinet/in.h>
#include <stdint.h>

#include <shakeoff/probe.h>

/*
 * The probe number `index` of those that have `common` in common, to an address (IPv4 mapped) and port (host byte
 * order). The source is the one of the address's family.
 */
void probe_frame_fill(struct shakeoff_probe_frame *probe, const struct shakeoff_probe *common, uint32_t index,
		      const struct in6_addr *address, uint16_t port);

#endif

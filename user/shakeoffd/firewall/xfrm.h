/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPsec: which endpoints the host's own policies want protected packets for (ip-xfrm(8)). Plain segments to them the kernel drops, and does
 * not answer (xfrm4_policy_check() in tcp_v4_rcv()); protected ones come to the hook as ESP, which it does not look into. So such endpoints
 * are bypassed.
 */
#ifndef SHAKEOFFD_FIREWALL_XFRM_H
#define SHAKEOFFD_FIREWALL_XFRM_H

#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The endpoints of an inbound policy that plain packets do not pass. Of a part of the sources only: all the same. */
struct xfrm_endpoints {
	struct in6_addr prefix; /* IPv4 mapped */
	uint16_t prefix_len;    /* 0..128 */
	uint16_t port, port_mask;
};

struct xfrm_policies {
	struct xfrm_endpoints *list;
	size_t count;
	int notices; /* the descriptor of their changes; -1: this kernel has no IPsec */
};

/* 0, also where the kernel has no IPsec, or a negative errno. */
int xfrm_open(struct xfrm_policies *policies);
void xfrm_close(struct xfrm_policies *policies);

/* Reads them anew if there was a change. Returns whether they are others now; what cannot be read leaves them as they were. */
bool xfrm_follow(struct xfrm_policies *policies);

/* Whether plain segments to an endpoint are refused, those of some sources at least. address: IPv4 mapped. */
bool xfrm_requires(const struct xfrm_policies *policies, const struct in6_addr *address, uint16_t port);

/* Takes up an XFRM_MSG_NEWPOLICY message. 0 or -ENOMEM. For the dump. */
int xfrm_add(struct xfrm_policies *policies, const struct nlmsghdr *header);

#endif

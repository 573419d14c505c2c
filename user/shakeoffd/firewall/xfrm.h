/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPsec: the endpoints for which the host's own policies require protected packets (ip-xfrm(8)). The kernel drops plain
 * segments to them without a reply (xfrm4_policy_check() in tcp_v4_rcv()). Protected packets come to the hook as ESP,
 * which it does not parse. So such endpoints are bypassed.
 */
#ifndef SHAKEOFFD_FIREWALL_XFRM_H
#define SHAKEOFFD_FIREWALL_XFRM_H

#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The endpoints that an inbound policy closes to plain packets. A policy for only some sources counts for all. */
struct xfrm_endpoints {
	struct in6_addr prefix; /* IPv4 mapped */
	uint16_t prefix_len;    /* 0..128 */
	uint16_t port, port_mask;
};

struct xfrm_policies {
	struct xfrm_endpoints *list;
	size_t count;
	int notices; /* the descriptor for messages about changes; -1: this kernel has no IPsec */
};

/* Opens the policies. 0, also if the kernel has no IPsec, or a negative errno. */
int xfrm_open(struct xfrm_policies *policies);
void xfrm_close(struct xfrm_policies *policies);

/*
 * Reads the policies again if there was a change. Returns whether they differ now; if they cannot be read, the old ones
 * stay.
 */
bool xfrm_follow(struct xfrm_policies *policies);

/* Returns whether plain segments to an endpoint are refused, at least those of some sources. address: IPv4 mapped. */
bool xfrm_requires(const struct xfrm_policies *policies, const struct in6_addr *address, uint16_t port);

/* Adds the policy of an XFRM_MSG_NEWPOLICY message. 0 or -ENOMEM. For the dump. */
int xfrm_add(struct xfrm_policies *policies, const struct nlmsghdr *header);

#endif

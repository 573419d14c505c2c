/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a service that listens is left to the kernel. */
#ifndef SHAKEOFFD_DISCOVERY_BYPASS_REASON_H
#define SHAKEOFFD_DISCOVERY_BYPASS_REASON_H

#include <stdbool.h>

#include "shakeoffd/discovery/listeners.h"

/* Of the whole host. */
struct left_host {
	bool cannot_admit;  /* the kernel has no bpf_sk_assign_tcp_reqsk */
	bool no_cookies;    /* net.ipv4.tcp_syncookies is 0 */
	bool queue_unruled; /* !discovery_host.queue_passes_rules */
	bool routes[2];     /* those of IPv4, of IPv6 cannot be followed: the addresses are left one by one */
};

/* Why all addresses of a service are left. */
struct left_addresses {
	bool not_reached; /* the self-test failed there */
	bool bridged;     /* and a bridge that gives packets to netfilter is in the way */
	bool routes;      /* left_host.routes */
	bool syn_rules;   /* the firewall's rules look at SYNs, or are not known */
};

/* What of a socket leaves it to the kernel. LEFT_NOT: nothing. */
enum shakeoff_left left_by_socket(const struct listener_facts *facts);

/* The first reason that holds; those of the host come first. LEFT_NOT: there is none. */
enum shakeoff_left left_reason(const struct left_host *host, const struct listener_facts *facts,
			       const struct left_addresses *addresses);

/* The help text of SHAKEOFF_LEFT_REASONS. */
const char *left_help(enum shakeoff_left left);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a service that listens is bypassed. */
#ifndef SHAKEOFFD_DISCOVERY_BYPASS_REASON_H
#define SHAKEOFFD_DISCOVERY_BYPASS_REASON_H

#include <stdbool.h>

#include "common/names.h"
#include "shakeoffd/discovery/listeners.h"

/* Of the whole host. */
struct bypass_host {
	bool cannot_admit;  /* the kernel has no bpf_sk_assign_tcp_reqsk */
	bool no_cookies;    /* net.ipv4.tcp_syncookies is 0 */
	bool queue_unruled; /* !discovery_host.queue_passes_rules */
	bool routes[2];     /* those of IPv4, of IPv6 cannot be followed: the addresses are bypassed one by one */
};

/* Why all addresses of a service are bypassed. */
struct bypass_addresses {
	bool not_reached; /* the self-test failed there */
	bool bridged;     /* and a bridge that gives packets to netfilter is in the way */
	bool routes;      /* bypass_host.routes */
	bool syn_rules;   /* the firewall's rules look at SYNs, or are not known */
};

/* Why a socket is bypassed. BYPASS_NONE: nothing. */
enum shakeoff_bypass bypass_by_socket(const struct listener_facts *facts);

/* The first reason that holds; those of the host come first. BYPASS_NONE: there is none. */
enum shakeoff_bypass bypass_reason(const struct bypass_host *host, const struct listener_facts *facts,
				   const struct bypass_addresses *addresses);

#endif

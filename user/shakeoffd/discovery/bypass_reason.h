/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The reason why a listening service is bypassed. */
#ifndef SHAKEOFFD_DISCOVERY_BYPASS_REASON_H
#define SHAKEOFFD_DISCOVERY_BYPASS_REASON_H

#include <stdbool.h>

#include "common/names.h"
#include "shakeoffd/discovery/listeners.h"

/* Reasons that hold for the whole host. */
struct bypass_host {
	bool cannot_admit;  /* the kernel has no bpf_sk_assign_tcp_reqsk */
	bool no_cookies;    /* net.ipv4.tcp_syncookies is 0 */
	bool queue_unruled; /* !discovery_host.queue_passes_rules */
	bool routes[2];     /* the routes of IPv4, of IPv6 cannot be followed: the addresses are bypassed one by one */
};

/* Reasons why all addresses of a service are bypassed. */
struct bypass_addresses {
	bool not_reached; /* the self-test failed there */
	bool bridged;     /* and a bridge that hands packets to netfilter is in the way */
	bool routes;      /* bypass_host.routes */
	bool syn_rules;   /* the firewall's rules match SYNs, or are not known */
};

/* Returns why a socket is bypassed. SHAKEOFF_BYPASS_NONE: it is not. */
enum shakeoff_bypass bypass_by_socket(const struct listener_facts *facts);

/* Returns the first reason that holds; those of the host come first. SHAKEOFF_BYPASS_NONE: there is none. */
enum shakeoff_bypass bypass_reason(const struct bypass_host *host, const struct listener_facts *facts,
				   const struct bypass_addresses *addresses);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "shakeoffd/discovery/bypass_reason.h"

enum shakeoff_bypass bypass_by_socket(const struct listener_facts *facts)
{
	if (facts->mptcp)
		return SHAKEOFF_BYPASS_MPTCP;
	if (facts->tcp_auth)
		return SHAKEOFF_BYPASS_TCP_AUTH;
	return facts->elsewhere ? SHAKEOFF_BYPASS_DEVICE : SHAKEOFF_BYPASS_NONE;
}

enum shakeoff_bypass bypass_reason(const struct bypass_host *host, const struct listener_facts *facts,
				   const struct bypass_addresses *addresses)
{
	if (host->cannot_admit)
		return SHAKEOFF_BYPASS_KERNEL;
	if (host->no_cookies)
		return SHAKEOFF_BYPASS_SYNCOOKIES;
	if (bypass_by_socket(facts))
		return bypass_by_socket(facts);
	if (addresses->routes)
		return SHAKEOFF_BYPASS_ROUTE;
	if (addresses->not_reached && addresses->bridged)
		return SHAKEOFF_BYPASS_BRIDGE;
	if (addresses->not_reached)
		return SHAKEOFF_BYPASS_NETFILTER;
	return addresses->syn_rules ? SHAKEOFF_BYPASS_SYN_RULES : SHAKEOFF_BYPASS_NONE;
}

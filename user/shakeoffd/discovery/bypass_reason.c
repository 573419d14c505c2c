/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "shakeoffd/discovery/bypass_reason.h"

enum shakeoff_left left_by_socket(const struct listener_facts *facts)
{
	if (facts->mptcp)
		return SHAKEOFF_LEFT_MPTCP;
	if (facts->tcp_auth)
		return SHAKEOFF_LEFT_TCP_AUTH;
	return facts->elsewhere ? SHAKEOFF_LEFT_DEVICE : SHAKEOFF_LEFT_NOT;
}

enum shakeoff_left left_reason(const struct left_host *host, const struct listener_facts *facts,
			       const struct left_addresses *addresses)
{
	if (host->cannot_admit)
		return SHAKEOFF_LEFT_KERNEL;
	if (host->no_cookies)
		return SHAKEOFF_LEFT_SYNCOOKIES;
	if (left_by_socket(facts))
		return left_by_socket(facts);
	if (addresses->routes)
		return SHAKEOFF_LEFT_ROUTE;
	if (addresses->not_reached && addresses->bridged)
		return SHAKEOFF_LEFT_BRIDGE;
	if (addresses->not_reached)
		return SHAKEOFF_LEFT_NETFILTER;
	return addresses->syn_rules ? SHAKEOFF_LEFT_SYN_RULES : SHAKEOFF_LEFT_NOT;
}

const char *left_help(enum shakeoff_left left)
{
	static const char *const helps[SHAKEOFF_LEFT_COUNT] = {
#define X(constant, name, help) help,
		SHAKEOFF_LEFT_REASONS(X)
#undef X
	};

	return left < SHAKEOFF_LEFT_COUNT ? helps[left] : "?";
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The MSS that a SYN-ACK offers for the MTU of a route or of its device: ipv4_default_advmss() in net/ipv4/route.c and
 * ip6_default_advmss() in net/ipv6/route.c. Pure functions.
 */
#ifndef SHAKEOFFD_HOOK_ADVMSS_H
#define SHAKEOFFD_HOOK_ADVMSS_H

#include <stdint.h>

/* Sysctls net.ipv4.route.min_adv_mss and net.ipv6.route.min_adv_mss, if the kernel does not show them. */
#define ADVMSS_MIN4_DEFAULT 256
#define ADVMSS_MIN6_DEFAULT 1220

#define ADVMSS_HEADERS4 40u    /* IPv4 and TCP, without options */
#define ADVMSS_HEADERS6 60u    /* IPv6 and TCP */
#define ADVMSS_MTU4_MAX 65535u /* IP_MAX_MTU, IPV4_MAX_PMTU */
#define ADVMSS_MTU6_MAX 65575u /* IP6_MAX_MTU */
#define ADVMSS_PAYLOAD6 65535u /* IPV6_MAXPLEN: "any MSS" */

static inline uint16_t advmss4(uint32_t mtu, uint32_t least)
{
	const uint32_t most = ADVMSS_MTU4_MAX - ADVMSS_HEADERS4;
	uint32_t mss = mtu > ADVMSS_HEADERS4 ? mtu - ADVMSS_HEADERS4 : 0;

	if (mss < least)
		mss = least;
	return (uint16_t)(mss < most ? mss : most);
}

static inline uint16_t advmss6(uint32_t mtu, uint32_t least)
{
	uint32_t mss = mtu > ADVMSS_HEADERS6 ? mtu - ADVMSS_HEADERS6 : 0;

	if (mtu > ADVMSS_MTU6_MAX)
		mss = ADVMSS_MTU6_MAX - ADVMSS_HEADERS6;
	if (mss < least)
		mss = least;
	return (uint16_t)(mss > ADVMSS_PAYLOAD6 - 20 ? ADVMSS_PAYLOAD6 : mss);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the network devices of the host say of packets that leave by them. */
#ifndef SHAKEOFFD_HOOK_DEVICES_H
#define SHAKEOFFD_HOOK_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device {
	unsigned int ifindex;
	uint32_t mtu;
	uint32_t mtu6;      /* net.ipv6.conf.IFACE.mtu, which router advertisements set; without IPv6: IPV6_MIN_MTU */
	uint32_t hop_limit; /* net.ipv6.conf.IFACE.hop_limit */
	uint32_t rp_filter; /* net.ipv4.conf.IFACE.rp_filter; 1: strict, 2: loose */
};

struct devices {
	struct device *list; /* in the order of their indexes */
	size_t count;
};

/* Reads them anew. Sysctls change without a message, so it has to be done again and again. On failure what was there stays. */
int devices_read(struct devices *devices, bool *changed);
void devices_free(struct devices *devices);

/* NULL: there is none of this index. */
const struct device *devices_find(const struct devices *devices, unsigned int ifindex);

#endif

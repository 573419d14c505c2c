/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The settings of the host's network devices for packets that leave by them. */
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
	struct device *list; /* sorted by index */
	size_t count;
};

/*
 * Reads them again. Sysctls change without a message, so it has to be called again and again. On failure the old ones
 * stay.
 */
int devices_read(struct devices *devices, bool *changed);
void devices_free(struct devices *devices);

/* Returns the device of this index. NULL: there is none. */
const struct device *devices_find(const struct devices *devices, unsigned int ifindex);

#endif

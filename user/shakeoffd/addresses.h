/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where services are reached: the host's own unicast addresses, as far as the configuration names them and servers listen
 * there. Addresses of loopback and link-local ones are left to the kernel.
 */
#ifndef SHAKEOFF_ADDRESSES_H
#define SHAKEOFF_ADDRESSES_H

#include <stddef.h>

#include <common/datapath.h>
#include <shakeoffd/delivery.h>

/*
 * Reads the host's addresses and makes what the datapaths have agree with the configuration. -ENOSPC: more than the hook's
 * maps hold. What an earlier daemon left and is wrong goes, too.
 */
int addresses_publish(struct delivery *deliveries, size_t delivery_count, struct datapath *const *datapaths,
		      size_t count);

/* Removes all: packets are the kernel's again. */
int addresses_withdraw(struct datapath *const *datapaths, size_t count);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The addresses and ports of services: keys and values of the maps addresses4 and addresses6. */
#ifndef SHAKEOFF_ADDRESS_H
#define SHAKEOFF_ADDRESS_H

#include <shakeoff/types.h>

#define SHAKEOFF_MAX_ADDRESSES 65536 /* of one family: addresses of the host times ports */

/*
 * Flag beside a service id: this address of the service is bypassed (netfilter, routes, firewall rules). Queue handoff:
 * the address stays while cookies of shakeoff may come back; then it is withdrawn.
 */
#define SHAKEOFF_ADDRESS_BYPASSED 0x80000000u

/*
 * Flag beside a service id: the address belongs to a VLAN device. Where a frame's tag may have been stripped
 * (shakeoff_interface.vlans), frames without a tag pass to the kernel, because the hook's reply would leave without the
 * tag, too (listener handoff).
 */
#define SHAKEOFF_ADDRESS_TAGGED 0x20000000u

/*
 * Likewise, for `shakeoff status`: the self-test could not try whether packets reach the address. The hook ignores it.
 */
#define SHAKEOFF_ADDRESS_UNTESTED 0x10000000u
#define SHAKEOFF_ADDRESS_FLAGS (SHAKEOFF_ADDRESS_BYPASSED | SHAKEOFF_ADDRESS_TAGGED | SHAKEOFF_ADDRESS_UNTESTED)

/*
 * Instead of an id, at port 0: the address has services. Fragments, and packets whose TCP header cannot be read, are
 * recognised by it as packets for a protected address.
 */
#define SHAKEOFF_ADDRESS_ITSELF 0x40000000u

/*
 * An endpoint of a service: one of the host's own unicast addresses, and a port; with port 0 see
 * SHAKEOFF_ADDRESS_ITSELF.
 */
struct shakeoff_address4 {
	__be32 address;
	__be16 port;
	__u16 pad;
};

struct shakeoff_address6 {
	__be32 address[4];
	__be16 port;
	__u16 pad;
};
_Static_assert(sizeof(struct shakeoff_address4) == 8 && sizeof(struct shakeoff_address6) == 20,
	       "hash keys: no hidden padding");

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <common/array.h>
#include <shakeoffd/own_addresses.h>
#include <shakeoffd/rtnetlink.h>
#include <shakeoffd/tuple.h>

bool own_addresses_may_have(const struct in6_addr *address)
{
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		const uint8_t *byte = &address->s6_addr[12];

		return byte[0] != 127 && !(byte[0] == 169 && byte[1] == 254) && byte[0] != 0 && byte[0] < 224;
	}
	return !IN6_IS_ADDR_LOOPBACK(address) && !IN6_IS_ADDR_LINKLOCAL(address) && !IN6_IS_ADDR_MULTICAST(address) &&
	       !IN6_IS_ADDR_UNSPECIFIED(address);
}

static int remember(struct own_addresses *own, const struct in6_addr *address)
{
	struct in6_addr *larger;

	if (!own_addresses_may_have(address))
		return 0;
	larger = array_grow(own->list, own->count, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	own->list = larger;
	own->list[own->count++] = *address;
	return 0;
}

static int address_message(const struct nlmsghdr *header, void *context)
{
	struct rtnetlink_address address;

	/* Not ours yet, or never: duplicate address detection (RFC 4862, section 5.4). */
	if (!rtnetlink_address_read(header, &address) ||
	    (address.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) && !(address.flags & IFA_F_OPTIMISTIC)))
		return MNL_CB_OK;
	return remember(context, &address.local) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct in6_addr));
}

/* An address may be on two interfaces. */
static void sort(struct own_addresses *own)
{
	size_t distinct = 0;

	if (own->count)
		qsort(own->list, own->count, sizeof(*own->list), compare);
	for (size_t i = 0; i < own->count; i++)
		if (!distinct || compare(&own->list[distinct - 1], &own->list[i]))
			own->list[distinct++] = own->list[i];
	own->count = distinct;
}

int own_addresses_read(struct own_addresses *own)
{
	struct own_addresses fresh = { 0 };
	int error = rtnetlink_addresses(address_message, &fresh, &fresh.count);

	if (error) {
		free(fresh.list);
		return error;
	}
	sort(&fresh);
	free(own->list);
	*own = fresh;
	return 0;
}

void own_addresses_free(struct own_addresses *own)
{
	free(own->list);
	*own = (struct own_addresses){ 0 };
}

bool own_addresses_have(const struct own_addresses *own, const struct in6_addr *address)
{
	return own->count && bsearch(address, own->list, own->count, sizeof(*address), compare);
}

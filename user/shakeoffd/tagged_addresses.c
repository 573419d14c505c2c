/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <common/array.h>
#include <shakeoffd/rtnetlink.h>
#include <shakeoffd/tagged_addresses.h>
#include <shakeoffd/tuple.h>

struct reading {
	struct tagged_addresses fresh;
	const struct interfaces *interfaces;
};

static int remember(struct tagged_addresses *tagged, const struct in6_addr *address)
{
	struct in6_addr *larger = array_grow(tagged->list, tagged->count, sizeof(*larger));

	if (!larger)
		return -ENOMEM;
	tagged->list = larger;
	tagged->list[tagged->count++] = *address;
	return 0;
}

/* IFA_LOCAL is the host's end of a point-to-point link; IPv6 mostly has only IFA_ADDRESS. */
static int address_message(const struct nlmsghdr *header, void *context)
{
	const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
	size_t size = message->ifa_family == AF_INET ? 4 : sizeof(struct in6_addr);
	const struct nlattr *attribute, *local = NULL, *address = NULL;
	struct reading *reading = context;
	struct in6_addr found;

	if (header->nlmsg_type != RTM_NEWADDR || (message->ifa_family != AF_INET && message->ifa_family != AF_INET6))
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case IFA_LOCAL: local = attribute; break;
		case IFA_ADDRESS: address = attribute; break;
		}
	}
	local = local ? local : address;
	if (!local || mnl_attr_get_payload_len(local) != size ||
	    !interfaces_tag(reading->interfaces, message->ifa_index))
		return MNL_CB_OK;
	address_map(message->ifa_family, mnl_attr_get_payload(local), &found);
	return remember(&reading->fresh, &found) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct in6_addr));
}

static bool same(const struct tagged_addresses *a, const struct tagged_addresses *b)
{
	return a->count == b->count && (!a->count || !memcmp(a->list, b->list, a->count * sizeof(*a->list)));
}

static bool any_vlan(const struct interfaces *interfaces)
{
	for (size_t i = 0; i < interfaces->count; i++)
		if (interfaces->list[i].vlans)
			return true;
	return false;
}

int tagged_addresses_read(struct tagged_addresses *tagged, const struct interfaces *interfaces, bool *changed)
{
	struct reading reading = { .interfaces = interfaces };
	struct tagged_addresses *fresh = &reading.fresh;
	int error = 0;

	if (any_vlan(interfaces))
		error = rtnetlink_addresses(address_message, &reading, &fresh->count);
	if (error) {
		free(fresh->list);
		return error;
	}
	if (fresh->count)
		qsort(fresh->list, fresh->count, sizeof(*fresh->list), compare);
	*changed = !same(tagged, fresh);
	tagged_addresses_free(tagged);
	*tagged = *fresh;
	return 0;
}

void tagged_addresses_free(struct tagged_addresses *tagged)
{
	free(tagged->list);
	*tagged = (struct tagged_addresses){ 0 };
}

bool tagged_addresses_have(const struct tagged_addresses *tagged, const struct in6_addr *address)
{
	return tagged->count && bsearch(address, tagged->list, tagged->count, sizeof(*address), compare);
}

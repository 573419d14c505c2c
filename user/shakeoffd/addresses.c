/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <common/log.h>
#include <shakeoffd/addresses.h>

struct own_addresses {
	struct in6_addr *list; /* IPv4 mapped */
	size_t count, room;
};

/* A place that is to be published. No two services of a configuration have the same. */
struct place {
	struct in6_addr address;
	uint16_t port;
	struct delivery *delivery;
	bool keep_only; /* stays if it is published, but is not added */
	bool published; /* in the datapath at hand */
};

struct places {
	struct place *list;
	size_t count;
	struct datapath *datapath;
	size_t datapath_index;
};

/* --------------------------------------------------------------------------------------------- the host's addresses */

static bool is_served_kind(const struct in6_addr *address)
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

	if (!is_served_kind(address))
		return 0;
	if (own->count == own->room) {
		size_t room = own->room ? 2 * own->room : 64;

		larger = realloc(own->list, room * sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		own->list = larger;
		own->room = room;
	}
	own->list[own->count++] = *address;
	return 0;
}

/* IFA_LOCAL is the host's end of a point-to-point link; IFA_ADDRESS would be the peer. IPv6 mostly has only the latter. */
static int address_message(const struct nlmsghdr *header, void *context)
{
	const struct ifaddrmsg *message = mnl_nlmsg_get_payload(header);
	const struct nlattr *attribute, *local = NULL, *address = NULL, *flags = NULL;
	struct in6_addr found = { 0 };
	uint32_t bits;

	if (header->nlmsg_type != RTM_NEWADDR)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		switch (mnl_attr_get_type(attribute)) {
		case IFA_LOCAL: local = attribute; break;
		case IFA_ADDRESS: address = attribute; break;
		case IFA_FLAGS: flags = attribute; break;
		}
	}
	if (local)
		address = local;
	bits = flags ? mnl_attr_get_u32(flags) : message->ifa_flags;
	/* Not ours yet, or never: duplicate address detection (RFC 4862, section 5.4). */
	if (!address || (bits & (IFA_F_TENTATIVE | IFA_F_DADFAILED) && !(bits & IFA_F_OPTIMISTIC)))
		return MNL_CB_OK;
	if (message->ifa_family == AF_INET && mnl_attr_get_payload_len(address) == 4) {
		found.s6_addr[10] = found.s6_addr[11] = 0xff;
		memcpy(&found.s6_addr[12], mnl_attr_get_payload(address), 4);
	} else if (message->ifa_family == AF_INET6 && mnl_attr_get_payload_len(address) == sizeof(found)) {
		memcpy(&found, mnl_attr_get_payload(address), sizeof(found));
	} else {
		return MNL_CB_OK;
	}
	return remember(context, &found) ? MNL_CB_ERROR : MNL_CB_OK;
}

static int dump_addresses(struct mnl_socket *socket, struct own_addresses *own)
{
	char buffer[32 * 1024];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct rtgenmsg *request;
	ssize_t size;
	int result;

	header->nlmsg_type = RTM_GETADDR;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = 1;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->rtgen_family = AF_UNSPEC;
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		return -errno;
	do {
		size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (size < 0)
			return -errno;
		result = mnl_cb_run(buffer, (size_t)size, 1, mnl_socket_get_portid(socket), address_message, own);
	} while (result > MNL_CB_STOP);
	return result < 0 ? -errno : 0;
}

static int own_addresses_read(struct own_addresses *own)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int error;

	if (!socket)
		return -errno;
	error = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	/* EINTR: the addresses changed during the dump. */
	do {
		own->count = 0;
		if (!error || error == -EINTR)
			error = dump_addresses(socket, own);
	} while (error == -EINTR);
	mnl_socket_close(socket);
	return error;
}

/* ----------------------------------------------------------------------------------------------------------- places */

static int compare_places(const void *a, const void *b)
{
	const struct place *first = a, *second = b;
	int order = memcmp(&first->address, &second->address, sizeof(first->address));

	if (!order)
		order = (int)first->port - (int)second->port;
	return order;
}

static bool listen_means(const struct config_listen *listen, const struct in6_addr *address)
{
	return listen->family == AF_UNSPEC || IN6_ARE_ADDR_EQUAL(&listen->address, address);
}

/* What one `listen =` means, given the host's addresses. */
static void places_of_listen(struct places *places, struct delivery *delivery, const struct config_listen *listen,
			     const struct own_addresses *own)
{
	for (size_t a = 0; a < own->count; a++) {
		enum delivery_coverage coverage = DELIVERY_UNCOVERED;

		if (listen_means(listen, &own->list[a]))
			coverage = delivery_covers(delivery, &own->list[a], listen->port);
		if (coverage == DELIVERY_UNCOVERED)
			continue;
		places->list[places->count++] = (struct place){
			.address = own->list[a],
			.port = listen->port,
			.delivery = delivery,
			.keep_only = coverage == DELIVERY_KEPT,
		};
	}
}

static int places_find(struct places *places, struct delivery *deliveries, size_t count,
		       const struct own_addresses *own)
{
	size_t most = 0, distinct = 0;

	for (size_t d = 0; d < count; d++)
		most += deliveries[d].service->config->listen_count * own->count;
	places->list = calloc(most + 1, sizeof(*places->list));
	if (!places->list)
		return -ENOMEM;
	for (size_t d = 0; d < count; d++) {
		const struct config_service *service = deliveries[d].service->config;

		for (size_t l = 0; l < service->listen_count; l++)
			places_of_listen(places, &deliveries[d], &service->listen[l], own);
	}
	qsort(places->list, places->count, sizeof(*places->list), compare_places);
	/* An address may be on two interfaces. */
	for (size_t i = 0; i < places->count; i++)
		if (!distinct || compare_places(&places->list[distinct - 1], &places->list[i]))
			places->list[distinct++] = places->list[i];
	places->count = distinct;
	return 0;
}

/* ------------------------------------------------------------------------------------------------------ publication */

static uint32_t service_id(const struct places *places, const struct place *place)
{
	return place->delivery->service->slots[places->datapath_index].id;
}

static int check_published(void *context, const struct in6_addr *address, uint16_t port, uint32_t service)
{
	struct places *places = context;
	struct place key = { .address = *address, .port = port }, *place = NULL;

	if (places->count)
		place = bsearch(&key, places->list, places->count, sizeof(key), compare_places);
	if (!place || service_id(places, place) != service)
		return datapath_address_remove(places->datapath, address, port);
	place->published = true;
	return 0;
}

static int publish_in(struct places *places)
{
	int error;

	for (size_t i = 0; i < places->count; i++)
		places->list[i].published = false;
	error = datapath_address_each(places->datapath, check_published, places);
	for (size_t i = 0; i < places->count && !error; i++) {
		const struct place *place = &places->list[i];

		if (!place->published && !place->keep_only)
			error = datapath_address_set(places->datapath, &place->address, place->port,
						     service_id(places, place));
	}
	return error == -E2BIG ? -ENOSPC : error;
}

int addresses_publish(struct delivery *deliveries, size_t delivery_count, struct datapath *const *datapaths,
		      size_t count)
{
	struct own_addresses own = { 0 };
	struct places places = { 0 };
	int error;

	error = own_addresses_read(&own);
	if (!error)
		error = places_find(&places, deliveries, delivery_count, &own);
	for (size_t i = 0; i < count && !error; i++) {
		places.datapath = datapaths[i];
		places.datapath_index = i;
		error = publish_in(&places);
	}
	free(own.list);
	free(places.list);
	return error;
}

int addresses_withdraw(struct datapath *const *datapaths, size_t count)
{
	struct places none = { 0 };
	int error = 0;

	for (size_t i = 0; i < count && !error; i++) {
		none.datapath = datapaths[i];
		error = datapath_address_each(datapaths[i], check_published, &none);
	}
	return error;
}

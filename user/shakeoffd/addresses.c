/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <common/array.h>
#include <common/log.h>
#include <shakeoffd/addresses.h>

#define PORTS (1u << 16)

struct published {
	struct in6_addr address;
	uint32_t value; /* in the map: service id and SHAKEOFF_ADDRESS_FLAGS, or SHAKEOFF_ADDRESS_ITSELF */
};

struct published_port {
	struct published *list; /* in the order of the addresses */
	size_t count;
};

/* ---------------------------------------------------------------------------------------------------------- opening */

static int append(struct published_port *at_port, const struct in6_addr *address, uint32_t value)
{
	void *larger = array_grow(at_port->list, at_port->count, sizeof(*at_port->list));

	if (!larger)
		return -ENOMEM;
	at_port->list = larger;
	at_port->list[at_port->count++] = (struct published){ .address = *address, .value = value };
	return 0;
}

static int read_one(void *context, const struct in6_addr *address, uint16_t port, uint32_t value)
{
	return append(&((struct published_port *)context)[port], address, value);
}

static int compare(const void *a, const void *b)
{
	const struct published *first = a, *second = b;

	return memcmp(&first->address, &second->address, sizeof(first->address));
}

static int read_all(struct datapath *datapath, struct published_port *ports)
{
	int error = datapath_address_each(datapath, read_one, ports);

	for (size_t port = 0; port < PORTS && !error; port++)
		if (ports[port].count)
			qsort(ports[port].list, ports[port].count, sizeof(*ports[port].list), compare);
	return error;
}

int addresses_open(struct addresses *addresses, struct datapath *const *datapaths, size_t count,
		   struct socket_filter *filter)
{
	struct addresses fresh = {
		.datapaths = datapaths,
		.count = count,
		.filter = filter,
		.changed = true,
		.ports = calloc(count * PORTS, sizeof(*fresh.ports)),
	};
	int error = fresh.ports ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !error; i++)
		error = read_all(datapaths[i], &fresh.ports[i * PORTS]);
	if (error) {
		addresses_close(&fresh);
		return error;
	}
	*addresses = fresh;
	return 0;
}

void addresses_close(struct addresses *addresses)
{
	for (size_t i = 0; i < addresses->count * PORTS && addresses->ports; i++)
		free(addresses->ports[i].list);
	free(addresses->ports);
	*addresses = (struct addresses){ 0 };
}

/* ------------------------------------------------------------------------------------------------------ publication */

static void turn_away(struct addresses *addresses)
{
	addresses->turned_away = addresses->changed = true;
	if (addresses->full)
		return;
	addresses->full = true;
	log_warn(
		"the hook's table of addresses is full (%u of a family): the services that find no room stay the kernel's; "
		"`exclude =` in the configuration leaves out what needs no protection",
		SHAKEOFF_MAX_ADDRESSES);
}

/* Adds or changes one. Returns whether it stands in the map. */
static bool set(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *wanted,
		bool is_new)
{
	int error;

	if (is_new && port && !addresses->noted) {
		socket_filter_note_sockets(addresses->filter);
		addresses->noted = true;
	}
	addresses->changed |= port != 0;
	error = datapath_address_set(addresses->datapaths[datapath], &wanted->address, port, wanted->value);
	if (error == -E2BIG || error == -ENOMEM)
		turn_away(addresses);
	else if (error)
		log_warn_limited("an address of a service could not be published: %s", strerror(-error));
	return !error;
}

static void take_out(struct addresses *addresses, size_t datapath, uint16_t port, const struct published *old)
{
	addresses->changed |= port != 0;
	datapath_address_remove(addresses->datapaths[datapath], &old->address, port);
}

/* What only stays until more is known stays as it is. */
static bool leads_there(const struct published *old, const struct published *wanted, bool keep_only)
{
	return old->value == wanted->value || (keep_only && !((old->value ^ wanted->value) & ~SHAKEOFF_ADDRESS_FLAGS));
}

static uint32_t value_of(const struct address *address, size_t datapath)
{
	return address->service->slots[datapath].id | (address->left ? SHAKEOFF_ADDRESS_LEFT : 0) |
	       (address->tagged ? SHAKEOFF_ADDRESS_TAGGED : 0);
}

/* Both lists are in the same order: walks along them. What stands in the map at the end goes to `next`. */
static void publish_in(struct addresses *addresses, size_t datapath, uint16_t port, const struct address *list,
		       size_t count, struct published_port *next)
{
	const struct published_port *old = &addresses->ports[datapath * PORTS + port];
	size_t o = 0;

	for (size_t i = 0; i < count; i++) {
		struct published wanted = {
			.address = list[i].address,
			.value = value_of(&list[i], datapath),
		};
		bool there;

		for (; o < old->count && compare(&old->list[o], &wanted) < 0; o++)
			take_out(addresses, datapath, port, &old->list[o]);
		there = o < old->count && !compare(&old->list[o], &wanted);
		if (there && leads_there(&old->list[o], &wanted, list[i].keep_only)) {
			next->list[next->count++] = old->list[o++];
			continue;
		}
		if (there && list[i].keep_only)
			continue; /* it leads elsewhere: removed below, in its turn */
		if (!list[i].keep_only && set(addresses, datapath, port, &wanted, !there))
			next->list[next->count++] = wanted;
		else if (there)
			next->list[next->count++] = old->list[o];
		o += there;
	}
	for (; o < old->count; o++)
		take_out(addresses, datapath, port, &old->list[o]);
}

void addresses_begin(struct addresses *addresses)
{
	addresses->noted = false;
}

int addresses_publish(struct addresses *addresses, uint16_t port, const struct address *list, size_t count)
{
	for (size_t i = 0; i < addresses->count; i++) {
		struct published_port *at_port = &addresses->ports[i * PORTS + port];
		struct published_port next = { 0 };

		if (!count && !at_port->count)
			continue;
		next.list = calloc(count + 1, sizeof(*next.list));
		if (!next.list)
			return -ENOMEM;
		publish_in(addresses, i, port, list, count, &next);
		free(at_port->list);
		*at_port = next;
	}
	return 0;
}

/* Each address that leads to a service and is not left to the kernel, once, and in order. */
static int find_protected(const struct addresses *addresses, size_t datapath, struct published_port *found)
{
	size_t distinct = 0;
	int error = 0;

	for (size_t port = 1; port < PORTS; port++) {
		const struct published_port *at_port = &addresses->ports[datapath * PORTS + port];

		for (size_t i = 0; i < at_port->count && !error; i++)
			if (!(at_port->list[i].value & SHAKEOFF_ADDRESS_LEFT))
				error = append(found, &at_port->list[i].address, SHAKEOFF_ADDRESS_ITSELF);
	}
	if (found->count)
		qsort(found->list, found->count, sizeof(*found->list), compare);
	for (size_t i = 0; i < found->count; i++)
		if (!distinct || compare(&found->list[distinct - 1], &found->list[i]))
			found->list[distinct++] = found->list[i];
	found->count = distinct;
	return error;
}

/* Both lists are in the same order. What finds no room in the map is taken out of `next`. */
static void publish_protected(struct addresses *addresses, size_t datapath, struct published_port *next)
{
	const struct published_port *old = &addresses->ports[datapath * PORTS];
	size_t o = 0, kept = 0;

	for (size_t i = 0; i < next->count; i++) {
		bool there;

		for (; o < old->count && compare(&old->list[o], &next->list[i]) < 0; o++)
			take_out(addresses, datapath, 0, &old->list[o]);
		there = o < old->count && !compare(&old->list[o], &next->list[i]);
		o += there;
		if (there || set(addresses, datapath, 0, &next->list[i], true))
			next->list[kept++] = next->list[i];
	}
	for (; o < old->count; o++)
		take_out(addresses, datapath, 0, &old->list[o]);
	next->count = kept;
}

int addresses_end(struct addresses *addresses)
{
	if (!addresses->changed)
		return 0;
	addresses->changed = false; /* until something finds no room */
	for (size_t i = 0; i < addresses->count; i++) {
		struct published_port next = { 0 };
		int error = find_protected(addresses, i, &next);

		if (error) {
			free(next.list);
			addresses->changed = true;
			return error;
		}
		publish_protected(addresses, i, &next);
		free(addresses->ports[i * PORTS].list);
		addresses->ports[i * PORTS] = next;
	}
	return 0;
}

bool addresses_have(const struct addresses *addresses, const struct in6_addr *address, uint16_t port)
{
	struct published key = { .address = *address };

	for (size_t i = 0; i < addresses->count; i++) {
		const struct published_port *at_port = &addresses->ports[i * PORTS + port];

		if (at_port->count && bsearch(&key, at_port->list, at_port->count, sizeof(key), compare))
			return true;
	}
	return false;
}

bool addresses_look_again(struct addresses *addresses)
{
	bool turned_away = addresses->turned_away;

	if (!turned_away)
		addresses->full = false;
	addresses->turned_away = false;
	return turned_away;
}

static int remove_one(void *context, const struct in6_addr *address, uint16_t port, uint32_t service)
{
	(void)service;
	return datapath_address_remove(context, address, port);
}

int addresses_withdraw(struct datapath *const *datapaths, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = datapath_address_each(datapaths[i], remove_one, datapaths[i]);
	return error;
}

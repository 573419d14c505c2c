/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads values of nftables' rules in JSON: TCP flags, ports, addresses, and lists of them. */
#include <arpa/inet.h>
#include <string.h>

#include "common/tuple.h"
#include "shakeoffd/firewall/ruleset_nft_internal.h"

json_t *nft_list_of(json_t *right)
{
	json_t *set = json_object_get(right, "set");

	if (json_is_array(set))
		return json_incref(set);
	if (json_is_array(right))
		return json_incref(right);
	return json_pack("[O]", right);
}

json_t *nft_bare(json_t *element)
{
	json_t *inner = json_object_get(json_object_get(element, "elem"), "val");

	return inner ? inner : element;
}

bool nft_read_flags(json_t *value, uint8_t *flags)
{
	json_t *several = json_is_array(value) ? value : json_object_get(value, "|"), *one;
	uint8_t flag;
	size_t i;

	*flags = 0;
	if (json_is_integer(value)) {
		*flags = (uint8_t)json_integer_value(value);
		return true;
	}
	if (json_is_string(value))
		return ruleset_flag(json_string_value(value), flags);
	if (!several)
		return false;
	json_array_foreach(several, i, one) {
		if (!nft_read_flags(one, &flag))
			return false;
		*flags |= flag;
	}
	return true;
}

bool nft_read_port(json_t *value, uint16_t *port)
{
	*port = (uint16_t)json_integer_value(value);
	return json_is_integer(value);
}

bool nft_read_ports(json_t *value, struct rule_ports *ports)
{
	json_t *range = json_object_get(value, "range");

	if (range)
		return nft_read_port(json_array_get(range, 0), &ports->first) &&
		       nft_read_port(json_array_get(range, 1), &ports->last);
	if (!nft_read_port(value, &ports->first))
		return false;
	ports->last = ports->first;
	return true;
}

static bool read_address(json_t *value, struct in6_addr *address)
{
	const char *text = json_string_value(value);
	struct in_addr ipv4;

	if (!text)
		return false;
	if (inet_pton(AF_INET, text, &ipv4) != 1)
		return inet_pton(AF_INET6, text, address) == 1;
	address_map(AF_INET, &ipv4, address);
	return true;
}

static bool read_prefix(json_t *prefix, struct rule_addresses *addresses)
{
	json_int_t length = json_integer_value(json_object_get(prefix, "len"));

	if (!read_address(json_object_get(prefix, "addr"), &addresses->first))
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&addresses->first))
		length += 96;
	addresses->last = addresses->first;
	for (json_int_t bit = length < 0 ? 0 : length; bit < 128; bit++)
		addresses->last.s6_addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return true;
}

bool nft_read_addresses(json_t *value, struct rule_addresses *addresses)
{
	json_t *range = json_object_get(value, "range"), *prefix = json_object_get(value, "prefix");

	if (prefix)
		return read_prefix(prefix, addresses);
	if (range)
		return read_address(json_array_get(range, 0), &addresses->first) &&
		       read_address(json_array_get(range, 1), &addresses->last);
	if (!read_address(value, &addresses->first))
		return false;
	addresses->last = addresses->first;
	return true;
}

bool nft_is(json_t *value, const char *name, json_int_t number)
{
	return json_is_string(value) ? word_is(json_string_value(value), name) :
				       json_is_integer(value) && json_integer_value(value) == number;
}

bool nft_has(json_t *list, const char *name, json_int_t number)
{
	json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
		if (nft_is(nft_bare(value), name, number))
			return true;
	return false;
}

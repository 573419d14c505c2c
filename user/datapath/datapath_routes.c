/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tries of routes. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "datapath/datapath_internal.h"
#include "common/prefix.h"

/* A change during an iteration makes it begin again. It is given up after this number of steps. */
#define STEPS_MAX (2 * SHAKEOFF_MAX_ROUTES)

static enum map map_of(bool ipv6)
{
	return ipv6 ? MAP_ROUTES6 : MAP_ROUTES4;
}

union trie_key trie_key_of(const struct prefix *prefix)
{
	union trie_key key = { .v6 = { .prefix_len = prefix->len } };

	memcpy(key.v6.address, prefix->address, prefix->ipv6 ? sizeof(key.v6.address) : sizeof(key.v4.address));
	return key;
}

static struct prefix prefix_of(const union trie_key *key, bool ipv6)
{
	struct prefix prefix = { .len = (uint8_t)key->v6.prefix_len, .ipv6 = ipv6 };

	memcpy(prefix.address, key->v6.address, ipv6 ? sizeof(key->v6.address) : sizeof(key->v4.address));
	return prefix;
}

int datapath_route_set(struct datapath *datapath, const struct prefix *prefix, const struct shakeoff_route *route)
{
	union trie_key key = trie_key_of(prefix);

	return bpf_map_update_elem(datapath->maps[map_of(prefix->ipv6)], &key, route, BPF_ANY) ? -errno : 0;
}

int datapath_route_remove(struct datapath *datapath, const struct prefix *prefix)
{
	union trie_key key = trie_key_of(prefix);

	return bpf_map_delete_elem(datapath->maps[map_of(prefix->ipv6)], &key) ? -errno : 0;
}

int datapath_route_each(struct datapath *datapath, bool ipv6,
			int (*callback)(void *context, const struct prefix *prefix, const struct shakeoff_route *route),
			void *context)
{
	int map = datapath->maps[map_of(ipv6)], result = 0;
	union trie_key key, previous;

	for (size_t i = 0; i < STEPS_MAX && !result; i++) {
		struct shakeoff_route route;
		struct prefix prefix;

		if (bpf_map_get_next_key(map, i ? &previous : NULL, &key))
			return errno == ENOENT ? 0 : -errno;
		previous = key;
		if (bpf_map_lookup_elem(map, &key, &route))
			continue;
		prefix = prefix_of(&key, ipv6);
		result = callback(context, &prefix, &route);
	}
	return result;
}

/* Returns the mask of an address's word: its bits that belong to the prefix. */
static __be32 mask_word(unsigned int len, unsigned int word)
{
	unsigned int bits = len > 32 * word ? len - 32 * word : 0;

	return htonl(!bits ? 0 : bits >= 32 ? UINT32_MAX : UINT32_MAX << (32 - bits));
}

/* Sets a plain route. Its first mask is 0 while the others change, so that no address matches. */
void datapath_routes_plain(struct datapath *datapath, bool ipv6, size_t index, const struct prefix *prefix)
{
	struct shakeoff_plain_routes *plain = &datapath->control->plain;
	__be32 *address = ipv6 ? plain->v6[index].address : &plain->v4[index].address;
	__be32 *mask = ipv6 ? plain->v6[index].mask : &plain->v4[index].mask;
	unsigned int words = ipv6 ? 2 : 1;

	__atomic_store_n(&mask[0], 0, __ATOMIC_SEQ_CST);
	for (unsigned int i = words; prefix && i-- > 0;) {
		__atomic_store_n(&address[i], prefix->address[i], __ATOMIC_SEQ_CST);
		__atomic_store_n(&mask[i], mask_word(prefix->len, i), __ATOMIC_SEQ_CST);
	}
}

void datapath_routes_announce(struct datapath *datapath, bool ipv6, bool any)
{
	uint32_t flag = ipv6 ? SHAKEOFF_ROUTES6 : SHAKEOFF_ROUTES4;

	if (any)
		__atomic_fetch_or(&datapath->control->flags, flag, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&datapath->control->flags, ~flag, __ATOMIC_RELEASE);
	__atomic_add_fetch(&datapath->control->generation, 1, __ATOMIC_RELEASE);
}

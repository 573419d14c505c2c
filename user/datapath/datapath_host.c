/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the hook knows of the host itself: its own addresses, its neighbours, and the tags of its VLAN devices. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/datapath_internal.h"
#include "common/prefix.h"

/* A change during an iteration makes it begin again. It is given up after this number of steps. */
#define STEPS_MAX (4 * SHAKEOFF_MAX_OWN)

static enum map map_of(bool ipv6)
{
	return ipv6 ? MAP_OWN6 : MAP_OWN4;
}

int datapath_own_set(struct datapath *datapath, const struct prefix *prefix)
{
	union trie_key key = trie_key_of(prefix);

	return bpf_map_update_elem(datapath->maps[map_of(prefix->ipv6)], &key, key.v6.address, BPF_ANY) ? -errno : 0;
}

int datapath_own_remove(struct datapath *datapath, const struct prefix *prefix)
{
	union trie_key key = trie_key_of(prefix);

	return bpf_map_delete_elem(datapath->maps[map_of(prefix->ipv6)], &key) ? -errno : 0;
}

int datapath_own_clear(struct datapath *datapath)
{
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		int map = datapath->maps[map_of(ipv6)];
		union trie_key key;

		for (size_t i = 0; i < STEPS_MAX && !bpf_map_get_next_key(map, NULL, &key); i++)
			if (bpf_map_delete_elem(map, &key))
				return -errno;
	}
	return 0;
}

void datapath_own_announce(struct datapath *datapath, const uint32_t bits[SHAKEOFF_OWN_WORDS], bool prefixes)
{
	struct shakeoff_control *control = datapath->control;

	for (size_t i = 0; i < SHAKEOFF_OWN_WORDS; i++)
		__atomic_store_n(&control->own[i], bits[i], __ATOMIC_RELAXED);
	__atomic_store_n(&control->own_prefixes, prefixes, __ATOMIC_RELAXED);
	__atomic_add_fetch(&control->generation, 1, __ATOMIC_RELEASE);
}

static bool has_key(const uint32_t *keys, size_t count, uint32_t key)
{
	for (size_t i = 0; i < count; i++)
		if (keys[i] == key)
			return true;
	return false;
}

struct vlans {
	const uint32_t *keys;
	size_t count;
};

static bool is_gone(void *context, const void *key, const void *value)
{
	const struct vlans *vlans = context;

	(void)value;
	return !has_key(vlans->keys, vlans->count, *(const uint32_t *)key);
}

int datapath_vlans_set(struct datapath *datapath, const uint32_t *keys, size_t count)
{
	struct vlans vlans = { keys, count };
	const uint8_t there = 1;
	int error;

	error = map_each(datapath->maps[MAP_VLANS], sizeof(*keys), sizeof(there), is_gone, &vlans);
	for (size_t i = 0; i < count && !error; i++)
		if (bpf_map_update_elem(datapath->maps[MAP_VLANS], &keys[i], &there, BPF_ANY))
			error = -errno;
	__atomic_add_fetch(&datapath->control->generation, 1, __ATOMIC_RELEASE);
	return error;
}

static int compare_neighbours(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct shakeoff_neighbour));
}

struct neighbours {
	struct shakeoff_neighbour *sorted;
	size_t count;
};

static bool is_no_neighbour(void *context, const void *key, const void *value)
{
	const struct neighbours *neighbours = context;

	(void)value;
	return !neighbours->count ||
	       !bsearch(key, neighbours->sorted, neighbours->count, sizeof(*neighbours->sorted), compare_neighbours);
}

int datapath_neighbours_set(struct datapath *datapath, const struct shakeoff_neighbour *neighbours,
			    const struct shakeoff_next_hop *next_hops, size_t count)
{
	struct neighbours wanted = { calloc(count + 1, sizeof(*neighbours)), count };
	int map = datapath->maps[MAP_NEIGHBOURS], error;

	if (!wanted.sorted)
		return -ENOMEM;
	if (count) {
		memcpy(wanted.sorted, neighbours, count * sizeof(*neighbours));
		qsort(wanted.sorted, count, sizeof(*neighbours), compare_neighbours);
	}
	error = map_each(map, sizeof(*neighbours), sizeof(*next_hops), is_no_neighbour, &wanted);
	for (size_t i = 0; i < count && !error; i++)
		if (bpf_map_update_elem(map, &neighbours[i], &next_hops[i], BPF_ANY) && errno != E2BIG)
			error = -errno;
	free(wanted.sorted);
	return error;
}

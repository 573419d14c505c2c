/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "acl/filter.h"
#include "acl/set.h"
#include "acl/store.h"

#define FILTER_SIZE (SHAKEOFF_ACL_BLOCKS * sizeof(struct shakeoff_acl_block))

/* ----------------------------------------------------------------------------------------------------- keys, values */

struct acl_key acl_key_of(const struct prefix *prefix, uint32_t scope)
{
	struct acl_key key = { .ipv6 = prefix->ipv6 };

	if (prefix->ipv6) {
		key.v6.prefix_len = SHAKEOFF_ACL_SCOPE_BITS + prefix->len;
		key.v6.scope = scope;
		memcpy(key.v6.address, prefix->address, sizeof(key.v6.address));
	} else {
		key.v4.prefix_len = SHAKEOFF_ACL_SCOPE_BITS + prefix->len;
		key.v4.scope = scope;
		key.v4.address = prefix->address[0];
	}
	return key;
}

static struct shakeoff_acl_entry value_of(const struct acl_entry *entry)
{
	return (struct shakeoff_acl_entry){
		.expires_ns = entry->expires_ns,
		.prefix_len = entry->prefix.len,
		.action = entry->action,
		.flags = entry->flags,
	};
}

struct acl_entry acl_entry_of(const struct acl_key *key, const struct shakeoff_acl_entry *value)
{
	struct acl_entry entry = {
		.prefix = { .len = value->prefix_len, .ipv6 = key->ipv6 },
		.action = value->action,
		.flags = value->flags,
		.expires_ns = value->expires_ns,
	};

	if (key->ipv6) {
		memcpy(entry.prefix.address, key->v6.address, sizeof(key->v6.address));
		entry.scope = key->v6.scope;
	} else {
		entry.prefix.address[0] = key->v4.address;
		entry.scope = key->v4.scope;
	}
	return entry;
}

uint64_t acl_sooner(uint64_t a, uint64_t b)
{
	if (!a || !b)
		return a + b;
	return a < b ? a : b;
}

/* ------------------------------------------------------------------------------------------------------------ a set */

const struct acl_set_map acl_set_maps[SET_MAPS] = {
	{ MAP_ACL4, "acl4" },
	{ MAP_ACL6, "acl6" },
	{ MAP_ACL_FILTERS, "acl_filter" },
};

struct acl_set acl_set_empty(uint32_t which)
{
	return (struct acl_set){ .which = which, .maps = { -1, -1, -1 }, .blocks = MAP_FAILED, .acl = which };
}

void acl_set_close(struct acl_set *set)
{
	if (set->blocks != MAP_FAILED)
		munmap(set->blocks, FILTER_SIZE);
	for (size_t i = 0; i < SET_MAPS; i++)
		cleanup_fd_function(&set->maps[i]);
}

int acl_set_map_filter(struct acl_set *set)
{
	set->blocks = mmap(NULL, FILTER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, set->maps[SET_FILTER], 0);
	return set->blocks == MAP_FAILED ? -errno : 0;
}

int acl_set_open(const struct datapath *datapath, struct acl_set *set)
{
	uint32_t acl = acl_flags_now(datapath);
	int result = 0;

	*set = acl_set_empty(acl & SHAKEOFF_ACL_WHICH);
	set->acl = acl;
	for (size_t i = 0; i < SET_MAPS && !result; i++)
		result = map_inner(datapath, acl_set_maps[i].outer, set->which, &set->maps[i]);
	return result ? result : acl_set_map_filter(set);
}

static int trie_make(bool ipv6)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);

	return bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, ipv6 ? "shakeoff_acl6" : "shakeoff_acl4",
			      ipv6 ? sizeof(struct shakeoff_acl_key6) : sizeof(struct shakeoff_acl_key4),
			      sizeof(struct shakeoff_acl_entry), SHAKEOFF_MAX_ACL_ENTRIES, &options);
}

int acl_set_make(const struct datapath *datapath, size_t entries, struct acl_set *set)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);

	*set = acl_set_empty((acl_flags_now(datapath) & SHAKEOFF_ACL_WHICH) ^ 1);
	set->acl |= acl_filter_shrink(entries);
	for (int family = 0; family < SET_TRIES; family++) {
		set->maps[family] = trie_make(family);
		if (set->maps[family] < 0)
			return -errno;
	}
	set->maps[SET_FILTER] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "shakeoff_aclf", 4,
					       sizeof(struct shakeoff_acl_block), SHAKEOFF_ACL_BLOCKS, &options);
	return set->maps[SET_FILTER] < 0 ? -errno : acl_set_map_filter(set);
}

int acl_set_name(struct acl_set *set, uint32_t scope, const char *name)
{
	char(*names)[SHAKEOFF_NAME_LEN] = acl_set_notes(set)->names;
	size_t i;

	if (!scope)
		return 0;
	for (i = 0; i < SHAKEOFF_MAX_ACL_NAMES && *names[i]; i++)
		if (shakeoff_acl_scope(names[i]) == scope)
			return strcmp(names[i], name) ? -EEXIST : 0;
	if (i == SHAKEOFF_MAX_ACL_NAMES)
		return -E2BIG;
	strncpy(names[i], name, SHAKEOFF_NAME_LEN - 1);
	return 0;
}

/* Changes the trie first: the hook asks it only after the filter knows the entry. */
int acl_set_put(struct acl_set *set, const struct acl_entry *entry)
{
	struct acl_key key = acl_key_of(&entry->prefix, entry->scope);
	struct shakeoff_acl_entry value = value_of(entry);

	if (bpf_map_update_elem(set->maps[key.ipv6], &key.v6, &value, BPF_ANY))
		return errno == ENOSPC ? -E2BIG : -errno;
	set->acl = acl_filter_add(set->blocks, &entry->prefix, set->acl);
	if (entry->scope)
		set->acl |= SHAKEOFF_ACL_SCOPED;
	set->expires_ns = acl_sooner(set->expires_ns, entry->expires_ns);
	acl_set_notes(set)->entries++;
	acl_set_notes(set)->own += !(entry->flags & SHAKEOFF_ACL_LOADED);
	return 0;
}

/* Rounds the time up, so that the entry has expired by then. */
void acl_set_expiry(struct datapath *datapath, uint64_t expires_ns)
{
	uint32_t seconds = (expires_ns + NS_PER_S - 1) / NS_PER_S;

	__atomic_store_n(&datapath->control->acl_expire_s, seconds, __ATOMIC_RELAXED);
}

static void take_from_use(const struct datapath *datapath, uint32_t which)
{
	for (size_t i = 0; i < SET_MAPS; i++)
		bpf_map_delete_elem(datapath->maps[acl_set_maps[i].outer], &which);
}

int acl_set_use(struct datapath *datapath, const struct acl_set *set)
{
	uint32_t old = set->which ^ 1;

	for (size_t i = 0; i < SET_MAPS; i++)
		if (bpf_map_update_elem(datapath->maps[acl_set_maps[i].outer], &set->which, &set->maps[i], 0))
			return -errno;
	acl_set_expiry(datapath, set->expires_ns);
	__atomic_store_n(&datapath->control->acl, set->acl, __ATOMIC_RELEASE);
	/*
	 * Written once more because the kernel waits in this call until all running programs have ended, and with them
	 * the packets that saw the old value.
	 */
	bpf_map_update_elem(datapath->maps[MAP_ACL_FILTERS], &set->which, &set->maps[SET_FILTER], 0);
	take_from_use(datapath, old);
	return 0;
}

int datapath_acl_clear(struct datapath *datapath)
{
	acl_set_expiry(datapath, 0);
	__atomic_store_n(&datapath->control->acl, 0, __ATOMIC_RELEASE);
	/* One is in use; a killed command may have left the other. */
	take_from_use(datapath, 0);
	take_from_use(datapath, 1);
	return 0;
}

static bool trie_is_empty(int trie)
{
	struct acl_key key;

	return bpf_map_get_next_key(trie, NULL, &key.v6) && errno == ENOENT;
}

int acl_set_settle(struct datapath *datapath, const struct acl_set *set)
{
	return trie_is_empty(set->maps[0]) && trie_is_empty(set->maps[1]) ? datapath_acl_clear(datapath) : 0;
}

int acl_set_take_out(struct acl_set *set, const struct acl_key *key)
{
	if (bpf_map_delete_elem(set->maps[key->ipv6], &key->v6))
		return -errno;
	acl_set_notes(set)->entries -= !!acl_set_notes(set)->entries;
	acl_set_notes(set)->removed++;
	return 0;
}

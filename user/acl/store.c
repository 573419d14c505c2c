/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads, adds, removes and loads entries of the ACL, and keeps them from program to program. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "acl/set.h"
#include "acl/store.h"

/* ---------------------------------------------------------------------------------------------------------- reading */

/* Adds the entries of a trie to a list. own: only entries that were added by hand. */
static int read_trie(int trie, bool ipv6, uint64_t now_ns, bool own, struct acl *list)
{
	struct acl_key key = { .ipv6 = ipv6 };
	const void *previous = NULL;
	int result = 0;

	while (!result) {
		struct shakeoff_acl_entry value;
		struct acl_entry entry;

		if (bpf_map_get_next_key(trie, previous, &key.v6))
			return errno == ENOENT ? 0 : -errno;
		previous = &key.v6;
		if (bpf_map_lookup_elem(trie, &key.v6, &value))
			return -errno;
		entry = acl_entry_of(&key, &value);
		if (!acl_entry_is_live(&entry, now_ns) || (own && entry.flags & SHAKEOFF_ACL_LOADED))
			continue;
		result = acl_add(list, &entry);
	}
	return result;
}

static int read_set(const struct acl_set *set, bool own, struct acl *list)
{
	uint64_t now_ns = clock_ns();
	uint32_t scope;
	int result = 0;

	for (size_t i = 0; i < SHAKEOFF_MAX_ACL_NAMES && *acl_set_notes(set)->names[i] && !result; i++)
		result = acl_add_name(list, acl_set_notes(set)->names[i], &scope);
	for (int family = 0; family < SET_TRIES && !result; family++)
		result = read_trie(set->maps[family], family, now_ns, own, list);
	return result;
}

int datapath_acl_read(struct datapath *datapath, struct acl *list)
{
	cleanup_acl_set struct acl_set set = acl_set_empty(0);
	int result;

	detail_clear();
	if (!acl_flags_in_use(acl_flags_now(datapath)))
		return 0;
	result = acl_set_open(datapath, &set);
	return result ? result : read_set(&set, false, list);
}

bool datapath_acl_in_use(struct datapath *datapath)
{
	return acl_flags_in_use(acl_flags_now(datapath));
}

uint64_t datapath_acl_expiry(struct datapath *datapath)
{
	return __atomic_load_n(&datapath->control->acl_expire_s, __ATOMIC_RELAXED) * NS_PER_S;
}

/* --------------------------------------------------------------------------------------------------------- changing */

static bool has_entry_of(const struct acl *list, uint32_t scope)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->entries[i].scope == scope)
			return true;
	return false;
}

static int put_acl(struct acl_set *set, const struct acl *list)
{
	int result = 0;

	for (size_t i = 0; i < list->name_count && !result; i++)
		if (has_entry_of(list, list->names[i].scope))
			result = acl_set_name(set, list->names[i].scope, list->names[i].name);
	for (size_t i = 0; i < list->count && !result; i++)
		result = acl_set_put(set, &list->entries[i]);
	return result;
}

/* Makes a new set of the entries of two lists and puts it into use. Entries of the second list take precedence. */
static int replace(struct datapath *datapath, const struct acl *first, const struct acl *second)
{
	cleanup_acl_set struct acl_set set = acl_set_empty(0);
	int result = acl_set_make(datapath, first->count + second->count, &set);

	if (!result)
		result = put_acl(&set, first);
	if (!result)
		result = put_acl(&set, second);
	return result ? result : acl_set_use(datapath, &set);
}

int datapath_acl_load(struct datapath *datapath, const struct acl *list)
{
	cleanup_acl_set struct acl_set set = acl_set_empty(0);
	struct acl own = { 0 };
	int result = 0;

	detail_clear();
	if (acl_flags_in_use(acl_flags_now(datapath)))
		result = acl_set_open(datapath, &set);
	if (!result && set.maps[SET_FILTER] >= 0 && acl_set_notes(&set)->own)
		result = read_set(&set, true, &own);
	if (!result)
		result = list->count || own.count ? replace(datapath, list, &own) : datapath_acl_clear(datapath);
	acl_free(&own);
	return result;
}

/* Returns whether the filter has more entries than it is made for, and a new one would have fewer, or be larger. */
static bool filter_is_full(const struct acl_set *set)
{
	uint32_t shrink = SHAKEOFF_ACL_SHRINK(set->acl);

	return acl_set_notes(set)->entries + acl_set_notes(set)->removed > SHAKEOFF_ACL_CAPACITY(shrink) &&
	       (shrink || acl_set_notes(set)->removed > acl_set_notes(set)->entries);
}

/* Makes everything anew, with an entry added. set: the set in use; without a filter if there is none. */
static int renew(struct datapath *datapath, const struct acl_set *set, const struct acl_entry *entry, const char *name)
{
	struct acl list = { 0 };
	uint32_t scope;
	int result = set->maps[SET_FILTER] < 0 ? 0 : read_set(set, false, &list);

	if (!result && entry->scope)
		result = acl_add_name(&list, name, &scope);
	if (!result)
		result = acl_add(&list, entry);
	if (!result)
		result = replace(datapath, &list, &(struct acl){ 0 });
	acl_free(&list);
	return result;
}

int datapath_acl_set(struct datapath *datapath, const struct acl_entry *entry, const char *name)
{
	cleanup_acl_set struct acl_set set = acl_set_empty(0);
	int result = 0;

	detail_clear();
	if (acl_flags_in_use(acl_flags_now(datapath)))
		result = acl_set_open(datapath, &set);
	if (result)
		return result;
	if (set.maps[SET_FILTER] < 0 || filter_is_full(&set))
		return renew(datapath, &set, entry, name);
	result = acl_set_name(&set, entry->scope, name);
	if (result == -E2BIG) /* the names may be those of removed entries */
		return renew(datapath, &set, entry, name);
	if (!result)
		result = acl_set_put(&set, entry);
	if (result)
		return result;
	acl_set_expiry(datapath, acl_sooner(datapath_acl_expiry(datapath), set.expires_ns));
	__atomic_store_n(&datapath->control->acl, set.acl, __ATOMIC_RELEASE);
	return 0;
}

int datapath_acl_remove(struct datapath *datapath, const struct prefix *prefix, uint32_t scope)
{
	cleanup_acl_set struct acl_set set = acl_set_empty(0);
	struct acl_key key = acl_key_of(prefix, scope);
	int result;

	detail_clear();
	if (!acl_flags_in_use(acl_flags_now(datapath)))
		return -ENOENT;
	result = acl_set_open(datapath, &set);
	if (!result)
		result = acl_set_take_out(&set, &key);
	return result ? result : acl_set_settle(datapath, &set);
}

int datapath_acl_get(struct datapath *datapath, const struct prefix *prefix, uint32_t scope, struct acl_entry *entry)
{
	cleanup_acl_set struct acl_set set = acl_set_empty(0);
	struct acl_key key = acl_key_of(prefix, scope);
	struct shakeoff_acl_entry value;
	int result;

	detail_clear();
	if (!acl_flags_in_use(acl_flags_now(datapath)))
		return -ENOENT;
	result = acl_set_open(datapath, &set);
	if (result)
		return result;
	if (bpf_map_lookup_elem(set.maps[key.ipv6], &key.v6, &value))
		return -errno;
	/* A trie finds the longest prefix that contains the key: that may be a shorter one. */
	if (value.prefix_len != prefix->len)
		return -ENOENT;
	*entry = acl_entry_of(&key, &value);
	return 0;
}

/* ------------------------------------------------------------------------------------------ from program to program */

/* Takes the kept maps, even if some are missing, so that none stays behind. Returns whether it is a whole set. */
static bool take_kept(struct acl_set *set)
{
	bool whole = true;

	for (size_t i = 0; i < SET_MAPS; i++) {
		set->maps[i] = bpffs_take(acl_set_maps[i].kept);
		whole &= set->maps[i] >= 0;
	}
	bpffs_tidy();
	return whole;
}

int datapath_acl_keep(struct datapath *datapath)
{
	cleanup_acl_set struct acl_set set = acl_set_empty(0), given_up = acl_set_empty(0);
	struct shakeoff_acl_notes *notes;
	int result;

	detail_clear();
	if (!acl_flags_in_use(acl_flags_now(datapath)))
		return 0;
	result = acl_set_open(datapath, &set);
	if (result)
		return result;
	notes = acl_set_notes(&set);
	notes->kept_abi = SHAKEOFF_ABI;
	notes->kept_acl = set.acl;
	notes->kept_expire_s = datapath->control->acl_expire_s;
	for (size_t i = 0; i < SET_MAPS && !result; i++)
		result = bpffs_keep(set.maps[i], acl_set_maps[i].kept);
	if (result)
		take_kept(&given_up);
	return result;
}

int datapath_acl_restore(struct datapath *datapath)
{
	cleanup_acl_set struct acl_set set = acl_set_empty(0);
	const struct shakeoff_acl_notes *notes;
	int result;

	detail_clear();
	if (!take_kept(&set) || acl_flags_in_use(acl_flags_now(datapath)))
		return 0;
	result = acl_set_map_filter(&set);
	if (result)
		return result;
	notes = acl_set_notes(&set);
	if (notes->kept_abi != SHAKEOFF_ABI) {
		detail_set("made by another version of shakeoff");
		return -EPROTO;
	}
	set.acl = notes->kept_acl;
	set.which = set.acl & SHAKEOFF_ACL_WHICH;
	set.expires_ns = notes->kept_expire_s * NS_PER_S;
	result = acl_set_use(datapath, &set);
	return result ? result : 1;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"
#include "acl/store.h"
#include "acl/filter.h"

#define NS_PER_S 1000000000ull

#define FILTER_SIZE (SHAKEOFF_ACL_BLOCKS * sizeof(struct shakeoff_acl_block))

/* ----------------------------------------------------------------------------------------------------- keys, values */

struct acl_key {
	bool ipv6;
	union {
		struct shakeoff_acl_key4 v4;
		struct shakeoff_acl_key6 v6;
	};
};

static struct acl_key key_of(const struct prefix *prefix, uint32_t scope)
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

static struct acl_entry entry_of(const struct acl_key *key, const struct shakeoff_acl_entry *value)
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

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Returns the earlier of two expiry times, where 0 is never. */
static uint64_t sooner(uint64_t a, uint64_t b)
{
	if (!a || !b)
		return a + b;
	return a < b ? a : b;
}

/* ------------------------------------------------------------------------------------------------------------ a set */

/* The maps of a set. The tries come first: index 0 is IPv4's, 1 IPv6's. */
#define SET_TRIES 2
#define SET_FILTER SET_TRIES
#define SET_MAPS 3

static const struct {
	enum map outer;
	const char *kept; /* name in bpffs while the set waits for a program */
} set_maps[SET_MAPS] = {
	{ MAP_ACL4, "acl4" },
	{ MAP_ACL6, "acl6" },
	{ MAP_ACL_FILTERS, "acl_filter" },
};

/* An element of the maps: the one in use, or one that is being made. */
struct set {
	uint32_t which;
	int maps[SET_MAPS];
	struct shakeoff_acl_block *blocks; /* of the filter */
	uint32_t acl;                      /* SHAKEOFF_ACL_* for the hook */
	uint64_t expires_ns;               /* the earliest expiry of its entries; 0: nothing expires */
};

static struct set set_empty(uint32_t which)
{
	return (struct set){ .which = which, .maps = { -1, -1, -1 }, .blocks = MAP_FAILED, .acl = which };
}

static void set_close(struct set *set)
{
	if (set->blocks != MAP_FAILED)
		munmap(set->blocks, FILTER_SIZE);
	for (size_t i = 0; i < SET_MAPS; i++)
		cleanup_fd_function(&set->maps[i]);
}
#define cleanup_set __attribute__((cleanup(set_close)))

static int set_map_filter(struct set *set)
{
	set->blocks = mmap(NULL, FILTER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, set->maps[SET_FILTER], 0);
	return set->blocks == MAP_FAILED ? -errno : 0;
}

static struct shakeoff_acl_notes *notes_of(const struct set *set)
{
	return (struct shakeoff_acl_notes *)&set->blocks[SHAKEOFF_ACL_NOTES_BLOCK];
}

static uint32_t acl_now(const struct datapath *datapath)
{
	return __atomic_load_n(&datapath->control->acl, __ATOMIC_RELAXED);
}

/* Returns whether there are maps at all. */
static bool in_use(uint32_t acl)
{
	return acl & ~SHAKEOFF_ACL_WHICH;
}

static int inner_open(const struct datapath *datapath, enum map outer, uint32_t which, int *result)
{
	uint32_t id;
	int fd;

	if (bpf_map_lookup_elem(datapath->maps[outer], &which, &id))
		return -errno;
	fd = map_by_id(id);
	if (fd < 0)
		return -errno;
	*result = fd;
	return 0;
}

/* Opens the set in use. */
static int set_open(const struct datapath *datapath, struct set *set)
{
	uint32_t acl = acl_now(datapath);
	int result = 0;

	*set = set_empty(acl & SHAKEOFF_ACL_WHICH);
	set->acl = acl;
	for (size_t i = 0; i < SET_MAPS && !result; i++)
		result = inner_open(datapath, set_maps[i].outer, set->which, &set->maps[i]);
	return result ? result : set_map_filter(set);
}

static int trie_make(bool ipv6)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);

	return bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, ipv6 ? "shakeoff_list6" : "shakeoff_list4",
			      ipv6 ? sizeof(struct shakeoff_acl_key6) : sizeof(struct shakeoff_acl_key4),
			      sizeof(struct shakeoff_acl_entry), SHAKEOFF_MAX_ACL_ENTRIES, &options);
}

/* Makes an empty set for a number of entries, in the element that is not in use. */
static int set_make(const struct datapath *datapath, size_t entries, struct set *set)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);

	*set = set_empty((acl_now(datapath) & SHAKEOFF_ACL_WHICH) ^ 1);
	set->acl |= acl_filter_shrink(entries);
	for (int family = 0; family < SET_TRIES; family++) {
		set->maps[family] = trie_make(family);
		if (set->maps[family] < 0)
			return -errno;
	}
	set->maps[SET_FILTER] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "shakeoff_listf", 4,
					       sizeof(struct shakeoff_acl_block), SHAKEOFF_ACL_BLOCKS, &options);
	return set->maps[SET_FILTER] < 0 ? -errno : set_map_filter(set);
}

/* Adds the name of a scope to the notes. name: NULL for all services. */
static int set_name(struct set *set, uint32_t scope, const char *name)
{
	char(*names)[SHAKEOFF_NAME_LEN] = notes_of(set)->names;
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

/* Adds or changes an entry. The trie is changed first: the hook asks it only after the filter knows the entry. */
static int set_put(struct set *set, const struct acl_entry *entry)
{
	struct acl_key key = key_of(&entry->prefix, entry->scope);
	struct shakeoff_acl_entry value = value_of(entry);

	if (bpf_map_update_elem(set->maps[key.ipv6], &key.v6, &value, BPF_ANY))
		return errno == ENOSPC ? -E2BIG : -errno;
	set->acl = acl_filter_add(set->blocks, &entry->prefix, set->acl);
	if (entry->scope)
		set->acl |= SHAKEOFF_ACL_SCOPED;
	set->expires_ns = sooner(set->expires_ns, entry->expires_ns);
	notes_of(set)->entries++;
	notes_of(set)->own += !(entry->flags & SHAKEOFF_ACL_LOADED);
	return 0;
}

/* Publishes an expiry time, rounded up, so that the entry has expired by then. */
static void set_expiry(struct datapath *datapath, uint64_t expires_ns)
{
	uint32_t seconds = (expires_ns + NS_PER_S - 1) / NS_PER_S;

	__atomic_store_n(&datapath->control->acl_expire_s, seconds, __ATOMIC_RELAXED);
}

static void take_from_use(const struct datapath *datapath, uint32_t which)
{
	for (size_t i = 0; i < SET_MAPS; i++)
		bpf_map_delete_elem(datapath->maps[set_maps[i].outer], &which);
}

/* Puts a new set into use in place of the present one. */
static int set_use(struct datapath *datapath, const struct set *set)
{
	uint32_t old = set->which ^ 1;

	for (size_t i = 0; i < SET_MAPS; i++)
		if (bpf_map_update_elem(datapath->maps[set_maps[i].outer], &set->which, &set->maps[i], 0))
			return -errno;
	set_expiry(datapath, set->expires_ns);
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
	set_expiry(datapath, 0);
	__atomic_store_n(&datapath->control->acl, 0, __ATOMIC_RELEASE);
	/* One is in use; a killed command may have left the other. */
	take_from_use(datapath, 0);
	take_from_use(datapath, 1);
	return 0;
}

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
		entry = entry_of(&key, &value);
		if (!acl_entry_is_live(&entry, now_ns) || (own && entry.flags & SHAKEOFF_ACL_LOADED))
			continue;
		result = acl_add(list, &entry);
	}
	return result;
}

static int read_set(const struct set *set, bool own, struct acl *list)
{
	uint64_t now_ns = now();
	uint32_t scope;
	int result = 0;

	for (size_t i = 0; i < SHAKEOFF_MAX_ACL_NAMES && *notes_of(set)->names[i] && !result; i++)
		result = acl_add_name(list, notes_of(set)->names[i], &scope);
	for (int family = 0; family < SET_TRIES && !result; family++)
		result = read_trie(set->maps[family], family, now_ns, own, list);
	return result;
}

int datapath_acl_read(struct datapath *datapath, struct acl *list)
{
	cleanup_set struct set set = set_empty(0);
	int result;

	detail_clear();
	if (!in_use(acl_now(datapath)))
		return 0;
	result = set_open(datapath, &set);
	return result ? result : read_set(&set, false, list);
}

bool datapath_acl_in_use(struct datapath *datapath)
{
	return in_use(acl_now(datapath));
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

static int put_acl(struct set *set, const struct acl *list)
{
	int result = 0;

	for (size_t i = 0; i < list->name_count && !result; i++)
		if (has_entry_of(list, list->names[i].scope))
			result = set_name(set, list->names[i].scope, list->names[i].name);
	for (size_t i = 0; i < list->count && !result; i++)
		result = set_put(set, &list->entries[i]);
	return result;
}

/* Makes a new set of the entries of two lists and puts it into use. Entries of the second list take precedence. */
static int replace(struct datapath *datapath, const struct acl *first, const struct acl *second)
{
	cleanup_set struct set set = set_empty(0);
	int result = set_make(datapath, first->count + second->count, &set);

	if (!result)
		result = put_acl(&set, first);
	if (!result)
		result = put_acl(&set, second);
	return result ? result : set_use(datapath, &set);
}

int datapath_acl_load(struct datapath *datapath, const struct acl *list)
{
	cleanup_set struct set set = set_empty(0);
	struct acl own = { 0 };
	int result = 0;

	detail_clear();
	if (in_use(acl_now(datapath)))
		result = set_open(datapath, &set);
	if (!result && set.maps[SET_FILTER] >= 0 && notes_of(&set)->own)
		result = read_set(&set, true, &own);
	if (!result)
		result = list->count || own.count ? replace(datapath, list, &own) : datapath_acl_clear(datapath);
	acl_free(&own);
	return result;
}

/* Returns whether the filter has more entries than it is made for, and a new one would have fewer, or be larger. */
static bool filter_is_full(const struct set *set)
{
	uint32_t shrink = SHAKEOFF_ACL_SHRINK(set->acl);

	return notes_of(set)->entries + notes_of(set)->removed > SHAKEOFF_ACL_CAPACITY(shrink) &&
	       (shrink || notes_of(set)->removed > notes_of(set)->entries);
}

/* Makes everything anew, with an entry added. set: the set in use; without a filter if there is none. */
static int renew(struct datapath *datapath, const struct set *set, const struct acl_entry *entry, const char *name)
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
	cleanup_set struct set set = set_empty(0);
	int result = 0;

	detail_clear();
	if (in_use(acl_now(datapath)))
		result = set_open(datapath, &set);
	if (result)
		return result;
	if (set.maps[SET_FILTER] < 0 || filter_is_full(&set))
		return renew(datapath, &set, entry, name);
	result = set_name(&set, entry->scope, name);
	if (result == -E2BIG) /* the names may be those of removed entries */
		return renew(datapath, &set, entry, name);
	if (!result)
		result = set_put(&set, entry);
	if (result)
		return result;
	set_expiry(datapath, sooner(datapath_acl_expiry(datapath), set.expires_ns));
	__atomic_store_n(&datapath->control->acl, set.acl, __ATOMIC_RELEASE);
	return 0;
}

static bool trie_is_empty(int trie)
{
	struct acl_key key;

	return bpf_map_get_next_key(trie, NULL, &key.v6) && errno == ENOENT;
}

/* Clears the ACL after the last entry was removed: an empty ACL must cost nothing. */
static int settle(struct datapath *datapath, const struct set *set)
{
	return trie_is_empty(set->maps[0]) && trie_is_empty(set->maps[1]) ? datapath_acl_clear(datapath) : 0;
}

static int take_out(struct set *set, const struct acl_key *key)
{
	if (bpf_map_delete_elem(set->maps[key->ipv6], &key->v6))
		return -errno;
	notes_of(set)->entries -= !!notes_of(set)->entries;
	notes_of(set)->removed++;
	return 0;
}

int datapath_acl_remove(struct datapath *datapath, const struct prefix *prefix, uint32_t scope)
{
	cleanup_set struct set set = set_empty(0);
	struct acl_key key = key_of(prefix, scope);
	int result;

	detail_clear();
	if (!in_use(acl_now(datapath)))
		return -ENOENT;
	result = set_open(datapath, &set);
	if (!result)
		result = take_out(&set, &key);
	return result ? result : settle(datapath, &set);
}

int datapath_acl_get(struct datapath *datapath, const struct prefix *prefix, uint32_t scope, struct acl_entry *entry)
{
	cleanup_set struct set set = set_empty(0);
	struct acl_key key = key_of(prefix, scope);
	struct shakeoff_acl_entry value;
	int result;

	detail_clear();
	if (!in_use(acl_now(datapath)))
		return -ENOENT;
	result = set_open(datapath, &set);
	if (result)
		return result;
	if (bpf_map_lookup_elem(set.maps[key.ipv6], &key.v6, &value))
		return -errno;
	/* A trie finds the longest prefix that contains the key: that may be a shorter one. */
	if (value.prefix_len != prefix->len)
		return -ENOENT;
	*entry = entry_of(&key, &value);
	return 0;
}

/* ------------------------------------------------------------------------------------------ from program to program */

/* Takes the kept maps, even if some are missing, so that none stays behind. Returns whether it is a whole set. */
static bool take_kept(struct set *set)
{
	bool whole = true;

	for (size_t i = 0; i < SET_MAPS; i++) {
		set->maps[i] = bpffs_take(set_maps[i].kept);
		whole &= set->maps[i] >= 0;
	}
	bpffs_tidy();
	return whole;
}

int datapath_acl_keep(struct datapath *datapath)
{
	cleanup_set struct set set = set_empty(0), given_up = set_empty(0);
	struct shakeoff_acl_notes *notes;
	int result;

	detail_clear();
	if (!in_use(acl_now(datapath)))
		return 0;
	result = set_open(datapath, &set);
	if (result)
		return result;
	notes = notes_of(&set);
	notes->kept_abi = SHAKEOFF_ABI;
	notes->kept_acl = set.acl;
	notes->kept_expire_s = datapath->control->acl_expire_s;
	for (size_t i = 0; i < SET_MAPS && !result; i++)
		result = bpffs_keep(set.maps[i], set_maps[i].kept);
	if (result)
		take_kept(&given_up);
	return result;
}

int datapath_acl_restore(struct datapath *datapath)
{
	cleanup_set struct set set = set_empty(0);
	const struct shakeoff_acl_notes *notes;
	int result;

	detail_clear();
	if (!take_kept(&set) || in_use(acl_now(datapath)))
		return 0;
	result = set_map_filter(&set);
	if (result)
		return result;
	notes = notes_of(&set);
	if (notes->kept_abi != SHAKEOFF_ABI) {
		detail_set("made by another version of shakeoff");
		return -EPROTO;
	}
	set.acl = notes->kept_acl;
	set.which = set.acl & SHAKEOFF_ACL_WHICH;
	set.expires_ns = notes->kept_expire_s * NS_PER_S;
	result = set_use(datapath, &set);
	return result ? result : 1;
}

/* --------------------------------------------------------------------------------------------------------- sweeping */

struct datapath_sweep {
	struct datapath *datapath;
	struct set set;
	struct acl_key key;  /* the next key to check */
	bool has_key;        /* false: the trie of its family begins */
	uint64_t soonest_ns; /* of the entries that stay */
};

int datapath_acl_sweep_begin(struct datapath *datapath, struct datapath_sweep **begun)
{
	struct datapath_sweep *sweep = calloc(1, sizeof(*sweep));
	int result;

	detail_clear();
	if (!sweep)
		return -ENOMEM;
	sweep->datapath = datapath;
	result = set_open(datapath, &sweep->set);
	if (result) {
		datapath_acl_sweep_end(sweep);
		return result;
	}
	/* Entries that are added from now on lower it again. */
	set_expiry(datapath, 0);
	*begun = sweep;
	return 0;
}

void datapath_acl_sweep_end(struct datapath_sweep *sweep)
{
	set_close(&sweep->set);
	free(sweep);
}

/* Returns whether the sweep's set is still in use. */
static bool is_current(const struct datapath_sweep *sweep)
{
	uint32_t acl = acl_now(sweep->datapath), id;
	struct bpf_map_info info;

	return in_use(acl) && (acl & SHAKEOFF_ACL_WHICH) == sweep->set.which &&
	       !bpf_map_lookup_elem(sweep->datapath->maps[MAP_ACL4], &sweep->set.which, &id) &&
	       !map_info(sweep->set.maps[0], &info) && info.id == id;
}

static int verifier(struct datapath_sweep *sweep, int trie, const struct acl_key *key, uint64_t now_ns)
{
	struct shakeoff_acl_entry value;

	if (bpf_map_lookup_elem(trie, &key->v6, &value)) /* removed since it was found */
		return 0;
	if (value.expires_ns && value.expires_ns <= now_ns)
		return take_out(&sweep->set, key);
	sweep->soonest_ns = sooner(sweep->soonest_ns, value.expires_ns);
	return 0;
}

/* Continues in the trie of sweep->key's family. Returns 1 when the time is over, 0 at the trie's end. */
static int sweep_trie(struct datapath_sweep *sweep, uint64_t now_ns, uint64_t end_ns)
{
	int trie = sweep->set.maps[sweep->key.ipv6], result = 0;

	while (!result) {
		struct acl_key key = sweep->key;
		/* Before the entry is removed: from a removed key the kernel would begin anew. */
		bool more = !bpf_map_get_next_key(trie, sweep->has_key ? &key.v6 : NULL, &sweep->key.v6);

		if (!more && errno != ENOENT)
			return -errno;
		if (sweep->has_key)
			result = verifier(sweep, trie, &key, now_ns);
		sweep->has_key = more;
		if (!more)
			break;
		if (!result && now() >= end_ns)
			return 1;
	}
	return result;
}

int datapath_acl_sweep(struct datapath_sweep *sweep, uint64_t now_ns, uint64_t budget_ns)
{
	/* Counted from now on, not from now_ns: a caller that was busy since then would starve the sweep. */
	uint64_t end_ns = now() + budget_ns;
	int result;

	detail_clear();
	if (!is_current(sweep))
		return 0;
	result = sweep_trie(sweep, now_ns, end_ns);
	if (!result && !sweep->key.ipv6) {
		sweep->key.ipv6 = true;
		result = sweep_trie(sweep, now_ns, end_ns);
	}
	if (result)
		return result;
	set_expiry(sweep->datapath, sooner(datapath_acl_expiry(sweep->datapath), sweep->soonest_ns));
	return settle(sweep->datapath, &sweep->set);
}

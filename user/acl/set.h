/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ACL as the hook uses it: a set of two tries and a filter, which is one of the two elements of their maps. Only
 * the files of acl include this file; other files use store.h.
 */
#ifndef SHAKEOFF_ACL_SET_H
#define SHAKEOFF_ACL_SET_H

#include "datapath/datapath_internal.h"
#include "acl/acl.h"

struct acl_key {
	bool ipv6;
	union {
		struct shakeoff_acl_key4 v4;
		struct shakeoff_acl_key6 v6;
	};
};

struct acl_key acl_key_of(const struct prefix *prefix, uint32_t scope);
struct acl_entry acl_entry_of(const struct acl_key *key, const struct shakeoff_acl_entry *value);

/* Returns the earlier of two expiry times, where 0 is never. */
uint64_t acl_sooner(uint64_t a, uint64_t b);

/* The maps of a set. The tries come first: index 0 is IPv4's, 1 IPv6's. */
#define SET_TRIES 2
#define SET_FILTER SET_TRIES
#define SET_MAPS 3

struct acl_set_map {
	enum map outer;
	const char *kept; /* name in bpffs while the set waits for a program */
};
extern const struct acl_set_map acl_set_maps[SET_MAPS];

/* An element of the maps: the one in use, or one that is being made. */
struct acl_set {
	uint32_t which;
	int maps[SET_MAPS];
	struct shakeoff_acl_block *blocks; /* of the filter */
	uint32_t acl;                      /* SHAKEOFF_ACL_* for the hook */
	uint64_t expires_ns;               /* the earliest expiry of its entries; 0: nothing expires */
};

struct acl_set acl_set_empty(uint32_t which);
void acl_set_close(struct acl_set *set);
#define cleanup_acl_set __attribute__((cleanup(acl_set_close)))

static inline struct shakeoff_acl_notes *acl_set_notes(const struct acl_set *set)
{
	return (struct shakeoff_acl_notes *)&set->blocks[SHAKEOFF_ACL_NOTES_BLOCK];
}

/* Returns SHAKEOFF_ACL_* of the set in use. */
static inline uint32_t acl_flags_now(const struct datapath *datapath)
{
	return __atomic_load_n(&datapath->control->acl, __ATOMIC_RELAXED);
}

/* Returns whether there are maps at all. */
static inline bool acl_flags_in_use(uint32_t acl)
{
	return acl & ~SHAKEOFF_ACL_WHICH;
}

/* Maps the filter into memory. Its map must be open. */
int acl_set_map_filter(struct acl_set *set);

/* Opens the set in use. */
int acl_set_open(const struct datapath *datapath, struct acl_set *set);

/* Makes an empty set for a number of entries, in the element that is not in use. */
int acl_set_make(const struct datapath *datapath, size_t entries, struct acl_set *set);

/*
 * Adds the name of a scope to the notes. name: NULL for all services. -EEXIST: another name has this scope; -E2BIG: the
 * notes are full.
 */
int acl_set_name(struct acl_set *set, uint32_t scope, const char *name);

/* Adds or changes an entry. */
int acl_set_put(struct acl_set *set, const struct acl_entry *entry);

/* Removes an entry. -ENOENT: the set does not have it. */
int acl_set_take_out(struct acl_set *set, const struct acl_key *key);

/* Puts a new set into use in place of the present one. */
int acl_set_use(struct datapath *datapath, const struct acl_set *set);

/* Publishes when the first entry expires; 0: never. */
void acl_set_expiry(struct datapath *datapath, uint64_t expires_ns);

/* Clears the ACL if it has no more entries: an empty ACL must cost nothing. */
int acl_set_settle(struct datapath *datapath, const struct acl_set *set);

#endif

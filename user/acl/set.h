/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lists as the hook has them: two tries and a filter, together one of the two elements of their maps. For the files of acl;
 * all others use store.h.
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

/* Returns the earlier of two times of expiry, of which 0 is never. */
uint64_t acl_sooner(uint64_t a, uint64_t b);

/* The maps of a set. The tries come first: index 0 is IPv4's, 1 IPv6's. */
#define SET_TRIES 2
#define SET_FILTER SET_TRIES
#define SET_MAPS 3

struct acl_set_map {
	enum map outer;
	const char *kept; /* under this name it waits for a program */
};
extern const struct acl_set_map acl_set_maps[SET_MAPS];

/* One element: the one in use, or one that is being made. */
struct acl_set {
	uint32_t which;
	int maps[SET_MAPS];
	struct shakeoff_acl_block *blocks; /* of the filter */
	uint32_t acl;                      /* SHAKEOFF_ACL_* that the hook is to know */
	uint64_t expires_ns;               /* of what was put into it, the first; 0: nothing expires */
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

/* Whether there are maps at all. */
static inline bool acl_flags_in_use(uint32_t acl)
{
	return acl & ~SHAKEOFF_ACL_WHICH;
}

/* Maps the memory of the filter, whose map is open. */
int acl_set_map_filter(struct acl_set *set);

/* Opens the set in use. */
int acl_set_open(const struct datapath *datapath, struct acl_set *set);

/* Makes an empty set for a number of entries, in the element that is not in use. */
int acl_set_make(const struct datapath *datapath, size_t entries, struct acl_set *set);

/* Notes the name of a scope. name: NULL for all services. -EEXIST: another name has this scope; -E2BIG: no more names fit. */
int acl_set_name(struct acl_set *set, uint32_t scope, const char *name);

/* Adds an entry, or changes it. */
int acl_set_put(struct acl_set *set, const struct acl_entry *entry);

/* Takes an entry out. -ENOENT: it is not there. */
int acl_set_take_out(struct acl_set *set, const struct acl_key *key);

/* Puts a set that was made into use, in place of the one that is. */
int acl_set_use(struct datapath *datapath, const struct acl_set *set);

/* Tells the hook and the daemon when the first entry expires; 0: none does. */
void acl_set_expiry(struct datapath *datapath, uint64_t expires_ns);

/* Removes the set in use if no entry is left in it, so that it costs nothing. */
int acl_set_settle(struct datapath *datapath, const struct acl_set *set);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Removes expired entries, in steps. */
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "acl/set.h"
#include "acl/store.h"

struct datapath_sweep {
	struct datapath *datapath;
	struct acl_set set;
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
	result = acl_set_open(datapath, &sweep->set);
	if (result) {
		datapath_acl_sweep_end(sweep);
		return result;
	}
	/* Entries that are added from now on lower it again. */
	acl_set_expiry(datapath, 0);
	*begun = sweep;
	return 0;
}

void datapath_acl_sweep_end(struct datapath_sweep *sweep)
{
	acl_set_close(&sweep->set);
	free(sweep);
}

/* Returns whether the sweep's set is still in use. */
static bool is_current(const struct datapath_sweep *sweep)
{
	uint32_t acl = acl_flags_now(sweep->datapath), id;
	struct bpf_map_info info;

	return acl_flags_in_use(acl) && (acl & SHAKEOFF_ACL_WHICH) == sweep->set.which &&
	       !bpf_map_lookup_elem(sweep->datapath->maps[MAP_ACL4], &sweep->set.which, &id) &&
	       !map_info(sweep->set.maps[0], &info) && info.id == id;
}

/* Takes the entry out if it has expired; else notes when it will. 0 or a negative errno. */
static int sweep_entry(struct datapath_sweep *sweep, int trie, const struct acl_key *key, uint64_t now_ns)
{
	struct shakeoff_acl_entry value;

	if (bpf_map_lookup_elem(trie, &key->v6, &value)) /* removed since it was found */
		return 0;
	if (value.expires_ns && value.expires_ns <= now_ns)
		return acl_set_take_out(&sweep->set, key);
	sweep->soonest_ns = acl_sooner(sweep->soonest_ns, value.expires_ns);
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
			result = sweep_entry(sweep, trie, &key, now_ns);
		sweep->has_key = more;
		if (!more)
			break;
		if (!result && clock_ns() >= end_ns)
			return 1;
	}
	return result;
}

int datapath_acl_sweep(struct datapath_sweep *sweep, uint64_t now_ns, uint64_t budget_ns)
{
	/* Counted from now on, not from now_ns: a caller that was busy since then would starve the sweep. */
	uint64_t end_ns = clock_ns() + budget_ns;
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
	acl_set_expiry(sweep->datapath, acl_sooner(datapath_acl_expiry(sweep->datapath), sweep->soonest_ns));
	return acl_set_settle(sweep->datapath, &sweep->set);
}

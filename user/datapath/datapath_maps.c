/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The elements of the maps: addresses, counters, rings and the simple ones. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <shakeoff/validated.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "common/issued.h"
#include "datapath/datapath_internal.h"
#include "datapath/ring_record.h"

/* Maximum of events of a datapath_ring_consume(), so that a steady stream does not keep its caller from other work. */
#define RING_BATCH 4096

struct datapath_ring {
	struct ring_buffer *buffer;
	datapath_event_fn callback;
	void *context;
	int consumed;
};

/* -------------------------------------------------------------------------------------------------------- addresses */

struct address_key {
	enum map map;
	union {
		struct shakeoff_address4 v4;
		struct shakeoff_address6 v6;
	};
};

static struct address_key address_key(const struct in6_addr *address, uint16_t port)
{
	struct address_key key = { 0 };

	if (IN6_IS_ADDR_V4MAPPED(address)) {
		key.map = MAP_ADDRESSES4;
		memcpy(&key.v4.address, &address->s6_addr[12], 4);
		key.v4.port = htons(port);
	} else {
		key.map = MAP_ADDRESSES6;
		memcpy(key.v6.address, address, sizeof(*address));
		key.v6.port = htons(port);
	}
	return key;
}

static void address_of_key(const struct address_key *key, struct in6_addr *address, uint16_t *port)
{
	memset(address, 0, sizeof(*address));
	if (key->map == MAP_ADDRESSES4) {
		address->s6_addr[10] = address->s6_addr[11] = 0xff;
		memcpy(&address->s6_addr[12], &key->v4.address, 4);
		*port = ntohs(key->v4.port);
	} else {
		memcpy(address, key->v6.address, sizeof(*address));
		*port = ntohs(key->v6.port);
	}
}

static int map_set(const struct datapath *datapath, enum map map, const void *key, const void *value)
{
	return bpf_map_update_elem(datapath->maps[map], key, value, BPF_ANY) ? -errno : 0;
}

static int map_get(const struct datapath *datapath, enum map map, const void *key, void *value)
{
	return bpf_map_lookup_elem(datapath->maps[map], key, value) ? -errno : 0;
}

static int map_remove(const struct datapath *datapath, enum map map, const void *key)
{
	return bpf_map_delete_elem(datapath->maps[map], key) ? -errno : 0;
}

/* Tells the hook after a change that its last look-ups are outdated. */
static int changed(struct datapath *datapath, int result)
{
	if (!result)
		__atomic_add_fetch(&datapath->control->generation, 1, __ATOMIC_RELEASE);
	return result;
}

int datapath_address_set(struct datapath *datapath, const struct in6_addr *address, uint16_t port, uint32_t value)
{
	struct address_key key = address_key(address, port);

	return changed(datapath, map_set(datapath, key.map, &key.v6, &value));
}

int datapath_address_get(struct datapath *datapath, const struct in6_addr *address, uint16_t port, uint32_t *value)
{
	struct address_key key = address_key(address, port);

	return map_get(datapath, key.map, &key.v6, value);
}

int datapath_address_remove(struct datapath *datapath, const struct in6_addr *address, uint16_t port)
{
	struct address_key key = address_key(address, port);

	return changed(datapath, map_remove(datapath, key.map, &key.v6));
}

/* Collects all keys first, because a removal during an iteration would make it begin again. */
static int addresses_collect(struct datapath *datapath, enum map map, struct address_key **keys, size_t *count)
{
	struct address_key key = { .map = map };
	const void *previous = NULL;

	while (!bpf_map_get_next_key(datapath->maps[map], previous, &key.v6)) {
		if (array_append(*keys, *count, key))
			return -ENOMEM;
		previous = &key.v6;
		if (*count > 2 * SHAKEOFF_MAX_ADDRESSES) /* another process keeps changing the map */
			return -EAGAIN;
	}
	return errno == ENOENT ? 0 : -errno;
}

int datapath_address_each(struct datapath *datapath,
			  int (*callback)(void *context, const struct in6_addr *address, uint16_t port, uint32_t value),
			  void *context)
{
	cleanup_free struct address_key *keys = NULL;
	size_t count = 0;
	int result;

	result = addresses_collect(datapath, MAP_ADDRESSES4, &keys, &count);
	if (!result)
		result = addresses_collect(datapath, MAP_ADDRESSES6, &keys, &count);
	for (size_t i = 0; i < count && !result; i++) {
		struct in6_addr address;
		uint32_t value;
		uint16_t port;

		if (map_get(datapath, keys[i].map, &keys[i].v6, &value))
			continue;
		address_of_key(&keys[i], &address, &port);
		result = callback(context, &address, port, value);
	}
	return result;
}

/* ---------------------------------------------------------------------------------------------- the simple elements */

int datapath_interface_set(struct datapath *datapath, uint32_t ifindex, const struct shakeoff_interface *interface)
{
	const struct shakeoff_admissions none = { 0 };

	/* Existing counters stay. */
	if (bpf_map_update_elem(datapath->maps[MAP_ADMISSIONS], &ifindex, &none, BPF_NOEXIST) && errno != EEXIST)
		return -errno;
	return changed(datapath, map_set(datapath, MAP_INTERFACES, &ifindex, interface));
}

int datapath_interface_get(struct datapath *datapath, uint32_t ifindex, struct shakeoff_interface *interface)
{
	return map_get(datapath, MAP_INTERFACES, &ifindex, interface);
}

int datapath_interface_remove(struct datapath *datapath, uint32_t ifindex)
{
	map_remove(datapath, MAP_ADMISSIONS, &ifindex);
	return changed(datapath, map_remove(datapath, MAP_INTERFACES, &ifindex));
}

int datapath_admissions(struct datapath *datapath, uint32_t ifindex, struct shakeoff_admissions *admissions)
{
	return map_get(datapath, MAP_ADMISSIONS, &ifindex, admissions);
}

int datapath_key_set(struct datapath *datapath, uint32_t slot, const struct shakeoff_epoch_key *key)
{
	return changed(datapath, map_set(datapath, MAP_KEYS, &slot, key));
}

/* Finds an entry, and its index. */
static int validated_find(struct datapath *datapath, const struct shakeoff_tuple *tuple,
			  struct shakeoff_validated *entry, uint32_t *index)
{
	uint32_t set = shakeoff_validated_set(shakeoff_filter_tuple_slot(tuple));

	for (*index = set; *index < set + SHAKEOFF_VALIDATED_WAYS; (*index)++) {
		int result = map_get(datapath, MAP_VALIDATED, index, entry);

		if (result)
			return result;
		if (entry->established_ns && !memcmp(&entry->tuple, tuple, sizeof(*tuple)))
			return 0;
	}
	return -ENOENT;
}

int datapath_validated_get(struct datapath *datapath, const struct shakeoff_tuple *tuple,
			   struct shakeoff_validated *entry)
{
	uint32_t index;

	return validated_find(datapath, tuple, entry, &index);
}

/*
 * Forgets a tuple. An entry that the hook makes at the same time in its place is forgotten with it, but a young entry
 * is never the one to be replaced.
 */
int datapath_validated_forget(struct datapath *datapath, const struct shakeoff_tuple *tuple)
{
	const struct shakeoff_validated nothing = { 0 };
	struct shakeoff_validated entry;
	uint32_t index;
	int result;

	result = validated_find(datapath, tuple, &entry, &index);
	return result ? result : map_set(datapath, MAP_VALIDATED, &index, &nothing);
}

/* --------------------------------------------------------------------------------------------------------- counters */

/* Adds up values that are arrays of `words` __u64 for every possible CPU into `sum`. */
static int percpu_sum(const struct datapath *datapath, enum map map, uint32_t key, uint64_t *values, uint64_t *sum,
		      size_t words)
{
	int cpus = libbpf_num_possible_cpus(), result;

	result = map_get(datapath, map, &key, values);
	if (result)
		return result;
	memset(sum, 0, words * sizeof(*sum));
	for (int cpu = 0; cpu < cpus; cpu++)
		for (size_t word = 0; word < words; word++)
			sum[word] += values[cpu * words + word];
	return 0;
}

static int percpu_values(size_t words, uint64_t **values)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	*values = calloc(cpus, words * sizeof(**values));
	return *values ? 0 : -ENOMEM;
}

int datapath_verdicts(struct datapath *datapath, uint64_t counts[SHAKEOFF_VERDICT_COUNT])
{
	cleanup_free uint64_t *values = NULL;
	uint64_t sums[SHAKEOFF_VERDICT_COUNT];
	int result;

	result = percpu_values(1, &values);
	for (uint32_t i = 0; i < SHAKEOFF_VERDICT_COUNT && !result; i++)
		result = percpu_sum(datapath, MAP_VERDICTS, i, values, &sums[i], 1);
	if (!result)
		memcpy(counts, sums, sizeof(sums));
	return result;
}

#define COUNTER_WORDS (sizeof(struct shakeoff_service_counters) / sizeof(uint64_t))

int datapath_service_counters(struct datapath *datapath, uint32_t service, struct shakeoff_service_counters *counters)
{
	cleanup_free uint64_t *values = NULL;
	uint64_t sum[COUNTER_WORDS];
	int result;

	result = percpu_values(COUNTER_WORDS, &values);
	if (!result)
		result = percpu_sum(datapath, MAP_SERVICE_COUNTERS, service, values, sum, COUNTER_WORDS);
	if (!result)
		memcpy(counters, sum, sizeof(*counters));
	return result;
}

int datapath_service_counters_reset(struct datapath *datapath, uint32_t service)
{
	cleanup_free uint64_t *values = NULL;
	int result;

	result = percpu_values(COUNTER_WORDS, &values);
	return result ? result : map_set(datapath, MAP_SERVICE_COUNTERS, &service, values);
}

#define ISSUED_SIZE (2 * SHAKEOFF_ISSUED_WORDS * sizeof(uint64_t))

int datapath_issued_false_positive_rate(struct datapath *datapath, uint64_t now_ns, double *share)
{
	uint64_t *words = mmap(NULL, ISSUED_SIZE, PROT_READ, MAP_SHARED, datapath->maps[MAP_ISSUED], 0);

	if (words == MAP_FAILED)
		return -errno;
	*share = issued_false_positive_rate(words, now_ns);
	munmap(words, ISSUED_SIZE);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------ rings */

static int ring_make(const struct datapath *datapath, uint32_t index)
{
	cleanup_fd int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "shakeoff_ring", 0, 0, SHAKEOFF_RING_BYTES, NULL);

	return fd < 0 ? -errno : map_set(datapath, MAP_RINGS, &index, &fd);
}

/*
 * Makes the rings, but keeps the number that a daemon used: the hook distributes tuples over it, and events that wait
 * in one ring must not be overtaken by later events in another.
 */
int datapath_rings_prepare(struct datapath *datapath, uint32_t count, uint32_t *actual)
{
	uint32_t used = __atomic_load_n(&datapath->control->rings, __ATOMIC_RELAXED);

	detail_clear();
	if (!count || count > SHAKEOFF_MAX_RINGS)
		return -EINVAL;
	if (used && used <= SHAKEOFF_MAX_RINGS)
		count = used;
	for (uint32_t i = 0; i < count; i++) {
		cleanup_fd int ring = -1;
		int result = map_inner(datapath, MAP_RINGS, i, &ring);

		if (result == -ENOENT)
			result = ring_make(datapath, i);
		if (result)
			return result;
	}
	*actual = count;
	return 0;
}

static int ring_event(void *context, void *data, size_t size)
{
	struct datapath_ring *ring = context;
	const struct shakeoff_event *event = data;

	if (ring_record_is_whole(event, size))
		ring->callback(ring->context, event);
	return ++ring->consumed < RING_BATCH ? 0 : -ECANCELED;
}

int datapath_ring_open(struct datapath *datapath, uint32_t index, datapath_event_fn callback, void *context,
		       struct datapath_ring **opened)
{
	cleanup_free struct datapath_ring *ring = calloc(1, sizeof(*ring));
	cleanup_fd int fd = -1;
	int result;

	detail_clear();
	if (!ring)
		return -ENOMEM;
	result = map_inner(datapath, MAP_RINGS, index, &fd);
	if (result)
		return result;
	ring->callback = callback;
	ring->context = context;
	ring->buffer = ring_buffer__new(fd, ring_event, ring, NULL);
	if (!ring->buffer)
		return -errno;
	*opened = take_pointer(ring);
	return 0;
}

int datapath_ring_fd(const struct datapath_ring *ring)
{
	return ring_buffer__epoll_fd(ring->buffer);
}

int datapath_ring_consume(struct datapath_ring *ring)
{
	int result;

	ring->consumed = 0;
	result = ring_buffer__consume(ring->buffer);
	return result < 0 && result != -ECANCELED ? result : ring->consumed;
}

void datapath_ring_close(struct datapath_ring *ring)
{
	if (!ring)
		return;
	ring_buffer__free(ring->buffer);
	free(ring);
}

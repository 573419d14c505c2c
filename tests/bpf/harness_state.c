/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The contents of the harness's maps when a frame is run. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <shakeoff/acl.h>
#include <shakeoff/socket_filter.h>
#include <shakeoff/source.h>
#include <shakeoff/validated.h>

#include "harness.h"

/* frame_host_mac in the hook's format. */
#define MAC_WORDS(a, b, c, d, e, f)                                                                                    \
	{                                                                                                              \
		htons((a) << 8 | (b)), htons((c) << 8 | (d)), htons((e) << 8 | (f))                                    \
	}

struct shakeoff_interface interface_default(void)
{
	return (struct shakeoff_interface){
		.mss = { MSS4, MSS6 },
		.sack = 1,
		.timestamps = 1,
		.hop_limit = { OUR_TTL, OUR_HOP_LIMIT },
		.window_scaling = 1,
		.window_space = WINDOW_SPACE,
		.route_bit = 1,
		.mac_count = 1,
		.macs = { MAC_WORDS(0x02, 0, 0, 0, 0, 0x01) },
	};
}

void key_set(__u32 slot, uint64_t change)
{
	struct shakeoff_epoch_key key = {
		.cookie = { 0x1111111111111111 * (slot + 1) ^ change, 0x0123456789abcdef + slot },
		.offset = { 0xfedcba9876543210, 0x02468ace13579bdf }, /* the same in every slot */
	};

	assert_int_equal(bpf_map_update_elem(harness.keys, &slot, &key, BPF_ANY), 0);
}

/* Tells the hook that what it keeps of earlier look-ups may be wrong. Never uses the number of an earlier test. */
void generation_raise(void)
{
	static __u32 generation;

	harness.control->generation = ++generation;
}

void interface_set(const struct shakeoff_interface *profile)
{
	bpf_map_delete_elem(harness.interfaces, &harness.ifindex);
	if (profile)
		assert_int_equal(bpf_map_update_elem(harness.interfaces, &harness.ifindex, profile, BPF_ANY), 0);
	generation_raise();
}

/* Splits a prefix into address and length; without a length it is an address. */
static __u32 prefix_split(const char *prefix, char *address, size_t size, __u32 longest)
{
	size_t len = strcspn(prefix, "/");

	assert_true(len < size);
	memcpy(address, prefix, len);
	address[len] = '\0';
	return prefix[len] ? (__u32)strtoul(prefix + len + 1, NULL, 10) : longest;
}

void route_set(const char *prefix, const struct shakeoff_route *route)
{
	struct shakeoff_route_key4 key4 = { 0 };
	struct shakeoff_route_key6 key6 = { 0 };
	char address[INET6_ADDRSTRLEN];
	bool is_ipv6 = strchr(prefix, ':');

	if (is_ipv6) {
		key6.prefix_len = prefix_split(prefix, address, sizeof(address), 128);
		assert_int_equal(inet_pton(AF_INET6, address, key6.address), 1);
		assert_int_equal(bpf_map_update_elem(harness.routes6, &key6, route, BPF_ANY), 0);
		harness.control->flags |= SHAKEOFF_ROUTES6;
	} else {
		key4.prefix_len = prefix_split(prefix, address, sizeof(address), 32);
		assert_int_equal(inet_pton(AF_INET, address, &key4.address), 1);
		assert_int_equal(bpf_map_update_elem(harness.routes4, &key4, route, BPF_ANY), 0);
		harness.control->flags |= SHAKEOFF_ROUTES4;
	}
	generation_raise();
}

/* Adds or removes the first address of the prefix, in the format of the maps of own addresses. */
void own_set(const char *prefix, bool own)
{
	struct shakeoff_route_key4 key4 = { 0 };
	struct shakeoff_route_key6 key6 = { 0 };
	char address[64];

	if (strchr(prefix, ':')) {
		key6.prefix_len = prefix_split(prefix, address, sizeof(address), 128);
		assert_int_equal(inet_pton(AF_INET6, address, key6.address), 1);
		if (own)
			assert_int_equal(bpf_map_update_elem(harness.own6, &key6, key6.address, BPF_ANY), 0);
		else
			bpf_map_delete_elem(harness.own6, &key6);
		harness.control->own_prefixes |= own && key6.prefix_len < 128;
	} else {
		key4.prefix_len = prefix_split(prefix, address, sizeof(address), 32);
		assert_int_equal(inet_pton(AF_INET, address, &key4.address), 1);
		if (own)
			assert_int_equal(bpf_map_update_elem(harness.own4, &key4, &key4.address, BPF_ANY), 0);
		else
			bpf_map_delete_elem(harness.own4, &key4);
		harness.control->own_prefixes |= own && key4.prefix_len < 32;
	}
	memset(harness.control->own, own ? 0xff : 0, sizeof(harness.control->own));
	generation_raise();
}

/* Adds the VLANs of the tags that frame_make() writes: 802.1Q and 802.1ad of VLAN 100. */
static void vlans_set(void)
{
	const uint8_t there = 1;

	for (int provider = 0; provider < 2; provider++) {
		__u32 key = SHAKEOFF_VLAN_KEY(harness.ifindex, SHAKEOFF_VLAN_TAG(provider, 100));

		assert_int_equal(bpf_map_update_elem(harness.vlans, &key, &there, BPF_ANY), 0);
	}
}

static void routes_clear(void)
{
	struct shakeoff_route_key4 key4;
	struct shakeoff_route_key6 key6;

	while (!bpf_map_get_next_key(harness.routes4, NULL, &key4))
		assert_int_equal(bpf_map_delete_elem(harness.routes4, &key4), 0);
	while (!bpf_map_get_next_key(harness.routes6, NULL, &key6))
		assert_int_equal(bpf_map_delete_elem(harness.routes6, &key6), 0);
}

void service_listens(enum shakeoff_syncookies syncookies)
{
	struct shakeoff_interface profile = interface_default();

	harness.service->handoff = SHAKEOFF_HANDOFF_LISTENER;
	harness.service->syncookies = syncookies;
	profile.admits = 1;
	interface_set(&profile);
}

struct shakeoff_tuple tuple_of_segment(const struct segment *segment)
{
	struct shakeoff_tuple tuple = {
		.remote_port = htons(segment->zero_sport ? 0 :
				     segment->sport      ? segment->sport :
							   40000),
		.local_port = htons(segment->dport ? segment->dport : 80),
	};

	if (segment_is_ipv6(segment)) {
		inet_pton(AF_INET6, segment->from ? segment->from : "2001:db8:7::7", tuple.remote);
		inet_pton(AF_INET6, segment->to ? segment->to : "2001:db8::1", tuple.local);
	} else {
		tuple.remote[2] = tuple.local[2] = htonl(0xffff);
		inet_pton(AF_INET, segment->from ? segment->from : "198.51.100.7", &tuple.remote[3]);
		inet_pton(AF_INET, segment->to ? segment->to : "10.9.0.1", &tuple.local[3]);
	}
	return tuple;
}

static __u32 set_of(const struct shakeoff_tuple *tuple)
{
	return shakeoff_validated_set(shakeoff_filter_tuple_slot(tuple));
}

/* The sets of the table that segments of this test may be in. */
static bool set_is_used[SHAKEOFF_MAX_VALIDATED / SHAKEOFF_VALIDATED_WAYS];
static __u32 used_sets[SHAKEOFF_MAX_VALIDATED / SHAKEOFF_VALIDATED_WAYS];
static size_t used_set_count;

void validated_note(const struct segment *segment)
{
	struct shakeoff_tuple tuple = tuple_of_segment(segment);
	__u32 set = set_of(&tuple);
	bool *used = &set_is_used[set / SHAKEOFF_VALIDATED_WAYS];

	if (!*used)
		used_sets[used_set_count++] = set;
	*used = true;
}

/* Returns its position, or -1. */
static int validated_find(const struct shakeoff_tuple *tuple, struct shakeoff_validated *entry)
{
	__u32 set = set_of(tuple);

	for (__u32 presence = set; presence < set + SHAKEOFF_VALIDATED_WAYS; presence++) {
		assert_int_equal(bpf_map_lookup_elem(harness.validated, &presence, entry), 0);
		if (entry->established_ns && !memcmp(&entry->tuple, tuple, sizeof(*tuple)))
			return presence;
	}
	return -1;
}

bool validated_get(const struct segment *segment, struct shakeoff_validated *entry)
{
	struct shakeoff_tuple tuple = tuple_of_segment(segment);

	return validated_find(&tuple, entry) >= 0;
}

void validated_set(const struct segment *segment, const struct shakeoff_validated *entry)
{
	struct shakeoff_tuple tuple = tuple_of_segment(segment);
	struct shakeoff_validated before;
	__u32 presence = validated_find(&tuple, &before);

	assert_int_equal(bpf_map_update_elem(harness.validated, &presence, entry, BPF_ANY), 0);
}

void validated_age(const struct segment *segment, int64_t age_ns)
{
	struct shakeoff_validated entry;

	assert_true(validated_get(segment, &entry));
	entry.established_ns = monotonic_ns() - age_ns;
	validated_set(segment, &entry);
}

static void sources_clear(int map)
{
	struct shakeoff_source_key key;

	while (!bpf_map_get_next_key(map, NULL, &key))
		bpf_map_delete_elem(map, &key);
}

static void validated_clear(void)
{
	static const struct shakeoff_validated nothing;

	while (used_set_count > 0) {
		__u32 set = used_sets[--used_set_count];

		for (__u32 presence = set; presence < set + SHAKEOFF_VALIDATED_WAYS; presence++)
			assert_int_equal(bpf_map_update_elem(harness.validated, &presence, &nothing, BPF_ANY), 0);
		set_is_used[set / SHAKEOFF_VALIDATED_WAYS] = false;
	}
}

uint8_t filter_get(const struct segment *segment, __u32 which)
{
	static struct shakeoff_filter filter;
	struct shakeoff_tuple tuple = tuple_of_segment(segment);
	uint32_t slot = shakeoff_filter_tuple_slot(&tuple);

	assert_int_equal(bpf_map_lookup_elem(harness.filter, &which, &filter), 0);
	assert_true(filter.regions[slot >> SHAKEOFF_FILTER_REGION_BITS] || !filter.slots[slot]);
	return filter.slots[slot];
}

void filter_fill(uint8_t byte)
{
	static struct shakeoff_filter filter;

	memset(filter.slots, byte, sizeof(filter.slots));
	memset(filter.regions, byte ? 1 : 0, sizeof(filter.regions));
	for (__u32 which = 0; which < 2; which++)
		assert_int_equal(bpf_map_update_elem(harness.filter, &which, &filter, BPF_ANY), 0);
}

/* Clears what the hook keeps from packet to packet. */
static void scratch_clear(void)
{
	struct bpf_map *scratches = bpf_object__find_map_by_name(harness.object, "scratches");
	size_t size = bpf_map__value_size(scratches) * libbpf_num_possible_cpus();
	void *zeros = calloc(1, size);
	__u32 zero = 0;

	assert_non_null(zeros);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(scratches), &zero, zeros, BPF_ANY), 0);
	free(zeros);
}

void budget_spend(bool spent)
{
	harness.service->budget_window = spent ? (__u32)(monotonic_ns() / SHAKEOFF_BUDGET_WINDOW_NS) + 100000 : 0;
	harness.service->budget_syns = harness.service->budget_known = spent ? UINT32_MAX : 0;
}

int harness_reset(void **state)
{
	struct shakeoff_interface profile = interface_default();
	uint64_t now = monotonic_ns();

	(void)state;
	harness.program = harness.plain_program;
	harness.linear = 0;
	harness.service_id = SERVICE;
	scratch_clear();
	*harness.control = (struct shakeoff_control){
		.heartbeat_ns = now,
		/* In the middle of an epoch, so that no epoch ends during a test. */
		.epoch_offset_ns = EPOCH * SHAKEOFF_EPOCH_NS + SHAKEOFF_EPOCH_NS / 2 - now,
		.flags = SHAKEOFF_KEYS_LOADED,
		.rings = RINGS,
	};
	*harness.service = (struct shakeoff_service){
		.name = "web",
		.acl_scope = shakeoff_acl_scope("web"),
		.flags = SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED,
		.handoff = SHAKEOFF_HANDOFF_QUEUE,
		.overflow = SHAKEOFF_OVERFLOW_DROP,
		.offer = { .rcv_space = RCV_SPACE, .hop_limit = { -1, -1 } },
		.capacity = 100,
		.backlog = UINT32_MAX,
		.flood_rate = SHAKEOFF_FLOOD_RATE_DEFAULT,
	};
	interface_set(&profile); /* raises the generation */
	for (__u32 slot = 0; slot < SHAKEOFF_KEY_SLOTS; slot++)
		key_set(slot, 0);
	routes_clear();
	vlans_set();
	validated_clear();
	sources_clear(harness.sources);
	sources_clear(harness.syn_sources);
	filter_fill(0);
	rings_set(SHAKEOFF_RING_BYTES);
	events_forget();
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>
#include <shakeoff/acl.h>
#include <shakeoff/source.h>
#include <shakeoff/validated.h>

#include "handshake.skel.h"

#include "harness.h"

struct harness harness;

static struct handshake *skeleton;
static struct shakeoff_service *services;
static struct ring_buffer *ring_buffer;

#define MAX_EVENTS 256
static struct shakeoff_event *events[MAX_EVENTS];
static int events_count, events_taken;

static const struct {
	const char *name;
	enum xdp_action action;
	__u32 counts;
} verdicts[] = {
#define X(constant, name, action, counts, help) [SHAKEOFF_##constant] = { name, XDP_##action, counts },
	SHAKEOFF_VERDICTS(X)
#undef X
};

const char *verdict_name(enum shakeoff_verdict verdict)
{
	return verdicts[verdict].name;
}

uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* -------------------------------------------------------------------------------------------------------- counting */

struct counts {
	uint64_t verdicts[SHAKEOFF_VERDICT_COUNT];
	struct shakeoff_service_counters service;
};

static void counts_read(struct counts *counts)
{
	int cpus = libbpf_num_possible_cpus();
	struct shakeoff_service_counters service[cpus];
	uint64_t packets[cpus];
	__u32 id = harness.service_id;

	memset(counts, 0, sizeof(*counts));
	for (__u32 i = 0; i < SHAKEOFF_VERDICT_COUNT; i++) {
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.verdicts), &i, packets), 0);
		for (int cpu = 0; cpu < cpus; cpu++)
			counts->verdicts[i] += packets[cpu];
	}
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.service_counts), &id, service), 0);
	for (int cpu = 0; cpu < cpus; cpu++) {
		counts->service.syn += service[cpu].syn;
		counts->service.synack += service[cpu].synack;
		counts->service.ack_valid += service[cpu].ack_valid;
		counts->service.ack_invalid += service[cpu].ack_invalid;
		counts->service.overflow += service[cpu].overflow;
	}
}

/* The one verdict that was counted, once, between two readings. */
static enum shakeoff_verdict counted_once(const struct counts *before, const struct counts *after)
{
	enum shakeoff_verdict verdict = SHAKEOFF_VERDICT_COUNT;
	uint64_t sum = 0;

	for (int i = 0; i < SHAKEOFF_VERDICT_COUNT; i++) {
		uint64_t difference = after->verdicts[i] - before->verdicts[i];

		sum += difference;
		if (difference)
			verdict = i;
	}
	assert_int_equal(sum, 1);
	return verdict;
}

static void assert_service_counted(const struct counts *before, const struct counts *after, __u32 counts)
{
	assert_int_equal(after->service.syn - before->service.syn, !!(counts & SHAKEOFF_COUNTS_SYN));
	assert_int_equal(after->service.synack - before->service.synack, !!(counts & SHAKEOFF_COUNTS_SYNACK));
	assert_int_equal(after->service.ack_valid - before->service.ack_valid, !!(counts & SHAKEOFF_COUNTS_ACK_VALID));
	assert_int_equal(after->service.ack_invalid - before->service.ack_invalid,
			 !!(counts & SHAKEOFF_COUNTS_ACK_INVALID));
	assert_int_equal(after->service.overflow - before->service.overflow, !!(counts & SHAKEOFF_COUNTS_OVERFLOW));
}

/* --------------------------------------------------------------------------------------------------------- running */

/* An answer goes back to the very sender (but with SHAKEOFF_ANSWER_ROUTE), with the tags that the frame had. */
static void assert_goes_back(const struct frame *in, const struct frame *out)
{
	struct reading reading;
	const char *wrong = frame_read(out->bytes, out->len, &reading);
	size_t address = reading.ipv6 ? 16 : 4;
	const uint8_t *ip = in->bytes + reading.l3;

	if (wrong)
		fail_msg("the frame sent is wrong: %s", wrong);
	if (!(harness.control->flags & SHAKEOFF_ANSWER_ROUTE))
		assert_memory_equal(out->bytes, in->bytes + 6, 6);
	assert_memory_equal(out->bytes + 6, in->bytes, 6);
	assert_memory_equal(out->bytes + 12, in->bytes + 12, reading.l3 - 12);
	assert_memory_equal(reading.client, ip + (reading.ipv6 ? 8 : 12), address);
	assert_memory_equal(reading.server, ip + (reading.ipv6 ? 24 : 16), address);
}

enum shakeoff_verdict run_frame(const struct frame *in, struct frame *out)
{
	static struct frame after;
	size_t linear = harness.linear && harness.linear < in->len ? harness.linear : in->len;
	struct xdp_md context = { .data_end = linear, .ingress_ifindex = harness.ifindex }, context_out = { 0 };
	struct counts counts_before, counts_after;
	enum shakeoff_verdict verdict;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in->bytes, .data_size_in = in->len, .data_out = after.bytes,
		    .data_size_out = sizeof(after.bytes), .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .ctx_out = &context_out, .ctx_size_out = sizeof(context_out));
	int err;

	counts_read(&counts_before);
	err = bpf_prog_test_run_opts(harness.program, &options);
	if (err == -EINVAL && linear != in->len)
		skip(); /* this kernel's test run fills the first buffer */
	if (err)
		fail_msg("a frame of %zu bytes could not be run: %s", in->len, strerror(-err));
	counts_read(&counts_after);
	verdict = counted_once(&counts_before, &counts_after);
	assert_service_counted(&counts_before, &counts_after, verdicts[verdict].counts);
	assert_int_equal(options.retval, verdicts[verdict].action);
	/* Metadata comes first; context_out.data is its length. */
	harness.metadata_len = context_out.data;
	assert_true(harness.metadata_len <= sizeof(harness.metadata));
	assert_true(!harness.metadata_len || verdict == SHAKEOFF_ACK_ADMITTED || verdict == SHAKEOFF_SEGMENT_EARLY);
	memcpy(harness.metadata, after.bytes, harness.metadata_len);
	after.len = options.data_size_out - harness.metadata_len;
	memmove(after.bytes, after.bytes + harness.metadata_len, after.len);
	if (options.retval == XDP_PASS) {
		assert_int_equal(after.len, in->len);
		assert_memory_equal(after.bytes, in->bytes, in->len);
	} else if (options.retval == XDP_TX) {
		assert_goes_back(in, &after);
	}
	if (out)
		*out = after;
	return verdict;
}

static __u32 set_of(const struct shakeoff_tuple *tuple)
{
	return shakeoff_validated_set(shakeoff_filter_tuple_slot(tuple));
}

/* The sets of the table that segments of this test may have got into. */
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

enum shakeoff_verdict run_segment(const struct segment *segment, struct frame *out)
{
	static struct frame frame;

	frame_make(&frame, segment);
	validated_note(segment);
	return run_frame(&frame, out);
}

void assert_verdict(const struct segment *segment, enum shakeoff_verdict expected)
{
	assert_string_equal(verdict_name(run_segment(segment, NULL)), verdict_name(expected));
}

void run_answered(const struct segment *segment, enum shakeoff_verdict expected, struct reading *reading)
{
	static struct frame out;

	assert_string_equal(verdict_name(run_segment(segment, &out)), verdict_name(expected));
	assert_null(frame_read(out.bytes, out.len, reading));
}

/* ---------------------------------------------------------------------------------------------------------- events */

static int event_keep(void *context, void *data, size_t size)
{
	const struct shakeoff_event *event = data;

	(void)context;
	assert_true(size >= sizeof(*event) + event->packet_len);
	assert_true(events_count < MAX_EVENTS);
	events[events_count] = malloc(size);
	assert_non_null(events[events_count]);
	memcpy(events[events_count++], data, size);
	return 0;
}

const struct shakeoff_event *next_event(void)
{
	if (ring_buffer)
		assert_true(ring_buffer__consume(ring_buffer) >= 0);
	return events_taken < events_count ? events[events_taken++] : NULL;
}

const struct shakeoff_event *expect_event(enum shakeoff_event_type type)
{
	const struct shakeoff_event *event = next_event();

	assert_non_null(event);
	assert_int_equal(event->type, type);
	return event;
}

void expect_no_event(void)
{
	assert_null(next_event());
}

static void events_forget(void)
{
	for (int i = 0; i < events_count; i++)
		free(events[i]);
	events_count = events_taken = 0;
}

void rings_set(unsigned int bytes)
{
	ring_buffer__free(ring_buffer);
	ring_buffer = NULL;
	for (__u32 i = 0; i < RINGS; i++) {
		int ring;

		if (!bytes) {
			bpf_map_delete_elem(harness.rings, &i);
			continue;
		}
		ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, bytes, NULL);
		assert_true(ring >= 0);
		assert_int_equal(bpf_map_update_elem(harness.rings, &i, &ring, BPF_ANY), 0);
		if (!ring_buffer)
			ring_buffer = ring_buffer__new(ring, event_keep, NULL, NULL);
		else
			assert_int_equal(ring_buffer__add(ring_buffer, ring, event_keep, NULL), 0);
		assert_non_null(ring_buffer);
		close(ring); /* the map holds it */
	}
}

/* ----------------------------------------------------------------------------------------------------------- state */

/* frame_host_mac as the hook has it. */
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

/* Tells the hook that what it has kept of earlier look-ups may be wrong. Never the number of an earlier test. */
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

/* A prefix without a length is an address. */
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

/* The first address of its prefix, as the maps of own addresses have it. */
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

/* The tags that frame_make() gives: 802.1Q and 802.1ad of VLAN 100. */
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

/* Returns where it is, or -1. */
static int validated_find(const struct shakeoff_tuple *tuple, struct shakeoff_validated *entry)
{
	__u32 set = set_of(tuple);

	for (__u32 index = set; index < set + SHAKEOFF_VALIDATED_WAYS; index++) {
		assert_int_equal(bpf_map_lookup_elem(harness.validated, &index, entry), 0);
		if (entry->established_ns && !memcmp(&entry->tuple, tuple, sizeof(*tuple)))
			return index;
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
	__u32 index = validated_find(&tuple, &before);

	assert_int_equal(bpf_map_update_elem(harness.validated, &index, entry, BPF_ANY), 0);
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

		for (__u32 index = set; index < set + SHAKEOFF_VALIDATED_WAYS; index++)
			assert_int_equal(bpf_map_update_elem(harness.validated, &index, &nothing, BPF_ANY), 0);
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

/* What the hook keeps from packet to packet. */
static void scratch_clear(void)
{
	size_t size = bpf_map__value_size(skeleton->maps.scratches) * libbpf_num_possible_cpus();
	void *zeros = calloc(1, size);
	__u32 zero = 0;

	assert_non_null(zeros);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.scratches), &zero, zeros, BPF_ANY), 0);
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
		/* In the middle of an epoch, so that none ends during a test. */
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

/* ----------------------------------------------------------------------------------------------------- handshakes */

void client_make_ack(struct client *client)
{
	const struct segment *syn = &client->syn;

	client->ack = (struct segment){
		.from = syn->from,
		.to = syn->to,
		.sport = syn->sport,
		.dport = syn->dport,
		.tags = syn->tags,
		.priority_tag = syn->priority_tag,
		.seq = syn->seq + 1,
		.ack = client->synack.seq + 1,
		.flags = ACK,
		.window = 502,
	};
	if (!client->synack.timestamps)
		return;
	memcpy(client->ack_options, (const uint8_t[]){ 1, 1, 8, 10 }, 4);
	put32(client->ack_options + 4, client->synack.tsecr + 1);
	put32(client->ack_options + 8, client->synack.tsval);
	client->ack.options = (struct bytes){ client->ack_options, sizeof(client->ack_options) };
}

void client_connect(struct client *client, const struct segment *syn)
{
	client->syn = *syn;
	run_answered(syn, SHAKEOFF_SYNACK_SENT, &client->synack);
	client_make_ack(client);
}

void client_opens(struct client *client, const struct segment *syn)
{
	client_connect(client, syn);
	assert_verdict(&client->ack, SHAKEOFF_ACK_VALID);
	expect_event(SHAKEOFF_EVENT_OPEN);
}

/* ---------------------------------------------------------------------------------------------------------- set-up */

static int lo_configure(void)
{
	static const char *const labels[] = { "lo:1", "lo:2" }, *const addresses[] = { "10.9.0.1", "10.9.0.2" };
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK };
	struct {
		struct in6_addr address;
		uint32_t prefix_len;
		int ifindex;
	} request6 = { .prefix_len = 128, .ifindex = 1 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = ioctl(fd, SIOCSIFFLAGS, &request);

	for (size_t i = 0; i < COUNT(labels); i++) {
		struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;

		memset(&request, 0, sizeof(request));
		memcpy(request.ifr_name, labels[i], strlen(labels[i]));
		address->sin_family = AF_INET;
		inet_pton(AF_INET, addresses[i], &address->sin_addr);
		err |= ioctl(fd, SIOCSIFADDR, &request);
	}
	inet_pton(AF_INET6, "2001:db8::1", &request6.address);
	err |= ioctl(fd6, SIOCSIFADDR, &request6);
	inet_pton(AF_INET6, "2001:db8::2", &request6.address);
	err |= ioctl(fd6, SIOCSIFADDR, &request6);
	close(fd);
	close(fd6);
	return err;
}

static void *map_memory(struct bpf_map *map, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int address_publish(uint16_t port, __u32 value)
{
	struct shakeoff_address4 address4 = { .port = htons(port) };
	struct shakeoff_address6 address6 = { .port = htons(port) };

	inet_pton(AF_INET, "10.9.0.1", &address4.address);
	inet_pton(AF_INET6, "2001:db8::1", address6.address);
	if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.addresses4), &address4, &value, BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(skeleton->maps.addresses6), &address6, &value, BPF_ANY))
		return -errno;
	return 0;
}

static int service_publish(void)
{
	if (address_publish(80, SERVICE) || address_publish(0, SHAKEOFF_ADDRESS_ITSELF))
		return -errno;
	return 0;
}

/* What the hook keeps for its next packet it keeps for each CPU. */
static void stay_on_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* Clients that may have any port are not to get one that a test means for another. */
static int ports_configure(void)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "we");

	if (!file)
		return -errno;
	fprintf(file, "50000 60999\n");
	return fclose(file) ? -errno : 0;
}

int harness_start(void **state)
{
	(void)state;
	stay_on_one_cpu();
	if (unshare(CLONE_NEWNET) || lo_configure() || ports_configure()) {
		print_error("no network namespace of its own: %s\n", strerror(errno));
		return -1;
	}
	skeleton = handshake__open_and_load();
	if (!skeleton) {
		print_error("the program does not load: %s\n", strerror(errno));
		return -1;
	}
	harness.control = map_memory(bpf_object__find_map_by_name(skeleton->obj, SHAKEOFF_MAP_CONTROL),
				     sizeof(*harness.control));
	services = map_memory(skeleton->maps.service_state, SHAKEOFF_MAX_SERVICES * sizeof(*services));
	if (!harness.control || !services || service_publish())
		return -1;
	harness.object = skeleton->obj;
	harness.service = &services[SERVICE];
	harness.plain_program = bpf_program__fd(skeleton->progs.shakeoff_xdp);
	harness.frags_program = bpf_program__fd(skeleton->progs.shakeoff_xdp_frags);
	harness.interfaces = bpf_map__fd(skeleton->maps.interfaces);
	harness.validated = bpf_map__fd(skeleton->maps.validated);
	harness.sources = bpf_map__fd(skeleton->maps.sources);
	harness.replies = bpf_map__fd(skeleton->maps.reply_cells);
	harness.syn_sources = bpf_map__fd(skeleton->maps.syn_sources);
	harness.rings = bpf_map__fd(skeleton->maps.rings);
	harness.routes4 = bpf_map__fd(skeleton->maps.routes4);
	harness.routes6 = bpf_map__fd(skeleton->maps.routes6);
	harness.neighbours = bpf_map__fd(skeleton->maps.neighbours);
	harness.addresses6 = bpf_map__fd(skeleton->maps.addresses6);
	harness.own4 = bpf_map__fd(skeleton->maps.own4);
	harness.own6 = bpf_map__fd(skeleton->maps.own6);
	harness.vlans = bpf_map__fd(skeleton->maps.vlans);
	harness.addresses4 = bpf_map__fd(skeleton->maps.addresses4);
	harness.keys = bpf_map__fd(skeleton->maps.cookie_keys);
	harness.filter = bpf_map__fd(skeleton->maps.socket_filter);
	harness.ifindex = if_nametoindex("lo");
	return 0;
}

int harness_stop(void **state)
{
	(void)state;
	events_forget();
	ring_buffer__free(ring_buffer);
	munmap(services, SHAKEOFF_MAX_SERVICES * sizeof(*services));
	munmap(harness.control, sizeof(*harness.control));
	handshake__destroy(skeleton);
	return 0;
}

int harness_share_maps(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		struct bpf_map *shared = bpf_object__find_map_by_name(harness.object, bpf_map__name(map));

		if (shared && strcmp(bpf_map__name(map), "scratches") && bpf_map__reuse_fd(map, bpf_map__fd(shared)))
			return -1;
	}
	return 0;
}

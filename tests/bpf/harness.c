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

/* --------------------------------------------------------------------------------------------------------- counting */

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

/* Returns the one verdict that was counted, once, between two readings. */
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

/* ---------------------------------------------------------------------------------------------------------- running */

/*
 * Asserts that a reply goes back to the sender (except with SHAKEOFF_ANSWER_ROUTE), with the tags that the frame had.
 */
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

/* ----------------------------------------------------------------------------------------------------------- events */

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

void events_forget(void)
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
		close(ring); /* the map keeps it */
	}
}

/* ------------------------------------------------------------------------------------------------------- handshakes */

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

/* ----------------------------------------------------------------------------------------------------------- set-up */

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

/* Stays on one CPU: the hook keeps its state for the next packet per CPU. */
static void stay_on_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* Keeps ports that a test uses by number away from clients that take any port. */
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
		print_error("cannot make a network namespace: %s\n", strerror(errno));
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

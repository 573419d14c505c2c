/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c */
/*
 * The netfilter program after the XDP program: packets that the hook validates pass, and become an event only at the
 * end of the kernel's input path. Skipped before kernel 6.4.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <net/ethernet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

#include "input.skel.h"

#define PROG_TYPE_NETFILTER 32
#define ATTACH_NETFILTER 45
#define NF_DROP 0
#define NF_ACCEPT 1

/* struct nf_hook_state, linux/netfilter.h, as BPF_PROG_TEST_RUN takes it: the first two bytes. */
struct hook_state {
	uint8_t hook, family;
	uint8_t rest[46];
};
#define LOCAL_IN 1
#define FAMILY_IPV4 2
#define FAMILY_IPV6 10

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6, windows_syn = WINDOWS_SYN,
			    windows_syn6 = WINDOWS_SYN6;
static const struct segment *const syns[] = { &linux_syn, &linux_syn6, &windows_syn, &windows_syn6 };

static struct input *input;

static bool kernel_can(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool can = btf && btf__find_by_name_kind(btf, "bpf_nf_link_attach", BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return can;
}

static int load(void)
{
	input = input__open();
	if (!input)
		return -1;
	input->rodata->loopback_ifindex = 0; /* where test runs take place */
	bpf_program__set_type(input->progs.shakeoff_input, PROG_TYPE_NETFILTER);
	bpf_program__set_expected_attach_type(input->progs.shakeoff_input, ATTACH_NETFILTER);
	return harness_share_maps(input->obj) || input__load(input) ? -1 : 0;
}

static int start(void **state)
{
	if (!kernel_can())
		return 0;
	return harness_start(state) || load() ? -1 : 0;
}

static int stop(void **state)
{
	if (!input)
		return 0;
	input__destroy(input);
	return harness_stop(state);
}

static int setup(void **state)
{
	if (!input)
		return 0;
	harness_reset(state);
	harness.control->flags |= SHAKEOFF_INPUT;
	return 0;
}

static void need_input(void)
{
	if (!input)
		skip(); /* no BPF programs at netfilter's hooks */
}

/* Runs a segment at the end of LOCAL_IN; returns the netfilter verdict. */
static int arrives(const struct segment *segment)
{
	struct hook_state state = { .hook = LOCAL_IN, .family = segment_is_ipv6(segment) ? FAMILY_IPV6 : FAMILY_IPV4 };
	static struct frame frame;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .ctx_in = &state, .ctx_size_in = sizeof(state));
	int err;

	frame_make(&frame, segment);
	options.data_size_in = frame.len;
	err = bpf_prog_test_run_opts(bpf_program__fd(input->progs.shakeoff_input), &options);
	if (err)
		fail_msg("the netfilter program could not be run: %s", strerror(-err));
	return (int)options.retval;
}

/* Runs an ACK that passes the hook. */
static void pass(struct client *client, const struct segment *syn)
{
	client_connect(client, syn);
	assert_verdict(&client->ack, SHAKEOFF_ACK_TO_INPUT);
}

static struct segment with_data(const struct segment *ack, uint32_t offset)
{
	struct segment segment = *ack;

	segment.seq += offset;
	segment.payload = (struct bytes){ "hello", 5 };
	return segment;
}

/* Asserts the fields that do not depend on the time. */
static void assert_same_handshake(const struct shakeoff_event *event, const struct shakeoff_event *want)
{
	assert_int_equal(event->type, SHAKEOFF_EVENT_OPEN);
	assert_int_equal(event->service, want->service);
	assert_memory_equal(&event->tuple, &want->tuple, sizeof(want->tuple));
	assert_int_equal(event->packet_len, want->packet_len);
	assert_int_equal(event->tcp_offset, want->tcp_offset);
	assert_int_equal(event->flags, want->flags | SHAKEOFF_EVENT_INPUT);
	assert_int_equal(event->rcv_nxt, want->rcv_nxt);
	assert_int_equal(event->snd_nxt, want->snd_nxt);
	assert_int_equal(event->rcv_wnd, want->rcv_wnd);
	assert_int_equal(event->snd_wnd, want->snd_wnd);
	assert_int_equal(event->tsval, want->tsval);
	assert_int_equal(event->mss, want->mss);
	assert_int_equal(event->snd_wscale, want->snd_wscale);
	assert_int_equal(event->rcv_wscale, want->rcv_wscale);
	assert_memory_equal(event->packet, want->packet, want->packet_len);
}

/* ------------------------------------------------------------------------------------------------------------ tests */

static void an_ack_becomes_an_event_at_the_end_of_the_input_path(void **state)
{
	need_input();
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client client;
		const struct shakeoff_event *event, *want;
		static struct frame frame;

		/* As in the handoff where the hook gives it to the daemon itself. */
		setup(state);
		harness.control->flags &= ~SHAKEOFF_INPUT;
		client_connect(&client, syns[i]);
		assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
		want = expect_event(SHAKEOFF_EVENT_OPEN);
		validated_age(&client.ack, 2 * SHAKEOFF_COOKIE_LIFETIME_NS);
		struct shakeoff_validated none = { 0 };
		validated_set(&client.ack, &none);
		harness.control->flags |= SHAKEOFF_INPUT;

		assert_verdict(&client.ack, SHAKEOFF_ACK_TO_INPUT);
		expect_no_event();
		assert_int_equal(arrives(&client.ack), NF_DROP);
		event = expect_event(SHAKEOFF_EVENT_OPEN);
		assert_same_handshake(event, want);
		frame_make(&frame, &client.ack);
		assert_memory_equal(event->mac, frame.bytes, sizeof(event->mac));
		assert_int_equal(event->taken, 0);
	}
}

static void it_takes_its_queue_position_only_at_the_end_of_the_input_path(void **state)
{
	struct client client;

	(void)state;
	need_input();
	pass(&client, &linux_syn);
	assert_int_equal(harness.service->enqueued, 0);
	arrives(&client.ack);
	assert_int_equal(harness.service->enqueued, 1);
}

static void two_acks_with_the_same_cookie_open_one_connection(void **state)
{
	struct client client;
	struct segment data;

	(void)state;
	need_input();
	pass(&client, &linux_syn6);
	data = with_data(&client.ack, 0);
	assert_verdict(&data, SHAKEOFF_SEGMENT_TO_INPUT);
	/* The ACK itself was refused on the way, for example by a rule of a rate. */
	assert_int_equal(arrives(&data), NF_DROP);
	expect_event(SHAKEOFF_EVENT_OPEN);
	assert_int_equal(arrives(&client.ack), NF_DROP);
	expect_event(SHAKEOFF_EVENT_SEGMENT);
	assert_int_equal(harness.service->enqueued, 1);
}

static void later_segments_follow(void **state)
{
	const struct shakeoff_event *event;
	struct client client;
	struct segment data;

	(void)state;
	need_input();
	pass(&client, &linux_syn);
	data = with_data(&client.ack, 5);
	assert_verdict(&data, SHAKEOFF_SEGMENT_TO_INPUT);
	/* A segment that overtakes its ACK opens nothing. */
	assert_int_equal(arrives(&data), NF_DROP);
	expect_event(SHAKEOFF_EVENT_SEGMENT);
	arrives(&client.ack);
	expect_event(SHAKEOFF_EVENT_OPEN);
	assert_int_equal(arrives(&data), NF_DROP);
	event = expect_event(SHAKEOFF_EVENT_SEGMENT);
	assert_int_equal(event->rcv_nxt | event->snd_nxt | event->snd_wnd | event->mss, 0);
	assert_int_equal(event->flags, SHAKEOFF_EVENT_INPUT);
}

static void packets_that_were_not_validated_pass(void **state)
{
	struct client client, other;
	struct segment syn = linux_syn;

	(void)state;
	need_input();
	assert_int_equal(arrives(&linux_syn), NF_ACCEPT);
	client_connect(&client, &linux_syn);
	assert_int_equal(arrives(&client.ack), NF_ACCEPT);
	assert_verdict(&client.ack, SHAKEOFF_ACK_TO_INPUT);
	syn.sport = 41000;
	client_connect(&other, &syn);
	assert_int_equal(arrives(&other.ack), NF_ACCEPT);
	/* A segment long after it passes, too: the hook has checked it by then. */
	validated_age(&client.ack, 3 * (int64_t)SHAKEOFF_FOLLOW_NS);
	assert_int_equal(arrives(&client.ack), NF_ACCEPT);
	expect_no_event();
}

static void an_ack_that_was_refused_on_the_way_may_come_again(void **state)
{
	struct client client;

	(void)state;
	need_input();
	pass(&client, &linux_syn);
	validated_age(&client.ack, SHAKEOFF_FOLLOW_NS + 50000000);
	assert_verdict(&client.ack, SHAKEOFF_ACK_TO_INPUT);
	assert_int_equal(arrives(&client.ack), NF_DROP);
	expect_event(SHAKEOFF_EVENT_OPEN);
	/* But an ACK that already has its connection may not. */
	validated_age(&client.ack, SHAKEOFF_FOLLOW_NS + 50000000);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
}

static void a_full_queue_takes_no_ack(void **state)
{
	struct client client;

	(void)state;
	need_input();
	pass(&client, &linux_syn);
	harness.service->enqueued = harness.service->capacity;
	assert_int_equal(arrives(&client.ack), NF_DROP);
	expect_no_event();
	assert_int_equal(harness.service->enqueued, harness.service->capacity);
	/* When there is room, the client's next attempt gets it. */
	harness.service->dequeued = 1;
	validated_age(&client.ack, SHAKEOFF_FOLLOW_NS + 50000000);
	assert_verdict(&client.ack, SHAKEOFF_ACK_TO_INPUT);
	arrives(&client.ack);
	expect_event(SHAKEOFF_EVENT_OPEN);
}

static void without_a_ring_the_client_has_to_repeat_the_ack(void **state)
{
	struct client client;

	(void)state;
	need_input();
	pass(&client, &linux_syn);
	rings_set(0);
	assert_int_equal(arrives(&client.ack), NF_DROP);
	assert_int_equal(harness.service->enqueued, 0);
	rings_set(SHAKEOFF_RING_BYTES);
	arrives(&client.ack);
	expect_event(SHAKEOFF_EVENT_OPEN);
}

/* After the daemon's end, nothing remains at LOCAL_IN where the program ends with its daemon. */
static void a_program_that_ends_with_its_daemon_counts_while_the_daemon_runs(void **state)
{
	struct client client;

	(void)state;
	need_input();
	harness.control->flags |= SHAKEOFF_INPUT_MORTAL;
	client_connect(&client, &linux_syn);
	harness.control->heartbeat_ns = monotonic_ns() - 3 * SHAKEOFF_HEARTBEAT_PERIOD_NS;
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	expect_event(SHAKEOFF_EVENT_OPEN);
}

/*
 * The netfilter program takes no segment of a connection whose ACK it did not get; before that ACK no program is
 * attached to take it.
 */
static void later_segments_go_the_way_of_their_ack(void **state)
{
	struct client client;
	struct segment data;

	(void)state;
	need_input();
	harness.control->flags |= SHAKEOFF_INPUT_MORTAL;
	client_connect(&client, &linux_syn);
	harness.control->heartbeat_ns = monotonic_ns() - 3 * SHAKEOFF_HEARTBEAT_PERIOD_NS;
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	expect_event(SHAKEOFF_EVENT_OPEN);
	harness.control->heartbeat_ns = monotonic_ns();
	data = with_data(&client.ack, 5);
	assert_verdict(&data, SHAKEOFF_SEGMENT_QUEUED);
	expect_event(SHAKEOFF_EVENT_SEGMENT);
	client.syn.sport = 41000;
	pass(&client, &client.syn);
	data = with_data(&client.ack, 5);
	assert_verdict(&data, SHAKEOFF_SEGMENT_TO_INPUT);
}

/* A segment that the daemon gives back comes again if its mark got lost on the way. */
static void no_segment_comes_again_forever(void **state)
{
	struct client client;
	struct segment data;
	int held = 0;

	(void)state;
	need_input();
	pass(&client, &linux_syn);
	arrives(&client.ack);
	expect_event(SHAKEOFF_EVENT_OPEN);
	data = with_data(&client.ack, 5);
	for (int i = 0; i < 3 * SHAKEOFF_FOLLOW_SEGMENTS; i++) {
		validated_age(&client.ack, 0);
		assert_int_equal(arrives(&data), NF_DROP);
		held += next_event() != NULL;
	}
	assert_int_equal(held, SHAKEOFF_FOLLOW_SEGMENTS);
	validated_age(&client.ack, 0);
	assert_verdict(&data, SHAKEOFF_ACK_BAD_COOKIE);
}

/* A first flight of this many segments, all of which pass the hook before the first arrives. */
static void a_whole_first_flight_arrives(void **state)
{
	struct segment data[SHAKEOFF_FOLLOW_SEGMENTS];
	struct client client;

	(void)state;
	need_input();
	pass(&client, &linux_syn);
	for (size_t i = 0; i < COUNT(data); i++) {
		data[i] = with_data(&client.ack, (uint32_t)(5 * i + 5));
		validated_age(&client.ack, 0);
		assert_verdict(&data[i], SHAKEOFF_SEGMENT_TO_INPUT);
	}
	validated_age(&client.ack, 0);
	assert_int_equal(arrives(&client.ack), NF_DROP);
	expect_event(SHAKEOFF_EVENT_OPEN);
	for (size_t i = 0; i < COUNT(data); i++) {
		validated_age(&client.ack, 0);
		assert_int_equal(arrives(&data[i]), NF_DROP);
		expect_event(SHAKEOFF_EVENT_SEGMENT);
	}
}

static void tcp_is_found_after_extension_headers_and_options(void **state)
{
	struct client client;

	(void)state;
	need_input();
	pass(&client, &linux_syn6);
	client.ack.first_extension = 60;
	client.ack.extensions = (struct bytes)BYTES(6, 0, 1, 4, 0, 0, 0, 0);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_TO_INPUT);
	assert_int_equal(arrives(&client.ack), NF_DROP);
	expect_event(SHAKEOFF_EVENT_OPEN);
}

static void large_segments_are_whole(void **state)
{
	static uint8_t data[9000];
	const struct shakeoff_event *event;
	struct client client;
	static struct frame frame;

	(void)state;
	need_input();
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + (i >> 8));
	for (size_t len = 100; len <= 3000; len += 1450) { /* a test run has no more than a page */
		setup(state);
		pass(&client, &linux_syn);
		client.ack.payload = (struct bytes){ data, len };
		assert_int_equal(arrives(&client.ack), NF_DROP);
		event = expect_event(SHAKEOFF_EVENT_OPEN);
		frame_make(&frame, &client.ack);
		assert_int_equal(event->packet_len, frame.len - frame.l3);
		assert_memory_equal(event->packet, frame.bytes + frame.l3, event->packet_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_ack_becomes_an_event_at_the_end_of_the_input_path, setup),
		cmocka_unit_test_setup(it_takes_its_queue_position_only_at_the_end_of_the_input_path, setup),
		cmocka_unit_test_setup(two_acks_with_the_same_cookie_open_one_connection, setup),
		cmocka_unit_test_setup(later_segments_follow, setup),
		cmocka_unit_test_setup(packets_that_were_not_validated_pass, setup),
		cmocka_unit_test_setup(an_ack_that_was_refused_on_the_way_may_come_again, setup),
		cmocka_unit_test_setup(a_full_queue_takes_no_ack, setup),
		cmocka_unit_test_setup(without_a_ring_the_client_has_to_repeat_the_ack, setup),
		cmocka_unit_test_setup(a_program_that_ends_with_its_daemon_counts_while_the_daemon_runs, setup),
		cmocka_unit_test_setup(later_segments_go_the_way_of_their_ack, setup),
		cmocka_unit_test_setup(no_segment_comes_again_forever, setup),
		cmocka_unit_test_setup(a_whole_first_flight_arrives, setup),
		cmocka_unit_test_setup(tcp_is_found_after_extension_headers_and_options, setup),
		cmocka_unit_test_setup(large_segments_are_whole, setup),
	};

	return cmocka_run_group_tests(tests, start, stop);
}

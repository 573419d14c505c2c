/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/wire.c */
/* Segments that reach the tc program before the connection of their ACK. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "metadata.h"
#include "wire.h"

#define TCX_DROP 2

#define SECOND 1000000000ull

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

/* Returns a segment of later data of the connection, whose ACK was validated `age_ns` ago. */
static struct segment later_segment(struct client *client, int64_t age_ns)
{
	struct segment later;

	need_admit();
	client_validated(client, &linux_syn);
	validated_age(&client->ack, age_ns);
	later = client->ack;
	later.seq += 1000;
	later.flags |= PSH;
	later.payload = (struct bytes)BYTES('G', 'E', 'T');
	return later;
}

static void a_segment_before_its_connection_is_requeued(void **state)
{
	struct client client;
	struct segment later = later_segment(&client, -(int64_t)SECOND), reset;

	(void)state;
	reset = later;
	reset.flags = RST;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_REDIRECT);
		assert_int_equal(run_admit_marked(&reset, METADATA_WAITS), TCX_REDIRECT);
		assert_int_equal(run_admit(&later), TCX_REDIRECT); /* the hint is enough where no metadata gets here */
	}
	assert_int_equal(harness.service->dequeued, 0);
}

static void a_segment_before_its_connection_is_dropped_after_its_time(void **state)
{
	struct client client;
	struct segment later = later_segment(&client, WAIT_NS + 1);

	(void)state;
	assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_DROP);
	assert_int_equal(run_admit(&later), TCX_NEXT);
}

/*
 * Otherwise an attacker that sends ACKs that the hook accepts and TCP drops would keep a CPU busy. A tick may begin
 * meanwhile, so the test tries again.
 */
static void all_waiting_segments_make_a_bounded_number_of_rounds_in_a_tick(void **state)
{
	struct client client;
	struct segment later = later_segment(&client, -(int64_t)SECOND);
	int bounded = 0;

	(void)state;
	for (int i = 0; i < 20 && !bounded; i++) {
		usleep(11000); /* the next tick */
		repeats = 100;
		assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_REDIRECT);
		repeats = 1000;
		bounded = run_admit_marked(&later, METADATA_WAITS) == TCX_DROP;
		repeats = 1;
	}
	assert_true(bounded);
}

static void a_segment_without_a_validated_ack_does_not_wait(void **state)
{
	static const struct shakeoff_validated nothing;
	struct client client;
	struct segment later = later_segment(&client, -(int64_t)SECOND);

	(void)state;
	validated_set(&client.ack, &nothing);
	assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_DROP);
	assert_int_equal(run_admit(&later), TCX_NEXT);
}

static void a_waiting_segment_passes_when_its_socket_is_there(void **state)
{
	static const struct shakeoff_validated nothing;
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	connects(&client, &linux_syn);
	for (int age = -1; age <= 1; age += 2) {
		validated_age(&client.ack, age * (int64_t)SECOND);
		assert_int_equal(run_admit_marked(&client.ack, METADATA_WAITS), TCX_NEXT);
		assert_int_equal(run_admit(&client.ack), TCX_NEXT);
	}
	validated_set(&client.ack, &nothing);
	assert_int_equal(run_admit_marked(&client.ack, METADATA_WAITS), TCX_NEXT);
}

/* In order after its ACK it needs no look-up; after an ACK on another CPU it waits. */
static void a_segment_after_its_ack_on_the_same_cpu_passes(void **state)
{
	struct shakeoff_validated entry;
	struct client client;
	struct segment later = later_segment(&client, -(int64_t)SECOND);

	(void)state;
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(SHAKEOFF_VALIDATED_HOOK_CPU(&entry), sched_getcpu());
	assert_int_equal(SHAKEOFF_VALIDATED_TC_CPU(&entry), 0);
	entry.flags = SHAKEOFF_VALIDATED_ADMITTED;
	entry.replaced |= (__u32)(sched_getcpu() + 1) << 16;
	validated_set(&client.ack, &entry);
	assert_int_equal(run_admit(&later), TCX_NEXT);
	assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_REDIRECT);
	entry.replaced += 1u << 16;
	validated_set(&client.ack, &entry);
	assert_int_equal(run_admit(&later), TCX_REDIRECT);
}

/*
 * A segment that brings the cookie back itself opens the connection, and the ACK then waits for it; the hint has its
 * CPU.
 */
static void a_waiting_segment_with_the_cookie_opens_the_connection(void **state)
{
	struct shakeoff_service_counters before;
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	later_segment(&client, -(int64_t)SECOND);
	before = counters();
	assert_int_equal(run_admit_marked(&client.ack, METADATA_WAITS), TCX_NEXT);
	assert_int_equal(counters().unadmitted - before.unadmitted, 1); /* no request in a test run */
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.flags, SHAKEOFF_VALIDATED_ADMITTED);
	assert_int_equal(SHAKEOFF_VALIDATED_HOOK_CPU(&entry), sched_getcpu());
	assert_int_equal(SHAKEOFF_VALIDATED_TC_CPU(&entry), sched_getcpu() + 1);
	assert_int_equal(run_admit_marked(&client.ack, METADATA_WAITS), TCX_REDIRECT);
	assert_int_equal(counters().unadmitted - before.unadmitted, 1);
	assert_int_equal(harness.service->dequeued, 1);
}

/* A frame, and the CPU that sends it and therefore also handles it. */
struct elsewhere {
	struct frame frame;
	int cpu;
	atomic_int begun;
};

static void *send_elsewhere(void *argument)
{
	struct elsewhere *elsewhere = argument;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(elsewhere->cpu, &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	atomic_store(&elsewhere->begun, 1);
	send(wire, elsewhere->frame.bytes, elsewhere->frame.len, 0);
	return NULL;
}

/*
 * The later segment arrives first, on another CPU, waits, and its data is delivered in order. Refused, it would end the
 * connection.
 */
static void data_that_overtakes_its_ack_is_not_lost(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };
	const struct family *const families[] = { &ipv4, &ipv6 };
	struct elsewhere elsewhere = { .cpu = sched_getcpu() ? 0 : 1 };
	static struct frame frame;

	(void)state;
	need_admit();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip();
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct reading reading;
		struct segment later;
		struct client client;
		pthread_t thread;

		bpf_xdp_detach(harness.ifindex, XDP_FLAGS_DRV_MODE, NULL);
		wire_listens(families[i], families[i]->server);
		client_connect(&client, syns[i]);
		assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
		validated_age(&client.ack, -(int64_t)SECOND); /* how long a slow machine may take */
		client.ack.flags |= PSH;
		client.ack.payload = (struct bytes)BYTES('G', 'E', 'T');
		later = client.ack;
		later.seq += 3;
		wire_empty();
		frame_make(&elsewhere.frame, &later);
		validated_note(&later);
		atomic_store(&elsewhere.begun, 0);
		assert_int_equal(pthread_create(&thread, NULL, send_elsewhere, &elsewhere), 0);
		while (!atomic_load(&elsewhere.begun))
			;
		wire_send(&client.ack);
		pthread_join(thread, NULL);
		accepts();
		reads("GETGET");
		do {
			wire_receive(40000, &frame, &reading);
			assert_int_equal(reading.flags & RST, 0);
		} while (reading.ack != later.seq + 3);
		reset_socket(&accepted);
		reset_socket(&listener);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, wire_setup, wire_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_segment_before_its_connection_is_requeued),
		TEST(a_segment_before_its_connection_is_dropped_after_its_time),
		TEST(all_waiting_segments_make_a_bounded_number_of_rounds_in_a_tick),
		TEST(a_segment_without_a_validated_ack_does_not_wait),
		TEST(a_waiting_segment_passes_when_its_socket_is_there),
		TEST(a_segment_after_its_ack_on_the_same_cpu_passes),
		TEST(a_waiting_segment_with_the_cookie_opens_the_connection),
		TEST(data_that_overtakes_its_ack_is_not_lost),
	};

	return cmocka_run_group_tests_name("segments before their connection", tests, wire_start, wire_stop);
}

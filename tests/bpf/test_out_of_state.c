/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness.c tests/bpf/sockets.c */
/*
 * Segments of no socket: while idle they pass while they are few, and are dropped by name when they are many; what has a socket
 * passes at any time. And what no TCP sends, which is dropped at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "harness.h"
#include "sockets.h"

#define SECOND 1000000000ull
#define WINDOWS_A_SECOND (SECOND / SHAKEOFF_FLOOD_WINDOW_NS)

/* Every so many-th segment that passes by the filter alone is looked up: SEGMENT_SAMPLE of bpf/handle/out_of_state.h. */
#define SAMPLE 64

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

/* What nobody has a socket for, and how each is dropped while the hook leaves handshakes to the kernel. */
static const struct out_of_state_row {
	const char *name;
	struct segment in;
	enum shakeoff_verdict dropped;
	enum shakeoff_no_socket_kind kind;
} out_of_state_rows[] = {
	{ "ACK", { .flags = ACK }, SHAKEOFF_NO_SOCKET_DROP, SHAKEOFF_NO_SOCKET_ACK },
	{ "ACK with payload",
	  { .flags = ACK | PSH, .payload = BYTES('G', 'E', 'T') },
	  SHAKEOFF_NO_SOCKET_DROP,
	  SHAKEOFF_NO_SOCKET_ACK },
	{ "urgent data", { .flags = ACK | URG }, SHAKEOFF_NO_SOCKET_DROP, SHAKEOFF_NO_SOCKET_ACK },
	{ "FIN", { .flags = FIN | ACK }, SHAKEOFF_NO_SOCKET_DROP, SHAKEOFF_NO_SOCKET_FIN },
	{ "RST", { .flags = RST }, SHAKEOFF_RST_NO_SOCKET, SHAKEOFF_NO_SOCKET_RST },
	{ "RST with ACK", { .flags = RST | ACK }, SHAKEOFF_RST_NO_SOCKET, SHAKEOFF_NO_SOCKET_RST },
	{ "SYN-ACK", { .flags = SYN | ACK }, SHAKEOFF_SYNACK_NO_SOCKET, SHAKEOFF_NO_SOCKET_SYNACK },
	{ "ACK over IPv6", { .from = "2001:db8:7::7", .flags = ACK }, SHAKEOFF_NO_SOCKET_DROP, SHAKEOFF_NO_SOCKET_ACK },
	{ "RST over IPv6", { .from = "2001:db8:7::7", .flags = RST }, SHAKEOFF_RST_NO_SOCKET, SHAKEOFF_NO_SOCKET_RST },
	{ "SYN-ACK over IPv6",
	  { .from = "2001:db8:7::7", .flags = SYN | ACK },
	  SHAKEOFF_SYNACK_NO_SOCKET,
	  SHAKEOFF_NO_SOCKET_SYNACK },
};

/* What no TCP sends: dropped whatever the hook does at the time. */
static const struct impossible {
	const char *name;
	struct segment in;
	enum shakeoff_verdict verdict;
} impossible[] = {
	{ "no flags", { .flags = 0 }, SHAKEOFF_BAD_SEGMENT },
	{ "no flags over IPv6", { .from = "2001:db8:7::7", .flags = 0 }, SHAKEOFF_BAD_SEGMENT },
	{ "FIN alone", { .flags = FIN }, SHAKEOFF_BAD_SEGMENT },
	{ "URG alone", { .flags = URG }, SHAKEOFF_BAD_SEGMENT },
	{ "Xmas", { .flags = FIN | PSH | URG }, SHAKEOFF_BAD_SEGMENT },
	{ "SYN-ACK with FIN", { .flags = SYN | ACK | FIN }, SHAKEOFF_BAD_SEGMENT },
	{ "SYN-ACK with RST", { .flags = SYN | ACK | RST }, SHAKEOFF_BAD_SEGMENT },
	{ "every flag", { .flags = 0xff }, SHAKEOFF_BAD_SEGMENT },
	{ "an ACK from port 0", { .flags = ACK, .zero_sport = true }, SHAKEOFF_BAD_SEGMENT },
	{ "an ACK from the service itself", { .from = "10.9.0.1", .sport = 80, .flags = ACK }, SHAKEOFF_BAD_SEGMENT },
	{ "an RST from loopback", { .from = "127.0.0.1", .flags = RST }, SHAKEOFF_BAD_SEGMENT },
	{ "an RST from multicast", { .from = "239.1.2.3", .flags = RST }, SHAKEOFF_BAD_SEGMENT },
	{ "an ACK from ::1", { .from = "::1", .flags = ACK }, SHAKEOFF_BAD_SEGMENT },
	{ "an ACK with data offset 0", { .flags = ACK, .no_doff = true }, SHAKEOFF_BAD_HEADER },
	{ "an RST with a data offset beyond its end", { .flags = RST, .doff = 15 }, SHAKEOFF_BAD_HEADER },
	{ "an ACK longer than its frame", { .flags = ACK, .longer = 1 }, SHAKEOFF_BAD_HEADER },
	{ "SYN and FIN", { .flags = SYN | FIN }, SHAKEOFF_SYN_INVALID },
	{ "SYN and RST", { .flags = SYN | RST }, SHAKEOFF_SYN_INVALID },
	{ "a SYN from port 0", { .flags = SYN, .zero_sport = true }, SHAKEOFF_SYN_INVALID },
	{ "land attack", { .from = "10.9.0.1", .sport = 80, .flags = SYN }, SHAKEOFF_SYN_INVALID },
	{ "land attack over IPv6", { .from = "2001:db8::1", .sport = 80, .flags = SYN }, SHAKEOFF_SYN_INVALID },
	{ "a SYN from loopback", { .from = "127.0.0.1", .flags = SYN }, SHAKEOFF_SYN_INVALID },
	{ "a SYN with data offset 0", { .flags = SYN, .no_doff = true }, SHAKEOFF_SYN_INVALID },
	{ "a SYN longer than its frame", { .flags = SYN, .longer = 1 }, SHAKEOFF_SYN_INVALID },
};

static int listeners[2], client, accepted;

static int setup(void **state)
{
	listeners[0] = listeners[1] = client = accepted = -1;
	harness_reset(state);
	harness.control->flags |= SHAKEOFF_FILTER_READY;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	reset_socket(&client);
	reset_socket(&accepted);
	for (size_t i = 0; i < COUNT(listeners); i++)
		if (listeners[i] >= 0)
			close(listeners[i]);
	return 0;
}

/* A service with the listener handoff, where somebody listens for both families. */
static void listens(enum shakeoff_syncookies syncookies)
{
	service_listens(syncookies);
	listeners[0] = listening_socket(&ipv4, ipv4.server, 5);
	listeners[1] = listening_socket(&ipv6, ipv6.server, 5);
}

static void surge_since(uint64_t surge_age_ns)
{
	harness.service->out_of_state.since_ns = monotonic_ns() - 60 * SECOND;
	harness.service->out_of_state.last_ns = monotonic_ns() - surge_age_ns;
}

static void surge_note(void)
{
	surge_since(0);
}

/* A segment of a connection of the host that is open now. */
static struct segment connected(uint8_t flags)
{
	client = connected_socket(&ipv4, 40020);
	return (struct segment){ .from = ipv4.client, .sport = 40020, .flags = flags };
}

/* ------------------------------------------------------------------------------------------------------------- idle */

/* On a busy machine 10 ms are over before it is full. */
static void window_that_does_not_end(void)
{
	harness.service->out_of_state.window_ns = monotonic_ns() + 60 * SECOND;
	harness.service->out_of_state.counted = 0;
}

static void a_few_pass(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	window_that_does_not_end();
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(harness.service->out_of_state.since_ns, 0);
	assert_int_equal(harness.service->out_of_state.counted, COUNT(out_of_state_rows));
}

/* The one that is too many may have passed itself. */
static void many_are_dropped_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++) {
		uint64_t before;

		setup(state);
		listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
		before = monotonic_ns();
		harness.service->flood_rate = 0;
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_NO_SOCKET_PASS);
		assert_verdict(&out_of_state_rows[i].in, out_of_state_rows[i].dropped);
		assert_int_equal(harness.service->out_of_state_kind, out_of_state_rows[i].kind);
		assert_int_equal(harness.service->out_of_state_times, 1);
		assert_true(harness.service->out_of_state.since_ns > before - SECOND);
		assert_int_equal(harness.service->syns.since_ns, 0);
		teardown(state);
	}
}

static void the_rate_is_that_of_syns(void **state)
{
	const uint32_t in_a_window = 50;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->flood_rate = in_a_window * WINDOWS_A_SECOND;
	window_that_does_not_end();
	for (uint32_t i = 0; i < in_a_window; i++)
		assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(harness.service->out_of_state.since_ns, 0);
	assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_not_equal(harness.service->out_of_state.since_ns, 0);
}

static void they_are_dropped_until_the_hold_time_is_over(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	surge_since(SHAKEOFF_FLOOD_HOLD_NS - SECOND);
	assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_NO_SOCKET_DROP);
	surge_since(SHAKEOFF_FLOOD_HOLD_NS + SECOND);
	assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(harness.service->out_of_state.since_ns, 0);
}

/* Each adds what half the rate needs for it: 20 at 500 a second add 40 ms, and 10,000 the whole hold time. */
static void half_the_rate_keeps_dropping_them(void **state)
{
	uint64_t before, added;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	surge_since(SHAKEOFF_FLOOD_HOLD_NS - 2 * SECOND);
	before = harness.service->out_of_state.last_ns;
	harness.service->flood_rate = 1000;
	for (int i = 0; i < 20; i++)
		assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_NO_SOCKET_DROP);
	added = harness.service->out_of_state.last_ns - before;
	assert_in_range(added, 1, 20 * SECOND / 500);
	for (int i = 0; i < 10000; i++)
		run_segment(&out_of_state_rows[0].in, NULL);
	assert_true(harness.service->out_of_state.last_ns > monotonic_ns() - SECOND);
	assert_true(harness.service->out_of_state.last_ns <= monotonic_ns());
}

/* The kernel refuses them with RST, as it would without the hook. */
static void of_what_is_bypassed_all_pass_uncounted(void **state)
{
	static const enum shakeoff_bypass reasons[] = { SHAKEOFF_BYPASS_MPTCP, SHAKEOFF_BYPASS_TCP_AUTH,
							SHAKEOFF_BYPASS_DEVICE, SHAKEOFF_BYPASS_SAVE_SYN,
							SHAKEOFF_BYPASS_ROUTE };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->flood_rate = 0;
	for (size_t r = 0; r < COUNT(reasons); r++) {
		harness.service->bypass = reasons[r];
		harness.service->out_of_state.since_ns = harness.service->out_of_state.counted = 0;
		for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
			assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_IDLE);
		assert_int_equal(harness.service->out_of_state.since_ns, 0);
		assert_int_equal(harness.service->out_of_state.counted, 0);
		surge_note();
		for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
			assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_IDLE);
	}
}

/* The service's own reason is not known, but the hook sees its socket. Its cookies are the kernel's, of however long ago. */
static void of_a_socket_that_the_hook_finds_to_be_bypassed_all_pass(void **state)
{
	union address address = make_address(&ipv4, ipv4.server, 80);
	const struct segment ack = { .flags = ACK };
	int one = 1;

	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->syns.since_ns = harness.control->started_ns = 1;
	listeners[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (listeners[0] < 0)
		skip();
	setsockopt(listeners[0], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(listeners[0], &address.any, sizeof(address.in)), 0);
	assert_int_equal(listen(listeners[0], 5), 0);
	assert_verdict(&linux_syn, SHAKEOFF_SYN_BYPASS);
	assert_verdict(&ack, SHAKEOFF_ACK_IDLE);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	assert_verdict(&ack, SHAKEOFF_ACK_IDLE);
}

/* No interface profile, no tc program: so it is before kernel 6.9. */
static void so_it_is_where_nothing_could_be_answered(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_KERNEL;
	interface_set(NULL);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_ACK_IDLE);
	filter_fill(0);
	assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_NO_SOCKET_PASS);
	surge_note();
	assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_NO_SOCKET_DROP);
}

static void what_is_bypassed_because_of_netfilter_is_not_touched(void **state)
{
	const struct segment lone_fin = { .flags = FIN }, synfin = { .flags = SYN | FIN };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_NETFILTER;
	surge_note();
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_IDLE);
	assert_verdict(&lone_fin, SHAKEOFF_ACK_IDLE);
	assert_verdict(&synfin, SHAKEOFF_SYN_BYPASS);
}

static void without_anybody_who_listens_many_are_dropped(void **state)
{
	(void)state;
	service_listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_NO_SERVER);
	surge_note();
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, out_of_state_rows[i].dropped);
}

static void of_a_queue_without_a_server_many_are_dropped(void **state)
{
	(void)state;
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, SHAKEOFF_ACK_NO_SERVER);
	surge_note();
	for (size_t i = 0; i < COUNT(out_of_state_rows); i++)
		assert_verdict(&out_of_state_rows[i].in, out_of_state_rows[i].dropped);
}

static void cookies_of_the_kernels_own_are_good_however_many_out_of_state_segments_there_are(void **state)
{
	const struct segment syn = { .from = ipv4.client, .sport = 40021, .seq = CLIENT_ISN, .flags = SYN };
	struct segment ack = { .from = ipv4.client, .sport = 40021, .seq = CLIENT_ISN + 1, .flags = ACK }, wrong;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	ack.ack = kernel_cookie(&syn) + 1;
	surge_note();
	wrong = ack;
	wrong.ack += 0x10000;
	for (int i = 0; i < 2; i++) { /* with a word of the filter, and without */
		assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
		assert_verdict(&wrong, SHAKEOFF_NO_SOCKET_DROP);
		filter_fill(SHAKEOFF_FILTER_SOCKET);
	}
}

/* Its SYN came before the present filter was begun, or before the hook was there. */
static void so_is_what_follows_on_them(void **state)
{
	static const enum shakeoff_syncookies activates[] = { SHAKEOFF_SYNCOOKIES_ADAPTIVE,
							      SHAKEOFF_SYNCOOKIES_ALWAYS };
	const struct segment syn = { .from = ipv4.client, .sport = 40021, .seq = CLIENT_ISN, .flags = SYN };
	struct segment ack = { .from = ipv4.client, .sport = 40021, .seq = CLIENT_ISN + 1, .flags = ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	ack.ack = kernel_cookie(&syn) + 1;
	for (size_t i = 0; i < COUNT(activates); i++) {
		harness.service->syncookies = activates[i];
		filter_fill(0);
		surge_note();
		assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
		assert_int_equal(filter_get(&ack, 0), SHAKEOFF_FILTER_SOCKET);
	}
}

static void cookies_of_ours_are_good_after_a_flood_however_many_out_of_state_segments_there_are(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct client connects;

		harness.service->syns.since_ns = harness.service->syns.last_ns = monotonic_ns();
		client_connect(&connects, syns[i]);
		harness.service->syns.since_ns = harness.service->syns.last_ns = 0;
		harness.service->released_ns = monotonic_ns();
		surge_note();
		connects.ack.ack++;
		assert_verdict(&connects.ack, SHAKEOFF_NO_SOCKET_DROP);
		connects.ack.ack--;
		assert_verdict(&connects.ack, SHAKEOFF_ACK_ADMITTED);
	}
}

/* ---------------------------------------------------------------------------------------------------------- sockets */

static void what_the_filter_knows_passes_without_a_look(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	for (int i = 1; i < SAMPLE; i++)
		assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_ACK_IDLE);
	assert_int_equal(harness.service->out_of_state.counted, 0);
}

/* Whoever took a slot with a SYN floods from that very tuple. */
static void of_those_a_few_are_looked_up_and_stand_for_the_others(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	for (int i = 1; i < SAMPLE; i++)
		assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_ACK_IDLE);
	assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_NO_SOCKET_PASS);
	assert_int_equal(harness.service->out_of_state.counted, SAMPLE);
	surge_note();
	assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_NO_SOCKET_DROP);
}

/* Three of them in a window are a flood, or the fourth where each stands for all of its sample; two are none. */
static void where_few_are_too_many_they_stand_for_fewer(void **state)
{
	static const uint32_t rates[] = { 1000, 5000, 12800, SHAKEOFF_FLOOD_RATE_DEFAULT };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (size_t i = 0; i < COUNT(rates); i++) {
		uint32_t in_a_window = rates[i] / WINDOWS_A_SECOND;
		int sampled = in_a_window / (in_a_window < 2 * SAMPLE ? in_a_window / 2 : SAMPLE) + 1;

		filter_fill(SHAKEOFF_FILTER_SOCKET);
		harness.service->flood_rate = rates[i];
		harness.service->out_of_state.since_ns = harness.service->out_of_state.counted = 0;
		harness.service->out_of_state.window_ns = monotonic_ns() + SECOND; /* one that does not end */
		for (int k = 0; k < (sampled - 1) * SAMPLE; k++)
			run_segment(&out_of_state_rows[0].in, NULL);
		assert_int_equal(harness.service->out_of_state.since_ns, 0);
		for (int k = 0; k < SAMPLE; k++)
			run_segment(&out_of_state_rows[0].in, NULL);
		assert_int_not_equal(harness.service->out_of_state.since_ns, 0);
	}
}

static void a_connection_passes_however_many_out_of_state_segments_there_are(void **state)
{
	static const uint8_t flags[] = {
		ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, SYN | ACK, FIN, 0, FIN | PSH | URG
	};
	static const enum shakeoff_syncookies activates[] = { SHAKEOFF_SYNCOOKIES_ADAPTIVE, SHAKEOFF_SYNCOOKIES_ALWAYS,
							      SHAKEOFF_SYNCOOKIES_NEVER };
	struct segment segment;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected(ACK);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	for (size_t e = 0; e < COUNT(activates); e++) {
		harness.service->syncookies = activates[e];
		surge_note();
		for (size_t i = 0; i < COUNT(flags); i++) {
			segment.flags = flags[i];
			assert_verdict(&segment, SHAKEOFF_SOCKET);
		}
	}
}

/* The same, but the server's end is bound to another device: as when frames go on to a VRF or a VLAN's device. */
static struct segment connected_elsewhere(void)
{
	struct segment segment = connected(ACK);

	accepted = accept(listeners[0], NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(setsockopt(accepted, SOL_SOCKET, SO_BINDTODEVICE, "s1", 3), 0);
	return segment;
}

static void a_connection_of_a_vrf_passes_and_is_not_out_of_state(void **state)
{
	static const enum shakeoff_syncookies activates[] = { SHAKEOFF_SYNCOOKIES_ADAPTIVE, SHAKEOFF_SYNCOOKIES_NEVER };
	struct shakeoff_interface profile = interface_default();
	struct segment segment;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected_elsewhere();
	profile.in_vrf = 1;
	interface_set(&profile);
	harness.service->flood_rate = 0;
	for (size_t i = 0; i < COUNT(activates); i++) {
		harness.service->syncookies = activates[i];
		harness.service->out_of_state.since_ns = 0;
		assert_verdict(&segment, SHAKEOFF_ACK_IDLE);
		assert_int_equal(harness.service->out_of_state.since_ns, 0);
		surge_note();
		assert_verdict(&segment, SHAKEOFF_ACK_IDLE);
	}
}

/* The filter knows them: their SYNs passed. */
static void connections_of_who_listens_on_another_device_pass(void **state)
{
	struct segment segment;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected_elsewhere();
	for (size_t i = 0; i < COUNT(listeners); i++)
		assert_int_equal(setsockopt(listeners[i], SOL_SOCKET, SO_BINDTODEVICE, "s1", 3), 0);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	surge_note();
	assert_verdict(&segment, SHAKEOFF_ACK_NO_SERVER);
	filter_fill(0);
	assert_verdict(&segment, SHAKEOFF_NO_SOCKET_DROP);
}

static void a_handshake_of_the_kernels_own_passes_however_many_out_of_state_segments_there_are(void **state)
{
	struct segment ack;
	int seconds = 5;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	/* Keeps the server in SYN-RECEIVED until data comes. */
	assert_int_equal(setsockopt(listeners[0], IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)), 0);
	ack = connected(ACK);
	filter_fill(SHAKEOFF_FILTER_SOCKET);
	surge_note();
	assert_verdict(&ack, SHAKEOFF_SOCKET);
}

/* The host begins a connection from the service's port, of which the filter cannot know yet. */
static void assert_own_connection_passes(void)
{
	const struct segment synack = { .sport = 40022, .flags = SYN | ACK }, ack = { .sport = 40022, .flags = ACK };
	const struct segment refusal = { .sport = 40022, .flags = RST | ACK, .ack = CLIENT_ISN };
	union address to = make_address(&ipv4, "198.51.100.7", 40022);
	int own = bound_socket(&ipv4, ipv4.server, 80);

	assert_int_equal(fcntl(own, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(connect(own, &to.any, sizeof(to.in)), -1);
	assert_int_equal(errno, EINPROGRESS);
	surge_note();
	filter_fill(0);
	assert_verdict(&refusal, SHAKEOFF_SOCKET);
	filter_fill(0);
	assert_verdict(&synack, SHAKEOFF_SOCKET);
	assert_int_equal(filter_get(&synack, 0), SHAKEOFF_FILTER_SOCKET);
	for (int i = 0; i < 2 * SAMPLE; i++)
		assert_verdict(&ack, SHAKEOFF_SOCKET);
	reset_socket(&own);
}

static void a_connection_that_the_host_begins_passes_however_many_out_of_state_segments_there_are(void **state)
{
	(void)state;
	assert_int_equal(system("ip route add 198.51.100.0/24 dev lo"), 0); /* where its SYN may go */
	assert_own_connection_passes();
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_own_connection_passes();
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE;
	assert_own_connection_passes();
	assert_int_equal(system("ip route del 198.51.100.0/24 dev lo"), 0);
}

static void a_socket_that_the_filter_does_not_know_gets_into_it(void **state)
{
	struct segment segment;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected(ACK);
	assert_int_equal(filter_get(&segment, 0), 0);
	assert_verdict(&segment, SHAKEOFF_SOCKET);
	assert_int_equal(filter_get(&segment, 0), SHAKEOFF_FILTER_SOCKET);
}

/* Without a look it is taken for out of state, but not for long. */
static void it_does_so_too_when_there_are_many_out_of_state_segments(void **state)
{
	struct segment segment;
	int dropped = 0;

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	segment = connected(ACK);
	surge_note();
	while (run_segment(&segment, NULL) != SHAKEOFF_SOCKET)
		assert_true(++dropped < SAMPLE);
	for (int i = 0; i < 2 * SAMPLE; i++)
		assert_verdict(&segment, SHAKEOFF_SOCKET);
}

/* ------------------------------------------------------------------------------------------- where the hook answers */

static void where_the_hook_answers_out_of_state_segments_are_counted_too(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->flood_rate = 0;
	assert_verdict(&out_of_state_rows[0].in, SHAKEOFF_ACK_BAD_COOKIE);
	assert_int_not_equal(harness.service->out_of_state.since_ns, 0);
	assert_int_equal(harness.service->out_of_state_kind, SHAKEOFF_NO_SOCKET_ACK);
}

static void there_their_names_stay_the_same(void **state)
{
	const struct segment ack = { .flags = ACK }, rst = { .flags = RST }, synack = { .flags = SYN | ACK };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	harness.service->syns.since_ns = harness.control->started_ns = 1;
	surge_note();
	assert_verdict(&ack, SHAKEOFF_ACK_BAD_COOKIE);
	assert_verdict(&rst, SHAKEOFF_RST_NO_SOCKET);
	assert_verdict(&synack, SHAKEOFF_SYNACK_NO_SOCKET);
}

static void honest_clients_are_served_however_many_out_of_state_segments_there_are(void **state)
{
	const struct segment windows = WINDOWS_SYN, *const syns[] = { &linux_syn, &linux_syn6, &windows };

	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct segment syn = *syns[i];
		struct client connects;

		syn.sport = 41000 + i;
		surge_note();
		client_connect(&connects, &syn);
		assert_verdict(&connects.ack, SHAKEOFF_ACK_ADMITTED);
		validated_age(&connects.ack, 0);
		assert_verdict(&connects.ack, SHAKEOFF_SEGMENT_AFTER_ACK);
	}
}

static void so_they_are_with_the_queue_handoff(void **state)
{
	const struct segment windows = WINDOWS_SYN, *const syns[] = { &linux_syn, &linux_syn6, &windows };

	(void)state;
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct segment syn = *syns[i];
		struct client connects;

		syn.sport = 41000 + i;
		surge_note();
		client_opens(&connects, &syn);
		validated_age(&connects.ack, 0);
		assert_verdict(&connects.ack, SHAKEOFF_SEGMENT_QUEUED);
		expect_event(SHAKEOFF_EVENT_SEGMENT);
		validated_age(&connects.ack, 2 * SHAKEOFF_FOLLOW_NS);
		assert_verdict(&connects.ack, SHAKEOFF_ACK_REPLAYED);
		filter_fill(0); /* as the daemon makes it when the connection is long over */
		assert_verdict(&connects.ack, SHAKEOFF_ACK_REPLAYED);
	}
}

/* ------------------------------------------------------------------------------------------- what no TCP ever sends */

static void is_dropped(const struct impossible *segment)
{
	assert_verdict(&segment->in, segment->verdict);
	expect_no_event();
}

static void what_no_tcp_sends_is_dropped_while_idle(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

static void what_no_tcp_sends_is_dropped_when_out_of_state_segments_are(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	surge_note();
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

static void what_no_tcp_sends_is_dropped_where_the_hook_answers(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
	surge_note();
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

static void what_no_tcp_sends_is_dropped_before_a_queue(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
	surge_note();
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

static void what_no_tcp_sends_is_dropped_before_what_only_the_kernel_serves(void **state)
{
	(void)state;
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	harness.service->bypass = SHAKEOFF_BYPASS_MPTCP;
	for (size_t i = 0; i < COUNT(impossible); i++)
		is_dropped(&impossible[i]);
}

static int start(void **state)
{
	int error = harness_start(state);

	return error ? error : system("ip link add s1 type veth peer name c1");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_few_pass),
		TEST(many_are_dropped_by_name),
		TEST(the_rate_is_that_of_syns),
		TEST(they_are_dropped_until_the_hold_time_is_over),
		TEST(half_the_rate_keeps_dropping_them),
		TEST(of_what_is_bypassed_all_pass_uncounted),
		TEST(of_a_socket_that_the_hook_finds_to_be_bypassed_all_pass),
		TEST(so_it_is_where_nothing_could_be_answered),
		TEST(what_is_bypassed_because_of_netfilter_is_not_touched),
		TEST(without_anybody_who_listens_many_are_dropped),
		TEST(of_a_queue_without_a_server_many_are_dropped),
		TEST(cookies_of_the_kernels_own_are_good_however_many_out_of_state_segments_there_are),
		TEST(so_is_what_follows_on_them),
		TEST(cookies_of_ours_are_good_after_a_flood_however_many_out_of_state_segments_there_are),
		TEST(what_the_filter_knows_passes_without_a_look),
		TEST(of_those_a_few_are_looked_up_and_stand_for_the_others),
		TEST(where_few_are_too_many_they_stand_for_fewer),
		TEST(a_connection_passes_however_many_out_of_state_segments_there_are),
		TEST(a_connection_of_a_vrf_passes_and_is_not_out_of_state),
		TEST(connections_of_who_listens_on_another_device_pass),
		TEST(a_handshake_of_the_kernels_own_passes_however_many_out_of_state_segments_there_are),
		TEST(a_connection_that_the_host_begins_passes_however_many_out_of_state_segments_there_are),
		TEST(a_socket_that_the_filter_does_not_know_gets_into_it),
		TEST(it_does_so_too_when_there_are_many_out_of_state_segments),
		TEST(where_the_hook_answers_out_of_state_segments_are_counted_too),
		TEST(there_their_names_stay_the_same),
		TEST(honest_clients_are_served_however_many_out_of_state_segments_there_are),
		TEST(so_they_are_with_the_queue_handoff),
		TEST(what_no_tcp_sends_is_dropped_while_idle),
		TEST(what_no_tcp_sends_is_dropped_when_out_of_state_segments_are),
		TEST(what_no_tcp_sends_is_dropped_where_the_hook_answers),
		TEST(what_no_tcp_sends_is_dropped_before_a_queue),
		TEST(what_no_tcp_sends_is_dropped_before_what_only_the_kernel_serves),
	};

	return cmocka_run_group_tests_name("out_of_state", tests, start, harness_stop);
}

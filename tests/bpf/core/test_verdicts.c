/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every verdict of verdict.h is reached, by the simplest packet that reaches it: one function a verdict, listed by the
 * table of verdicts itself; a verdict without a function does not compile. run_frame() checks the action and the
 * counters.
 *
 * link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/acl_fixture.c user/datapath/?*.c user/common/process.c
 * link: user/common/link.c user/acl/?*.c user/common/prefix.c user/common/log.c user/common/prefix.c user/common/text.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "acl_fixture.h"
#include "sockets.h"

static const struct segment syn = LINUX_SYN;

static int listener, connection;

/* A real connection from 10.9.0.2:40002 to the service. */
static const struct segment connected_syn = { .from = "10.9.0.2", .sport = 40002, .flags = SYN };
static const struct segment connected_ack = { .from = "10.9.0.2", .sport = 40002, .flags = ACK };

static void connection_open(void)
{
	listener = listening_socket(&ipv4, ipv4.server, 1);
	connection = connected_socket(&ipv4, connected_syn.sport);
}

static int setup(void **state)
{
	listener = connection = -1;
	return harness_reset(state);
}

static int teardown(void **state)
{
	(void)state;
	reset_socket(&connection);
	if (listener >= 0)
		close(listener);
	return 0;
}

/* The listener handoff. */
static void listens(enum shakeoff_syncookies syncookies)
{
	service_listens(syncookies);
	listener = listening_socket(&ipv4, ipv4.server, 5);
}

/* A handshake up to the ACK, which the test then changes. */
static struct client connected(void)
{
	static struct client client;

	client_connect(&client, &syn);
	return client;
}

static void queue_full(enum shakeoff_overflow overflow)
{
	harness.service->enqueued = harness.service->capacity;
	harness.service->overflow = overflow;
}

static void reach_NO_SERVICE(void)
{
	const struct segment other = { .dport = 81, .flags = SYN };

	assert_verdict(&other, SHAKEOFF_NO_SERVICE);
}

static void reach_FRAG_PASS(void)
{
	const struct segment fragment = { .fragment = 100, .flags = ACK };

	assert_verdict(&fragment, SHAKEOFF_FRAG_PASS);
}

static void reach_SOCKET(void)
{
	connection_open();
	assert_verdict(&connected_ack, SHAKEOFF_SOCKET);
}

static void reach_SYN_SOCKET(void)
{
	connection_open();
	assert_verdict(&connected_syn, SHAKEOFF_SYN_SOCKET);
}

static void reach_SYN_TCP_AUTH(void)
{
	const struct segment authentic = { .flags = SYN, .options = BYTES(29, 4, 1, 1) };

	assert_verdict(&authentic, SHAKEOFF_SYN_TCP_AUTH);
}

static void reach_SYN_NO_KEY(void)
{
	harness.control->flags = 0;
	assert_verdict(&syn, SHAKEOFF_SYN_NO_KEY);
}

static void reach_SYN_NO_SERVER(void)
{
	harness.service->flags = SHAKEOFF_SERVICE_USED;
	assert_verdict(&syn, SHAKEOFF_SYN_NO_SERVER);
}

static void reach_SYN_IDLE(void)
{
	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_verdict(&syn, SHAKEOFF_SYN_IDLE);
}

static void reach_SYN_BYPASS(void)
{
	listens(SHAKEOFF_SYNCOOKIES_NEVER);
	assert_verdict(&syn, SHAKEOFF_SYN_BYPASS);
}

/* A client that takes segments of 535 bytes. */
static const struct segment small_syn = { .flags = SYN, .options = BYTES(2, 4, 0x02, 0x17) };

static void reach_SYN_SMALL_MSS(void)
{
	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	assert_verdict(&small_syn, SHAKEOFF_SYN_SMALL_MSS);
}

static void reach_SYN_MSS_DROP(void)
{
	assert_verdict(&small_syn, SHAKEOFF_SYN_MSS_DROP);
}

static void reach_SYN_UNROUTED(void)
{
	const struct shakeoff_route nowhere = { .id = 1, .refused = SHAKEOFF_ROUTE_REFUSED_ALL };

	route_set("198.51.100.0/24", &nowhere);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED);
}

static void reach_ACK_UNROUTED(void)
{
	const struct shakeoff_route nowhere = { .id = 1, .refused = SHAKEOFF_ROUTE_REFUSED_ALL };
	struct client client = connected();

	route_set("198.51.100.0/24", &nowhere);
	assert_verdict(&client.ack, SHAKEOFF_ACK_UNROUTED);
}

static void reach_ACK_NO_SERVER(void)
{
	const struct segment ack = { .flags = ACK };

	harness.service->flags = SHAKEOFF_SERVICE_USED;
	assert_verdict(&ack, SHAKEOFF_ACK_NO_SERVER);
}

static void reach_ACK_IDLE(void)
{
	const struct segment ack = { .flags = ACK };

	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_verdict(&ack, SHAKEOFF_ACK_IDLE);
}

static void reach_ACK_KERNEL_COOKIE(void)
{
	struct segment ack = connected_ack;

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	ack.ack = kernel_cookie(&connected_syn) + 1;
	ack.seq = connected_syn.seq + 1;
	assert_verdict(&ack, SHAKEOFF_ACK_KERNEL_COOKIE);
}

static void reach_ACK_ADMITTED(void)
{
	struct client client;

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client = connected();
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
}

static void reach_SEGMENT_AFTER_ACK(void)
{
	struct client client;

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client = connected();
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_AFTER_ACK);
}

static void reach_SEGMENT_EARLY(void)
{
	struct shakeoff_validated entry;
	struct client client;

	listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	client = connected();
	assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
	validated_age(&client.ack, 0);
	assert_true(validated_get(&client.ack, &entry));
	entry.replaced++; /* the CPU of its ACK */
	validated_set(&client.ack, &entry);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_EARLY);
}

static void reach_SYNACK_SENT(void)
{
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
}

/* Opens connections from the source of `syn` until it holds half of the queue; the next ACK gets the verdict. */
static void reach_ack_share(enum shakeoff_overflow overflow, enum shakeoff_verdict verdict)
{
	struct segment next = syn;
	struct client client;

	harness.service->capacity = 16;
	harness.service->fair_share = 1;
	harness.service->overflow = overflow;
	for (next.sport = 41000; next.sport < 41008; next.sport++)
		client_opens(&client, &next);
	client_connect(&client, &next);
	harness.service->mixed_ns = monotonic_ns(); /* another source has had a handshake */
	assert_verdict(&client.ack, verdict);
}

static void reach_SYN_SHARE_RESET(void)
{
	reach_ack_share(SHAKEOFF_OVERFLOW_RESET, SHAKEOFF_ACK_SHARE_RESET);
	assert_verdict(&syn, SHAKEOFF_SYN_SHARE_RESET);
}

static void reach_ACK_SHARE_RESET(void)
{
	reach_ack_share(SHAKEOFF_OVERFLOW_RESET, SHAKEOFF_ACK_SHARE_RESET);
}

static void reach_SYN_SHARE_DROP(void)
{
	reach_ack_share(SHAKEOFF_OVERFLOW_DROP, SHAKEOFF_ACK_SHARE_DROP);
	assert_verdict(&syn, SHAKEOFF_SYN_SHARE_DROP);
}

static void reach_ACK_SHARE_DROP(void)
{
	reach_ack_share(SHAKEOFF_OVERFLOW_DROP, SHAKEOFF_ACK_SHARE_DROP);
}

static void reach_SYN_SOURCE_RATE(void)
{
	harness.service->syn_interval_ns = 1000000000;
	harness.service->syn_burst = harness.service->syn_hot = 1;
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	assert_verdict(&syn, SHAKEOFF_SYN_SOURCE_RATE);
}

static void reach_ACK_SOURCE_RATE(void)
{
	struct segment next = syn;
	struct client client;

	harness.service->accept_interval_ns = 1000000000;
	harness.service->accept_burst = 1;
	client_opens(&client, &syn);
	next.sport = 41000;
	client_connect(&client, &next);
	assert_verdict(&client.ack, SHAKEOFF_ACK_SOURCE_RATE);
}

static void reach_SYN_PREFIX_RATE(void)
{
	enum shakeoff_verdict verdict = SHAKEOFF_SYNACK_SENT;

	harness.control->replies = shakeoff_reply_budget(monotonic_ns(), SHAKEOFF_REPLY_BUDGET_MIN, 1);
	for (int i = 0; i < 1000 && verdict == SHAKEOFF_SYNACK_SENT; i++)
		verdict = run_segment(&syn, NULL);
	assert_string_equal(verdict_name(verdict), verdict_name(SHAKEOFF_SYN_PREFIX_RATE));
}

static void reach_SYN_OVERFLOW_RESET(void)
{
	queue_full(SHAKEOFF_OVERFLOW_RESET);
	assert_verdict(&syn, SHAKEOFF_SYN_OVERFLOW_RESET);
}

static void reach_ACK_OVERFLOW_RESET(void)
{
	struct client client = connected();

	queue_full(SHAKEOFF_OVERFLOW_RESET);
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_RESET);
}

static void reach_ACK_VALID(void)
{
	struct client client = connected();

	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
}

static void reach_SEGMENT_QUEUED(void)
{
	struct client client = connected();

	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_QUEUED);
}

/* Frames of the tests are at most 64 hops away. */
static void reach_SYN_TTL(void)
{
	harness.service->offer.min_ttl[0] = 255;
	assert_verdict(&syn, SHAKEOFF_SYN_TTL);
}

static void reach_ACK_TTL(void)
{
	struct client client = connected();

	harness.service->offer.min_ttl[0] = 255;
	assert_verdict(&client.ack, SHAKEOFF_ACK_TTL);
}

static void reach_ACK_TO_INPUT(void)
{
	struct client client = connected();

	harness.control->flags |= SHAKEOFF_INPUT;
	assert_verdict(&client.ack, SHAKEOFF_ACK_TO_INPUT);
}

static void reach_SEGMENT_TO_INPUT(void)
{
	struct client client = connected();

	harness.control->flags |= SHAKEOFF_INPUT;
	assert_verdict(&client.ack, SHAKEOFF_ACK_TO_INPUT);
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_SEGMENT_TO_INPUT);
}

static void reach_SYN_OVERFLOW_DROP(void)
{
	queue_full(SHAKEOFF_OVERFLOW_DROP);
	assert_verdict(&syn, SHAKEOFF_SYN_OVERFLOW_DROP);
}

static void reach_ACK_OVERFLOW_DROP(void)
{
	struct client client = connected();

	queue_full(SHAKEOFF_OVERFLOW_DROP);
	assert_verdict(&client.ack, SHAKEOFF_ACK_OVERFLOW_DROP);
}

static void reach_SYN_UNROUTED_RATE(void)
{
	harness.control->flags |= SHAKEOFF_ANSWER_ROUTE;
	budget_spend(true);
	assert_verdict(&syn, SHAKEOFF_SYN_UNROUTED_RATE);
}

static void reach_SYN_DAEMON_DOWN(void)
{
	harness.control->heartbeat_ns = monotonic_ns() - SHAKEOFF_HEARTBEAT_TIMEOUT_NS - 1000000000;
	assert_verdict(&syn, SHAKEOFF_SYN_DAEMON_DOWN);
}

static void reach_SYN_INVALID(void)
{
	const struct segment invalid = { .flags = SYN | FIN };

	assert_verdict(&invalid, SHAKEOFF_SYN_INVALID);
}

static void reach_ACK_BAD_COOKIE(void)
{
	struct client client = connected();

	client.ack.ack++;
	assert_verdict(&client.ack, SHAKEOFF_ACK_BAD_COOKIE);
}

static void reach_ACK_NOT_ISSUED(void)
{
	const struct segment windows = WINDOWS_SYN;
	struct client client;

	client_connect(&client, &windows); /* before the forgery began, so that it is not remembered */
	harness.service->forgery.last_ns = monotonic_ns();
	harness.service->forgery.since_ns = monotonic_ns() - 2 * SHAKEOFF_FORGERY_WARM_NS;
	assert_verdict(&client.ack, SHAKEOFF_ACK_NOT_ISSUED);
}

static void reach_ACK_EXPIRED(void)
{
	const struct segment linux_syn = LINUX_SYN;
	struct client client;

	client_connect(&client, &linux_syn);
	harness.control->epoch_offset_ns += 2 * SHAKEOFF_EPOCH_NS;
	assert_verdict(&client.ack, SHAKEOFF_ACK_EXPIRED);
}

static void reach_ACK_REPLAYED(void)
{
	struct client client = connected();

	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	validated_age(&client.ack, 2 * SHAKEOFF_FOLLOW_NS);
	assert_verdict(&client.ack, SHAKEOFF_ACK_REPLAYED);
}

static void reach_RING_FULL(void)
{
	struct client client = connected();

	rings_set(0);
	assert_verdict(&client.ack, SHAKEOFF_RING_FULL);
}

static void reach_RST_NO_SOCKET(void)
{
	const struct segment rst = { .flags = RST };

	assert_verdict(&rst, SHAKEOFF_RST_NO_SOCKET);
}

static void reach_SYNACK_NO_SOCKET(void)
{
	const struct segment synack = { .flags = SYN | ACK };

	assert_verdict(&synack, SHAKEOFF_SYNACK_NO_SOCKET);
}

static void reach_BAD_SEGMENT(void)
{
	const struct segment null = { .flags = 0 };

	assert_verdict(&null, SHAKEOFF_BAD_SEGMENT);
}

static void reach_ACL_BLOCKED(void)
{
	assert_int_equal(acl_fixture_start(), 0);
	acl_fixture_add("198.51.100.7");
	assert_verdict(&syn, SHAKEOFF_ACL_BLOCKED);
	acl_fixture_reset();
	acl_fixture_stop();
}

static void reach_NO_SOCKET_PASS(void)
{
	const struct segment ack = { .flags = ACK };

	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.control->flags |= SHAKEOFF_FILTER_READY;
	assert_verdict(&ack, SHAKEOFF_NO_SOCKET_PASS);
}

static void reach_NO_SOCKET_DROP(void)
{
	const struct segment ack = { .flags = ACK };

	listens(SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	harness.service->out_of_state.since_ns = harness.service->out_of_state.last_ns = monotonic_ns();
	assert_verdict(&ack, SHAKEOFF_NO_SOCKET_DROP);
}

static void reach_BAD_HEADER(void)
{
	const struct segment short_header = { .flags = ACK, .doff = 4 };

	assert_verdict(&short_header, SHAKEOFF_BAD_HEADER);
}

static void reach_IPV6_EXTHDR(void)
{
	const struct segment chain = { .from = "2001:db8:7::7",
				       .flags = SYN,
				       .extensions = BYTES(60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1,
							   4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0,
							   0) };

	assert_verdict(&chain, SHAKEOFF_IPV6_EXTHDR);
}

static void reach_FRAG_SYN(void)
{
	const struct segment fragment = { .fragment = FRAGMENT_MF, .flags = SYN };

	assert_verdict(&fragment, SHAKEOFF_FRAG_SYN);
}

static void reach_FRAG_TINY(void)
{
	const struct segment fragment = { .fragment = 1, .flags = ACK };

	assert_verdict(&fragment, SHAKEOFF_FRAG_TINY);
}

static void reach_FRAG_RATE(void)
{
	const struct segment fragment = { .fragment = 100, .flags = ACK };

	/* A window whose budget is used up. */
	harness.control->fragment_window = monotonic_ns() / SHAKEOFF_BUDGET_WINDOW_NS + 2;
	harness.control->fragments = SHAKEOFF_FRAGMENT_RATE;
	assert_verdict(&fragment, SHAKEOFF_FRAG_RATE);
}

static void is_reached(void **state)
{
	void (*const *reach)(void) = *state;

	(*reach)();
}

int main(void)
{
	static void (*const reaches[])(void) = {
#define X(constant, name, action, counts, help) reach_##constant,
		SHAKEOFF_VERDICTS(X)
#undef X
	};
	struct CMUnitTest tests[SHAKEOFF_VERDICT_COUNT];

	for (int i = 0; i < SHAKEOFF_VERDICT_COUNT; i++)
		tests[i] = (struct CMUnitTest){ verdict_name(i), is_reached, setup, teardown, (void *)&reaches[i] };
	return cmocka_run_group_tests_name("verdicts", tests, harness_start, harness_stop);
}

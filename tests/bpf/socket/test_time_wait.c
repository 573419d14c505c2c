/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/pair.c */
/* Clients whose tuple is in TIME-WAIT: SYNs, ACKs and the segments after them. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "pair.h"

enum { TCP_STATE_NONE = 0, TCP_STATE_FIN_WAIT2 = 5, TCP_STATE_TIME_WAIT = 6 };

/* The state of the server's end, from /proc/net/tcp and tcp6. */
static unsigned int server_state(const struct family *family)
{
	FILE *table = fopen(family->family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6", "re");
	unsigned int local, remote, state, found = TCP_STATE_NONE;
	char line[512];

	assert_non_null(table);
	while (fgets(line, sizeof(line), table))
		if (sscanf(line, "%*u: %*[^:]:%X %*[^:]:%X %X", &local, &remote, &state) == 3 && local == 80 &&
		    remote == pair.port)
			found = state;
	fclose(table);
	return found;
}

static void wait_for_server_state(const struct family *family, unsigned int state)
{
	for (int i = 0; i < 10000 && server_state(family) != state; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(server_state(family), state);
}

/* The server closes first: its end of the tuple goes to TIME-WAIT. */
static void pair_to_time_wait(const struct family *family)
{
	pair_close(&pair.server);
	pair_close(&pair.client);
	wait_for_server_state(family, TCP_STATE_TIME_WAIT);
}

struct renewal {
	const char *name;
	bool server_timestamps; /* the old connection had them */
	bool timestamps;        /* the SYN has them */
	int32_t isn_step, clock_step;
	enum shakeoff_verdict verdict;
};

static const struct renewal renewals[] = {
	{ "newer timestamp, higher ISN", true, true, 100000, 10000, SHAKEOFF_SYNACK_SENT },
	{ "newer timestamp, lower ISN", true, true, -100000, 10000, SHAKEOFF_SYNACK_SENT },
	{ "older timestamp, higher ISN", true, true, 100000, -10000, SHAKEOFF_SYN_SOCKET },
	{ "older timestamp, lower ISN", true, true, -100000, -10000, SHAKEOFF_SYN_SOCKET },
	{ "timestamps given up, higher ISN", true, false, 1, 0, SHAKEOFF_SYNACK_SENT },
	{ "timestamps given up, the very next number", true, false, 0, 0, SHAKEOFF_SYN_SOCKET },
	{ "timestamps given up, lower ISN", true, false, -1, 0, SHAKEOFF_SYN_SOCKET },
	{ "no timestamps, higher ISN", false, false, 1, 0, SHAKEOFF_SYNACK_SENT },
	{ "no timestamps, highest ISN", false, false, 0x7fffffff, 0, SHAKEOFF_SYNACK_SENT },
	{ "no timestamps, the very next number", false, false, 0, 0, SHAKEOFF_SYN_SOCKET },
	{ "no timestamps, lower ISN", false, false, -1, 0, SHAKEOFF_SYN_SOCKET },
};

static void time_wait_of(const struct renewal *renewal)
{
	sysctl_set("/proc/sys/net/ipv4/tcp_timestamps", renewal->server_timestamps);
	pair_open(&ipv4);
	sysctl_set("/proc/sys/net/ipv4/tcp_timestamps", 1);
	pair_to_time_wait(&ipv4);
}

/* RFC 9293, section 3.10.7.4 and RFC 6191. */
static void a_syn_in_time_wait_is_checked(void **state)
{
	const struct renewal *renewal = *state;
	struct segment syn;

	time_wait_of(renewal);
	syn = syn_of_pair(renewal->isn_step, renewal->timestamps, renewal->clock_step);
	assert_verdict(&syn, renewal->verdict);
}

/*
 * Sends the same SYN to the kernel: it keeps its TIME-WAIT exactly where the hook lets the SYN pass. The client's
 * address belongs to this host, which answers the TIME-WAIT's ACK with an RST: RFC 1337 has it ignored.
 */
static void the_kernel_decides_on_a_syn_in_time_wait_as_the_hook_does(void **state)
{
	(void)state;
	sysctl_set("/proc/sys/net/ipv4/tcp_rfc1337", 1);
	for (size_t i = 0; i < COUNT(renewals); i++) {
		struct segment syn;

		pair_setup(NULL);
		time_wait_of(&renewals[i]);
		syn = syn_of_pair(renewals[i].isn_step, renewals[i].timestamps, renewals[i].clock_step);
		kernel_receives(&syn);
		/* Where it should be renewed, wait for that. */
		for (int ms = 0; ms < (renewals[i].verdict == SHAKEOFF_SYN_SOCKET ? 10 : 10000) &&
				 server_state(&ipv4) == TCP_STATE_TIME_WAIT;
		     ms++)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		if ((server_state(&ipv4) == TCP_STATE_TIME_WAIT) != (renewals[i].verdict == SHAKEOFF_SYN_SOCKET))
			fail_msg("differs: %s", renewals[i].name);
		pair_teardown(NULL);
	}
}

/*
 * The timestamp that the TIME-WAIT saw last is one of the next few: only with exactly that timestamp does the ISN
 * decide. Older timestamps are refused, newer ones accepted, with any ISN.
 */
static void with_the_timestamp_seen_last_the_isn_decides(void **state)
{
	int decided = 0;

	(void)state;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	for (int step = -5; step < 1000; step++) {
		struct segment syn = syn_of_pair(100000, true, step);
		enum shakeoff_verdict higher = run_segment(&syn, NULL), lower;

		syn = syn_of_pair(-100000, true, step);
		lower = run_segment(&syn, NULL);
		if (higher != lower) {
			assert_int_equal(higher, SHAKEOFF_SYNACK_SENT);
			assert_int_equal(lower, SHAKEOFF_SYN_SOCKET);
			decided++;
		} else {
			assert_int_equal(higher, decided ? SHAKEOFF_SYNACK_SENT : SHAKEOFF_SYN_SOCKET);
		}
	}
	assert_int_equal(decided, 1);
}

static void a_syn_in_ipv6_time_wait_is_checked(void **state)
{
	struct segment syn;

	(void)state;
	pair_open(&ipv6);
	pair_to_time_wait(&ipv6);
	syn = syn_of_pair(100000, true, 10000);
	assert_verdict(&syn, SHAKEOFF_SYNACK_SENT);
	syn = syn_of_pair(100000, true, -10000);
	assert_verdict(&syn, SHAKEOFF_SYN_SOCKET);
}

static void where_time_wait_cannot_be_removed_its_syns_pass(void **state)
{
	struct segment syn;

	(void)state;
	harness.control->flags |= SHAKEOFF_KEEP_TIME_WAIT;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	syn = syn_of_pair(100000, true, 10000);
	assert_verdict(&syn, SHAKEOFF_SYN_SOCKET);
}

static void a_half_closed_connection_is_not_replaced(void **state)
{
	(void)state;
	pair_open(&ipv4);
	pair_close(&pair.server);
	wait_for_server_state(&ipv4, TCP_STATE_FIN_WAIT2);
	assert_all_pass(SHAKEOFF_SYN_SOCKET);
}

static void old_segments_of_a_connection_in_time_wait_pass(void **state)
{
	static const uint8_t flags[] = { ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN | ACK, 0, FIN };

	(void)state;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	for (size_t i = 0; i < COUNT(flags); i++) {
		struct segment segment = of_pair(flags[i]);

		assert_verdict(&segment, SHAKEOFF_SOCKET);
	}
}

/* A client renews a connection whose old one is in TIME-WAIT: the event has to report it. */
static const struct shakeoff_event *renew(struct client *client, const struct segment *syn)
{
	struct shakeoff_validated entry;
	const struct shakeoff_event *event;

	client_connect(client, syn);
	assert_verdict(&client->ack, SHAKEOFF_ACK_VALID);
	event = expect_event(SHAKEOFF_EVENT_OPEN);
	assert_true(event->flags & SHAKEOFF_EVENT_TIME_WAIT);
	assert_true(validated_get(&client->ack, &entry));
	assert_int_equal(entry.replaced, time_wait_rcv_nxt());
	return event;
}

static void an_ack_that_meets_a_time_wait_opens(void **state)
{
	const struct shakeoff_event *event;
	struct client client;
	struct segment syn;

	(void)state;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	syn = syn_of_pair(100000, true, 10000);
	event = renew(&client, &syn);
	assert_int_equal(event->rcv_nxt, syn.seq + 1);
	assert_int_equal(event->snd_nxt, client.synack.seq + 1);
}

static void an_ack_that_meets_an_ipv6_time_wait_opens(void **state)
{
	struct client client;
	struct segment syn;

	(void)state;
	pair_open(&ipv6);
	pair_to_time_wait(&ipv6);
	syn = syn_of_pair(100000, false, 0);
	renew(&client, &syn);
}

static void a_handshake_without_a_time_wait_reports_none(void **state)
{
	const struct segment syn = LINUX_SYN;
	struct client client;

	(void)state;
	client_connect(&client, &syn);
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	assert_false(expect_event(SHAKEOFF_EVENT_OPEN)->flags & SHAKEOFF_EVENT_TIME_WAIT);
}

/* The TIME-WAIT can be found until the daemon has removed it: segments after the ACK must not go there. */
static void assert_follows(struct client *client, uint8_t flags, uint32_t seq_step, size_t payload_len)
{
	struct segment segment = client->ack;

	segment.flags = flags;
	segment.seq += seq_step;
	segment.payload = (struct bytes){ "0123456789", payload_len };
	validated_age(&segment, 0);
	assert_verdict(&segment, SHAKEOFF_SEGMENT_QUEUED);
	expect_event(SHAKEOFF_EVENT_SEGMENT);
}

static void the_first_data_does_not_go_to_the_time_wait(void **state)
{
	struct client client;
	struct segment syn;

	(void)state;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	syn = syn_of_pair(100000, true, 10000);
	renew(&client, &syn);
	assert_follows(&client, ACK | PSH, 0, 10);
}

static void later_data_does_not_go_to_the_time_wait(void **state)
{
	struct client client;
	struct segment syn;

	(void)state;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	syn = syn_of_pair(-100000, true, 10000);
	renew(&client, &syn);
	assert_follows(&client, ACK | PSH, 10, 10);
}

static void fin_and_rst_do_not_go_to_the_time_wait(void **state)
{
	struct client client;
	struct segment syn;

	(void)state;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	syn = syn_of_pair(100000, false, 0);
	renew(&client, &syn);
	assert_follows(&client, FIN | ACK, 10, 0);
	assert_follows(&client, RST, 11, 0);
}

static void the_time_wait_of_the_fresh_connection_itself_gets_its_segments(void **state)
{
	struct segment syn = { .from = ipv4.client, .flags = SYN }, segment;
	struct client client;

	(void)state;
	pair.client = bound_socket(&ipv4, ipv4.client, 40000);
	client_opens(&client, &syn);
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	segment = of_pair(FIN | ACK);
	validated_age(&segment, 0);
	assert_verdict(&segment, SHAKEOFF_SOCKET);
}

/* As if the renewed connection had ended, too, and this were its own TIME-WAIT: its numbers are different. */
static void the_time_wait_of_a_renewed_connection_itself_gets_its_segments(void **state)
{
	struct shakeoff_validated entry;
	struct client client;
	struct segment syn;

	(void)state;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	syn = syn_of_pair(100000, true, 10000);
	renew(&client, &syn);
	assert_true(validated_get(&client.ack, &entry));
	entry.replaced--;
	validated_set(&client.ack, &entry);
	validated_age(&client.ack, 0);
	assert_verdict(&client.ack, SHAKEOFF_SOCKET);
}

static void a_bad_cookie_in_time_wait_passes(void **state)
{
	struct client client;
	struct segment syn;

	(void)state;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	syn = syn_of_pair(100000, true, 10000);
	client_connect(&client, &syn);
	client.ack.ack++;
	assert_verdict(&client.ack, SHAKEOFF_SOCKET);
}

/* Of two ISNs half the space apart, one is older than the connection that followed. */
static void a_late_duplicate_of_an_older_ack_goes_to_the_time_wait(void **state)
{
	struct client clients[2];

	(void)state;
	pair.client = bound_socket(&ipv4, ipv4.client, 40001);
	for (uint32_t i = 0; i < 2; i++) {
		struct segment syn = { .from = ipv4.client, .sport = 40001, .seq = i << 31, .flags = SYN };

		client_connect(&clients[i], &syn);
	}
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	for (uint32_t i = 0; i < 2; i++) {
		bool older = (int32_t)((i << 31) - time_wait_rcv_nxt()) <= 0;

		assert_verdict(&clients[i].ack, older ? SHAKEOFF_SOCKET : SHAKEOFF_ACK_VALID);
	}
}

static void a_full_queue_refuses_the_syn_that_would_replace_a_time_wait(void **state)
{
	struct segment syn;

	(void)state;
	pair_open(&ipv4);
	pair_to_time_wait(&ipv4);
	harness.service->enqueued = harness.service->capacity;
	syn = syn_of_pair(100000, true, 10000);
	assert_verdict(&syn, SHAKEOFF_SYN_OVERFLOW_DROP);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest others[] = {
		TEST(the_kernel_decides_on_a_syn_in_time_wait_as_the_hook_does),
		TEST(with_the_timestamp_seen_last_the_isn_decides),
		TEST(a_syn_in_ipv6_time_wait_is_checked),
		TEST(where_time_wait_cannot_be_removed_its_syns_pass),
		TEST(a_half_closed_connection_is_not_replaced),
		TEST(old_segments_of_a_connection_in_time_wait_pass),
		TEST(an_ack_that_meets_a_time_wait_opens),
		TEST(an_ack_that_meets_an_ipv6_time_wait_opens),
		TEST(a_handshake_without_a_time_wait_reports_none),
		TEST(the_first_data_does_not_go_to_the_time_wait),
		TEST(later_data_does_not_go_to_the_time_wait),
		TEST(fin_and_rst_do_not_go_to_the_time_wait),
		TEST(the_time_wait_of_the_fresh_connection_itself_gets_its_segments),
		TEST(the_time_wait_of_a_renewed_connection_itself_gets_its_segments),
		TEST(a_bad_cookie_in_time_wait_passes),
		TEST(a_late_duplicate_of_an_older_ack_goes_to_the_time_wait),
		TEST(a_full_queue_refuses_the_syn_that_would_replace_a_time_wait),
	};
	struct CMUnitTest tests[COUNT(renewals) + COUNT(others)], *test = tests;

	for (size_t i = 0; i < COUNT(renewals); i++)
		*test++ = (struct CMUnitTest){ renewals[i].name, a_syn_in_time_wait_is_checked, pair_setup,
					       pair_teardown, (void *)&renewals[i] };
	memcpy(test, others, sizeof(others));
	return cmocka_run_group_tests_name("TIME-WAIT", tests, harness_start, harness_stop);
}

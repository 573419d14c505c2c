/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When and which SYN-ACKs are sent again, and when the daemon gives up.
 *
 * link: user/shakeoffd/hook/resend.c user/shakeoffd/hook/synack_frame.c user/shakeoffd/hook/prefix_budget.c
 * link: user/common/log.c
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "shakeoffd/hook/resend.h"
#include "shakeoffd/sys/packet_socket.h"

#define TICK_NS (100 * NS_PER_MS)
#define START_NS (1000 * NS_PER_S)
#define SERVICE 7
#define IFINDEX 3
#define PORT 7000

/* ------------------------------------------------------------------------------------------- a datapath, and a wire */

struct datapath {
	struct shakeoff_control control;
	struct shakeoff_service services[SHAKEOFF_MAX_SERVICES];
	struct shakeoff_tuple tuples[SHAKEOFF_SERVICE_HALF_OPEN + 1];
	struct shakeoff_half_open entries[SHAKEOFF_SERVICE_HALF_OPEN + 1];
	size_t count;
	size_t walks;
	bool detached;    /* the interface */
	uint32_t address; /* the service of the addresses */
	bool late;        /* the hook adds an entry right after an iteration */
};

static struct datapath datapath;
static struct datapath *datapaths[] = { &datapath };
static struct half_open half_open;
static uint64_t now_ns;

static struct {
	size_t count;
	unsigned int ifindex;
	uint8_t frame[SHAKEOFF_SYNACK_FRAME];
	size_t len;
	int error;
} wire;

struct shakeoff_control *datapath_control(struct datapath *this)
{
	return &this->control;
}

struct shakeoff_service *datapath_services(struct datapath *this)
{
	return this->services;
}

int datapath_interface_get(struct datapath *this, uint32_t ifindex, struct shakeoff_interface *interface)
{
	assert_int_equal(ifindex, IFINDEX);
	*interface = (struct shakeoff_interface){ 0 };
	return this->detached ? -ENOENT : 0;
}

int datapath_address_get(struct datapath *this, const struct in6_addr *address, uint16_t port, uint32_t *value)
{
	assert_true(IN6_IS_ADDR_LOOPBACK(address));
	assert_int_equal(port, PORT);
	*value = this->address;
	return this->address == UINT32_MAX ? -ENOENT : 0;
}

int datapath_half_open_each(struct datapath *this, datapath_half_open_fn callback, void *context)
{
	size_t kept = 0;

	this->walks++;
	for (size_t i = 0; i < this->count; i++) {
		if (callback(context, &this->tuples[i], &this->entries[i]))
			continue;
		this->tuples[kept] = this->tuples[i];
		this->entries[kept++] = this->entries[i];
	}
	this->count = kept;
	if (this->late)
		this->entries[this->count++] = (struct shakeoff_half_open){ .service = SERVICE, .answered_ns = now_ns };
	return 0;
}

bool datapath_half_open_is_empty(struct datapath *this)
{
	return !this->count;
}

int packet_socket_open(void)
{
	return 1000; /* an unused descriptor */
}

int packet_send(int fd, unsigned int ifindex, const uint8_t *frame, size_t len)
{
	assert_int_equal(fd, 1000);
	wire.count++;
	wire.ifindex = ifindex;
	wire.len = len;
	memcpy(wire.frame, frame, len);
	return wire.error;
}

static void answered_to(const char *address, uint64_t ago_ns)
{
	struct shakeoff_tuple *tuple = &datapath.tuples[datapath.count];

	*tuple = (struct shakeoff_tuple){ .local[3] = htonl(1), .local_port = htons(PORT) };
	assert_int_equal(inet_pton(AF_INET6, address, tuple->remote), 1);
	datapath.entries[datapath.count++] = (struct shakeoff_half_open){
		.answered_ns = now_ns - ago_ns,
		.ifindex = IFINDEX,
		.service = SERVICE,
		.frame_len = 60,
		.frame = { 1, 2, 3 },
	};
	datapath.control.half_open = 1;
}

static void answered(uint64_t ago_ns)
{
	answered_to("2001:db8::7", ago_ns);
}

/* Adds entries to prefixes that have nothing in common. */
static void answered_everywhere(size_t count, uint64_t ago_ns)
{
	char address[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < count; i++) {
		snprintf(address, sizeof(address), "2001:db8:%zx::7", i);
		answered_to(address, ago_ns);
	}
}

/* A SYN-ACK with all options; its TSval is 0xfffffff0. setup() writes the checksum. */
static uint8_t synack4[14 + 20 + 40] = {
	[12] = 8,    0, /* IPv4 */
	[14] = 0x45, 0,    0,    60,   0,    0,    0x40, 0,  64,   IPPROTO_TCP,
	0,           0,    192,  0,    2,    1,    192,  0,  2,    2, /* header */
	27,          88,   0x30, 0x39, 1,    2,    3,    4,  5,    6,
	7,           8,    0xa0, 0x12, 0xfe, 0x88, 0,    0,  0,    0, /* ports to urgent pointer */
	2,           4,    5,    0xb4, 4,    2,    8,    10, 0xff, 0xff,
	0xff,        0xf0, 0,    1,    2,    3,    1,    3,  3,    7, /* MSS, SACK, timestamps, scale */
};

static uint32_t tsval_of(const uint8_t *tcp)
{
	uint32_t tsval;

	memcpy(&tsval, tcp + 28, sizeof(tsval));
	return ntohl(tsval);
}

/*
 * Returns the difference between the checksum of the segment after an IP header and the correct one: 0 if it is
 * correct. 40 bytes of TCP.
 */
static uint16_t checksum_remainder(const uint8_t *ip, bool ipv6)
{
	const uint8_t *tcp = ip + (ipv6 ? 40 : 20), *addresses = ip + (ipv6 ? 8 : 12);
	uint32_t sum = IPPROTO_TCP + 40;

	for (const uint8_t *at = addresses; at < tcp + 40; at += 2)
		sum += (uint32_t)at[0] << 8 | at[1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void put_checksum(uint8_t *ip, bool ipv6)
{
	uint8_t *tcp = ip + (ipv6 ? 40 : 20);
	uint16_t sum;

	tcp[16] = tcp[17] = 0;
	sum = htons(checksum_remainder(ip, ipv6));
	memcpy(tcp + 16, &sum, sizeof(sum));
}

static int setup(void **state)
{
	(void)state;
	memset(&datapath, 0, sizeof(datapath));
	memset(&wire, 0, sizeof(wire));
	now_ns = START_NS;
	datapath.address = SERVICE;
	put_checksum(synack4 + 14, false);
	datapath.services[SERVICE] = (struct shakeoff_service){
		.flags = SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED,
	};
	return half_open_open(&half_open, datapaths, 1, 5, now_ns);
}

static int teardown(void **state)
{
	(void)state;
	half_open_close(&half_open);
	return 0;
}

/* Runs as many ticks as fit; returns how many frames were sent. */
static size_t pass(uint64_t time_ns)
{
	size_t before = wire.count;

	for (uint64_t end_ns = now_ns + time_ns; now_ns < end_ns;) {
		now_ns += TICK_NS;
		assert_int_equal(half_open_tick(&half_open, now_ns), 0);
	}
	return wire.count - before;
}

/* --------------------------------------------------------------------------------------------------------- schedule */

static void a_repetition_is_due_after_1_3_7_15_31_and_63_seconds(void **state)
{
	static const uint64_t seconds[] = { 1, 3, 7, 15, 31, 63 };

	(void)state;
	for (unsigned int retries = 0; retries <= SHAKEOFF_SYNACK_RETRIES_MAX; retries++) {
		for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
			uint64_t when_ns = START_NS + seconds[i] * NS_PER_S;

			assert_int_equal(half_open_is_due(START_NS, when_ns - 1, when_ns, retries), i < retries);
			assert_false(half_open_is_due(START_NS, when_ns, when_ns + NS_PER_S - 1, retries));
			assert_false(half_open_is_due(START_NS, when_ns - NS_PER_S, when_ns - 1, retries));
		}
	}
}

static void the_last_repetition_is_before_the_cookie_expires(void **state)
{
	(void)state;
	assert_true(half_open_is_over(START_NS, START_NS + SHAKEOFF_EPOCH_NS - NS_PER_S, SHAKEOFF_SYNACK_RETRIES_MAX));
}

static void the_last_repetition_ends_the_schedule(void **state)
{
	(void)state;
	assert_true(half_open_is_over(START_NS, START_NS, 0));
	assert_false(half_open_is_over(START_NS, START_NS + 31 * NS_PER_S - 1, 5));
	assert_true(half_open_is_over(START_NS, START_NS + 31 * NS_PER_S, 5));
	assert_false(half_open_is_over(START_NS, START_NS - NS_PER_MS, 1)); /* the hook's clock is ahead */
}

static void more_entries_get_fewer_repetitions_each(void **state)
{
	(void)state;
	assert_int_equal(half_open_retries(5, 0), 5);
	assert_int_equal(half_open_retries(5, SHAKEOFF_SERVICE_HALF_OPEN / 4), 5);
	assert_int_equal(half_open_retries(5, SHAKEOFF_SERVICE_HALF_OPEN / 4 + 1), 3);
	assert_int_equal(half_open_retries(5, SHAKEOFF_SERVICE_HALF_OPEN / 2 + 1), 1);
	assert_int_equal(half_open_retries(0, SHAKEOFF_SERVICE_HALF_OPEN), 0);
	assert_int_equal(half_open_retries(2, SHAKEOFF_SERVICE_HALF_OPEN / 4 + 1), 2);
}

/* -------------------------------------------------------------------------------------------------------- iteration */

static void each_repetition_is_sent_once(void **state)
{
	(void)state;
	answered(50 * NS_PER_MS);
	assert_int_equal(pass(900 * NS_PER_MS), 0);
	assert_int_equal(pass(100 * NS_PER_MS), 1);
	assert_int_equal(pass(1900 * NS_PER_MS), 0);
	assert_int_equal(pass(100 * NS_PER_MS), 1);
	assert_int_equal(pass(28 * NS_PER_S), 3);
	assert_int_equal(datapath.count, 0);
	assert_int_equal(pass(60 * NS_PER_S), 0);
	assert_int_equal(datapath.services[SERVICE].repeated, 5);
}

static void the_sysctl_sets_the_number_of_repetitions_up_to_six(void **state)
{
	(void)state;
	assert_true(datapath.control.flags & SHAKEOFF_RESENDS);
	answered(0);
	half_open_set_retries(&half_open, 9);
	assert_int_equal(pass(70 * NS_PER_S), SHAKEOFF_SYNACK_RETRIES_MAX);
	answered(0);
	half_open_set_retries(&half_open, 0);
	assert_false(datapath.control.flags & SHAKEOFF_RESENDS);
	assert_int_equal(pass(70 * NS_PER_S), 0);
	assert_int_equal(datapath.count, 0);
}

static void it_is_the_frame_that_the_hook_sent(void **state)
{
	static const uint8_t frame[60] = { 1, 2, 3 };

	(void)state;
	answered(0);
	pass(NS_PER_S);
	assert_int_equal(wire.len, 60);
	assert_memory_equal(wire.frame, frame, 60);
	assert_int_equal(wire.ifindex, IFINDEX);
}

/* The hook's own copy keeps its timestamp: the next repetition starts from it. */
static void its_timestamp_is_that_of_the_repetition(void **state)
{
	struct shakeoff_half_open *entry = datapath.entries;

	(void)state;
	answered(100 * NS_PER_MS);
	entry->frame_len = sizeof(synack4);
	memcpy(entry->frame, synack4, sizeof(synack4));
	assert_int_equal(pass(NS_PER_S), 1);
	assert_int_equal(tsval_of(wire.frame + 14 + 20), 0xfffffff0 + 1000);
	assert_int_equal(checksum_remainder(wire.frame + 14, false), 0);
	assert_int_equal(pass(2 * NS_PER_S), 1);
	assert_int_equal(tsval_of(wire.frame + 14 + 20), 0xfffffff0 + 3000);
	assert_int_equal(checksum_remainder(wire.frame + 14, false), 0);
	assert_memory_equal(entry->frame, synack4, sizeof(synack4));
}

static void failed_repetitions_are_not_counted(void **state)
{
	(void)state;
	answered(0);
	wire.error = -ENETDOWN;
	assert_int_equal(pass(NS_PER_S), 1);
	assert_int_equal(datapath.services[SERVICE].repeated, 0);
}

static void a_restarted_daemon_continues(void **state)
{
	(void)state;
	answered(0);
	assert_int_equal(pass(2 * NS_PER_S), 1);
	half_open_close(&half_open);
	now_ns += 2 * NS_PER_S;
	assert_int_equal(half_open_open(&half_open, datapaths, 1, 5, now_ns), 0);
	assert_int_equal(pass(4 * NS_PER_S), 1);
}

static void in_a_flood_all_are_dropped_and_none_is_sent(void **state)
{
	(void)state;
	answered(950 * NS_PER_MS);
	answered(0);
	datapath.services[SERVICE].syns.last_ns = now_ns;
	assert_int_equal(pass(TICK_NS), 0);
	assert_int_equal(datapath.count, 0);
}

static void all_of_a_service_without_a_server_are_dropped(void **state)
{
	(void)state;
	answered(950 * NS_PER_MS);
	datapath.services[SERVICE].flags = SHAKEOFF_SERVICE_USED;
	assert_int_equal(pass(TICK_NS), 0);
	assert_int_equal(datapath.count, 0);
}

/* Returns how many are kept. */
static size_t gone_without_a_frame(void)
{
	answered(950 * NS_PER_MS);
	assert_int_equal(pass(TICK_NS), 0);
	return datapath.count;
}

static void all_of_a_detached_interface_are_dropped(void **state)
{
	(void)state;
	datapath.detached = true;
	assert_int_equal(gone_without_a_frame(), 0);
}

static void all_of_an_address_that_the_host_lost_are_dropped(void **state)
{
	(void)state;
	datapath.address = UINT32_MAX;
	assert_int_equal(gone_without_a_frame(), 0);
}

static void all_of_an_address_of_another_service_are_dropped(void **state)
{
	(void)state;
	datapath.address = SERVICE + 1;
	assert_int_equal(gone_without_a_frame(), 0);
}

static void all_of_a_bypassed_address_are_dropped(void **state)
{
	(void)state;
	datapath.address = SERVICE | SHAKEOFF_ADDRESS_BYPASSED;
	assert_int_equal(gone_without_a_frame(), 0);
}

/* The budget of each prefix is larger than the number of SYN-ACKs that this test sends to it. */
static void one_tick_sends_a_bounded_number(void **state)
{
	(void)state;
	answered_everywhere(HALF_OPEN_FRAMES_A_TICK + 10, 950 * NS_PER_MS);
	assert_int_equal(pass(TICK_NS), HALF_OPEN_FRAMES_A_TICK);
	assert_int_equal(datapath.count, HALF_OPEN_FRAMES_A_TICK + 10);
}

static void fill_prefix(const char *first, const char *second)
{
	for (size_t i = 0; i < PREFIX_BUDGET_FRAMES; i++)
		answered_to(i % 2 ? first : second, 950 * NS_PER_MS);
	answered_to(first, 950 * NS_PER_MS);
	answered_to(second, 950 * NS_PER_MS);
	assert_int_equal(pass(TICK_NS), PREFIX_BUDGET_FRAMES);
	assert_int_equal(datapath.count, PREFIX_BUDGET_FRAMES);
}

static void few_a_second_are_sent_to_an_ipv4_prefix_and_the_rest_is_dropped(void **state)
{
	(void)state;
	fill_prefix("::ffff:198.51.100.1", "::ffff:198.51.100.254");
}

static void few_a_second_are_sent_to_an_ipv6_prefix_and_the_rest_is_dropped(void **state)
{
	(void)state;
	fill_prefix("2001:db8:7::1", "2001:db8:7:ffff::2");
}

static void a_prefix_gets_more_in_the_next_second(void **state)
{
	(void)state;
	fill_prefix("::ffff:198.51.100.1", "::ffff:198.51.100.254");
	now_ns += NS_PER_S;
	answered_to("::ffff:198.51.100.1", 950 * NS_PER_MS);
	assert_int_equal(pass(TICK_NS), 1);
}

static void a_long_list_is_dropped_sooner(void **state)
{
	(void)state;
	answered_everywhere(SHAKEOFF_SERVICE_HALF_OPEN, 0);
	pass(TICK_NS);
	assert_int_equal(datapath.services[SERVICE].half_open, SHAKEOFF_SERVICE_HALF_OPEN);
	pass(NS_PER_S);
	assert_int_equal(datapath.count, 0);
}

/* ---------------------------------------------------------------------------------------------- the count, the flag */

static void every_service_gets_its_count(void **state)
{
	(void)state;
	answered(0);
	answered(0);
	pass(TICK_NS);
	assert_int_equal(datapath.services[SERVICE].half_open, 2);
	datapath.count = 1; /* an ACK came */
	pass(TICK_NS);
	assert_int_equal(datapath.services[SERVICE].half_open, 1);
	datapath.count = 0;
	pass(TICK_NS);
	assert_int_equal(datapath.services[SERVICE].half_open, 0);
}

static void without_entries_the_table_is_not_iterated(void **state)
{
	size_t walks;

	(void)state;
	pass(TICK_NS);
	assert_int_equal(datapath.control.half_open, 0);
	walks = datapath.walks;
	pass(NS_PER_S);
	assert_int_equal(datapath.walks, walks);
	answered(0);
	assert_int_equal(pass(NS_PER_S), 1);
}

static void entries_added_after_an_iteration_are_found(void **state)
{
	(void)state;
	datapath.late = true;
	pass(TICK_NS);
	assert_int_equal(datapath.control.half_open, 1);
}

static void counts_of_an_earlier_daemon_are_corrected(void **state)
{
	(void)state;
	half_open_close(&half_open);
	datapath.services[SERVICE].half_open = 9;
	datapath.control.half_open = 0;
	assert_int_equal(half_open_open(&half_open, datapaths, 1, 5, now_ns), 0);
	pass(TICK_NS);
	assert_int_equal(datapath.services[SERVICE].half_open, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_repetition_is_due_after_1_3_7_15_31_and_63_seconds),
		TEST(the_last_repetition_is_before_the_cookie_expires),
		TEST(the_last_repetition_ends_the_schedule),
		TEST(more_entries_get_fewer_repetitions_each),
		TEST(each_repetition_is_sent_once),
		TEST(the_sysctl_sets_the_number_of_repetitions_up_to_six),
		TEST(it_is_the_frame_that_the_hook_sent),
		TEST(its_timestamp_is_that_of_the_repetition),
		TEST(failed_repetitions_are_not_counted),
		TEST(a_restarted_daemon_continues),
		TEST(in_a_flood_all_are_dropped_and_none_is_sent),
		TEST(all_of_a_service_without_a_server_are_dropped),
		TEST(all_of_a_detached_interface_are_dropped),
		TEST(all_of_an_address_that_the_host_lost_are_dropped),
		TEST(all_of_an_address_of_another_service_are_dropped),
		TEST(all_of_a_bypassed_address_are_dropped),
		TEST(one_tick_sends_a_bounded_number),
		TEST(few_a_second_are_sent_to_an_ipv4_prefix_and_the_rest_is_dropped),
		TEST(few_a_second_are_sent_to_an_ipv6_prefix_and_the_rest_is_dropped),
		TEST(a_prefix_gets_more_in_the_next_second),
		TEST(a_long_list_is_dropped_sooner),
		TEST(every_service_gets_its_count),
		TEST(without_entries_the_table_is_not_iterated),
		TEST(entries_added_after_an_iteration_are_found),
		TEST(counts_of_an_earlier_daemon_are_corrected),
	};

	return cmocka_run_group_tests_name("half-open connections", tests, NULL, NULL);
}

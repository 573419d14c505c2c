/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket filter: the filter in use has every tuple with a socket, and hints outlive the change of filters.
 *
 * link: user/shakeoffd/hook/socket_filter.c user/shakeoffd/sys/background_task.c user/shakeoffd/sys/event_loop.c
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/sock_diag.h"
#include <shakeoff/socket_filter.h>
#include "common/clock.h"
#include "shakeoffd/hook/socket_filter.h"

/* The part of a datapath that the filter uses. */
struct datapath {
	struct shakeoff_control control;
	struct shakeoff_filter filters[2];
};

static struct datapath memory;
static struct datapath *datapaths[1] = { &memory };
static struct socket_filter filter;
static uint64_t now;

/* The kernel's sockets. */
static struct {
	struct sock_diag_entry list[4];
	size_t count;
	int error;
	int dumps;
} sockets;

struct shakeoff_control *datapath_control(struct datapath *datapath)
{
	return &datapath->control;
}

struct shakeoff_filter *datapath_filter(struct datapath *datapath, uint32_t which)
{
	return &datapath->filters[which];
}

int sock_diag_each(uint32_t states, int (*callback)(void *context, const struct sock_diag_entry *entry), void *context)
{
	(void)states;
	sockets.dumps++;
	for (size_t i = 0; i < sockets.count && !sockets.error; i++)
		callback(context, &sockets.list[i]);
	return sockets.error;
}

static uint32_t slot_of(uint16_t port)
{
	struct shakeoff_tuple tuple = { .remote_port = port };

	return shakeoff_filter_tuple_slot(&tuple);
}

static void add_socket(uint16_t port)
{
	sockets.list[sockets.count++].tuple = (struct shakeoff_tuple){ .remote_port = port };
}

/* Returns the byte that the hook reads. */
static uint8_t *active(uint16_t port)
{
	return &memory.filters[memory.control.filter_active].slots[slot_of(port)];
}

static uint8_t *spare(uint16_t port)
{
	return &memory.filters[memory.control.filter_active ^ 1].slots[slot_of(port)];
}

static bool is_ready(void)
{
	return memory.control.flags & SHAKEOFF_FILTER_READY;
}

static uint8_t age(uint16_t port)
{
	return *active(port) & SHAKEOFF_FILTER_AGE;
}

static void tick(void)
{
	assert_int_equal(socket_filter_tick(&filter, now, now), 0);
}

/* Ticks until the next filter is the active one. */
static void swap(void)
{
	uint32_t before = memory.control.filter_active;

	for (int i = 0; i < 30 && memory.control.filter_active == before; i++) {
		now += NS_PER_S;
		tick();
		/* A pause begins with the real clock. */
		if (filter.building && filter.since_ns < now)
			filter.since_ns = now;
	}
	assert_int_not_equal(memory.control.filter_active, before);
}

static int begin(void **state)
{
	(void)state;
	memset(&memory, 0, sizeof(memory));
	memset(&sockets, 0, sizeof(sockets));
	socket_filter_open(&filter, datapaths, 1);
	now = clock_ns();
	return 0;
}

static void it_is_ready_when_the_sockets_are_in_it(void **state)
{
	(void)state;
	add_socket(1);
	tick();
	assert_false(is_ready());
	swap();
	assert_true(is_ready());
	assert_int_equal(*active(1), SHAKEOFF_FILTER_SOCKET);
	assert_int_equal(*active(2), 0);
}

static bool region_is_set(const struct shakeoff_filter *from, uint16_t port)
{
	return from->regions[slot_of(port) >> SHAKEOFF_FILTER_REGION_BITS];
}

static void noted_and_copied_hints_mark_their_region(void **state)
{
	(void)state;
	swap();
	assert_false(region_is_set(&memory.filters[memory.control.filter_active], 1));
	add_socket(1);
	*active(2) = SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED;
	swap();
	assert_true(region_is_set(&memory.filters[memory.control.filter_active], 1));
	assert_true(region_is_set(&memory.filters[memory.control.filter_active], 2));
	sockets.count = 0;
	swap();
	assert_false(region_is_set(&memory.filters[memory.control.filter_active], 1));
}

static void a_failed_list_of_sockets_keeps_the_filter_that_is_used(void **state)
{
	uint32_t before;

	(void)state;
	swap();
	before = memory.control.filter_active;
	now += 21 * NS_PER_S;
	tick();
	filter.since_ns = now;
	now += 2 * NS_PER_S;
	sockets.error = -ENOBUFS;
	assert_int_equal(socket_filter_tick(&filter, now, now), -ENOBUFS);
	assert_int_equal(memory.control.filter_active, before);
	assert_true(is_ready());
}

static void new_addresses_get_their_sockets_into_both_filters(void **state)
{
	(void)state;
	swap();
	add_socket(1);
	*active(1) = SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_PENDING;
	socket_filter_note_sockets(&filter);
	assert_true(is_ready());
	assert_int_equal(*active(1), SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_PENDING);
	assert_int_equal(*spare(1), SHAKEOFF_FILTER_SOCKET);
}

static void sockets_made_during_the_publishing_are_noted_with_the_next_tick(void **state)
{
	(void)state;
	swap();
	socket_filter_note_sockets(&filter);
	add_socket(1);
	sockets.dumps = 0;
	tick();
	assert_int_equal(*active(1), SHAKEOFF_FILTER_SOCKET);
	tick();
	assert_int_equal(sockets.dumps, 1);
	assert_true(is_ready());
}

static void repeated_new_addresses_keep_it_ready(void **state)
{
	(void)state;
	swap();
	for (int i = 0; i < 100; i++) {
		socket_filter_note_sockets(&filter);
		now += 600 * NS_PER_MS;
		tick();
		assert_true(is_ready());
	}
}

static void without_noted_sockets_the_filter_is_built_anew(void **state)
{
	(void)state;
	swap();
	sockets.error = -ENOBUFS;
	socket_filter_note_sockets(&filter);
	assert_false(is_ready());
	sockets.error = 0;
	swap();
	assert_true(is_ready());
}

static void a_stale_filter_is_not_trusted_with_new_addresses(void **state)
{
	(void)state;
	memory.control.flags = SHAKEOFF_FILTER_READY;
	socket_filter_note_sockets(&filter);
	assert_false(is_ready());
	assert_int_equal(sockets.dumps, 0);
}

/* Until the task's thread has read them; it begins with the next tick. */
static void while_the_sockets_are_read_slowly_the_hook_looks_them_up(void **state)
{
	(void)state;
	swap();
	filter.cost_ns = NS_PER_S;
	sockets.dumps = 0;
	socket_filter_note_sockets(&filter);
	assert_false(is_ready());
	assert_int_equal(sockets.dumps, 0);
	add_socket(1);
	tick();
	assert_true(is_ready());
	assert_int_equal(*active(1), SHAKEOFF_FILTER_SOCKET);
	assert_int_equal(*spare(1), SHAKEOFF_FILTER_SOCKET);
}

/* A slow reader: sockets that it has missed are in the kernel's list when it is done. */
static void addresses_published_during_a_reading_need_another_reading(void **state)
{
	(void)state;
	swap();
	filter.task.busy = true;
	socket_filter_note_sockets(&filter);
	assert_false(is_ready());
	filter.task.done = true;
	filter.task.result = 0;
	filter.finishing = false;
	sockets.dumps = 0;
	tick();
	assert_int_equal(sockets.dumps, 1);
	assert_true(is_ready());
}

static void a_filter_that_was_built_from_an_older_reading_is_not_trusted_either(void **state)
{
	uint32_t before;

	(void)state;
	swap();
	before = memory.control.filter_active;
	now += 21 * NS_PER_S;
	tick();
	assert_true(filter.building);
	filter.task.busy = filter.finishing = true;
	socket_filter_note_sockets(&filter);
	filter.task.done = true;
	filter.task.result = 0;
	sockets.error = -ENOBUFS;
	socket_filter_tick(&filter, now, now);
	assert_int_not_equal(memory.control.filter_active, before);
	assert_false(is_ready());
	sockets.error = 0;
	swap();
	assert_true(is_ready());
}

static void a_hint_is_copied_until_its_cookie_expires(void **state)
{
	uint64_t begin;

	(void)state;
	swap();
	*active(1) |= SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED;
	begin = now;
	while (*active(1) & SHAKEOFF_FILTER_UNCONFIRMED) {
		assert_true(*active(1) & SHAKEOFF_FILTER_SOCKET);
		assert_true(now - begin < 2 * SHAKEOFF_COOKIE_LIFETIME_NS);
		swap();
	}
	assert_true(now - begin >= SHAKEOFF_COOKIE_LIFETIME_NS);
	assert_int_equal(*active(1), 0);
}

static void a_hint_that_was_used_is_not_copied(void **state)
{
	(void)state;
	swap();
	*active(1) = SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED;
	swap();
	assert_int_equal(age(1), SHAKEOFF_FILTER_AGE_ONE);
	*active(1) &= ~SHAKEOFF_FILTER_UNCONFIRMED;
	swap();
	assert_int_equal(*active(1), 0);
}

static void a_hint_that_is_set_while_the_next_filter_is_built_is_new_in_it(void **state)
{
	(void)state;
	swap();
	*active(1) = SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED | 3 * SHAKEOFF_FILTER_AGE_ONE;
	while (!filter.building) {
		now += NS_PER_S;
		tick();
	}
	filter.since_ns = now;
	*active(1) = *spare(1) = SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED;
	swap();
	assert_int_equal(*active(1), SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED);
}

static void a_filter_that_comes_early_does_not_age_hints(void **state)
{
	(void)state;
	swap();
	*active(1) = SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED;
	swap();
	for (int i = 0; i < 5; i++) {
		sockets.error = -ENOBUFS;
		socket_filter_note_sockets(&filter);
		sockets.error = 0;
		swap();
	}
	assert_int_equal(age(1), SHAKEOFF_FILTER_AGE_ONE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(it_is_ready_when_the_sockets_are_in_it),
		TEST(noted_and_copied_hints_mark_their_region),
		TEST(a_failed_list_of_sockets_keeps_the_filter_that_is_used),
		TEST(new_addresses_get_their_sockets_into_both_filters),
		TEST(sockets_made_during_the_publishing_are_noted_with_the_next_tick),
		TEST(repeated_new_addresses_keep_it_ready),
		TEST(without_noted_sockets_the_filter_is_built_anew),
		TEST(a_stale_filter_is_not_trusted_with_new_addresses),
		TEST(while_the_sockets_are_read_slowly_the_hook_looks_them_up),
		TEST(addresses_published_during_a_reading_need_another_reading),
		TEST(a_filter_that_was_built_from_an_older_reading_is_not_trusted_either),
		TEST(a_hint_is_copied_until_its_cookie_expires),
		TEST(a_hint_that_was_used_is_not_copied),
		TEST(a_hint_that_is_set_while_the_next_filter_is_built_is_new_in_it),
		TEST(a_filter_that_comes_early_does_not_age_hints),
	};

	return cmocka_run_group_tests_name("socket_filter", tests, NULL, NULL);
}

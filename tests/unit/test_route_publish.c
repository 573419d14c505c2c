/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tries of routes are brought up to date with the smallest number of changes, with tries that are made here.
 *
 * link: user/shakeoffd/route/route_publish.c user/shakeoffd/route/route_table.c user/shakeoffd/route/route_offer.c
 * link: user/shakeoffd/hook/devices.c user/shakeoffd/sys/rtnetlink.c user/common/netlink_dump.c
 * link: user/shakeoffd/route/neighbours.c user/common/prefix.c user/common/text.c
 */
#include <errno.h>
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/route/route_publish.h"

#define ROOM 64

/* One datapath: a trie of both families, and the list of what was done to it. */
struct datapath {
	struct route_published trie[ROOM];
	size_t count, sets, removals;
	int fail_after; /* how many more can be set; -1: all */
	struct shakeoff_control control;
	uint8_t lens[ROOM]; /* of what was set, in that order */
};

static struct datapath first, second;
static struct datapath *const datapaths[] = { &first, &second };
static struct route_publisher publisher;

static struct route_published *entry(struct datapath *datapath, const struct prefix *prefix)
{
	for (size_t i = 0; i < datapath->count; i++)
		if (!route_prefix_compare(&datapath->trie[i].prefix, prefix) &&
		    datapath->trie[i].prefix.ipv6 == prefix->ipv6)
			return &datapath->trie[i];
	return NULL;
}

int datapath_route_set(struct datapath *datapath, const struct prefix *prefix, const struct shakeoff_route *route)
{
	struct route_published *at = entry(datapath, prefix);

	if (!datapath->fail_after)
		return -ENOMEM;
	datapath->fail_after--;
	if (!at)
		at = &datapath->trie[datapath->count++];
	*at = (struct route_published){ *prefix, *route };
	datapath->lens[datapath->sets++ % ROOM] = prefix->len;
	return 0;
}

int datapath_route_remove(struct datapath *datapath, const struct prefix *prefix)
{
	struct route_published *at = entry(datapath, prefix);

	if (!at)
		return -ENOENT;
	*at = datapath->trie[--datapath->count];
	datapath->removals++;
	return 0;
}

int datapath_route_each(struct datapath *datapath, bool ipv6,
			int (*callback)(void *context, const struct prefix *prefix, const struct shakeoff_route *route),
			void *context)
{
	for (size_t i = 0; i < datapath->count; i++)
		if (datapath->trie[i].prefix.ipv6 == ipv6)
			callback(context, &datapath->trie[i].prefix, &datapath->trie[i].offer);
	return 0;
}

/* The hook looks into a trie only while it is announced: then it must never be empty. */
static struct prefix plain[SHAKEOFF_PLAIN4];
static bool plain_set[SHAKEOFF_PLAIN4];

void datapath_routes_plain(struct datapath *datapath, bool ipv6, size_t index, const struct prefix *prefix)
{
	(void)datapath;
	(void)ipv6;
	assert_true(index < (ipv6 ? SHAKEOFF_PLAIN6 : SHAKEOFF_PLAIN4));
	plain_set[index] = prefix;
	if (prefix)
		plain[index] = *prefix;
}

void datapath_routes_announce(struct datapath *datapath, bool ipv6, bool any)
{
	uint32_t flag = ipv6 ? SHAKEOFF_ROUTES6 : SHAKEOFF_ROUTES4;

	assert_true(!any || datapath->count);
	datapath->control.flags = any ? datapath->control.flags | flag : datapath->control.flags & ~flag;
	datapath->control.generation++;
}

struct shakeoff_control *datapath_control(struct datapath *datapath)
{
	return &datapath->control;
}

static int open_on(size_t count)
{
	first.fail_after = second.fail_after = -1;
	return route_publisher_open(&publisher, datapaths, count);
}

static int begin(void **state)
{
	(void)state;
	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	return open_on(2);
}

static int end(void **state)
{
	(void)state;
	route_publisher_close(&publisher);
	return 0;
}

static struct route_published a_route(const char *text, uint16_t mss)
{
	struct route_published result = { .offer.mss = mss };
	char error[128];

	assert_int_equal(prefix_read(text, &result.prefix, error, sizeof(error)), 0);
	return result;
}

static uint16_t id_of(struct datapath *datapath, const char *text)
{
	struct route_published wanted = a_route(text, 0);
	const struct route_published *at = entry(datapath, &wanted.prefix);

	return at ? at->offer.id : 0;
}

static void all_datapaths_get_what_is_published(void **state)
{
	struct route_published list[] = { a_route("10.0.0.0/8", 1260), a_route("10.1.0.0/16", 0) };

	(void)state;
	assert_int_equal(route_publish(&publisher, false, list, 2), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(datapaths[i]->count, 2);
		assert_int_equal(datapaths[i]->control.flags, SHAKEOFF_ROUTES4);
		assert_int_equal(datapaths[i]->control.generation, 1);
		assert_true(id_of(datapaths[i], "10.0.0.0/8") && id_of(datapaths[i], "10.1.0.0/16"));
		assert_true(id_of(datapaths[i], "10.0.0.0/8") != id_of(datapaths[i], "10.1.0.0/16"));
		/* At no time is the shorter prefix there without the longer one that hides a part of it. */
		assert_int_equal(datapaths[i]->lens[0], 16);
		assert_int_equal(datapaths[i]->lens[1], 8);
	}
}

static void only_what_differs_is_written(void **state)
{
	struct route_published list[] = { a_route("10.0.0.0/8", 1260), a_route("11.0.0.0/8", 1360) };
	struct route_published other[] = { a_route("10.0.0.0/8", 1260), a_route("12.0.0.0/8", 1360) };

	(void)state;
	assert_int_equal(route_publish(&publisher, false, list, 2), 0);
	assert_int_equal(route_publish(&publisher, false, list, 2), 0);
	assert_int_equal(first.sets, 2);
	assert_int_equal(first.control.generation, 1);
	assert_int_equal(route_publish(&publisher, false, other, 2), 0);
	assert_int_equal(first.sets, 3);
	assert_int_equal(first.removals, 1);
	assert_int_equal(first.control.generation, 2);
	assert_int_equal(id_of(&first, "12.0.0.0/8"), list[1].offer.id);
}

static void the_last_route_is_removed_after_the_announcement(void **state)
{
	struct route_published four[] = { a_route("10.0.0.0/8", 1260) }, six[] = { a_route("2001:db8::/32", 1260) };

	(void)state;
	assert_int_equal(route_publish(&publisher, false, four, 1), 0);
	assert_int_equal(route_publish(&publisher, true, six, 1), 0);
	assert_int_equal(four[0].offer.id, six[0].offer.id);
	assert_int_equal(route_publish(&publisher, false, NULL, 0), 0);
	assert_int_equal(first.count, 1);
	assert_int_equal(first.control.flags, SHAKEOFF_ROUTES6);
}

static void prefixes_without_settings_and_inner_routes_are_plain(void **state)
{
	struct route_published list[] = {
		a_route("0.0.0.0/0", 1260),   a_route("10.0.0.0/8", 0),     a_route("10.1.0.0/16", 1360),
		a_route("100.64.0.0/10", 0),  a_route("192.0.2.0/24", 0),   a_route("198.51.100.0/24", 0),
		a_route("203.0.113.0/24", 0), a_route("203.0.114.0/24", 0),
	};

	(void)state;
	assert_int_equal(route_publish(&publisher, false, list, 8), 0);
	for (int i = 0; i < SHAKEOFF_PLAIN4; i++)
		assert_true(plain_set[i]);
	assert_int_equal(plain[0].len, 10);
	assert_int_equal(plain[0].address[0], htonl(0x64400000));
	assert_int_equal(plain[1].address[0], htonl(0xc0000200));
	assert_int_equal(plain[3].address[0], htonl(0xcb007100));
	assert_int_equal(route_publish(&publisher, false, list, 3), 0);
	for (int i = 0; i < SHAKEOFF_PLAIN4; i++)
		assert_false(plain_set[i]);
}

static void a_number_is_not_soon_used_again(void **state)
{
	struct route_published list[] = { a_route("10.0.0.0/8", 1260) }, other[] = { a_route("10.0.0.0/8", 1360) };

	(void)state;
	assert_int_equal(route_publish(&publisher, false, list, 1), 0);
	assert_int_equal(route_publish(&publisher, false, other, 1), 0);
	assert_int_equal(publisher.ids.count, 1);
	assert_int_not_equal(list[0].offer.id, other[0].offer.id);
	assert_int_equal(id_of(&first, "10.0.0.0/8"), other[0].offer.id);
}

static void routes_that_do_not_fit_completely_are_not_published(void **state)
{
	struct route_published list[] = { a_route("10.0.0.0/8", 1260), a_route("11.0.0.0/8", 1360) };
	struct route_published more[] = { a_route("10.0.0.0/8", 1260), a_route("11.0.0.0/8", 1360),
					  a_route("12.0.0.0/8", 1111), a_route("13.0.0.0/8", 1222) };

	(void)state;
	assert_int_equal(route_publish(&publisher, false, list, 2), 0);
	first.fail_after = 1;
	assert_int_equal(route_publish(&publisher, false, more, 4), -ENOMEM);
	assert_int_equal(first.count, 0);
	assert_int_equal(first.control.flags, 0);
	first.fail_after = -1;
	assert_int_equal(route_publish(&publisher, false, more, 4), 0);
	assert_int_equal(first.count, 4);
	assert_int_equal(second.count, 4);
}

static void stale_routes_stay_where_they_are_still_valid(void **state)
{
	struct route_published list[] = { a_route("10.0.0.0/8", 1260), a_route("11.0.0.0/8", 1360) };
	struct route_published other[] = { a_route("10.0.0.0/8", 1260), a_route("12.0.0.0/8", 1111) };

	(void)state;
	assert_int_equal(route_publish(&publisher, false, list, 2), 0);
	route_publisher_close(&publisher);
	assert_int_equal(open_on(2), 0);
	assert_int_equal(route_publish(&publisher, false, other, 2), 0);
	assert_int_equal(first.sets, 3);
	assert_int_equal(first.removals, 1);
	assert_int_equal(id_of(&first, "10.0.0.0/8"), list[0].offer.id);
	assert_true(id_of(&first, "12.0.0.0/8") > list[1].offer.id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_datapaths_get_what_is_published),
		TEST(only_what_differs_is_written),
		TEST(the_last_route_is_removed_after_the_announcement),
		TEST(prefixes_without_settings_and_inner_routes_are_plain),
		TEST(a_number_is_not_soon_used_again),
		TEST(routes_that_do_not_fit_completely_are_not_published),
		TEST(stale_routes_stay_where_they_are_still_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

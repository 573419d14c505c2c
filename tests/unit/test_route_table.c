/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which routes are published for the hook: routes with settings of their own, and routes that hide them. Random tables
 * are compared with a look-up like the kernel's.
 *
 * link: user/shakeoffd/route/route_table.c user/shakeoffd/route/route_offer.c user/shakeoffd/hook/devices.c
 * link: user/shakeoffd/sys/rtnetlink.c user/common/netlink_dump.c user/shakeoffd/route/neighbours.c
 * link: user/common/prefix.c user/common/text.c
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/route/route_offer.h"
#include "shakeoffd/route/route_table.h"

static struct route_candidate given[64 * 1024];
static size_t given_count;
static struct route_table table;
static struct prefix where;

static struct prefix prefix(const char *text)
{
	struct prefix result;
	char error[128];

	assert_int_equal(prefix_read(text, &result, error, sizeof(error)), 0);
	return result;
}

/* Adds a route of main with this MSS; 0: none. */
static struct route_candidate *route(const char *text, uint16_t mss)
{
	struct route_candidate *candidate = &given[given_count];

	*candidate = (struct route_candidate){
		.prefix = prefix(text),
		.preference = 1,
		.rank = 1,
		.number = (uint32_t)given_count,
		.offer.mss = mss,
	};
	given_count++;
	return candidate;
}

static enum route_problem settle_at_most(size_t most)
{
	for (size_t i = 0; i < given_count; i++)
		if (!route_offer_is_trivial(&given[i].offer))
			assert_int_equal(route_table_add(&table, &given[i]), 0);
	assert_int_equal(route_table_index(&table), 0);
	for (size_t i = 0; i < given_count; i++)
		if (route_offer_is_trivial(&given[i].offer) && route_table_touches(&table, &given[i].prefix))
			assert_int_equal(route_table_add(&table, &given[i]), 0);
	return route_table_settle(&table, most, &where);
}

static enum route_problem settle(void)
{
	return settle_at_most(SHAKEOFF_MAX_ROUTES);
}

static void published(size_t index, const char *text, uint16_t mss)
{
	struct prefix wanted = prefix(text);

	assert_true(index < table.published_count);
	assert_int_equal(route_prefix_compare(&table.published[index].prefix, &wanted), 0);
	assert_int_equal(table.published[index].offer.mss, mss);
}

static int clean(void **state)
{
	(void)state;
	route_table_free(&table);
	given_count = 0;
	return 0;
}

static void routes_without_settings_are_not_published(void **state)
{
	(void)state;
	route("0.0.0.0/0", 0);
	route("10.0.0.0/8", 0);
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 0);
	assert_int_equal(table.count, 0); /* and takes no memory */
}

static void routes_with_settings_and_routes_that_hide_a_part_of_them_are_published(void **state)
{
	(void)state;
	route("0.0.0.0/0", 0);
	route("10.0.0.0/8", 1260);
	route("10.1.0.0/16", 0);
	route("10.1.1.0/24", 1360);
	route("11.0.0.0/8", 0);
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 3);
	published(0, "10.0.0.0/8", 1260);
	published(1, "10.1.0.0/16", 0);
	published(2, "10.1.1.0/24", 1360);
	assert_int_equal(table.count, 4);
}

static void routes_with_the_settings_of_the_prefix_around_them_are_not_published(void **state)
{
	(void)state;
	route("2001:db8::/32", 1240);
	route("2001:db8:1::/48", 1240);
	route("2001:db8:2::/48", 0);
	route("2001:db8:2:1::/64", 0);
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 2);
	published(0, "2001:db8::/32", 1240);
	published(1, "2001:db8:2::/48", 0);
}

static void of_equal_prefixes_the_lowest_metric_wins(void **state)
{
	(void)state;
	route("10.0.0.0/8", 1260)->priority = 100;
	route("10.0.0.0/8", 0)->priority = 50;
	route("11.0.0.0/8", 0)->priority = 100;
	route("11.0.0.0/8", 1260)->priority = 50;
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 1);
	published(0, "11.0.0.0/8", 1260);
}

static void of_equal_ipv4_routes_the_first_wins(void **state)
{
	(void)state;
	route("10.0.0.0/8", 1260);
	route("10.0.0.0/8", 1360);
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	published(0, "10.0.0.0/8", 1260);
}

static void of_ipv6_routers_the_preferred_one_wins(void **state)
{
	(void)state;
	route("::/0", 1260)->preference = 0;
	route("::/0", 1360)->preference = 2;
	route("::/0", 1300);
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 1);
	published(0, "::/0", 1360);
}

static void the_choice_between_equal_ipv6_routers_is_unknown(void **state)
{
	struct prefix all = prefix("::/0");

	(void)state;
	route("::/0", 1260);
	route("::/0", 1360);
	assert_int_equal(settle(), ROUTE_PROBLEM_HOPS);
	assert_int_equal(table.published_count, 0);
	assert_int_equal(route_prefix_compare(&where, &all), 0);
}

static void several_next_hops_are_fine_with_the_same_settings(void **state)
{
	uint32_t number;

	(void)state;
	number = route("10.0.0.0/8", 1260)->number;
	route("10.0.0.0/8", 1260)->number = number;
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 1);
	clean(NULL);
	number = route("10.0.0.0/8", 1260)->number;
	route("10.0.0.0/8", 0)->number = number;
	assert_int_equal(settle(), ROUTE_PROBLEM_HOPS);
}

static void an_earlier_table_hides_a_later_one(void **state)
{
	(void)state;
	route("0.0.0.0/0", 0);
	route("10.0.0.0/8", 1260)->rank = 2;
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 0);
	clean(NULL);
	route("0.0.0.0/0", 1260)->rank = 2;
	route("10.0.0.0/8", 0);
	route("10.1.0.0/16", 1360)->rank = 2;
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 2);
	published(0, "0.0.0.0/0", 1260);
	published(1, "10.0.0.0/8", 0);
}

static void a_route_for_one_tos_is_a_problem_if_it_differs(void **state)
{
	(void)state;
	route("10.0.0.0/8", 1260);
	route("10.0.0.0/8", 1260)->partial = true;
	route("10.1.0.0/16", 1260)->partial = true;
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 1);
	clean(NULL);
	route("10.0.0.0/8", 1260);
	route("10.1.0.0/16", 0)->partial = true;
	assert_int_equal(settle(), ROUTE_PROBLEM_PARTIAL);
	clean(NULL);
	route("10.0.0.0/8", 0);
	route("10.0.0.0/8", 1260)->partial = true;
	assert_int_equal(settle(), ROUTE_PROBLEM_PARTIAL);
}

static void more_routes_than_there_is_room_for_are_a_problem(void **state)
{
	(void)state;
	route("10.0.0.0/8", 1260);
	route("11.0.0.0/8", 1360);
	route("11.1.0.0/16", 1360);
	assert_int_equal(settle_at_most(2), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 2);
	clean(NULL);
	route("10.0.0.0/8", 1260);
	route("11.0.0.0/8", 1360);
	route("12.0.0.0/8", 1360);
	assert_int_equal(settle_at_most(2), ROUTE_PROBLEM_MANY);
	assert_int_equal(table.published_count, 0);
}

static void more_routes_than_can_be_read_are_a_problem(void **state)
{
	struct route_candidate candidate = *route("10.0.0.0/8", 1260);

	(void)state;
	for (size_t i = 0; i < ROUTE_CANDIDATES_MAX + 10; i++)
		assert_int_equal(route_table_add(&table, &candidate), 0);
	assert_int_equal(table.count, ROUTE_CANDIDATES_MAX);
	assert_int_equal(route_table_settle(&table, 100, &where), ROUTE_PROBLEM_MANY);
}

/* -------------------------------------------------------------------------------------------------------- at random */

/* Looks up like the kernel: table by table the longest prefix, of equal prefixes the lowest metric, then the first. */
static uint16_t kernel_says(const struct prefix *host)
{
	const struct route_candidate *best = NULL;

	for (size_t i = 0; i < given_count; i++) {
		const struct route_candidate *now = &given[i];

		if (!route_prefix_contains(&now->prefix, host))
			continue;
		if (!best || now->rank < best->rank ||
		    (now->rank == best->rank &&
		     (now->prefix.len > best->prefix.len ||
		      (now->prefix.len == best->prefix.len && now->priority < best->priority))))
			best = now;
	}
	return best ? best->offer.mss : 0;
}

static uint16_t hook_says(const struct prefix *host)
{
	const struct route_published *best = NULL;

	for (size_t i = 0; i < table.published_count; i++)
		if (route_prefix_contains(&table.published[i].prefix, host) &&
		    (!best || table.published[i].prefix.len > best->prefix.len))
			best = &table.published[i];
	return best ? best->offer.mss : 0;
}

/* Returns an address whose bits are all in the last byte, so that prefixes often overlap. */
static struct prefix at_random(unsigned int len, bool ipv6)
{
	struct prefix result = { .len = (uint8_t)len, .ipv6 = ipv6 };
	uint32_t bits = (uint32_t)rand() << 24; /* NOLINT: a test's own numbers */

	if (len < 8)
		bits &= len ? UINT32_MAX << (32 - len) : 0;
	result.address[0] = htonl(bits);
	return result;
}

static void the_hook_finds_what_the_kernel_finds(void **state)
{
	size_t told = 0;

	(void)state;
	srand(20);
	for (int round = 0; round < 3000; round++) {
		bool ipv6 = round % 2;

		for (size_t i = 0; i < 12; i++)
			given[i] = (struct route_candidate){
				.prefix = at_random((unsigned int)rand() % 9, ipv6), /* NOLINT */
				.preference = 1,
				.rank = (uint8_t)(1 + rand() % 2), /* NOLINT */
				.number = (uint32_t)i,
				.priority = (uint32_t)i, /* all differ: ties are tested above */
				.offer.mss = rand() % 3 ? 0 : (uint16_t)(1000 + rand() % 2), /* NOLINT */
			};
		given_count = 12;
		assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
		told += table.published_count;
		for (uint32_t last = 0; last < 256; last++) {
			struct prefix host = { .address = { htonl(last << 24) }, .len = ipv6 ? 128 : 32, .ipv6 = ipv6 };
			uint16_t kernel = kernel_says(&host);

			if (kernel != hook_says(&host))
				fail_msg("round %d, address %u: the kernel %u, the hook %u", round, last, kernel,
					 hook_says(&host));
		}
		clean(NULL);
	}
	assert_true(told > 3000);
}

/* -------------------------------------------------------------------------------------------------------- one offer */

static struct device list[] = { { .ifindex = 2, .mtu = 1500, .mtu6 = 1400, .hop_limit = 64 },
				{ .ifindex = 3, .mtu = 9000, .mtu6 = 9000, .hop_limit = 99 } };
static const struct devices devices = { list, 2 };
static const struct route_world world = {
	.devices = &devices,
	.usual = { { 1460, 64 }, { 1340, 64 } },
	.min_adv_mss = { 256, 1220 },
};

static struct shakeoff_route offer(bool ipv6, unsigned int ifindex, const struct route_metrics *metrics)
{
	struct route_entry entry = { .prefix.ipv6 = ipv6, .metrics = *metrics };
	struct route_hop hop = { .ifindex = ifindex, .gateway = true };
	struct shakeoff_route result;

	assert_true(route_offer(&world, &entry, &hop, &result));
	return result;
}

#define OFFER(ipv6, ifindex, ...) offer(ipv6, ifindex, &(struct route_metrics){ __VA_ARGS__ })

/* A strict rp_filter at interfaces of bits 1 and 2; device 2 represents the first, 3 none. */
static void a_strict_rp_filter_considers_all_next_hops(void **state)
{
	const struct route_way ways[] = { { 2, 2 }, { 3, 3 }, { 5, 1 } };
	const struct route_world strict = { .devices = &devices, .ways = ways, .way_count = 3, .strict = 3 };
	struct route_entry entry = { .hop_count = 1, .hops = { { .ifindex = 2, .gateway = true } } };

	(void)state;
	assert_int_equal(route_refused(&world, &entry), 0);
	assert_int_equal(route_refused(&strict, &entry), 2);
	entry.hops[0].ifindex = 3;
	assert_int_equal(route_refused(&strict, &entry), 3);
	entry.hops[0].ifindex = 4; /* a device that is not known */
	assert_int_equal(route_refused(&strict, &entry), 3);
	entry.hop_count = 2;
	entry.hops[0].ifindex = 2;
	entry.hops[1].ifindex = 5;
	assert_int_equal(route_refused(&strict, &entry), 0);
	entry.prefix.ipv6 = true;
	entry.hop_count = 1;
	assert_int_equal(route_refused(&strict, &entry), 0); /* IPv6 has no rp_filter */
	entry.rejects = true;
	assert_int_equal(route_refused(&world, &entry), SHAKEOFF_ROUTE_REFUSED_ALL);
}

/*
 * An address without a route is refused after all tables: every useful route is published, and routes inside it are
 * not.
 */
static void without_a_default_route_every_route_is_published(void **state)
{
	struct route_candidate *none;

	(void)state;
	none = route("0.0.0.0/0", 0);
	none->rank = UINT8_MAX - 1;
	none->offer.refused = SHAKEOFF_ROUTE_REFUSED_ALL;
	route("10.0.0.0/8", 0);
	route("10.9.0.0/24", 0);
	assert_int_equal(settle(), ROUTE_PROBLEM_NONE);
	assert_int_equal(table.published_count, 2);
	assert_int_equal(table.published[0].offer.refused, SHAKEOFF_ROUTE_REFUSED_ALL);
	assert_int_equal(table.published[1].prefix.len, 8);
	assert_int_equal(table.published[1].offer.refused, 0);
}

static void an_offer_comes_from_the_metrics_then_from_the_device(void **state)
{
	struct shakeoff_route all;

	(void)state;
	assert_true(route_offer_is_trivial(&(struct shakeoff_route){ .id = 7 }));
	all = OFFER(false, 2, .window = 5000, .initrwnd = 20, .hop_limit = 33, .ecn = true, .advmss = 1000,
		    .mtu = 1300);
	assert_int_equal(all.window, 5000);
	assert_int_equal(all.initrwnd, 20);
	assert_int_equal(all.hop_limit, 33);
	assert_int_equal(all.ecn, 1);
	assert_int_equal(all.mss, 1000);
	assert_int_equal(OFFER(false, 2, 0).mss, 0);
	assert_int_equal(OFFER(false, 3, 0).mss, 8960);
	assert_int_equal(OFFER(false, 2, .mtu = 1300).mss, 1260);
	assert_int_equal(OFFER(false, 2, .mtu = 200).mss, 256);
	assert_int_equal(OFFER(false, 2, .mtu = 1500).mss, 0);
	assert_int_equal(OFFER(false, 2, .mtu_locked = true).mss, 536);
	assert_int_equal(OFFER(false, 2, .hop_limit = 64).hop_limit, 0);
	assert_int_equal(OFFER(true, 2, 0).mss, 0);
	assert_int_equal(OFFER(true, 2, .mtu = 1500).mss, 1440);
	assert_int_equal(OFFER(true, 2, .mtu = 1000).mss, 1220);
	assert_int_equal(OFFER(true, 3, 0).mss, 8940);
	assert_int_equal(OFFER(true, 3, 0).hop_limit, 99);
	assert_int_equal(OFFER(true, 3, .hop_limit = 64).hop_limit, 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(routes_without_settings_are_not_published),
		TEST(routes_with_settings_and_routes_that_hide_a_part_of_them_are_published),
		TEST(routes_with_the_settings_of_the_prefix_around_them_are_not_published),
		TEST(of_equal_prefixes_the_lowest_metric_wins),
		TEST(of_equal_ipv4_routes_the_first_wins),
		TEST(of_ipv6_routers_the_preferred_one_wins),
		TEST(the_choice_between_equal_ipv6_routers_is_unknown),
		TEST(several_next_hops_are_fine_with_the_same_settings),
		TEST(an_earlier_table_hides_a_later_one),
		TEST(a_route_for_one_tos_is_a_problem_if_it_differs),
		TEST(more_routes_than_there_is_room_for_are_a_problem),
		TEST(more_routes_than_can_be_read_are_a_problem),
		TEST(the_hook_finds_what_the_kernel_finds),
		TEST(a_strict_rp_filter_considers_all_next_hops),
		TEST(without_a_default_route_every_route_is_published),
		TEST(an_offer_comes_from_the_metrics_then_from_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

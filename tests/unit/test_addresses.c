/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The addresses published for the hook: only real changes touch a map, and only new addresses have their sockets noted.
 *
 * link: user/shakeoffd/discovery/addresses.c user/shakeoffd/discovery/addresses_room.c
 * link: user/shakeoffd/discovery/user_quota.c user/common/log.c
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "shakeoffd/discovery/addresses.h"

/* The address maps of a datapath; `log` lists what was done to them. */
struct datapath {
	struct {
		struct in6_addr address;
		uint16_t port;
		uint32_t service;
	} list[16];
	size_t count, room;
	char log[256];
};

static struct datapath memory;
static struct shakeoff_service services[SHAKEOFF_MAX_SERVICES];
static struct datapath *const datapaths[1] = { &memory };
static struct socket_filter filter;
static struct addresses addresses;

static struct service_instance web_instance = { .id = 1, .shared = &services[1] },
			       mail_instance = { .id = 2, .shared = &services[2] };
static struct service web = { .instances = &web_instance, .instance_count = 1 },
		      mail = { .instances = &mail_instance, .instance_count = 1 };

static struct in6_addr address(int host)
{
	struct in6_addr address = { .s6_addr = { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = 9 } };

	address.s6_addr[15] = (uint8_t)host;
	return address;
}

static void note(char what, const struct in6_addr *address)
{
	size_t used = strlen(memory.log);

	snprintf(memory.log + used, sizeof(memory.log) - used, "%c%d ", what, address ? address->s6_addr[15] : 0);
}

static size_t find(const struct in6_addr *address, uint16_t port)
{
	size_t i = 0;

	while (i < memory.count &&
	       (memory.list[i].port != port || !IN6_ARE_ADDR_EQUAL(&memory.list[i].address, address)))
		i++;
	return i;
}

int datapath_address_set(struct datapath *datapath, const struct in6_addr *address, uint16_t port, uint32_t service)
{
	size_t i = find(address, port);

	note('+', address);
	if (i == datapath->room)
		return -E2BIG;
	datapath->list[i].address = *address;
	datapath->list[i].port = port;
	datapath->list[i].service = service;
	datapath->count += i == datapath->count;
	return 0;
}

int datapath_address_remove(struct datapath *datapath, const struct in6_addr *address, uint16_t port)
{
	size_t i = find(address, port);

	note('-', address);
	if (i < datapath->count)
		datapath->list[i] = datapath->list[--datapath->count];
	return 0;
}

struct shakeoff_service *datapath_services(struct datapath *datapath)
{
	(void)datapath;
	return services;
}

int datapath_address_each(struct datapath *datapath,
			  int (*callback)(void *context, const struct in6_addr *address, uint16_t port,
					  uint32_t service),
			  void *context)
{
	int result = 0;

	/* From the end, because a removed entry changes positions with the last. */
	for (size_t i = datapath->count; i-- && !result;)
		result = callback(context, &datapath->list[i].address, datapath->list[i].port,
				  datapath->list[i].service);
	return result;
}

void socket_filter_note_sockets(struct socket_filter *noted)
{
	assert_ptr_equal(noted, &filter);
	note('!', NULL);
}

/* Publishes these hosts for the service at port 80, and returns what was done. */
static const char *publish(struct service *service, bool keep_only, size_t count, const int *hosts)
{
	struct address list[8];

	for (size_t i = 0; i < count; i++)
		list[i] = (struct address){ .address = address(hosts[i]), .service = service, .keep_only = keep_only };
	memory.log[0] = '\0';
	addresses_begin(&addresses);
	assert_int_equal(addresses_publish(&addresses, 80, list, count), 0);
	return memory.log;
}

#define HOSTS(...)                                                                                                     \
	sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (int[])                                                          \
	{                                                                                                              \
		__VA_ARGS__                                                                                            \
	}

static void open_now(void)
{
	assert_int_equal(addresses_open(&addresses, datapaths, 1, &filter), 0);
}

static int begin(void **state)
{
	(void)state;
	memset(&memory, 0, sizeof(memory));
	memset(services, 0, sizeof(services));
	memory.room = 16;
	return 0;
}

static int end(void **state)
{
	(void)state;
	addresses_close(&addresses);
	return 0;
}

static void the_sockets_are_noted_before_a_new_address(void **state)
{
	(void)state;
	open_now();
	assert_string_equal(publish(&web, false, HOSTS(1)), "!0 +1 ");
	assert_string_equal(publish(&web, false, HOSTS(1, 2)), "!0 +2 ");
}

static void the_sockets_are_noted_once_for_all_new_addresses(void **state)
{
	const struct address list[] = { { .address = address(3), .service = &web } };

	(void)state;
	open_now();
	assert_string_equal(publish(&web, false, HOSTS(1, 2)), "!0 +1 +2 ");
	assert_int_equal(addresses_publish(&addresses, 81, list, 1), 0);
	assert_string_equal(memory.log, "!0 +1 +2 +3 ");
}

static void unchanged_addresses_touch_no_map(void **state)
{
	(void)state;
	open_now();
	publish(&web, false, HOSTS(1, 2));
	assert_string_equal(publish(&web, false, HOSTS(1, 2)), "");
}

static void only_the_difference_is_written(void **state)
{
	(void)state;
	open_now();
	publish(&web, false, HOSTS(1, 2, 4));
	assert_string_equal(publish(&web, false, HOSTS(2, 3, 5)), "-1 !0 +3 -4 +5 ");
	assert_string_equal(publish(&web, false, 0, NULL), "-2 -3 -5 ");
	assert_int_equal(memory.count, 0);
}

static void an_address_changes_its_service_without_a_gap(void **state)
{
	(void)state;
	open_now();
	publish(&web, false, HOSTS(1));
	assert_string_equal(publish(&mail, false, HOSTS(1)), "+1 ");
	assert_int_equal(memory.list[0].service, 2);
}

static void correct_entries_of_an_earlier_daemon_stay(void **state)
{
	struct in6_addr first = address(1), second = address(2);

	(void)state;
	datapath_address_set(&memory, &second, 80, 1);
	datapath_address_set(&memory, &first, 80, 1);
	open_now();
	assert_true(addresses_have(&addresses, &first, 80));
	assert_false(addresses_have(&addresses, &first, 81));
	assert_string_equal(publish(&web, false, HOSTS(1, 2)), "");
}

static void an_entry_to_keep_is_not_added(void **state)
{
	(void)state;
	open_now();
	assert_string_equal(publish(&web, true, HOSTS(1)), "");
	publish(&web, false, HOSTS(1));
	assert_string_equal(publish(&web, true, HOSTS(1, 2)), "");
	/* Its entry has another service, so it is not the entry to keep. */
	assert_string_equal(publish(&mail, true, HOSTS(1)), "-1 ");
}

static void addresses_without_room_are_tried_again(void **state)
{
	(void)state;
	memory.room = 1;
	open_now();
	assert_string_equal(publish(&web, false, HOSTS(1, 2)), "!0 +1 +2 ");
	assert_true(addresses_look_again(&addresses));
	memory.room = 2;
	assert_string_equal(publish(&web, false, HOSTS(1, 2)), "!0 +2 ");
	assert_false(addresses_look_again(&addresses));
}

/* Ends a round; returns what was done. */
static const char *ended(void)
{
	memory.log[0] = '\0';
	assert_int_equal(addresses_end(&addresses), 0);
	return memory.log;
}

static void the_address_itself_is_published_once(void **state)
{
	const struct address list[] = { { .address = address(1), .service = &mail },
					{ .address = address(2), .service = &mail } };
	struct in6_addr first = address(1);

	(void)state;
	open_now();
	publish(&web, false, HOSTS(1, 2));
	assert_int_equal(addresses_publish(&addresses, 25, list, 2), 0);
	assert_string_equal(ended(), "+1 +2 ");
	assert_int_equal(memory.list[find(&first, 0)].service, SHAKEOFF_ADDRESS_ITSELF);
	publish(&web, false, HOSTS(1, 2));
	assert_string_equal(ended(), "");
}

static void the_address_itself_is_removed_with_its_last_service(void **state)
{
	const struct address list[] = { { .address = address(1), .service = &mail } };

	(void)state;
	open_now();
	publish(&web, false, HOSTS(1, 2));
	assert_int_equal(addresses_publish(&addresses, 25, list, 1), 0);
	ended();
	publish(&web, false, HOSTS(3));
	assert_string_equal(ended(), "-2 +3 ");
	assert_int_equal(addresses_publish(&addresses, 25, NULL, 0), 0);
	assert_string_equal(ended(), "-1 ");
}

static void the_address_itself_is_not_published_while_its_services_are_bypassed(void **state)
{
	struct address list[] = { { .address = address(1), .service = &mail, .bypassed = true } };

	(void)state;
	open_now();
	assert_int_equal(addresses_publish(&addresses, 25, list, 1), 0);
	assert_string_equal(ended(), "");
	publish(&web, false, HOSTS(1));
	assert_string_equal(ended(), "+1 ");
	publish(&web, false, 0, NULL);
	assert_string_equal(ended(), "-1 ");
}

static void the_hook_gets_the_time_when_the_bypass_of_an_address_changes(void **state)
{
	struct address list[] = { { .address = address(1), .service = &mail } };

	(void)state;
	open_now();
	for (int i = 0; i < 4; i++) {
		services[2].bypass_changed_s = 0;
		list[0].bypassed = i == 1 || i == 2;
		assert_int_equal(addresses_publish(&addresses, 25, list, 1), 0);
		assert_int_equal(services[2].bypass_changed_s != 0, i == 1 || i == 3);
	}
	services[2].bypass_changed_s = 0;
}

static void stale_entries_of_the_address_itself_are_corrected(void **state)
{
	struct in6_addr first = address(1), second = address(2), third = address(3);

	(void)state;
	datapath_address_set(&memory, &first, 80, 1);
	datapath_address_set(&memory, &second, 80, 1);
	datapath_address_set(&memory, &second, 0, SHAKEOFF_ADDRESS_ITSELF);
	datapath_address_set(&memory, &third, 0, SHAKEOFF_ADDRESS_ITSELF);
	open_now();
	assert_string_equal(ended(), "+1 -3 ");
}

static void without_room_the_address_itself_is_tried_again(void **state)
{
	(void)state;
	memory.room = 1;
	open_now();
	publish(&web, false, HOSTS(1));
	assert_string_equal(ended(), "+1 ");
	assert_true(addresses_look_again(&addresses));
	memory.room = 2;
	publish(&web, false, HOSTS(1));
	assert_string_equal(ended(), "+1 ");
	assert_string_equal(ended(), "");
}

/* Publishes these hosts for mail at another port. */
static void publish_at(uint16_t port, size_t count, const int *hosts)
{
	struct address list[8];

	for (size_t i = 0; i < count; i++)
		list[i] = (struct address){ .address = address(hosts[i]), .service = &mail };
	assert_int_equal(addresses_publish(&addresses, port, list, count), 0);
}

static bool stands(int host, uint16_t port)
{
	struct in6_addr wanted = address(host);

	return addresses_have(&addresses, &wanted, port) && find(&wanted, port) < memory.count;
}

static void in_a_full_table_the_highest_port_gives_up_its_entries(void **state)
{
	(void)state;
	memory.room = 3;
	open_now();
	publish_at(8080, HOSTS(1, 2));
	publish_at(9090, HOSTS(1));
	publish(&web, false, HOSTS(1, 2));
	assert_true(stands(1, 80) && stands(2, 80) && stands(1, 8080));
	assert_false(stands(2, 8080) || stands(1, 9090));
	assert_int_equal(memory.count, 3);
	/* But a lower port that has no entry yet gets none. */
	publish_at(9090, HOSTS(1));
	assert_true(stands(1, 8080));
	assert_false(stands(1, 9090));
}

/* Publishes hosts from..to for a user, at a port. */
static void publish_for(uint32_t uid, bool first, uint16_t port, int from, int to)
{
	struct address list[16];
	size_t count = 0;

	for (int host = from; host <= to; host++)
		list[count++] =
			(struct address){ .address = address(host), .service = &mail, .uid = uid, .first = first };
	assert_int_equal(addresses_publish(&addresses, port, list, count), 0);
}

static void a_user_has_a_quarter_at_most(void **state)
{
	(void)state;
	open_now();
	addresses.quarter = 4;
	publish_for(1000, false, 2000, 1, 3);
	publish_for(1000, false, 3000, 1, 3);
	assert_int_equal(memory.count, 4);
	assert_true(stands(3, 2000) && stands(1, 3000));
	assert_true(addresses_look_again(&addresses));
	/* Other users get their entries, and so do addresses with precedence. */
	publish_for(1001, false, 4000, 1, 4);
	publish_for(1000, true, 22, 1, 6);
	assert_int_equal(memory.count, 14);
	/* The user may use entries given up at one port for another. */
	publish_for(1000, false, 2000, 1, 1);
	publish_for(1000, false, 3000, 1, 3);
	assert_int_equal(memory.count, 14);
	assert_true(stands(3, 3000));
}

static void addresses_with_precedence_take_room_from_the_largest_user(void **state)
{
	(void)state;
	memory.room = 6;
	open_now();
	publish_for(1000, false, 1500, 1, 2);
	publish_for(1001, false, 1600, 1, 4);
	publish_for(0, true, 9000, 1, 2);
	assert_int_equal(memory.count, 6);
	assert_true(stands(1, 9000) && stands(2, 9000));
	assert_true(stands(1, 1500) && stands(2, 1500));
	assert_true(stands(1, 1600) && stands(2, 1600));
	/* No user takes them back, not even at a lower port. */
	publish_for(1001, false, 1600, 1, 4);
	publish_for(1002, false, 1100, 1, 3);
	assert_true(stands(1, 9000) && stands(2, 9000));
	assert_int_equal(memory.count, 6);
}

static void stale_entries_count_for_their_user(void **state)
{
	(void)state;
	open_now();
	publish_for(1000, false, 2000, 1, 4);
	addresses_close(&addresses);
	open_now();
	addresses.quarter = 4;
	publish_for(1000, false, 2000, 1, 4);
	assert_int_equal(memory.count, 4);
	publish_for(1000, false, 3000, 1, 2);
	assert_int_equal(memory.count, 4);
}

static void addresses_without_room_are_counted_for_their_service(void **state)
{
	struct in6_addr second = address(2);

	(void)state;
	memory.room = 3;
	open_now();
	publish_at(8080, HOSTS(1, 2));
	publish_at(9090, HOSTS(1));
	publish(&web, false, HOSTS(1, 2));
	ended();
	assert_int_equal(services[1].no_room, 0);
	assert_int_equal(services[2].no_room, 2);
	assert_int_equal(services[2].no_room_port, 8080);
	assert_memory_equal(services[2].no_room_address, &second, sizeof(second));
	/* A server ends, and the others are looked up again. */
	publish(&web, false, 0, NULL);
	assert_true(addresses_look_again(&addresses));
	publish_at(8080, HOSTS(1, 2));
	publish_at(9090, HOSTS(1));
	ended();
	assert_int_equal(services[2].no_room, 0);
	assert_true(stands(2, 8080) && stands(1, 9090));
}

static void an_address_of_a_vlan_is_published_with_its_flag(void **state)
{
	struct address list[] = { { .address = address(1), .service = &mail, .tagged = true } };
	struct in6_addr first = address(1);

	(void)state;
	open_now();
	assert_int_equal(addresses_publish(&addresses, 25, list, 1), 0);
	assert_int_equal(memory.list[find(&first, 25)].service, mail_instance.id | SHAKEOFF_ADDRESS_TAGGED);
	list[0].tagged = false;
	assert_int_equal(addresses_publish(&addresses, 25, list, 1), 0);
	assert_int_equal(memory.list[find(&first, 25)].service, mail_instance.id);
}

static void withdrawing_removes_all(void **state)
{
	(void)state;
	open_now();
	publish(&web, false, HOSTS(1));
	ended();
	assert_int_equal(addresses_withdraw(datapaths, 1), 0);
	assert_int_equal(memory.count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(the_sockets_are_noted_before_a_new_address),
		TEST(the_sockets_are_noted_once_for_all_new_addresses),
		TEST(unchanged_addresses_touch_no_map),
		TEST(only_the_difference_is_written),
		TEST(an_address_changes_its_service_without_a_gap),
		TEST(correct_entries_of_an_earlier_daemon_stay),
		TEST(an_entry_to_keep_is_not_added),
		TEST(addresses_without_room_are_tried_again),
		TEST(the_address_itself_is_published_once),
		TEST(the_address_itself_is_removed_with_its_last_service),
		TEST(the_address_itself_is_not_published_while_its_services_are_bypassed),
		TEST(the_hook_gets_the_time_when_the_bypass_of_an_address_changes),
		TEST(stale_entries_of_the_address_itself_are_corrected),
		TEST(without_room_the_address_itself_is_tried_again),
		TEST(in_a_full_table_the_highest_port_gives_up_its_entries),
		TEST(a_user_has_a_quarter_at_most),
		TEST(addresses_with_precedence_take_room_from_the_largest_user),
		TEST(stale_entries_count_for_their_user),
		TEST(addresses_without_room_are_counted_for_their_service),
		TEST(an_address_of_a_vlan_is_published_with_its_flag),
		TEST(withdrawing_removes_all),
	};

	return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}

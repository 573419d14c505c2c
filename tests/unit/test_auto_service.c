/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which sockets get a service id in the table of services: a user has at most a quarter, and services with precedence
 * always get an id.
 *
 * link: user/shakeoffd/discovery/auto_service.c user/shakeoffd/discovery/auto_service_room.c
 * link: user/shakeoffd/discovery/listening_service.c user/shakeoffd/discovery/listeners.c
 * link: user/shakeoffd/discovery/bypass_reason.c user/common/names.c user/shakeoffd/discovery/user_quota.c
 * link: user/shakeoffd/discovery/own_addresses.c user/shakeoffd/sys/rtnetlink.c user/common/netlink_dump.c
 * link: user/common/text.c user/common/log.c
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

#include "shakeoffd/discovery/auto_service.h"

#define QUARTER (SHAKEOFF_MAX_SERVICES / 4)

/* Ids of the configuration, in one table. */
#define CONFIGURED 3

static const struct config_policy policy;
static const struct bypass_host host;
static struct shakeoff_control control;
static struct datapath *const datapaths[1] = { (struct datapath *)&control };
static struct service_ids service_ids = { .datapaths = datapaths, .count = 1 };
static struct listeners listeners;
static struct auto_services services;
static size_t used;
static uint64_t now;

int service_open(struct service *service, const struct config_service *service_config, bool discovered,
		 struct service_ids *from)
{
	(void)discovered;
	(void)from;
	service->config = service_config;
	if (used == SHAKEOFF_MAX_SERVICES)
		return -ENOSPC;
	used++;
	return 0;
}

void service_close(struct service *service)
{
	(void)service;
}

void service_release(struct service *service, struct service_ids *to)
{
	(void)service;
	(void)to;
	used--;
}

enum shakeoff_handoff service_wants(struct service *service)
{
	return service->handoff;
}

void service_set_listening(struct service *service, const struct service_listening *listening)
{
	service->listening = *listening;
}

struct shakeoff_control *datapath_control(struct datapath *datapath)
{
	assert_ptr_equal(datapath, datapaths[0]);
	return &control;
}

static int begin(void **state)
{
	(void)state;
	memset(&control, 0, sizeof(control));
	used = CONFIGURED;
	now = 100 * NS_PER_S;
	assert_int_equal(listeners_open(&listeners), 0);
	auto_services_open(&services, &policy, &service_ids, &listeners, &host, CONFIGURED);
	services.roots_ports = 1024;
	return 0;
}

static int end(void **state)
{
	(void)state;
	auto_services_close(&services);
	listeners_close(&listeners);
	return 0;
}

static void ignore(void *context, struct listener *listener, const struct listener_facts *before)
{
	(void)context;
	(void)listener;
	(void)before;
}

/* Makes sockets of a user listen at this many consecutive ports. */
static void listens(uint32_t uid, uint16_t from, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct sock_diag_listener socket = { .port = (uint16_t)(from + i), .family = AF_INET, .uid = uid };

		assert_int_equal(listeners_see(&listeners, &socket, false), 0);
	}
}

/*
 * Runs a round of discovery over all listeners, in the order of the ports. Returns how many of the user's are services.
 */
static size_t services_of(uint32_t uid)
{
	size_t count = 0;

	for (size_t port = 1; port <= UINT16_MAX; port++) {
		for (struct listener *l = listeners.ports[port]; l; l = l->next_at_port) {
			struct auto_service *discovered = auto_service_use(&services, l, now);

			if (!discovered && l->discovered)
				auto_service_idle(&services, l->discovered, now);
			count += discovered && l->facts.uid == uid;
		}
	}
	while (auto_services_evict(&services))
		;
	auto_services_report(&services);
	return count;
}

static void all_users_listen(void)
{
	listens(1000, 1100, 6000);
	listens(1001, 8000, 6000);
	listens(1002, 15000, 6000);
	listens(1003, 22000, 6000);
}

static void a_user_has_a_quarter_at_most(void **state)
{
	(void)state;
	listens(1000, 1100, 6000);
	listens(1001, 8000, 10);
	listeners_settle(&listeners, ignore, NULL);
	assert_int_equal(services_of(1000), QUARTER);
	assert_int_equal(services_of(1001), 10);
	assert_int_equal(control.no_service, 6000 - QUARTER);
	assert_int_equal(control.no_service_uid, 1000);
	assert_int_equal(control.no_service_port, 1100 + QUARTER);
	assert_true(auto_services_look_again(&services));
}

static void root_has_more(void **state)
{
	(void)state;
	listens(0, 1100, 6000);
	listeners_settle(&listeners, ignore, NULL);
	assert_int_equal(services_of(0), 6000);
	assert_int_equal(control.no_service, 0);
	assert_false(auto_services_look_again(&services));
}

static void users_together_leave_a_quarter_for_services_with_precedence(void **state)
{
	(void)state;
	all_users_listen();
	listeners_settle(&listeners, ignore, NULL);
	services_of(0);
	assert_int_equal(used, SHAKEOFF_MAX_SERVICES - QUARTER);
	all_users_listen();
	listens(0, 50000, QUARTER);
	listeners_settle(&listeners, ignore, NULL);
	assert_int_equal(services_of(0), QUARTER);
	assert_int_equal(used, SHAKEOFF_MAX_SERVICES);
}

/* Runs rounds as discovery does: again soon, when revoked ids are free. */
static size_t after_a_while(uint32_t uid)
{
	size_t count = 0;

	for (int i = 0; i < 4; i++) {
		now += 2 * NS_PER_S;
		auto_services_expire(&services, now);
		auto_services_look_again(&services);
		count = services_of(uid);
	}
	return count;
}

static void services_with_precedence_take_ids_from_the_largest_user(void **state)
{
	(void)state;
	all_users_listen();
	listeners_settle(&listeners, ignore, NULL);
	services_of(0);
	all_users_listen();
	listens(0, 50000, QUARTER + 100);
	listeners_settle(&listeners, ignore, NULL);
	services_of(0);
	assert_true(auto_services_is_awaited(&services));
	assert_int_equal(after_a_while(0), QUARTER + 100);
	assert_false(auto_services_is_awaited(&services));
	assert_true(used <= SHAKEOFF_MAX_SERVICES);
	/* The ids stay there. */
	assert_int_equal(after_a_while(0), QUARTER + 100);
	/* No user has lost all ids. */
	assert_true(services_of(1000) > QUARTER - 200 && services_of(1001) > QUARTER - 200);
}

static void privileged_ports_have_precedence(void **state)
{
	(void)state;
	all_users_listen();
	listeners_settle(&listeners, ignore, NULL);
	services_of(0);
	all_users_listen();
	listens(33, 80, 1);
	listeners_settle(&listeners, ignore, NULL);
	assert_int_equal(services_of(33), 1);
	assert_int_equal(control.no_service, 4 * 6000 - (SHAKEOFF_MAX_SERVICES - QUARTER - CONFIGURED));
}

/* A user who listens at many ports briefly, one after the other, has no ids reserved beyond the quarter. */
static void ids_that_are_kept_for_a_user_count(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < 10; i++) {
		listens(1000, (uint16_t)(1100 + 4000 * i), 4000);
		listeners_settle(&listeners, ignore, NULL);
		for (struct auto_service *d = services.used.first, *next; d; d = next) {
			next = d->next;
			if (!d->listener->facts.sockets)
				auto_service_idle(&services, d, now);
		}
		auto_services_expire(&services, now);
		services_of(1000);
		assert_true(used <= QUARTER + CONFIGURED);
		now += 2 * NS_PER_S;
	}
}

static void a_port_that_another_user_takes_over_counts_for_that_user(void **state)
{
	(void)state;
	listens(1000, 1100, QUARTER);
	listeners_settle(&listeners, ignore, NULL);
	services_of(1000);
	listens(0, 1100, 1);
	listens(1000, 1101, QUARTER - 1);
	listens(1000, 9000, 1);
	listeners_settle(&listeners, ignore, NULL);
	auto_service_changes_owner(&services, listeners.ports[1100]->discovered);
	assert_int_equal(services_of(1000), QUARTER);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_user_has_a_quarter_at_most),
		TEST(root_has_more),
		TEST(users_together_leave_a_quarter_for_services_with_precedence),
		TEST(services_with_precedence_take_ids_from_the_largest_user),
		TEST(privileged_ports_have_precedence),
		TEST(ids_that_are_kept_for_a_user_count),
		TEST(a_port_that_another_user_takes_over_counts_for_that_user),
	};

	return cmocka_run_group_tests_name("auto_service", tests, NULL, NULL);
}

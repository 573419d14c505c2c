/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service's ids: found again by name, counted exactly, with one capacity over all datapaths; and its handoff.
 *
 * link: user/shakeoffd/hook/service.c user/shakeoffd/hook/service_publish.c user/shakeoffd/hook/service_count.c
 * link: user/shakeoffd/hook/service_ids.c user/common/log.c
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "shakeoffd/hook/service.h"

/* Two datapaths, as a service sees them. */
struct datapath {
	struct shakeoff_service services[SHAKEOFF_MAX_SERVICES];
	uint32_t reset;
};

static struct datapath memory[2];
static struct datapath *const datapaths[2] = { &memory[0], &memory[1] };

struct shakeoff_service *datapath_services(struct datapath *datapath)
{
	return datapath->services;
}

int datapath_service_counters_reset(struct datapath *datapath, uint32_t service)
{
	datapath->reset = service;
	return 0;
}

static struct config_service configured[2] = {
	{ .name = "web", .policy = { .backlog = 10, .syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE } },
	{ .name = "mail", .policy = { .backlog = 20 } }
};
static const struct config config = { .services = configured, .service_count = 2 };
static struct services services;
static struct service_ids service_ids;

static const struct service_listening listening = { .sockets = 2, .backlog = 7 };
static const struct service_listening none = { 0 };

static struct shakeoff_service *instance(int datapath, const char *name)
{
	for (size_t i = 0; i < SHAKEOFF_MAX_SERVICES; i++)
		if (!strcmp(memory[datapath].services[i].name, name))
			return &memory[datapath].services[i];
	return NULL;
}

/* Does what the hook does with a validated ACK, and then the worker. */
static void handed_over(struct service *service, int datapath)
{
	service->instances[datapath].shared->enqueued++;
	service_arrived(service, datapath, clock_ns());
}

static int64_t waiting(const struct service *service, int datapath)
{
	const struct shakeoff_service *shared = service->instances[datapath].shared;

	return (int64_t)(shared->enqueued - shared->dequeued);
}

static void open_on(size_t count)
{
	assert_int_equal(service_ids_open(&service_ids, datapaths, count), 0);
	assert_int_equal(services_open(&services, &config, &service_ids), 0);
}

static int clear(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	services_close(&services);
	service_ids_close(&service_ids);
	configured[0].handoff = SHAKEOFF_HANDOFF_AUTO;
	return 0;
}

static void a_service_is_not_answered_before_a_server_listens(void **state)
{
	(void)state;
	open_on(1);
	assert_int_equal(instance(0, "web")->flags, SHAKEOFF_SERVICE_USED);
	service_set_servers(&services.list[0], 1, 6);
	assert_int_equal(instance(0, "web")->flags, SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED);
	assert_int_equal(instance(0, "mail")->flags, SHAKEOFF_SERVICE_USED);
}

static void a_service_is_answered_while_its_server_restarts(void **state)
{
	(void)state;
	open_on(1);
	service_set_servers(&services.list[0], 1, 6);
	service_set_servers(&services.list[0], 0, 0);
	assert_true(instance(0, "web")->flags & SHAKEOFF_SERVICE_SERVED);
	assert_int_equal(instance(0, "web")->servers, 0);
	service_disarm(&services.list[0]);
	assert_false(instance(0, "web")->flags & SHAKEOFF_SERVICE_SERVED);
}

static void capacity_is_the_smaller_of_listen_and_configuration(void **state)
{
	(void)state;
	open_on(1);
	assert_int_equal(instance(0, "web")->capacity, 10);
	service_set_servers(&services.list[0], 1, 6);
	assert_int_equal(instance(0, "web")->capacity, 6);
	service_set_servers(&services.list[0], 1, 500);
	assert_int_equal(instance(0, "web")->capacity, 10);
	/* The last server has ended: its backlog still applies to waiting connections. */
	service_set_servers(&services.list[0], 1, 8);
	service_set_servers(&services.list[0], 0, 0);
	assert_int_equal(instance(0, "web")->capacity, 8);
}

static void each_connection_is_counted_in_and_out(void **state)
{
	struct service *service;

	(void)state;
	open_on(1);
	service = &services.list[0];
	for (int i = 0; i < 3; i++)
		handed_over(service, 0);
	assert_int_equal(waiting(service, 0), 3);
	service_established(service, 0);
	service_accepted(service, 0);
	service_refused(service, 0, SHAKEOFF_REFUSED_CLIENT_RESET);
	assert_int_equal(waiting(service, 0), 1);
	assert_int_equal(instance(0, "web")->established, 1);
	assert_int_equal(instance(0, "web")->accepted, 1);
	assert_int_equal(instance(0, "web")->from_kernel, 0);
	assert_int_equal(instance(0, "web")->refused[SHAKEOFF_REFUSED_CLIENT_RESET], 1);
}

static void a_connection_of_the_kernel_takes_a_position_that_the_hook_sees(void **state)
{
	struct service *service;

	(void)state;
	open_on(1);
	service = &services.list[0];
	service_set_servers(service, 1, 3);
	for (int i = 0; i < 3; i++) {
		assert_true(service_has_room(service));
		service_arrived(service, CONNECTION_FROM_KERNEL, 0);
	}
	assert_false(service_has_room(service));
	assert_int_equal(instance(0, "web")->capacity, 0);
	service_accepted(service, CONNECTION_FROM_KERNEL);
	assert_int_equal(instance(0, "web")->capacity, 1);
	assert_int_equal(instance(0, "web")->accepted, 1);
	assert_int_equal(instance(0, "web")->from_kernel, 1);
	assert_int_equal(waiting(service, 0), 0);
}

static void two_datapaths_share_one_capacity(void **state)
{
	struct service *service;

	(void)state;
	open_on(2);
	service = &services.list[0];
	service_set_servers(service, 1, 6);
	handed_over(service, 0);
	handed_over(service, 0);
	handed_over(service, 1);
	assert_int_equal(instance(0, "web")->capacity, 5);
	assert_int_equal(instance(1, "web")->capacity, 4);
	service_accepted(service, 0);
	assert_int_equal(instance(1, "web")->capacity, 5);
}

static void an_id_is_found_again_by_its_name_and_keeps_its_counts(void **state)
{
	struct shakeoff_service *mail = &memory[0].services[7];

	(void)state;
	strcpy(mail->name, "mail");
	mail->flags = SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED;
	mail->handoff = SHAKEOFF_HANDOFF_QUEUE;
	mail->accepted = 1000;
	mail->listen_capacity = 7;
	open_on(1);
	assert_ptr_equal(services.list[1].instances[0].shared, mail);
	assert_ptr_equal(services_find(&services, 0, 7), &services.list[1]);
	assert_int_equal(mail->accepted, 1000);
	/* Its server will probably return. */
	assert_true(mail->flags & SHAKEOFF_SERVICE_SERVED);
	assert_int_equal(mail->capacity, 7);
}

static void a_removed_service_loses_its_id_with_its_last_address(void **state)
{
	struct shakeoff_service *old = &memory[0].services[3];

	(void)state;
	strcpy(old->name, "gone");
	old->flags = SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED;
	old->accepted = 5;
	open_on(1);
	assert_int_equal(old->accepted, 5);
	service_ids_sweep(&service_ids);
	assert_int_equal(old->flags, 0);
	assert_int_equal(old->accepted, 0);
	assert_int_equal(memory[0].reset, 3);
	assert_null(services_find(&services, 0, 3));
	assert_null(services_find(&services, 0, SHAKEOFF_MAX_SERVICES));
}

static void after_a_crash_only_events_in_the_rings_count(void **state)
{
	struct shakeoff_service *web = &memory[0].services[0];
	struct service *service;

	(void)state;
	strcpy(web->name, "web");
	web->flags = SHAKEOFF_SERVICE_USED;
	web->enqueued = 1000;
	web->dequeued = 900; /* 100 waited: 98 died with the daemon, 2 are in a ring */
	open_on(1);
	service = &services.list[0];
	assert_int_equal(waiting(service, 0), 0);
	service_arrived(service, 0, 1);
	service_arrived(service, 0, 1);
	assert_int_equal(waiting(service, 0), 2);
	service_accepted(service, 0);
	service_accepted(service, 0);
	assert_int_equal(waiting(service, 0), 0);
}

static void a_wrong_count_is_corrected_when_nothing_changes(void **state)
{
	const uint64_t now = 100 * NS_PER_S;
	struct service *service;

	(void)state;
	open_on(1);
	service = &services.list[0];
	handed_over(service, 0);
	service->instances[0].shared->enqueued += 5; /* counted by the hook, never handed over */
	service_settle(service, now, now);
	/* It is changing: not now. */
	handed_over(service, 0);
	service_settle(service, now + NS_PER_S, now + NS_PER_S);
	assert_int_equal(waiting(service, 0), 7);
	/* A ring may still hold an event. */
	service_settle(service, now + 2 * NS_PER_S, now + NS_PER_S);
	assert_int_equal(waiting(service, 0), 7);
	service_settle(service, now + 3 * NS_PER_S, now + 3 * NS_PER_S);
	assert_int_equal(waiting(service, 0), 2);
}

static void there_are_enough_service_ids(void **state)
{
	(void)state;
	for (size_t i = 0; i < SHAKEOFF_MAX_SERVICES; i++) {
		memory[0].services[i].flags = SHAKEOFF_SERVICE_USED;
		strcpy(memory[0].services[i].name, "web");
	}
	assert_int_equal(service_ids_open(&service_ids, datapaths, 1), 0);
	assert_int_equal(services_open(&services, &config, &service_ids), -ENOSPC);
	memset(&services, 0, sizeof(services));
}

/* ------------------------------------------------------------------------------------------------- listener handoff */

static void a_service_with_auto_takes_the_handoff_of_its_server(void **state)
{
	struct service *service;

	(void)state;
	open_on(1);
	service = &services.list[0];
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_QUEUE);
	service_set_listening(service, &listening);
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_LISTENER);
	service_set_servers(service, 1, 6);
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_QUEUE);
	/* It may return. */
	service_set_servers(service, 0, 0);
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_QUEUE);
	service_disarm(service);
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_LISTENER);
}

static void another_users_server_does_not_change_the_handoff(void **state)
{
	struct service *service;

	(void)state;
	open_on(1);
	service = &services.list[0];
	service_set_owner(service, true, 65534);
	service_set_servers(service, 1, 6);
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_QUEUE);
	service_set_listening(service, &listening);
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_LISTENER);
	/*
	 * The other user's own sockets do not matter; and the service's servers get the handoff beside any other
	 * listener.
	 */
	service_set_owner(service, true, listening.uid);
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_QUEUE);
	service_set_owner(service, false, 33);
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_QUEUE);
}

static void a_service_with_auto_keeps_the_listener_handoff_while_its_server_restarts(void **state)
{
	struct service *service;

	(void)state;
	open_on(1);
	service = &services.list[0];
	service_set_listening(service, &listening);
	service_change_handoff(service, SHAKEOFF_HANDOFF_LISTENER);
	service_set_listening(service, &none);
	assert_int_equal(service_wants(service), SHAKEOFF_HANDOFF_LISTENER);
	assert_false(instance(0, "web")->flags & SHAKEOFF_SERVICE_SERVED);
}

static void a_configured_handoff_does_not_depend_on_the_server(void **state)
{
	(void)state;
	configured[0].handoff = SHAKEOFF_HANDOFF_QUEUE;
	open_on(1);
	service_set_listening(&services.list[0], &listening);
	assert_int_equal(service_wants(&services.list[0]), SHAKEOFF_HANDOFF_QUEUE);
	assert_int_equal(instance(0, "web")->handoff, SHAKEOFF_HANDOFF_QUEUE);
	assert_int_equal(instance(0, "web")->servers, 0);
}

static void the_limits_of_a_source_are_published(void **state)
{
	struct config_service limited = config.services[0];
	const struct shakeoff_service *shared;
	struct service service;

	(void)state;
	open_on(1);
	strcpy(limited.name, "limited");
	limited.policy = (struct config_policy){
		.syn_limit = { .rate = 100, .burst = 300, .prefix4 = 24 },
		.accept_limit = { .rate = 3, .burst = 1, .prefix6 = 48 },
		.fair_share = true,
	};
	assert_int_equal(service_open(&service, &limited, false, &service_ids), 0);
	shared = service.instances[0].shared;
	assert_int_equal(shared->syn_interval_ns, 10000000);
	assert_int_equal(shared->syn_burst, 300);
	assert_in_range(shared->syn_hot, 1, 13); /* half of 26.8 a window, divided among the CPUs */
	assert_int_equal(shared->accept_interval_ns, 333333333);
	assert_int_equal(shared->accept_burst, 1);
	assert_int_equal(shared->source_prefix4, 24);
	assert_int_equal(shared->source_prefix6, 48);
	assert_int_equal(shared->fair_share, 1);
	service_release(&service, &service_ids);
}

static void without_limits_there_are_no_intervals(void **state)
{
	(void)state;
	open_on(1);
	assert_int_equal(services.list[0].instances[0].shared->syn_interval_ns, 0);
	assert_int_equal(services.list[0].instances[0].shared->accept_interval_ns, 0);
}

static void the_queue_handoff_always_answers(void **state)
{
	(void)state;
	open_on(1);
	assert_int_equal(instance(0, "web")->syncookies, SHAKEOFF_SYNCOOKIES_ALWAYS);
	service_set_listening(&services.list[0], &listening);
	service_change_handoff(&services.list[0], SHAKEOFF_HANDOFF_LISTENER);
	assert_int_equal(instance(0, "web")->syncookies, SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	service_change_handoff(&services.list[0], SHAKEOFF_HANDOFF_QUEUE);
	assert_int_equal(instance(0, "web")->syncookies, SHAKEOFF_SYNCOOKIES_ALWAYS);
}

static void a_listening_service_shows_its_sockets_and_its_capacity(void **state)
{
	const struct shakeoff_service *web;

	(void)state;
	configured[0].handoff = SHAKEOFF_HANDOFF_LISTENER;
	open_on(1);
	web = instance(0, "web");
	assert_int_equal(web->flags, SHAKEOFF_SERVICE_USED);
	service_set_listening(&services.list[0], &listening);
	assert_int_equal(web->flags, SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED);
	assert_int_equal(web->servers, 2);
	assert_int_equal(web->listen_capacity, 8);
	assert_int_equal(web->backlog, 10);
	assert_int_equal(web->capacity, 7);
}

static void the_buffer_of_a_server_is_published(void **state)
{
	const struct shakeoff_service *web;

	(void)state;
	configured[0].handoff = SHAKEOFF_HANDOFF_QUEUE;
	open_on(1);
	web = instance(0, "web");
	service_set_offer(&services.list[0],
			  &(struct shakeoff_socket_offer){ .rcv_space = 65536, .hop_limit = { 5, -1 } });
	assert_int_equal(web->offer.rcv_space, 65536);
	assert_int_equal(web->offer.rcv_locked, 0);
	assert_int_equal(web->offer.hop_limit[0], 5);
	service_set_offer(&services.list[0],
			  &(struct shakeoff_socket_offer){ .rcv_space = 5000, .rcv_locked = 1, .tos = { 0, 8 } });
	assert_int_equal(web->offer.rcv_space, 5000);
	assert_int_equal(web->offer.rcv_locked, 1);
	assert_int_equal(web->offer.tos[1], 8);
}

static void a_reason_of_a_bypass_ends_the_answering(void **state)
{
	struct service_listening bypassed = listening;
	const struct shakeoff_service *web;

	(void)state;
	configured[0].handoff = SHAKEOFF_HANDOFF_LISTENER;
	open_on(1);
	web = instance(0, "web");
	bypassed.bypass = SHAKEOFF_BYPASS_MPTCP;
	service_set_listening(&services.list[0], &bypassed);
	assert_int_equal(web->syncookies, SHAKEOFF_SYNCOOKIES_NEVER);
	assert_int_equal(web->bypass, SHAKEOFF_BYPASS_MPTCP);
	service_set_listening(&services.list[0], &listening);
	assert_int_equal(web->syncookies, SHAKEOFF_SYNCOOKIES_ADAPTIVE);
	assert_int_equal(web->bypass, SHAKEOFF_BYPASS_NONE);
}

static void cookies_of_the_queue_handoff_are_good_with_the_listener_handoff(void **state)
{
	uint64_t before;

	(void)state;
	open_on(2);
	service_set_servers(&services.list[0], 1, 6);
	assert_int_equal(instance(0, "web")->released_ns, 0);
	service_disarm(&services.list[0]);
	service_set_listening(&services.list[0], &listening);
	before = clock_ns();
	service_change_handoff(&services.list[0], SHAKEOFF_HANDOFF_LISTENER);
	for (int i = 0; i < 2; i++) {
		assert_in_range(instance(i, "web")->released_ns, before, clock_ns());
		instance(i, "web")->released_ns = 1;
	}
	/* From then on the hook counts it. */
	service_set_listening(&services.list[0], &none);
	assert_int_equal(instance(0, "web")->released_ns, 1);
}

static void a_service_that_ends_stops_answering_and_reports_issued_cookies(void **state)
{
	const uint64_t now = 100 * NS_PER_S;
	struct shakeoff_service *web;

	(void)state;
	configured[0].handoff = SHAKEOFF_HANDOFF_LISTENER;
	open_on(2);
	web = instance(1, "web");
	service_set_listening(&services.list[0], &listening);
	assert_false(service_stop_answering(&services.list[0], now));
	assert_int_equal(instance(0, "web")->syncookies, SHAKEOFF_SYNCOOKIES_NEVER);
	assert_int_equal(web->syncookies, SHAKEOFF_SYNCOOKIES_NEVER);
	assert_true(web->flags & SHAKEOFF_SERVICE_SERVED);
	web->released_ns = now - 10 * NS_PER_MS;
	assert_true(service_stop_answering(&services.list[0], now));
	web->released_ns = now - NS_PER_S;
	assert_false(service_stop_answering(&services.list[0], now));
	web->syns.since_ns = now - NS_PER_S;
	assert_true(service_stop_answering(&services.list[0], now));
	/* Connections of the queue handoff are handled by the daemon itself. */
	assert_false(service_stop_answering(&services.list[1], now));
	assert_int_equal(instance(0, "mail")->syncookies, SHAKEOFF_SYNCOOKIES_ALWAYS);
}

static void a_listening_service_of_an_earlier_daemon_continues_unchanged(void **state)
{
	struct shakeoff_service *web = &memory[0].services[4];

	(void)state;
	*web = (struct shakeoff_service){ .name = "web",
					  .flags = SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED,
					  .handoff = SHAKEOFF_HANDOFF_LISTENER,
					  .syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE,
					  .enqueued = 10,
					  .dequeued = 9,
					  .syns.since_ns = 5,
					  .listen_capacity = 8 };
	open_on(1);
	assert_int_equal(services.list[0].handoff, SHAKEOFF_HANDOFF_LISTENER);
	assert_true(web->flags & SHAKEOFF_SERVICE_SERVED);
	assert_int_equal(web->dequeued, 9);
	assert_int_equal(web->syns.since_ns, 5);
	/* Its own server had never listened. */
	service_set_listening(&services.list[0], &none);
	assert_int_equal(services.list[0].listen_capacity, 0);
}

static void connections_that_never_reach_the_socket_are_counted_out(void **state)
{
	uint64_t now = 100 * NS_PER_S;
	struct shakeoff_service *web;

	(void)state;
	configured[0].handoff = SHAKEOFF_HANDOFF_LISTENER;
	open_on(1);
	web = instance(0, "web");
	web->enqueued = 5;
	web->dequeued = 2;
	/* Other connections come and go all the time: these three never finish. */
	for (int i = 0; i < 4; i++, now += 200 * NS_PER_MS) {
		web->enqueued += i;
		service_settle_listening(&services.list[0], now);
		web->dequeued += i;
	}
	assert_int_equal(web->enqueued - web->dequeued, 0);
	assert_int_equal(web->enqueued, 11);
}

static void connections_on_their_way_are_not_counted_out(void **state)
{
	uint64_t now = 100 * NS_PER_S;
	struct shakeoff_service *web;

	(void)state;
	configured[0].handoff = SHAKEOFF_HANDOFF_LISTENER;
	open_on(1);
	web = instance(0, "web");
	for (int i = 0; i < 10; i++, now += 200 * NS_PER_MS) {
		web->enqueued += i % 2 ? 0 : 3;
		service_settle_listening(&services.list[0], now);
		web->dequeued += i % 2 ? 3 : 0;
		service_settle_listening(&services.list[0], now + 100 * NS_PER_MS);
	}
	assert_int_equal(web->enqueued, 15);
	assert_int_equal(web->dequeued, 15);
}

static void a_discovered_service_is_marked_and_its_entry_is_cleared_except_the_positions(void **state)
{
	const struct config_service found = { .name = "*:80",
					      .handoff = SHAKEOFF_HANDOFF_LISTENER,
					      .policy.backlog = CONFIG_BACKLOG_SOCKET };
	struct service service;
	uint32_t id;

	(void)state;
	open_on(1);
	assert_int_equal(service_open(&service, &found, true, &service_ids), 0);
	id = service.instances[0].id;
	service_set_listening(&service, &listening);
	assert_int_equal(instance(0, "*:80")->flags,
			 SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED | SHAKEOFF_SERVICE_DISCOVERED);
	assert_int_equal(instance(0, "*:80")->capacity, 7);
	assert_null(services_find(&services, 0, id));
	memory[0].services[id].enqueued = 9;
	service_release(&service, &service_ids);
	assert_int_equal(memory[0].services[id].enqueued, 9);
	assert_int_equal(memory[0].services[id].dequeued, 9);
	assert_int_equal(memory[0].services[id].positions_from, 9);
	memory[0].services[id].enqueued = memory[0].services[id].dequeued = memory[0].services[id].positions_from = 0;
	for (size_t i = 0; i < sizeof(memory[0].services[id]); i++)
		assert_int_equal(((const char *)&memory[0].services[id])[i], 0);
	assert_int_equal(memory[0].reset, id);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, clear, close_all)
	const struct CMUnitTest tests[] = {
		TEST(a_service_is_not_answered_before_a_server_listens),
		TEST(a_service_is_answered_while_its_server_restarts),
		TEST(capacity_is_the_smaller_of_listen_and_configuration),
		TEST(each_connection_is_counted_in_and_out),
		TEST(a_connection_of_the_kernel_takes_a_position_that_the_hook_sees),
		TEST(two_datapaths_share_one_capacity),
		TEST(an_id_is_found_again_by_its_name_and_keeps_its_counts),
		TEST(a_removed_service_loses_its_id_with_its_last_address),
		TEST(after_a_crash_only_events_in_the_rings_count),
		TEST(a_wrong_count_is_corrected_when_nothing_changes),
		TEST(there_are_enough_service_ids),
		TEST(a_service_with_auto_takes_the_handoff_of_its_server),
		TEST(another_users_server_does_not_change_the_handoff),
		TEST(a_service_with_auto_keeps_the_listener_handoff_while_its_server_restarts),
		TEST(a_configured_handoff_does_not_depend_on_the_server),
		TEST(the_limits_of_a_source_are_published),
		TEST(without_limits_there_are_no_intervals),
		TEST(the_queue_handoff_always_answers),
		TEST(a_listening_service_shows_its_sockets_and_its_capacity),
		TEST(the_buffer_of_a_server_is_published),
		TEST(a_reason_of_a_bypass_ends_the_answering),
		TEST(cookies_of_the_queue_handoff_are_good_with_the_listener_handoff),
		TEST(a_service_that_ends_stops_answering_and_reports_issued_cookies),
		TEST(a_listening_service_of_an_earlier_daemon_continues_unchanged),
		TEST(connections_that_never_reach_the_socket_are_counted_out),
		TEST(connections_on_their_way_are_not_counted_out),
		TEST(a_discovered_service_is_marked_and_its_entry_is_cleared_except_the_positions),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}

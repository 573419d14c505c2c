/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of a service in `shakeoff status`, and the order of the list of services.
 *
 * link: user/cli/state.c user/cli/service_list.c user/common/names.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/service_list.h"
#include "cli/state.h"

#define SECOND 1000000000ull
#define NOW (1000 * SECOND)

static struct shakeoff_control alive(void)
{
	return (struct shakeoff_control){ .heartbeat_ns = NOW - SECOND, .flags = SHAKEOFF_KEYS_LOADED };
}

static struct shakeoff_control dead(void)
{
	return (struct shakeoff_control){ .heartbeat_ns = NOW - 60 * SECOND, .flags = SHAKEOFF_KEYS_LOADED };
}

static struct shakeoff_service listener(void)
{
	return (struct shakeoff_service){
		.flags = SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED,
		.handoff = SHAKEOFF_HANDOFF_LISTENER,
		.syncookies = SHAKEOFF_SYNCOOKIES_ADAPTIVE,
		.servers = 1,
	};
}

static struct shakeoff_service queue(void)
{
	return (struct shakeoff_service){
		.flags = SHAKEOFF_SERVICE_USED | SHAKEOFF_SERVICE_SERVED,
		.handoff = SHAKEOFF_HANDOFF_QUEUE,
		.syncookies = SHAKEOFF_SYNCOOKIES_ALWAYS,
		.servers = 1,
	};
}

/* Returns a service that has been active for a minute; the surge was last seen `ago`. */
static struct shakeoff_service in_flood(uint64_t ago)
{
	struct shakeoff_service service = listener();

	service.syns.since_ns = NOW - 60 * SECOND;
	service.syns.last_ns = NOW - ago;
	service.cause = SHAKEOFF_CAUSE_SYN_RATE;
	service.activations = 1;
	return service;
}

static void state_is(struct shakeoff_service service, struct shakeoff_control control, enum service_state expected)
{
	assert_int_equal(service_state(&service, &control, true, NOW), expected);
}

/* ----------------------------------------------------------------------------------------------------------- states */

static void without_a_flood_a_listening_socket_is_idle(void **state)
{
	(void)state;
	state_is(listener(), alive(), STATE_IDLE);
}

static void in_a_flood_it_is_active_until_the_hold_time_is_over(void **state)
{
	(void)state;
	state_is(in_flood(0), alive(), STATE_FLOOD);
	state_is(in_flood(SHAKEOFF_FLOOD_HOLD_NS), alive(), STATE_FLOOD);
	state_is(in_flood(SHAKEOFF_FLOOD_HOLD_NS + 1), alive(), STATE_IDLE);
}

static void a_flood_has_its_beginning_and_its_cause(void **state)
{
	struct shakeoff_service service = in_flood(0);
	uint64_t age_ns;

	(void)state;
	assert_true(service_since(&service, STATE_FLOOD, NOW, &age_ns));
	assert_int_equal(age_ns, 60 * SECOND);
	assert_string_equal(service_reason(&service, STATE_FLOOD).name, "syn_rate");
	assert_true(*service_reason(&service, STATE_FLOOD).help);
}

static void idle_time_is_counted_from_the_end_of_the_last_flood(void **state)
{
	struct shakeoff_service never = listener(), released = listener();
	struct shakeoff_service unnoticed = in_flood(SHAKEOFF_FLOOD_HOLD_NS + 5 * SECOND);
	uint64_t age_ns;

	(void)state;
	assert_false(service_since(&never, STATE_IDLE, NOW, &age_ns));
	released.released_ns = NOW - 7 * SECOND;
	assert_true(service_since(&released, STATE_IDLE, NOW, &age_ns));
	assert_int_equal(age_ns, 7 * SECOND);
	assert_true(service_since(&unnoticed, STATE_IDLE, NOW, &age_ns));
	assert_int_equal(age_ns, 5 * SECOND);
	assert_string_equal(service_reason(&unnoticed, STATE_IDLE).name, "");
}

/* Returns a service that has dropped out-of-state segments for half a minute; the last surge was seen `ago`. */
static struct shakeoff_service surge_of_out_of_state(struct shakeoff_service service, uint64_t ago)
{
	service.out_of_state.since_ns = NOW - 30 * SECOND;
	service.out_of_state.last_ns = NOW - ago;
	service.out_of_state_kind = SHAKEOFF_NO_SOCKET_RST;
	return service;
}

static void while_idle_out_of_state_segments_are_dropped_until_the_hold_time_is_over(void **state)
{
	struct shakeoff_service service = surge_of_out_of_state(listener(), 0);
	uint64_t age_ns;

	(void)state;
	state_is(service, alive(), STATE_OUT_OF_STATE);
	assert_string_equal(service_reason(&service, STATE_OUT_OF_STATE).name, "no_socket_rst");
	assert_true(*service_reason(&service, STATE_OUT_OF_STATE).help);
	assert_true(service_since(&service, STATE_OUT_OF_STATE, NOW, &age_ns));
	assert_int_equal(age_ns, 30 * SECOND);
	state_is(surge_of_out_of_state(listener(), SHAKEOFF_FLOOD_HOLD_NS), alive(), STATE_OUT_OF_STATE);
	state_is(surge_of_out_of_state(listener(), SHAKEOFF_FLOOD_HOLD_NS + 1), alive(), STATE_IDLE);
}

static void out_of_state_segments_are_dropped_in_other_states_too(void **state)
{
	struct shakeoff_service service = surge_of_out_of_state(in_flood(0), 0);

	(void)state;
	state_is(service, alive(), STATE_FLOOD);
	assert_string_equal(service_reason(&service, STATE_FLOOD).name, "syn_rate");
	assert_true(service_drops_out_of_state(&service, NOW));
	assert_string_equal(service_out_of_state(&service).name, "no_socket_rst");
	service = in_flood(0);
	assert_false(service_drops_out_of_state(&service, NOW));
}

static void syncookies_always_is_active_without_a_flood(void **state)
{
	struct shakeoff_service service = listener();

	(void)state;
	service.syncookies = SHAKEOFF_SYNCOOKIES_ALWAYS;
	state_is(service, alive(), STATE_ALWAYS);
	assert_string_equal(service_reason(&service, STATE_ALWAYS).name, "always");
	state_is(queue(), alive(), STATE_ALWAYS);
}

static void forgery_has_its_beginning_and_ends_with_the_hold_time(void **state)
{
	struct shakeoff_service service = listener();
	uint64_t age_ns;

	(void)state;
	assert_false(service_forgery(&service, NOW, &age_ns));
	service.forgery.since_ns = NOW - 60 * SECOND;
	service.forgery.last_ns = NOW - SHAKEOFF_FLOOD_HOLD_NS;
	assert_true(service_forgery(&service, NOW, &age_ns));
	assert_int_equal(age_ns, 60 * SECOND);
	assert_false(service_forgery(&service, NOW + 1, &age_ns));
}

static void a_service_that_only_the_kernel_can_serve_is_bypassed_with_the_reason(void **state)
{
	struct shakeoff_service service = listener();

	(void)state;
	service.syncookies = SHAKEOFF_SYNCOOKIES_NEVER;
	for (int reason = SHAKEOFF_BYPASS_NONE + 1; reason < SHAKEOFF_BYPASS_COUNT; reason++) {
		service.bypass = (uint8_t)reason;
		state_is(service, alive(), STATE_BYPASSED);
		assert_true(*service_reason(&service, STATE_BYPASSED).name);
		assert_true(*service_reason(&service, STATE_BYPASSED).help);
	}
}

static void a_bypass_that_only_the_hook_has_seen_is_shown_while_it_lasts(void **state)
{
	struct shakeoff_service service = listener();

	(void)state;
	service.syncookies = SHAKEOFF_SYNCOOKIES_ALWAYS;
	service.seen_bypass = SHAKEOFF_BYPASS_SAVE_SYN;
	state_is(service, alive(), STATE_BYPASSED);
	assert_string_equal(service_reason(&service, STATE_BYPASSED).name, "save_syn");
	service.handoff = SHAKEOFF_HANDOFF_QUEUE;
	assert_int_equal(service_bypass(&service), SHAKEOFF_BYPASS_NONE);
	service.handoff = SHAKEOFF_HANDOFF_LISTENER;
	service.servers = 0;
	assert_int_equal(service_bypass(&service), SHAKEOFF_BYPASS_NONE);
}

static void without_a_server_a_service_has_none_or_waits_for_its_restart(void **state)
{
	struct shakeoff_service never = queue(), restarting = queue(), gone = listener();

	(void)state;
	never.flags = SHAKEOFF_SERVICE_USED;
	state_is(never, alive(), STATE_NO_SERVER);
	restarting.servers = 0;
	state_is(restarting, alive(), STATE_WAITING);
	gone.servers = 0;
	state_is(gone, alive(), STATE_NO_SERVER);
}

static void a_dead_daemon_leaves_listening_sockets_protected(void **state)
{
	(void)state;
	state_is(listener(), dead(), STATE_IDLE);
	state_is(in_flood(0), dead(), STATE_FLOOD);
	state_is(queue(), dead(), STATE_DAEMON_DOWN);
}

static void after_a_clean_stop_of_the_daemon_nothing_is_protected(void **state)
{
	(void)state;
	state_is(listener(), (struct shakeoff_control){ .flags = SHAKEOFF_KEYS_LOADED }, STATE_DAEMON_DOWN);
	state_is(queue(), (struct shakeoff_control){ .flags = SHAKEOFF_KEYS_LOADED }, STATE_DAEMON_DOWN);
}

static void the_missing_part_of_the_hook_is_named(void **state)
{
	struct shakeoff_service service = listener(), queued = queue();
	struct shakeoff_control control = alive(), no_keys = alive();

	(void)state;
	no_keys.flags = 0;
	state_is(listener(), no_keys, STATE_NO_KEYS);
	assert_int_equal(service_state(&service, &control, false, NOW), STATE_NO_TC);
	assert_int_equal(service_state(&queued, &control, false, NOW), STATE_ALWAYS);
}

static void a_service_that_no_packet_reaches_is_not_protected(void **state)
{
	const struct service_presence down = { .obstacle = OBSTACLE_DOWN, .addresses = 1 };
	const struct service_presence no_tc = { .obstacle = OBSTACLE_NO_TC, .answers = true, .addresses = 1 };
	const struct service_presence vrf = { .obstacle = OBSTACLE_VRF, .answers = true, .addresses = 1 };
	struct shakeoff_service service = listener(), queued = queue();

	(void)state;
	assert_int_equal(service_state_there(STATE_ALWAYS, &service, &down), STATE_UNPROTECTED);
	assert_int_equal(service_state_there(STATE_ALWAYS, &queued, &down), STATE_UNPROTECTED);
	assert_int_equal(service_state_there(STATE_NO_TC, &service, &vrf), STATE_UNPROTECTED);
	assert_string_equal(service_reason_there(&service, STATE_UNPROTECTED, OBSTACLE_VRF).name, "vrf");
	/* The queue handoff needs neither a tc program nor a listening socket. */
	assert_int_equal(service_state_there(STATE_ALWAYS, &queued, &vrf), STATE_ALWAYS);
	assert_int_equal(service_state_there(STATE_ALWAYS, &queued, &no_tc), STATE_ALWAYS);
	assert_int_equal(service_state_there(STATE_IDLE, &service, &no_tc), STATE_NO_TC);
	assert_string_equal(service_reason_there(&service, STATE_NO_TC, OBSTACLE_NO_TC).name, "no_tc");
	/* A text that reports no protection keeps its own words. */
	assert_int_equal(service_state_there(STATE_BYPASSED, &service, &down), STATE_BYPASSED);
	assert_int_equal(service_state_there(STATE_NO_SERVER, &service, &down), STATE_NO_SERVER);
}

static void a_service_without_an_address_is_not_protected(void **state)
{
	const struct service_presence nowhere = { .answers = true }, there = { .answers = true, .addresses = 1 };
	struct shakeoff_service service = listener(), full = listener();

	(void)state;
	full.no_room = 3;
	assert_int_equal(service_state_there(STATE_IDLE, &service, &nowhere), STATE_NO_ADDRESS);
	assert_int_equal(service_state_there(STATE_ALWAYS, &full, &nowhere), STATE_NO_ROOM);
	assert_int_equal(service_state_there(STATE_ALWAYS, &full, &there), STATE_ALWAYS);
	assert_int_equal(service_state_there(STATE_IDLE, &service, &there), STATE_IDLE);
	assert_string_equal(service_reason_there(&full, STATE_NO_ROOM, OBSTACLE_NONE).name, "no_room");
	assert_string_equal(service_reason_there(&service, STATE_NO_ADDRESS, OBSTACLE_NONE).name, "no_address");
}

static void a_service_only_on_other_devices_is_not_protected(void **state)
{
	struct service_presence presence = { .answers = true, .addresses = 2, .elsewhere = 2 };
	struct shakeoff_service service = listener(), queued = queue();

	(void)state;
	assert_int_equal(service_state_there(STATE_IDLE, &service, &presence), STATE_ELSEWHERE);
	assert_int_equal(service_state_there(STATE_ALWAYS, &queued, &presence), STATE_ELSEWHERE);
	assert_string_equal(service_reason_there(&service, STATE_ELSEWHERE, OBSTACLE_NONE).name, "elsewhere");
	presence.elsewhere = 1;
	assert_int_equal(service_state_there(STATE_IDLE, &service, &presence), STATE_IDLE);
}

static void a_service_only_behind_hidden_vlan_tags_is_bypassed(void **state)
{
	struct service_presence presence = { .answers = true, .addresses = 2, .tagged = 2, .hides_tags = true };
	struct shakeoff_service service = listener(), queued = queue();

	(void)state;
	assert_int_equal(service_state_there(STATE_ALWAYS, &service, &presence), STATE_TAG_HIDDEN);
	assert_string_equal(service_reason_there(&service, STATE_TAG_HIDDEN, OBSTACLE_NONE).name, "vlan");
	assert_int_equal(service_state_there(STATE_ALWAYS, &queued, &presence), STATE_ALWAYS);
	presence.tagged = 1;
	assert_int_equal(service_state_there(STATE_ALWAYS, &service, &presence), STATE_ALWAYS);
	presence.tagged = 2;
	presence.hides_tags = false;
	assert_int_equal(service_state_there(STATE_ALWAYS, &service, &presence), STATE_ALWAYS);
}

static void a_heartbeat_of_the_present_is_not_in_the_future(void **state)
{
	struct shakeoff_control control = { .heartbeat_ns = NOW + 1 };
	uint64_t age_ns = 1;

	(void)state;
	assert_int_equal(daemon_state(&control, NOW, &age_ns), DAEMON_ALIVE);
	assert_int_equal(age_ns, 0);
}

/* ------------------------------------------------------------------------------------------------------------ order */

static struct shakeoff_service *services;

static int services_setup(void **state)
{
	(void)state;
	services = calloc(SHAKEOFF_MAX_SERVICES, sizeof(*services));
	return services ? 0 : -1;
}

static int services_teardown(void **state)
{
	(void)state;
	free(services);
	return 0;
}

static void use(uint32_t id, const char *name, uint32_t flags)
{
	snprintf(services[id].name, sizeof(services[id].name), "%s", name);
	services[id].flags = SHAKEOFF_SERVICE_USED | flags;
}

static uint32_t rank_of_last(const void *context, uint32_t id)
{
	return id == *(const uint32_t *)context ? 0 : 5;
}

/* names: the last entry is NULL. */
static void order_is(struct service_row *rows, size_t count, const char *const *names)
{
	size_t i;

	for (i = 0; names[i]; i++) {
		assert_true(i < count);
		assert_string_equal(rows[i].service->name, names[i]);
	}
	assert_int_equal(count, i);
	free(rows);
}

static void configured_services_are_listed_before_discovered_ones_by_port(void **state)
{
	static const char *const names[] = { "web",           "api", "*:22", "10.9.0.1:80", "[2001:db8::1]:80",
					     "10.9.0.1:8080", NULL };
	struct service_row *rows = NULL;
	size_t count = 0;

	(void)state;
	use(0, "10.9.0.1:8080", SHAKEOFF_SERVICE_DISCOVERED);
	use(1, "web", 0);
	use(2, "[2001:db8::1]:80", SHAKEOFF_SERVICE_DISCOVERED);
	use(3, "*:22", SHAKEOFF_SERVICE_DISCOVERED);
	use(7, "api", 0);
	use(SHAKEOFF_MAX_SERVICES - 1, "10.9.0.1:80", SHAKEOFF_SERVICE_DISCOVERED);
	assert_int_equal(service_list(services, NULL, NULL, &rows, &count), 0);
	assert_int_equal(rows[3].id, SHAKEOFF_MAX_SERVICES - 1);
	order_is(rows, count, names);
}

static void services_that_need_attention_are_listed_first(void **state)
{
	static const char *const names[] = { "*:9000", "web", "*:22", NULL };
	struct service_row *rows = NULL;
	uint32_t urgent = 2;
	size_t count = 0;

	(void)state;
	use(0, "web", 0);
	use(1, "*:22", SHAKEOFF_SERVICE_DISCOVERED);
	use(2, "*:9000", SHAKEOFF_SERVICE_DISCOVERED);
	assert_int_equal(service_list(services, rank_of_last, &urgent, &rows, &count), 0);
	order_is(rows, count, names);
}

static void without_services_the_list_is_empty(void **state)
{
	struct service_row *rows = NULL;
	size_t count = 1;

	(void)state;
	assert_int_equal(service_list(services, NULL, NULL, &rows, &count), 0);
	assert_int_equal(count, 0);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_flood_a_listening_socket_is_idle),
		cmocka_unit_test(in_a_flood_it_is_active_until_the_hold_time_is_over),
		cmocka_unit_test(a_flood_has_its_beginning_and_its_cause),
		cmocka_unit_test(idle_time_is_counted_from_the_end_of_the_last_flood),
		cmocka_unit_test(while_idle_out_of_state_segments_are_dropped_until_the_hold_time_is_over),
		cmocka_unit_test(out_of_state_segments_are_dropped_in_other_states_too),
		cmocka_unit_test(syncookies_always_is_active_without_a_flood),
		cmocka_unit_test(forgery_has_its_beginning_and_ends_with_the_hold_time),
		cmocka_unit_test(a_service_that_only_the_kernel_can_serve_is_bypassed_with_the_reason),
		cmocka_unit_test(a_bypass_that_only_the_hook_has_seen_is_shown_while_it_lasts),
		cmocka_unit_test(without_a_server_a_service_has_none_or_waits_for_its_restart),
		cmocka_unit_test(a_dead_daemon_leaves_listening_sockets_protected),
		cmocka_unit_test(after_a_clean_stop_of_the_daemon_nothing_is_protected),
		cmocka_unit_test(the_missing_part_of_the_hook_is_named),
		cmocka_unit_test(a_service_that_no_packet_reaches_is_not_protected),
		cmocka_unit_test(a_service_without_an_address_is_not_protected),
		cmocka_unit_test(a_service_only_on_other_devices_is_not_protected),
		cmocka_unit_test(a_service_only_behind_hidden_vlan_tags_is_bypassed),
		cmocka_unit_test(a_heartbeat_of_the_present_is_not_in_the_future),
		cmocka_unit_test_setup_teardown(configured_services_are_listed_before_discovered_ones_by_port,
						services_setup, services_teardown),
		cmocka_unit_test_setup_teardown(services_that_need_attention_are_listed_first, services_setup,
						services_teardown),
		cmocka_unit_test_setup_teardown(without_services_the_list_is_empty, services_setup, services_teardown),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}

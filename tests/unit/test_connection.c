/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connection state machine, tested completely: every state with every event.
 *
 * link: user/shakeoffd/queue/connection.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/hook/service.h"
#include "shakeoffd/queue/connection.h"

/* The transitions that RFC 9293 and the accept queue require; a pair that is not listed must be impossible. */
/* clang-format off */
static const struct {
	enum connection_state state;
	enum connection_event event;
	enum connection_state next;
	enum connection_action action;
	bool leaves;
} expected[] = {
#define ROW(state, event, next, action, leaves) \
	{ CONNECTION_##state, CONNECTION_EVENT_##event, CONNECTION_##next, CONNECTION_DO_##action, leaves }
	ROW(CLOSED,            ACK_VALID,         SYN_RECEIVED,      MAKE_SOCKET, false),
	ROW(CLOSED,            KERNEL_HANDSHAKE,  ESTABLISHED,       ENQUEUE,     false),
	ROW(SYN_RECEIVED,      SOCKET_MADE,       ESTABLISHED,       ENQUEUE,     false),
	ROW(SYN_RECEIVED,      SOCKET_LACKING,    REFUSED,           FORGET,      true),
	ROW(SYN_RECEIVED,      SOCKET_IMPOSSIBLE, REFUSED,           RESET,       true),
	ROW(SYN_RECEIVED,      WITHDRAWN,         REFUSED,           RESET,       true),
	ROW(ESTABLISHED,       ENQUEUED,          QUEUED,            NOTHING,     false),
	ROW(ESTABLISHED,       WITHDRAWN,         REFUSED,           RESET,       true),
	ROW(QUEUED,            SENT,              DELIVERING,        NOTHING,     false),
	ROW(QUEUED,            CLIENT_RESET,      REFUSED,           CLOSE,       true),
	ROW(QUEUED,            WITHDRAWN,         REFUSED,           RESET,       true),
	ROW(DELIVERING,        TAKEN,             ACCEPTED,          CLOSE,       true),
	ROW(DELIVERING,        RETURNED,          QUEUED,            REQUEUE,     false),
	ROW(DELIVERING,        SERVER_GONE,       QUEUED,            REQUEUE,     false),
	ROW(DELIVERING,        CLIENT_RESET,      RESET_IN_DELIVERY, NOTHING,     true),
	ROW(DELIVERING,        WITHDRAWN,         REFUSED,           CLOSE,       true),
	ROW(RESET_IN_DELIVERY, TAKEN,             REFUSED,           CLOSE,       false),
	ROW(RESET_IN_DELIVERY, RETURNED,          REFUSED,           CLOSE,       false),
	ROW(RESET_IN_DELIVERY, SERVER_GONE,       REFUSED,           CLOSE,       false),
	ROW(RESET_IN_DELIVERY, WITHDRAWN,         REFUSED,           CLOSE,       false),
#undef ROW
};
/* clang-format on */

#define EXPECTED_COUNT (sizeof(expected) / sizeof(expected[0]))

static void every_state_with_every_event_does_exactly_what_is_listed(void **unused)
{
	(void)unused;
	for (int state = 0; state < CONNECTION_STATE_COUNT; state++) {
		for (int event = 0; event < CONNECTION_EVENT_COUNT; event++) {
			const struct connection_transition *got = connection_transition(state, event);
			size_t i = 0;

			while (i < EXPECTED_COUNT && (expected[i].state != (enum connection_state)state ||
						      expected[i].event != (enum connection_event)event))
				i++;
			assert_int_equal(got->possible, i < EXPECTED_COUNT);
			if (i == EXPECTED_COUNT)
				continue;
			assert_int_equal(got->next, expected[i].next);
			assert_int_equal(got->action, expected[i].action);
			assert_int_equal(got->leaves, expected[i].leaves);
		}
	}
}

static bool is_final(enum connection_state state)
{
	for (int event = 0; event < CONNECTION_EVENT_COUNT; event++)
		if (connection_transition(state, event)->possible)
			return false;
	return true;
}

static void accepted_and_refused_are_the_only_ends(void **unused)
{
	(void)unused;
	for (int state = 0; state < CONNECTION_STATE_COUNT; state++)
		assert_int_equal(is_final(state), state == CONNECTION_ACCEPTED || state == CONNECTION_REFUSED);
}

/*
 * Visits all paths from a state that repeat no step. `remaining`: how often the connection has been counted out so far.
 */
static void iter(enum connection_state state, int remaining, bool taken[CONNECTION_STATE_COUNT][CONNECTION_EVENT_COUNT],
		 bool reached[CONNECTION_STATE_COUNT])
{
	reached[state] = true;
	assert_in_range(remaining, 0, 1);
	if (is_final(state)) {
		assert_int_equal(remaining, 1);
		return;
	}
	for (int event = 0; event < CONNECTION_EVENT_COUNT; event++) {
		const struct connection_transition *step = connection_transition(state, event);

		if (!step->possible || taken[state][event])
			continue;
		taken[state][event] = true;
		iter(step->next, remaining + step->leaves, taken, reached);
		taken[state][event] = false;
	}
}

static void on_every_path_a_connection_is_counted_out_exactly_once(void **unused)
{
	bool taken[CONNECTION_STATE_COUNT][CONNECTION_EVENT_COUNT] = { 0 };
	bool reached[CONNECTION_STATE_COUNT] = { 0 };

	(void)unused;
	iter(CONNECTION_CLOSED, 0, taken, reached);
	for (int state = 0; state < CONNECTION_STATE_COUNT; state++)
		assert_true(reached[state]);
}

/* The daemon stops, or the service ends, in any state of the connection. */
static void from_every_state_that_has_a_socket_to_wait_with_a_withdrawal_ends_it(void **unused)
{
	(void)unused;
	for (int state = CONNECTION_SYN_RECEIVED; state < CONNECTION_STATE_COUNT; state++) {
		const struct connection_transition *step = connection_transition(state, CONNECTION_EVENT_WITHDRAWN);

		if (!is_final(state))
			assert_int_equal(step->next, CONNECTION_REFUSED);
	}
}

static void an_impossible_event_changes_nothing(void **unused)
{
	(void)unused;
	for (int state = 0; state < CONNECTION_STATE_COUNT; state++) {
		for (int event = 0; event < CONNECTION_EVENT_COUNT; event++) {
			struct connection connection = { .state = state };
			const struct connection_transition *step = connection_step(&connection, event);

			if (step->possible)
				assert_int_equal(connection.state, step->next);
			else
				assert_int_equal(connection.state, state);
		}
	}
}

static void an_ordinary_connection_goes_from_ack_to_accepted(void **unused)
{
	struct connection *connection = connection_new(0);

	(void)unused;
	assert_int_equal(connection->state, CONNECTION_CLOSED);
	assert_int_equal(connection->fd, -1);
	assert_int_equal(connection_step(connection, CONNECTION_EVENT_ACK_VALID)->action, CONNECTION_DO_MAKE_SOCKET);
	assert_int_equal(connection_step(connection, CONNECTION_EVENT_SOCKET_MADE)->action, CONNECTION_DO_ENQUEUE);
	connection_step(connection, CONNECTION_EVENT_ENQUEUED);
	connection_step(connection, CONNECTION_EVENT_SENT);
	assert_int_equal(connection_step(connection, CONNECTION_EVENT_TAKEN)->action, CONNECTION_DO_CLOSE);
	assert_int_equal(connection->state, CONNECTION_ACCEPTED);
	connection_free(connection);
}

static void ids_are_never_zero_and_rise_with_arrival(void **unused)
{
	struct connection *first = connection_new(0), *second = connection_new(CONNECTION_FROM_KERNEL);

	(void)unused;
	assert_true(first->id > 0);
	assert_true(second->id > first->id);
	connection_free(first);
	connection_free(second);
}

static void every_state_and_event_has_a_unique_name(void **unused)
{
	(void)unused;
	for (int a = 0; a < CONNECTION_STATE_COUNT; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(connection_state_name(a), connection_state_name(b));
	for (int a = 0; a < CONNECTION_EVENT_COUNT; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(connection_event_name(a), connection_event_name(b));
	assert_string_equal(connection_state_name(CONNECTION_STATE_COUNT), "?");
	assert_string_equal(connection_event_name(CONNECTION_EVENT_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_with_every_event_does_exactly_what_is_listed),
		cmocka_unit_test(accepted_and_refused_are_the_only_ends),
		cmocka_unit_test(on_every_path_a_connection_is_counted_out_exactly_once),
		cmocka_unit_test(from_every_state_that_has_a_socket_to_wait_with_a_withdrawal_ends_it),
		cmocka_unit_test(an_impossible_event_changes_nothing),
		cmocka_unit_test(an_ordinary_connection_goes_from_ack_to_accepted),
		cmocka_unit_test(ids_are_never_zero_and_rise_with_arrival),
		cmocka_unit_test(every_state_and_event_has_a_unique_name),
	};

	return cmocka_run_group_tests_name("connection", tests, NULL, NULL);
}

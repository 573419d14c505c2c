/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The accept queue: order, endpoints where servers listen, what happens when servers end, and clients that reset.
 *
 * link: user/shakeoffd/queue/accept_queue.c user/common/listener_match.c user/shakeoffd/queue/connection.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "shakeoffd/queue/accept_queue.h"

#define SECOND 1000000000ull

static struct in6_addr address(const char *text)
{
	struct in6_addr in6;

	assert_int_equal(inet_pton(AF_INET6, text, &in6), 1);
	return in6;
}

static struct connection *arrived_at(const char *text, uint16_t port)
{
	struct connection *connection = connection_new(0);

	connection->local = address(text);
	connection->local_port = port;
	return connection;
}

static struct binding_key exactly(const char *text, uint16_t port)
{
	struct binding_key key = { .address = address(text), .port = port };

	key.ipv4 = IN6_IS_ADDR_V4MAPPED(&key.address);
	key.ipv6 = !key.ipv4;
	return key;
}

static struct binding_key wildcard(bool ipv4, bool ipv6, uint16_t port)
{
	return (struct binding_key){ .any = true, .ipv4 = ipv4, .ipv6 = ipv6, .port = port };
}

static int open_queue(void **state)
{
	static struct accept_queue queue;

	*state = &queue;
	return accept_queue_open(&queue);
}

static int close_queue(void **state)
{
	struct accept_queue *queue = *state;

	for (struct binding *binding = queue->bindings; binding; binding = binding->next) {
		while (binding->waiting.first) {
			struct connection *connection = binding->waiting.first;

			accept_queue_remove(connection);
			connection_free(connection);
		}
	}
	accept_queue_close(queue);
	return 0;
}

static void connections_wait_in_order_of_arrival(void **state)
{
	struct binding *binding = accept_queue_bind(*state, &binding_everything);
	struct connection *c[4];

	for (int i = 0; i < 4; i++) {
		c[i] = arrived_at("::ffff:10.0.0.1", 80);
		accept_queue_append(binding, c[i]);
	}
	assert_int_equal(accept_queue_length(*state), 4);
	assert_ptr_equal(binding->waiting.first, c[0]);
	assert_ptr_equal(c[0]->next, c[1]);
	assert_ptr_equal(binding->waiting.last, c[3]);
}

static void a_connection_returned_by_a_server_gets_its_old_position(void **state)
{
	struct binding *binding = accept_queue_bind(*state, &binding_everything);
	struct connection *c[5];

	for (int i = 0; i < 5; i++) {
		c[i] = arrived_at("::ffff:10.0.0.1", 80);
		accept_queue_append(binding, c[i]);
	}
	accept_queue_remove(c[0]);
	accept_queue_remove(c[1]);
	accept_queue_remove(c[3]);
	accept_queue_requeue(*state, binding, c[3]);
	accept_queue_requeue(*state, binding, c[1]);
	accept_queue_requeue(*state, binding, c[0]);
	for (struct connection *connection = binding->waiting.first, **want = c; connection;
	     connection = connection->next, want++)
		assert_ptr_equal(connection, *want);
	assert_ptr_equal(connection_list_find(&binding->waiting, c[2]->id), c[2]);
	assert_null(connection_list_find(&binding->waiting, c[4]->id + 1));
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static bool is_in_order(const struct connection_list *list)
{
	const struct connection *previous = NULL;
	size_t length = 0;

	for (const struct connection *c = list->first; c; previous = c, c = c->next, length++)
		if (c->previous != previous || (previous && previous->id >= c->id))
			return false;
	return list->last == previous && list->length == length;
}

/* How far each connection has to be moved depends on which connections come back, and in which order. */
static void inserting_many_connections_does_not_iterate_a_full_queue_for_each(void **state)
{
	enum { FULL = 65535, STEP = 3 };
	struct binding *binding = accept_queue_bind(*state, &binding_everything);
	struct connection **c = calloc(FULL, sizeof(*c));
	uint64_t begin;

	for (int i = 0; i < FULL; i++) {
		c[i] = arrived_at("::ffff:10.0.0.1", 80);
		accept_queue_append(binding, c[i]);
	}
	begin = now_ns();
	for (int i = 0; i < FULL; i += STEP)
		accept_queue_remove(c[i]);
	for (int i = 0; i < FULL; i += STEP) {
		c[i]->binding = binding;
		connection_list_insert(&binding->waiting, c[i]);
	}
	assert_true(is_in_order(&binding->waiting));
	for (int i = 0; i < FULL; i += STEP)
		accept_queue_remove(c[i]);
	for (int i = (FULL - 1) / STEP * STEP; i >= 0; i -= STEP) {
		c[i]->binding = binding;
		connection_list_insert(&binding->waiting, c[i]);
	}
	assert_true(is_in_order(&binding->waiting));
	assert_int_equal(binding->waiting.length, FULL);
	/* Walking through half of the queue for each would be more than a thousand million steps. */
	assert_true(now_ns() - begin < SECOND);
	free(c);
}

static void connections_at_an_endpoint_without_a_server_go_to_another(void **state)
{
	const struct binding_key one = exactly("::ffff:10.0.0.1", 80), any4 = wildcard(true, false, 80);
	struct binding *of_one = accept_queue_bind(*state, &one), *of_any = accept_queue_bind(*state, &any4);
	struct connection *connection = arrived_at("::ffff:10.0.0.1", 80);

	accept_queue_append(of_one, connection);
	accept_queue_take_over(*state);
	assert_int_equal(of_one->waiting.length, 1);
	accept_queue_unbind(of_one, SECOND);
	accept_queue_take_over(*state);
	assert_int_equal(of_one->waiting.length, 0);
	assert_ptr_equal(of_any->waiting.first, connection);
}

static void an_endpoint_of_untrusted_servers_is_removed_with_them(void **state)
{
	const struct binding_key key = exactly("::ffff:10.0.0.1", 80);
	struct binding *binding = accept_queue_bind(*state, &key);
	struct connection_list orphans = { 0 };

	binding->untrusted = true;
	accept_queue_unbind(binding, SECOND);
	assert_true(accept_queue_expire(*state, SECOND, &orphans));
	assert_null(((struct accept_queue *)*state)->bindings);
}

static void a_connection_belongs_to_the_most_specific_listener(void **state)
{
	struct accept_queue *queue = *state;
	const struct binding_key dual = wildcard(true, true, 80), any4 = wildcard(true, false, 80),
				 one = exactly("::ffff:10.0.0.1", 80);
	struct in6_addr this4 = address("::ffff:10.0.0.1"), other4 = address("::ffff:10.0.0.2"),
			ip6 = address("2001:db8::1");
	struct binding *of_dual = accept_queue_bind(queue, &dual);

	assert_ptr_equal(accept_queue_find(queue, &this4, 80), of_dual);
	assert_ptr_equal(accept_queue_find(queue, &ip6, 80), of_dual);
	assert_null(accept_queue_find(queue, &this4, 81));

	struct binding *of_any4 = accept_queue_bind(queue, &any4), *of_one = accept_queue_bind(queue, &one);

	assert_ptr_equal(accept_queue_find(queue, &this4, 80), of_one);
	assert_ptr_equal(accept_queue_find(queue, &other4, 80), of_any4);
	assert_ptr_equal(accept_queue_find(queue, &ip6, 80), of_dual);
}

static void a_v6only_listener_takes_no_ipv4(void **state)
{
	const struct binding_key only6 = wildcard(false, true, 80);
	struct in6_addr ip4 = address("::ffff:10.0.0.1");

	accept_queue_bind(*state, &only6);
	assert_null(accept_queue_find(*state, &ip4, 80));
}

static void servers_at_one_endpoint_share_it(void **state)
{
	const struct binding_key key = exactly("::ffff:10.0.0.1", 80);
	struct binding *binding = accept_queue_bind(*state, &key);

	assert_ptr_equal(accept_queue_bind(*state, &key), binding);
	accept_queue_unbind(binding, 5);
	assert_int_equal(binding->no_server_ns, 0);
	accept_queue_unbind(binding, 7);
	assert_int_equal(binding->no_server_ns, 7);
}

static void a_server_that_returns_finds_waiting_connections(void **state)
{
	const struct binding_key key = exactly("::ffff:10.0.0.1", 80);
	struct binding *binding = accept_queue_bind(*state, &key);
	struct connection_list orphans = { 0 };

	accept_queue_append(binding, arrived_at("::ffff:10.0.0.1", 80));
	accept_queue_unbind(binding, SECOND);
	assert_false(accept_queue_expire(*state, SECOND + ACCEPT_QUEUE_GRACE_NS - 1, &orphans));
	assert_ptr_equal(accept_queue_bind(*state, &key), binding);
	assert_false(accept_queue_expire(*state, 2 * ACCEPT_QUEUE_GRACE_NS, &orphans));
	assert_int_equal(binding->waiting.length, 1);
}

static void a_server_that_returns_at_another_endpoint_gets_its_connections(void **state)
{
	const struct binding_key before = exactly("::ffff:10.0.0.1", 80), now = wildcard(true, false, 80),
				 not_this = wildcard(true, false, 81);
	struct binding *old = accept_queue_bind(*state, &before), *fresh;
	struct connection *first = arrived_at("::ffff:10.0.0.1", 80), *second = arrived_at("::ffff:10.0.0.1", 80);
	struct in6_addr ip4 = address("::ffff:10.0.0.1");

	accept_queue_append(old, first);
	accept_queue_append(old, second);
	accept_queue_unbind(old, SECOND);
	accept_queue_bind(*state, &not_this);
	assert_int_equal(old->waiting.length, 2);
	fresh = accept_queue_bind(*state, &now);
	assert_int_equal(old->waiting.length, 0);
	assert_ptr_equal(fresh->waiting.first, first);
	assert_ptr_equal(fresh->waiting.last, second);
	/* New connections go there, too: the old endpoint is more specific, but has no server. */
	assert_ptr_equal(accept_queue_find(*state, &ip4, 80), fresh);
}

static void after_a_restart_of_the_daemon_connections_wait_for_the_servers_to_register(void **state)
{
	const struct binding_key key = exactly("::ffff:10.0.0.1", 80);
	struct in6_addr ip4 = address("::ffff:10.0.0.1"), ip6 = address("2001:db8::1");
	struct connection_list orphans = { 0 };
	struct binding *adopted, *binding;

	accept_queue_adopt(*state, SECOND);
	adopted = accept_queue_find(*state, &ip4, 80);
	assert_true(adopted->adopted);
	accept_queue_append(adopted, arrived_at("::ffff:10.0.0.1", 80));
	accept_queue_append(adopted, arrived_at("2001:db8::1", 80));

	binding = accept_queue_bind(*state, &key);
	assert_int_equal(binding->waiting.length, 1);
	assert_ptr_equal(accept_queue_find(*state, &ip6, 80), adopted);
	assert_true(accept_queue_expire(*state, SECOND + ACCEPT_QUEUE_GRACE_NS, &orphans));
	assert_null(accept_queue_find(*state, &ip6, 80));
	assert_int_equal(orphans.length, 1);
	connection_free(orphans.first);
}

static void without_a_server_for_too_long_connections_go_to_another_endpoint(void **state)
{
	const struct binding_key one = exactly("::ffff:10.0.0.1", 80), any = wildcard(true, true, 80);
	struct binding *specific = accept_queue_bind(*state, &one), *general = accept_queue_bind(*state, &any);
	struct connection_list orphans = { 0 };

	accept_queue_append(specific, arrived_at("::ffff:10.0.0.1", 80));
	accept_queue_unbind(specific, SECOND);
	assert_true(accept_queue_expire(*state, SECOND + ACCEPT_QUEUE_GRACE_NS, &orphans));
	assert_int_equal(orphans.length, 0);
	assert_int_equal(general->waiting.length, 1);
	assert_ptr_equal(general->waiting.first->binding, general);
}

/*
 * Returns a connection with a UNIX stream socket: it reports EPOLLHUP when its peer is gone, as a reset TCP socket
 * does.
 */
static struct connection *with_socket(struct binding *binding, int *peer)
{
	struct connection *connection = arrived_at("::ffff:10.0.0.1", 80);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	connection->fd = pair[0];
	*peer = pair[1];
	accept_queue_append(binding, connection);
	return connection;
}

static void only_connections_that_wait_for_a_while_are_watched(void **state)
{
	struct binding *binding = accept_queue_bind(*state, &binding_everything);
	int peers[2];
	struct connection *old = with_socket(binding, &peers[0]), *young = with_socket(binding, &peers[1]);

	old->since_ns = SECOND;
	young->since_ns = 2 * SECOND;
	accept_queue_watch_waiting(*state, SECOND + ACCEPT_QUEUE_UNWATCHED_NS);
	assert_true(old->watched);
	assert_false(young->watched);
	assert_null(accept_queue_next_reset(*state));
	close(peers[0]);
	close(peers[1]);
	assert_ptr_equal(accept_queue_next_reset(*state), old);
	assert_false(old->watched);
	assert_null(accept_queue_next_reset(*state));
	close(old->fd);
	close(young->fd);
}

static void data_of_a_client_is_no_reset(void **state)
{
	struct binding *binding = accept_queue_bind(*state, &binding_everything);
	int peer;
	struct connection *connection = with_socket(binding, &peer);

	accept_queue_watch(*state, connection);
	assert_int_equal(write(peer, "x", 1), 1);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_null(accept_queue_next_reset(*state));
	close(peer);
	close(connection->fd);
}

/* The server holds a duplicate, so closing our descriptor does not remove the watch. */
static void unwatched_connections_are_not_reported(void **state)
{
	struct binding *binding = accept_queue_bind(*state, &binding_everything);
	int peer;
	struct connection *connection = with_socket(binding, &peer);
	int servers = dup(connection->fd);

	accept_queue_watch(*state, connection);
	accept_queue_unwatch(*state, connection);
	close(connection->fd);
	close(peer);
	assert_null(accept_queue_next_reset(*state));
	close(servers);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_queue, close_queue)
	const struct CMUnitTest tests[] = {
		TEST(connections_wait_in_order_of_arrival),
		TEST(a_connection_returned_by_a_server_gets_its_old_position),
		TEST(inserting_many_connections_does_not_iterate_a_full_queue_for_each),
		TEST(connections_at_an_endpoint_without_a_server_go_to_another),
		TEST(an_endpoint_of_untrusted_servers_is_removed_with_them),
		TEST(a_connection_belongs_to_the_most_specific_listener),
		TEST(a_v6only_listener_takes_no_ipv4),
		TEST(servers_at_one_endpoint_share_it),
		TEST(a_server_that_returns_finds_waiting_connections),
		TEST(a_server_that_returns_at_another_endpoint_gets_its_connections),
		TEST(after_a_restart_of_the_daemon_connections_wait_for_the_servers_to_register),
		TEST(without_a_server_for_too_long_connections_go_to_another_endpoint),
		TEST(only_connections_that_wait_for_a_while_are_watched),
		TEST(data_of_a_client_is_no_reset),
		TEST(unwatched_connections_are_not_reported),
	};

	return cmocka_run_group_tests_name("accept queue", tests, NULL, NULL);
}

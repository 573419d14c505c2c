/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which listening sockets make up a service's accept queue, and its limit.
 *
 * link: user/cli/listening.c user/common/listener_match.c user/common/sock_diag.c
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/listening.h"

#define NO_BACKLOG UINT32_MAX

static struct listening listening;

static int setup(void **state)
{
	(void)state;
	listening = (struct listening){ .somaxconn = 4096 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	listening_free(&listening);
	return 0;
}

static struct in6_addr address_of(const char *text)
{
	struct in6_addr address;

	assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

static void add(int family, const char *address, uint16_t port, bool dualstack, uint32_t waiting, uint32_t backlog)
{
	const struct sock_diag_listener socket = {
		.address = address_of(address),
		.port = port,
		.family = family,
		.dualstack = dualstack,
		.waiting = waiting,
		.backlog = backlog,
	};

	assert_int_equal(listening_add(&listening, &socket), 0);
	listening_sort(&listening);
}

/* Reads the queue of a service with one or two addresses. */
static struct listening_queue queue_of(const char *first, const char *second, uint16_t port, uint32_t backlog)
{
	struct view_address addresses[2] = { { .address = address_of(first), .port = port } };
	const struct view_address *const list[] = { &addresses[0], &addresses[1] };

	if (second)
		addresses[1] = (struct view_address){ .address = address_of(second), .port = port };
	return listening_queue(&listening, list, second ? 2 : 1, backlog);
}

static void a_group_at_one_port_is_one_queue(void **state)
{
	struct listening_queue queue;

	(void)state;
	add(AF_INET, "::ffff:10.9.0.1", 80, false, 3, 100);
	add(AF_INET, "::ffff:10.9.0.1", 80, false, 4, 100);
	add(AF_INET, "::ffff:10.9.0.1", 81, false, 50, 100);
	queue = queue_of("::ffff:10.9.0.1", NULL, 80, NO_BACKLOG);
	assert_int_equal(queue.sockets, 2);
	assert_int_equal(queue.waiting, 7);
	assert_int_equal(queue.capacity, 200);
}

static void a_socket_of_several_addresses_is_counted_once(void **state)
{
	struct listening_queue queue;

	(void)state;
	add(AF_INET6, "::", 80, true, 5, 128);
	queue = queue_of("::ffff:10.9.0.1", "2001:db8::1", 80, NO_BACKLOG);
	assert_int_equal(queue.sockets, 1);
	assert_int_equal(queue.waiting, 5);
	queue = queue_of("2001:db8::1", NULL, 80, NO_BACKLOG);
	assert_int_equal(queue.waiting, 5);
}

static void a_socket_of_the_address_has_precedence_over_one_of_any_address(void **state)
{
	(void)state;
	add(AF_INET, "::", 80, false, 1, 128);
	add(AF_INET, "::ffff:10.9.0.1", 80, false, 2, 128);
	assert_int_equal(queue_of("::ffff:10.9.0.1", NULL, 80, NO_BACKLOG).waiting, 2);
	assert_int_equal(queue_of("::ffff:10.9.0.2", NULL, 80, NO_BACKLOG).waiting, 1);
}

static void a_socket_of_the_family_has_precedence_over_a_dual_stack_one(void **state)
{
	(void)state;
	add(AF_INET6, "::", 80, true, 1, 128);
	add(AF_INET, "::", 80, false, 2, 128);
	assert_int_equal(queue_of("::ffff:10.9.0.1", NULL, 80, NO_BACKLOG).waiting, 2);
	assert_int_equal(queue_of("2001:db8::1", NULL, 80, NO_BACKLOG).waiting, 1);
}

static void a_socket_of_the_other_family_does_not_count(void **state)
{
	struct listening_queue queue;

	(void)state;
	add(AF_INET6, "::", 80, false, 1, 128);
	add(AF_INET, "::", 443, false, 1, 128);
	queue = queue_of("::ffff:10.9.0.1", NULL, 80, NO_BACKLOG);
	assert_int_equal(queue.sockets, 0);
	assert_int_equal(queue.capacity, 0);
	assert_string_equal(queue.cause, "no server");
	assert_int_equal(queue_of("2001:db8::1", NULL, 443, NO_BACKLOG).sockets, 0);
}

static void the_smallest_limit_applies_and_is_named(void **state)
{
	struct listening_queue queue;

	(void)state;
	add(AF_INET, "::", 80, false, 0, 4096);
	add(AF_INET, "::", 81, false, 0, 511);

	queue = queue_of("::ffff:10.9.0.1", NULL, 80, NO_BACKLOG);
	assert_int_equal(queue.capacity, 4096);
	assert_string_equal(queue.cause, "somaxconn");
	queue = queue_of("::ffff:10.9.0.1", NULL, 81, 4096);
	assert_int_equal(queue.capacity, 511);
	assert_string_equal(queue.cause, "listen backlog");
	queue = queue_of("::ffff:10.9.0.1", NULL, 81, 10);
	assert_int_equal(queue.capacity, 10);
	assert_string_equal(queue.cause, "configured backlog");
}

/* A real socket, with a waiting connection. */
static void sockets_are_read_from_the_kernel(void **state)
{
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(local);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct listening_queue queue;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&local, length), 0);
	assert_int_equal(listen(listener, 7), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&local, &length), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&local, length), 0);

	assert_int_equal(listening_read(&listening), 0);
	assert_true(listening.somaxconn > 0);
	queue = queue_of("::ffff:127.0.0.1", NULL, ntohs(local.sin_port), NO_BACKLOG);
	assert_int_equal(queue.sockets, 1);
	assert_int_equal(queue.waiting, 1);
	assert_int_equal(queue.capacity, 7);
	assert_string_equal(queue.cause, "listen backlog");
	close(client);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_group_at_one_port_is_one_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(a_socket_of_several_addresses_is_counted_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_socket_of_the_address_has_precedence_over_one_of_any_address, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_socket_of_the_family_has_precedence_over_a_dual_stack_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_socket_of_the_other_family_does_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(the_smallest_limit_applies_and_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(sockets_are_read_from_the_kernel, setup, teardown),
	};

	return cmocka_run_group_tests_name("listening", tests, NULL, NULL);
}

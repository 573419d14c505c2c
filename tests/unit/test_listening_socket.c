/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which sockets prove that a server may take a service's connections.
 *
 * link: user/shakeoffd/queue/listening_socket.c user/common/listener_match.c
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "shakeoffd/queue/listening_socket.h"
#include "common/tuple.h"

static int fd = -1;
static uint32_t device; /* the device that it may be bound to */

static int close_socket(void **state)
{
	(void)state;
	if (fd >= 0)
		close(fd);
	fd = -1;
	device = 0;
	return 0;
}

/* Binds to a port of the kernel's choice, and returns the port. */
static uint16_t bind_to(const char *text, int type, bool listening)
{
	union socket_address address = { 0 };
	socklen_t size;
	bool ipv6 = strchr(text, ':');
	uint16_t port;
	struct in6_addr ignored;

	address.sa.sa_family = ipv6 ? AF_INET6 : AF_INET;
	size = ipv6 ? sizeof(address.in6) : sizeof(address.in);
	assert_int_equal(inet_pton(address.sa.sa_family, text,
				   ipv6 ? (void *)&address.in6.sin6_addr : (void *)&address.in.sin_addr),
			 1);
	fd = socket(address.sa.sa_family, type | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &address.sa, size), 0);
	if (listening)
		assert_int_equal(listen(fd, 1), 0);
	size = sizeof(address);
	assert_int_equal(getsockname(fd, &address.sa, &size), 0);
	socket_address_get(&address, &ignored, &port);
	return port;
}

/* Checks for a service that listens on `text` (NULL: *) and this port. */
static int check(const char *text, uint16_t port, struct listening_socket *found)
{
	struct config_listen listen = { .family = text ? AF_INET : AF_UNSPEC, .port = port };
	struct config_service service = { .listen = &listen, .listen_count = 1 };

	if (geteuid()) /* SIOCGSKNS requires CAP_NET_ADMIN */
		skip();
	if (text) {
		assert_int_equal(inet_pton(AF_INET6, text, &listen.address), 1);
		listen.family = IN6_IS_ADDR_V4MAPPED(&listen.address) ? AF_INET : AF_INET6;
	}
	return listening_socket_check(fd, &service, device, found);
}

static void a_listener_on_the_services_address_is_accepted(void **state)
{
	struct listening_socket found;
	uint16_t port = bind_to("127.0.0.1", SOCK_STREAM, true);

	(void)state;
	assert_int_equal(check("::ffff:127.0.0.1", port, &found), 0);
	assert_false(found.key.any);
	assert_int_equal(found.key.port, port);
	assert_int_equal(found.receive_buffer, 0);
	assert_true(found.cookie);
}

static void a_listener_on_every_address_is_accepted(void **state)
{
	struct listening_socket found;
	uint16_t port = bind_to("0.0.0.0", SOCK_STREAM, true);

	(void)state;
	assert_int_equal(check("::ffff:10.0.0.1", port, &found), 0);
	assert_true(found.key.any && found.key.ipv4 && !found.key.ipv6);
	assert_int_equal(check(NULL, port, &found), 0);
}

static void an_ipv6_listener_covers_both_families_unless_it_is_v6only(void **state)
{
	struct listening_socket found;
	uint16_t port = bind_to("::", SOCK_STREAM, true);
	int one = 1;

	(void)state;
	assert_int_equal(check(NULL, port, &found), 0);
	assert_true(found.key.any && found.key.ipv4 && found.key.ipv6);
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(check(NULL, port, &found), 0);
	assert_true(found.key.any && !found.key.ipv4 && found.key.ipv6);
}

static void another_address_or_port_is_refused(void **state)
{
	struct listening_socket found;
	uint16_t port = bind_to("127.0.0.1", SOCK_STREAM, true);

	(void)state;
	assert_int_equal(check("::ffff:127.0.0.1", port + 1, &found), -EINVAL);
	assert_int_equal(check("::ffff:127.0.0.2", port, &found), -EINVAL);
	/* Any user may bind to loopback's addresses beside the server of `*`. */
	assert_int_equal(check(NULL, port, &found), -EINVAL);
}

static void a_listener_bound_to_lo_is_refused(void **state)
{
	struct listening_socket found;
	uint16_t port = bind_to("0.0.0.0", SOCK_STREAM, true);

	(void)state;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3))
		skip();
	assert_int_equal(check(NULL, port, &found), -ENODEV);
	assert_int_equal(check("::ffff:10.0.0.1", port, &found), -ENODEV);
}

static void a_listener_bound_to_a_device_covers_that_devices_clients(void **state)
{
	struct listening_socket found;
	uint16_t port = bind_to("0.0.0.0", SOCK_STREAM, true);

	(void)state;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3))
		skip();
	device = 2;
	assert_int_equal(check(NULL, port, &found), -ENODEV);
	device = 1; /* LOOPBACK_IFINDEX */
	assert_int_equal(check(NULL, port, &found), 0);
	assert_int_equal(found.device, 1);
	assert_true(listening_socket_holds(fd, &found));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0), 0);
	assert_false(listening_socket_holds(fd, &found));
}

static void a_listener_that_was_shut_down_or_moved_does_not_hold(void **state)
{
	struct sockaddr_in elsewhere = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct listening_socket found;
	uint16_t port = bind_to("0.0.0.0", SOCK_STREAM, true);
	struct sockaddr_in same = { .sin_family = AF_INET, .sin_port = htons(port) };

	(void)state;
	assert_int_equal(check(NULL, port, &found), 0);
	assert_int_equal(found.owner, geteuid());
	assert_true(listening_socket_listens(fd) && listening_socket_holds(fd, &found));
	assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
	assert_false(listening_socket_listens(fd) || listening_socket_holds(fd, &found));
	/* The kernel had chosen the port, so bind() has released it. */
	assert_int_equal(bind(fd, (struct sockaddr *)&same, sizeof(same)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_true(listening_socket_holds(fd, &found));
	assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&elsewhere, sizeof(elsewhere)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_true(listening_socket_listens(fd));
	assert_false(listening_socket_holds(fd, &found));
}

static struct binding_key key_of(const char *text, bool any, bool ipv4, bool ipv6, uint16_t port)
{
	struct binding_key key = { .any = any, .ipv4 = ipv4, .ipv6 = ipv6, .port = port };

	assert_int_equal(inet_pton(AF_INET6, text, &key.address), 1);
	return key;
}

static void endpoints_overlap_where_the_kernel_refuses_a_second_user(void **state)
{
	const struct binding_key one = key_of("::ffff:10.0.0.1", false, true, false, 80),
				 two = key_of("::ffff:10.0.0.2", false, true, false, 80),
				 six = key_of("2001:db8::1", false, false, true, 80),
				 any4 = key_of("::", true, true, false, 80), any6 = key_of("::", true, false, true, 80),
				 dual = key_of("::", true, true, true, 80), port = key_of("::", true, true, true, 81);

	(void)state;
	assert_true(binding_overlap(&one, &one) && binding_overlap(&any4, &one) && binding_overlap(&one, &any4));
	assert_true(binding_overlap(&dual, &one) && binding_overlap(&dual, &six) && binding_overlap(&dual, &any4));
	assert_true(binding_overlap(&any6, &dual) && binding_overlap(&any6, &six));
	assert_false(binding_overlap(&one, &two) || binding_overlap(&one, &six) || binding_overlap(&any6, &one));
	assert_false(binding_overlap(&any4, &any6) || binding_overlap(&any4, &six) || binding_overlap(&dual, &port));
	assert_true(binding_overlap(&binding_everything, &one) && binding_overlap(&port, &binding_everything));
}

static void a_socket_that_does_not_listen_is_refused(void **state)
{
	struct listening_socket found;
	uint16_t port = bind_to("0.0.0.0", SOCK_STREAM, false);

	(void)state;
	assert_int_equal(check(NULL, port, &found), -EINVAL);
	close(fd);
	port = bind_to("0.0.0.0", SOCK_DGRAM, false);
	assert_int_equal(check(NULL, port, &found), -EINVAL);
	close(fd);
	fd = dup(STDIN_FILENO);
	assert_int_equal(check(NULL, port, &found), -EINVAL);
}

static void a_receive_buffer_that_was_set_is_reported(void **state)
{
	struct listening_socket found;
	uint16_t port = bind_to("0.0.0.0", SOCK_STREAM, true);
	int size = 20000;

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	assert_int_equal(check(NULL, port, &found), 0);
	assert_int_equal(found.receive_buffer, 2 * size);
	assert_int_equal(found.buffer, 2 * size);
}

static void a_buffer_set_to_the_usual_size_counts_as_set(void **state)
{
	struct listening_socket found;
	uint16_t port = bind_to("0.0.0.0", SOCK_STREAM, true);
	socklen_t length = sizeof(int);
	int usual, half;

	(void)state;
	assert_int_equal(check(NULL, port, &found), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &usual, &length), 0);
	assert_int_equal(found.receive_buffer, 0);
	assert_int_equal(found.buffer, usual);
	half = usual / 2;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half)), 0);
	assert_int_equal(check(NULL, port, &found), 0);
	assert_int_equal(found.receive_buffer, usual);
}

/* In a new network namespace a user may bind to any address. */
static void a_listener_of_another_network_namespace_is_refused(void **state)
{
	struct listening_socket found;
	uint16_t port;
	int status;
	pid_t child;

	(void)state;
	/*
	 * The socket is made inside and examined from outside: so the child leaves the namespace in which it was made.
	 */
	child = fork();
	if (!child) {
		port = bind_to("0.0.0.0", SOCK_STREAM, true);
		if (unshare(CLONE_NEWNET))
			_exit(77);
		_exit(check(NULL, port, &found) == -EINVAL ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, close_socket)
	const struct CMUnitTest tests[] = {
		TEST(a_listener_on_the_services_address_is_accepted),
		TEST(a_listener_on_every_address_is_accepted),
		TEST(an_ipv6_listener_covers_both_families_unless_it_is_v6only),
		TEST(another_address_or_port_is_refused),
		TEST(a_listener_bound_to_lo_is_refused),
		TEST(a_listener_bound_to_a_device_covers_that_devices_clients),
		TEST(a_listener_that_was_shut_down_or_moved_does_not_hold),
		TEST(endpoints_overlap_where_the_kernel_refuses_a_second_user),
		TEST(a_socket_that_does_not_listen_is_refused),
		TEST(a_receive_buffer_that_was_set_is_reported),
		TEST(a_buffer_set_to_the_usual_size_counts_as_set),
		TEST(a_listener_of_another_network_namespace_is_refused),
	};

	return cmocka_run_group_tests_name("listening socket", tests, NULL, NULL);
}

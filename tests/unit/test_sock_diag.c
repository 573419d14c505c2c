/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's view of TCP sockets, over real connections on loopback. Destroying one takes CAP_NET_ADMIN and is skipped
 * without.
 *
 * link: user/common/sock_diag.c
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/sock_diag.h"

struct pair {
	int listener, client, server;
	struct shakeoff_tuple tuple; /* of the server's socket */
};

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static void map_address(const union address *address, __be32 mapped[4], __be16 *port)
{
	if (address->sa.sa_family == AF_INET6) {
		memcpy(mapped, &address->in6.sin6_addr, 16);
		*port = address->in6.sin6_port;
	} else {
		mapped[0] = mapped[1] = 0;
		mapped[2] = htonl(0xffff);
		mapped[3] = address->in.sin_addr.s_addr;
		*port = address->in.sin_port;
	}
}

static union address loopback_address(int family)
{
	union address address;

	memset(&address, 0, sizeof(address));
	address.sa.sa_family = family;
	if (family == AF_INET6)
		address.in6.sin6_addr = in6addr_loopback;
	else
		address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static struct pair connect_pair(int family)
{
	socklen_t length = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	union address local = loopback_address(family), remote = loopback_address(family);
	struct pair pair;

	memset(&pair, 0, sizeof(pair));
	pair.listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(pair.listener >= 0);
	assert_int_equal(bind(pair.listener, &local.sa, length), 0);
	assert_int_equal(listen(pair.listener, 8), 0);
	assert_int_equal(getsockname(pair.listener, &local.sa, &length), 0);
	pair.client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(pair.client, &local.sa, length), 0);
	pair.server = accept(pair.listener, &remote.sa, &length);
	assert_true(pair.server >= 0);

	map_address(&local, pair.tuple.local, &pair.tuple.local_port);
	map_address(&remote, pair.tuple.remote, &pair.tuple.remote_port);
	return pair;
}

static void close_pair(const struct pair *pair)
{
	close(pair->server);
	close(pair->client);
	close(pair->listener);
}

struct search {
	struct shakeoff_tuple tuple;
	struct sock_diag_entry entry;
	int found;
};

static int match(void *context, const struct sock_diag_entry *entry)
{
	struct search *search = context;

	if (!memcmp(&entry->tuple, &search->tuple, sizeof(search->tuple))) {
		search->entry = *entry;
		search->found++;
	}
	return 0;
}

static struct search search_tuple(const struct shakeoff_tuple *tuple, uint32_t states)
{
	struct search search = { .tuple = *tuple };

	assert_int_equal(sock_diag_each(states, match, &search), 0);
	return search;
}

static void finds_established(int family)
{
	struct pair pair = connect_pair(family);
	struct search search;

	assert_int_equal(write(pair.client, "hello", 5), 5);
	search = search_tuple(&pair.tuple, 1u << TCP_ESTABLISHED);
	assert_int_equal(search.found, 1);
	assert_int_equal(search.entry.family, family);
	assert_int_equal(search.entry.state, TCP_ESTABLISHED);
	assert_int_equal(search.entry.rqueue, 5);
	assert_int_equal(search.entry.uid, geteuid());
	assert_int_not_equal(search.entry.inode, 0);
	close_pair(&pair);
}

static void an_ipv4_connection_is_found_with_mapped_addresses(void **state)
{
	(void)state;
	finds_established(AF_INET);
}

static void an_ipv6_connection_is_found(void **state)
{
	(void)state;
	finds_established(AF_INET6);
}

static void states_that_were_not_asked_for_are_left_out(void **state)
{
	struct pair pair = connect_pair(AF_INET);

	(void)state;
	assert_int_equal(search_tuple(&pair.tuple, 1u << TCP_LISTEN).found, 0);
	assert_int_equal(search_tuple(&pair.tuple, 1u << TCP_CLOSE_WAIT).found, 0);
	shutdown(pair.client, SHUT_WR);
	assert_int_equal(search_tuple(&pair.tuple, 1u << TCP_CLOSE_WAIT).found, 1);
	close_pair(&pair);
}

static int stop_at_first(void *context, const struct sock_diag_entry *entry)
{
	(void)entry;
	++*(int *)context;
	return 42;
}

static void the_callback_can_stop_the_walk(void **state)
{
	struct pair pair = connect_pair(AF_INET);
	int calls = 0;

	(void)state;
	assert_int_equal(sock_diag_each(~0u, stop_at_first, &calls), 42);
	assert_int_equal(calls, 1);
	close_pair(&pair);
}

static void need_net_admin(void)
{
	if (geteuid())
		skip();
}

static void an_established_connection_and_a_listener_are_spared(void **state)
{
	struct pair pair = connect_pair(AF_INET);
	struct shakeoff_tuple absent = pair.tuple;
	char byte = 'x';

	(void)state;
	need_net_admin();
	assert_int_equal(sock_diag_destroy_time_wait(&pair.tuple), -EADDRINUSE);
	assert_int_equal(write(pair.client, &byte, 1), 1);
	assert_int_equal(read(pair.server, &byte, 1), 1);
	absent.remote_port = htons(1);
	assert_int_equal(sock_diag_destroy_time_wait(&absent), -ENOENT);
	assert_int_equal(listen(pair.listener, 1), 0);
	close(pair.client);
	close(pair.server);
	close(pair.listener);
}

static void a_tuple_without_socket_never_costs_the_listener_its_life(void **state)
{
	struct pair pair = connect_pair(AF_INET6);
	struct shakeoff_tuple absent = pair.tuple;
	union address address = loopback_address(AF_INET6);
	int client;

	(void)state;
	need_net_admin();
	absent.remote_port = htons(1);
	assert_int_equal(sock_diag_destroy_time_wait(&absent), -ENOENT);
	assert_int_equal(sock_diag_destroy_time_wait(&absent), -ENOENT);
	client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.in6.sin6_port = pair.tuple.local_port;
	assert_int_equal(connect(client, &address.sa, sizeof(address.in6)), 0);
	close(client);
	close_pair(&pair);
}

static void a_socket_in_time_wait_can_be_removed(void **state)
{
	struct pair pair = connect_pair(AF_INET);
	int result;
	char byte;

	(void)state;
	need_net_admin();
	close(pair.server); /* the server's end closes first and keeps TIME-WAIT */
	assert_int_equal(read(pair.client, &byte, 1), 0);
	close(pair.client);
	for (int i = 0; i < 100 && !search_tuple(&pair.tuple, 1u << TCP_TIME_WAIT).found; i++)
		usleep(10000);
	assert_int_equal(search_tuple(&pair.tuple, 1u << TCP_TIME_WAIT).found, 1);

	result = sock_diag_destroy_time_wait(&pair.tuple);
	if (result == -EOPNOTSUPP)
		skip(); /* 5.10 */
	assert_int_equal(result, 0);
	assert_int_equal(search_tuple(&pair.tuple, 1u << TCP_TIME_WAIT).found, 0);
	close(pair.listener);
}

static void *destroy_absent(void *context)
{
	struct shakeoff_tuple tuple = { .remote = { 0, 0, htonl(0xffff), htonl(0x7f000001) },
					.local = { 0, 0, htonl(0xffff), htonl(0x7f000001) },
					.remote_port = htons(1),
					.local_port = htons(2) };

	for (int i = 0; i < 100; i++)
		if (sock_diag_destroy_time_wait(&tuple) != -ENOENT)
			*(bool *)context = false;
	return NULL;
}

static void threads_do_not_disturb_one_another(void **state)
{
	bool good[4] = { true, true, true, true };
	pthread_t threads[4];

	(void)state;
	need_net_admin();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, destroy_absent, &good[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_true(good[i]);
	}
}

static void states_have_the_names_of_rfc_9293(void **state)
{
	(void)state;
	assert_string_equal(sock_diag_state_name(TCP_ESTABLISHED), "ESTABLISHED");
	assert_string_equal(sock_diag_state_name(TCP_SYN_SENT), "SYN-SENT");
	assert_string_equal(sock_diag_state_name(TCP_SYN_RECV), "SYN-RECEIVED");
	assert_string_equal(sock_diag_state_name(TCP_FIN_WAIT1), "FIN-WAIT-1");
	assert_string_equal(sock_diag_state_name(TCP_FIN_WAIT2), "FIN-WAIT-2");
	assert_string_equal(sock_diag_state_name(TCP_TIME_WAIT), "TIME-WAIT");
	assert_string_equal(sock_diag_state_name(TCP_CLOSE), "CLOSED");
	assert_string_equal(sock_diag_state_name(TCP_CLOSE_WAIT), "CLOSE-WAIT");
	assert_string_equal(sock_diag_state_name(TCP_LAST_ACK), "LAST-ACK");
	assert_string_equal(sock_diag_state_name(TCP_LISTEN), "LISTEN");
	assert_string_equal(sock_diag_state_name(TCP_CLOSING), "CLOSING");
	assert_string_equal(sock_diag_state_name(0), "?");
	assert_string_equal(sock_diag_state_name(200), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ipv4_connection_is_found_with_mapped_addresses),
		cmocka_unit_test(an_ipv6_connection_is_found),
		cmocka_unit_test(states_that_were_not_asked_for_are_left_out),
		cmocka_unit_test(the_callback_can_stop_the_walk),
		cmocka_unit_test(an_established_connection_and_a_listener_are_spared),
		cmocka_unit_test(a_tuple_without_socket_never_costs_the_listener_its_life),
		cmocka_unit_test(a_socket_in_time_wait_can_be_removed),
		cmocka_unit_test(threads_do_not_disturb_one_another),
		cmocka_unit_test(states_have_the_names_of_rfc_9293),
	};

	return cmocka_run_group_tests_name("sock_diag", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's list of TCP sockets, over real connections on loopback. Destroying a socket needs CAP_NET_ADMIN and is
 * skipped without it.
 *
 * link: user/common/sock_diag.c
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
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

static void states_that_were_not_requested_are_omitted(void **state)
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

static void the_callback_can_stop_the_iteration(void **state)
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

static void an_established_connection_and_a_listener_are_not_destroyed(void **state)
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

static void a_tuple_without_a_socket_does_not_destroy_the_listener(void **state)
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
	for (int i = 0; i < 1000 && !search_tuple(&pair.tuple, 1u << TCP_TIME_WAIT).found; i++)
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

/* -------------------------------------------------------------------------------------------------------- listeners */

struct listening {
	int fd;
	uint16_t port;
};

static union address address_of(const char *text)
{
	union address address;

	memset(&address, 0, sizeof(address));
	if (inet_pton(AF_INET, text, &address.in.sin_addr) == 1) {
		address.sa.sa_family = AF_INET;
	} else {
		address.sa.sa_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, text, &address.in6.sin6_addr), 1);
	}
	return address;
}

/* Listens at a port of the kernel's choice. v6only: -1 leaves it as it is. */
static struct listening listen_at(const char *text, int protocol, int v6only, int backlog)
{
	union address address = address_of(text);
	socklen_t length = sizeof(address);
	struct listening listening;

	listening.fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, protocol);
	if (listening.fd < 0 && protocol)
		skip(); /* a kernel without it, or net.mptcp.enabled = 0 */
	assert_true(listening.fd >= 0);
	if (v6only >= 0)
		assert_int_equal(setsockopt(listening.fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
	assert_int_equal(bind(listening.fd, &address.sa, length), 0);
	assert_int_equal(listen(listening.fd, backlog), 0);
	assert_int_equal(getsockname(listening.fd, &address.sa, &length), 0);
	listening.port = ntohs(address.sa.sa_family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
	return listening;
}

struct listener_search {
	uint16_t port;
	struct sock_diag_listener listener;
	unsigned int found;
};

static int match_port(void *context, const struct sock_diag_listener *listener)
{
	struct listener_search *search = context;

	if (listener->port == search->port) {
		search->listener = *listener;
		search->found++;
	}
	return 0;
}

static struct sock_diag_listener listener_at(uint16_t port)
{
	struct listener_search search = { .port = port };

	assert_int_equal(sock_diag_each_listener(match_port, &search), 0);
	assert_int_equal(search.found, 1);
	return search.listener;
}

static void listens_at(const char *text, int v6only, const char *address, int family, bool dualstack)
{
	struct listening listening = listen_at(text, 0, v6only, 3);
	struct sock_diag_listener listener = listener_at(listening.port);
	char shown[INET6_ADDRSTRLEN];

	assert_non_null(inet_ntop(AF_INET6, &listener.address, shown, sizeof(shown)));
	assert_string_equal(shown, address);
	assert_int_equal(listener.family, family);
	assert_int_equal(listener.dualstack, dualstack);
	assert_false(listener.mptcp);
	assert_false(listener.tcp_auth);
	assert_int_equal(listener.ifindex, 0);
	assert_int_equal(listener.uid, geteuid());
	assert_int_not_equal(listener.inode, 0);
	close(listening.fd);
}

static void listening_sockets_of_both_families_are_found(void **state)
{
	(void)state;
	listens_at("127.0.0.1", -1, "::ffff:127.0.0.1", AF_INET, false);
	listens_at("0.0.0.0", -1, "::", AF_INET, false);
	listens_at("::1", 1, "::1", AF_INET6, false);
	listens_at("::", 1, "::", AF_INET6, false);
}

static void a_dual_stack_socket_is_listed_once_and_marked(void **state)
{
	(void)state;
	listens_at("::", 0, "::", AF_INET6, true);
}

static void an_ipv6_socket_at_a_mapped_address_counts_as_ipv4(void **state)
{
	(void)state;
	listens_at("::ffff:127.0.0.1", 0, "::ffff:127.0.0.1", AF_INET, false);
	listens_at("::ffff:0.0.0.0", 0, "::", AF_INET, false);
}

static void an_accept_queue_is_reported_with_its_length(void **state)
{
	struct listening listening = listen_at("127.0.0.1", 0, -1, 3);
	union address address = address_of("127.0.0.1");
	int clients[2], buffer;
	socklen_t length = sizeof(buffer);

	(void)state;
	address.in.sin_port = htons(listening.port);
	for (int i = 0; i < 2; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(clients[i], &address.sa, sizeof(address.in)), 0);
	}
	assert_int_equal(getsockopt(listening.fd, SOL_SOCKET, SO_RCVBUF, &buffer, &length), 0);
	assert_int_equal(listener_at(listening.port).waiting, 2);
	assert_int_equal(listener_at(listening.port).backlog, 3);
	assert_int_equal(listener_at(listening.port).receive_buffer, buffer);
	for (int i = 0; i < 2; i++)
		close(clients[i]);
	close(listening.fd);
}

static void the_device_of_a_socket_is_reported(void **state)
{
	struct listening listening = listen_at("127.0.0.1", 0, -1, 3);

	(void)state;
	need_net_admin();
	assert_int_equal(setsockopt(listening.fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	assert_int_equal(listener_at(listening.port).ifindex, if_nametoindex("lo"));
	close(listening.fd);
}

static void an_mptcp_socket_is_recognised_by_its_subflow(void **state)
{
	struct listening listening = listen_at("127.0.0.1", IPPROTO_MPTCP, -1, 3);
	struct sock_diag_listener listener = listener_at(listening.port);

	(void)state;
	assert_true(listener.mptcp);
	assert_int_equal(listener.backlog, 3);
	close(listening.fd);
	listening = listen_at("::", IPPROTO_MPTCP, 0, 3);
	assert_true(listener_at(listening.port).mptcp);
	assert_true(listener_at(listening.port).dualstack);
	close(listening.fd);
}

static void a_socket_with_tcp_md5_keys_is_reported(void **state)
{
	struct listening listening = listen_at("127.0.0.1", 0, -1, 3);
	struct tcp_md5sig key = { .tcpm_keylen = 3, .tcpm_key = "key" };
	union address peer = address_of("127.0.0.9");

	(void)state;
	need_net_admin();
	memcpy(&key.tcpm_addr, &peer, sizeof(peer.in));
	if (setsockopt(listening.fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)))
		skip(); /* a kernel without it */
	assert_true(listener_at(listening.port).tcp_auth);
	close(listening.fd);
}

static void sockets_at_one_port_are_listed_separately(void **state)
{
	struct listener_search search = { 0 };
	union address address = address_of("127.0.0.1");
	int fds[3], on = 1;
	socklen_t length = sizeof(address);

	(void)state;
	for (int i = 0; i < 3; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
		assert_int_equal(bind(fds[i], &address.sa, sizeof(address.in)), 0);
		assert_int_equal(listen(fds[i], 3), 0);
		assert_int_equal(getsockname(fds[i], &address.sa, &length), 0);
	}
	search.port = ntohs(address.in.sin_port);
	assert_int_equal(sock_diag_each_listener(match_port, &search), 0);
	assert_int_equal(search.found, 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void a_socket_that_does_not_listen_is_not_listed(void **state)
{
	struct pair pair = connect_pair(AF_INET);
	struct listener_search search = { .port = ntohs(pair.tuple.local_port) };

	(void)state;
	close(pair.listener);
	assert_int_equal(sock_diag_each_listener(match_port, &search), 0);
	assert_int_equal(search.found, 0);
	close(pair.client);
	close(pair.server);
}

static int stop_at_first_listener(void *context, const struct sock_diag_listener *listener)
{
	(void)listener;
	++*(int *)context;
	return 42;
}

static void the_iteration_of_listeners_can_be_stopped(void **state)
{
	struct listening listening = listen_at("127.0.0.1", 0, -1, 3);
	int calls = 0;

	(void)state;
	assert_int_equal(sock_diag_each_listener(stop_at_first_listener, &calls), 42);
	assert_int_equal(calls, 1);
	close(listening.fd);
}

/* ------------------------------------------------------------------------------------------------------------ names */

static bool is_skipped(uint16_t port, const char *address, uint8_t family, uint8_t prefix, int skip_port)
{
	struct listener_search search = { .port = port };
	/* The socket in question is the last of many. */
	struct sock_diag_skip skips[SOCK_DIAG_SKIPS_MAX];

	for (size_t i = 0; i < SOCK_DIAG_SKIPS_MAX; i++)
		skips[i] = (struct sock_diag_skip){ .family = i % 2 ? AF_INET : AF_INET6,
						    .prefix = i % 2 ? 32 : 128,
						    .port = (int)i + 1 };
	skips[SOCK_DIAG_SKIPS_MAX - 1].family = family;
	skips[SOCK_DIAG_SKIPS_MAX - 1].prefix = prefix;
	skips[SOCK_DIAG_SKIPS_MAX - 1].port = skip_port;
	assert_int_equal(inet_pton(AF_INET6, address, &skips[SOCK_DIAG_SKIPS_MAX - 1].address), 1);
	assert_int_equal(sock_diag_each_listener_but(skips, SOCK_DIAG_SKIPS_MAX, match_port, &search), 0);
	assert_true(search.found < 2);
	return !search.found;
}

static void listening_sockets_at_an_endpoint_can_be_skipped(void **state)
{
	struct listening any4 = listen_at("0.0.0.0", 0, -1, 3), any6 = listen_at("::", 0, 1, 3);
	struct listening lo4 = listen_at("127.0.0.1", 0, -1, 3), lo6 = listen_at("::1", 0, 1, 3);
	struct listening mapped = listen_at("::ffff:127.0.0.1", 0, 0, 3);

	(void)state;
	assert_true(is_skipped(any4.port, "::", AF_INET, 32, any4.port));
	assert_false(is_skipped(any4.port, "::", AF_INET, 32, any6.port));
	assert_false(is_skipped(any4.port, "::", AF_INET6, 128, any4.port));
	assert_false(is_skipped(any4.port, "::ffff:10.9.0.1", AF_INET, 32, any4.port));
	assert_true(is_skipped(any6.port, "::", AF_INET6, 128, any6.port));
	assert_false(is_skipped(any6.port, "::", AF_INET, 32, any6.port));
	assert_true(is_skipped(lo4.port, "::ffff:127.0.0.1", AF_INET, 32, lo4.port));
	assert_true(is_skipped(lo4.port, "::ffff:127.0.0.0", AF_INET, 8, SOCK_DIAG_ANY_PORT));
	assert_true(is_skipped(mapped.port, "::ffff:127.0.0.0", AF_INET, 8, SOCK_DIAG_ANY_PORT));
	assert_false(is_skipped(any4.port, "::ffff:127.0.0.0", AF_INET, 8, SOCK_DIAG_ANY_PORT));
	assert_true(is_skipped(lo6.port, "::1", AF_INET6, 128, lo6.port));
	assert_false(is_skipped(lo6.port, "::", AF_INET6, 128, lo6.port));
	close(any4.fd);
	close(any6.fd);
	close(lo4.fd);
	close(lo6.fd);
	close(mapped.fd);
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
		cmocka_unit_test(states_that_were_not_requested_are_omitted),
		cmocka_unit_test(the_callback_can_stop_the_iteration),
		cmocka_unit_test(an_established_connection_and_a_listener_are_not_destroyed),
		cmocka_unit_test(a_tuple_without_a_socket_does_not_destroy_the_listener),
		cmocka_unit_test(a_socket_in_time_wait_can_be_removed),
		cmocka_unit_test(threads_do_not_disturb_one_another),
		cmocka_unit_test(listening_sockets_of_both_families_are_found),
		cmocka_unit_test(a_dual_stack_socket_is_listed_once_and_marked),
		cmocka_unit_test(an_ipv6_socket_at_a_mapped_address_counts_as_ipv4),
		cmocka_unit_test(an_accept_queue_is_reported_with_its_length),
		cmocka_unit_test(the_device_of_a_socket_is_reported),
		cmocka_unit_test(an_mptcp_socket_is_recognised_by_its_subflow),
		cmocka_unit_test(a_socket_with_tcp_md5_keys_is_reported),
		cmocka_unit_test(sockets_at_one_port_are_listed_separately),
		cmocka_unit_test(a_socket_that_does_not_listen_is_not_listed),
		cmocka_unit_test(the_iteration_of_listeners_can_be_stopped),
		cmocka_unit_test(listening_sockets_at_an_endpoint_can_be_skipped),
		cmocka_unit_test(states_have_the_names_of_rfc_9293),
	};

	return cmocka_run_group_tests_name("sock_diag", tests, NULL, NULL);
}

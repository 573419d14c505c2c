/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's end of a server's socket, with a server that breaks the protocol.
 *
 * link: user/shakeoffd/queue/server_socket.c user/shakeoffd/queue/descriptor.c user/common/log.c
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/queue/server_socket.h"

#define MAX_DESCRIPTORS 253 /* SCM_MAX_FD, include/net/scm.h */

static int daemons, servers;
static struct server_message received[SERVER_SOCKET_BATCH];

static int open_pair(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	daemons = pair[0];
	servers = pair[1];
	return 0;
}

static int close_pair(void **state)
{
	(void)state;
	close(daemons);
	close(servers);
	return 0;
}

static int receive(void)
{
	return server_socket_receive(daemons, geteuid(), received, SERVER_SOCKET_BATCH);
}

static struct delivery_message message_of(enum delivery_type type, uint64_t id)
{
	return (struct delivery_message){ .version = DELIVERY_VERSION, .type = (uint16_t)type, .id = id };
}

static void send_fds(const struct delivery_message *message, const int *fds, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))] = { 0 };
	struct iovec data = { .iov_base = (void *)message, .iov_len = sizeof(*message) };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *rights = (struct cmsghdr *)control;

	header.msg_controllen = CMSG_SPACE(count * sizeof(int));
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
	assert_int_equal(sendmsg(servers, &header, 0), sizeof(*message));
}

static int next_free_fd(void)
{
	int fd = dup(servers);

	close(fd);
	return fd;
}

static void messages_arrive_in_order(void **state)
{
	struct delivery_message message;

	(void)state;
	assert_int_equal(receive(), -EAGAIN);
	for (uint64_t id = 1; id <= SERVER_SOCKET_BATCH + 1; id++) {
		message = message_of(DELIVERY_TAKEN, id);
		assert_int_equal(send(servers, &message, sizeof(message), 0), sizeof(message));
	}
	assert_int_equal(receive(), SERVER_SOCKET_BATCH);
	for (int i = 0; i < SERVER_SOCKET_BATCH; i++) {
		assert_int_equal(received[i].message.id, i + 1);
		assert_int_equal(received[i].passed_fd, -1);
	}
	assert_int_equal(receive(), 1);
}

static void a_descriptor_is_received(void **state)
{
	struct delivery_message message = message_of(DELIVERY_LISTEN, 0);

	(void)state;
	send_fds(&message, &servers, 1);
	assert_int_equal(receive(), 1);
	assert_true(received[0].passed_fd >= 0);
	close(received[0].passed_fd);
}

/* Asserts that all are closed: the next descriptor gets the same number as before. */
static void all_are_closed(int next_free)
{
	for (int i = 0; i < 1000 && descriptor_unclosed(geteuid()); i++)
		usleep(1000);
	assert_int_equal(next_free_fd(), next_free);
}

static void more_than_one_descriptor_is_invalid_and_all_are_closed(void **state)
{
	static const size_t counts[] = { 2, 3, 4, 16, 64, MAX_DESCRIPTORS };
	struct delivery_message message = message_of(DELIVERY_LISTEN, 0);
	int before = next_free_fd();
	int fds[MAX_DESCRIPTORS];

	(void)state;
	for (size_t i = 0; i < MAX_DESCRIPTORS; i++)
		fds[i] = servers;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		send_fds(&message, fds, counts[i]);
		assert_int_equal(receive(), 1);
		assert_int_equal(received[0].message.type, SERVER_SOCKET_INVALID);
		assert_int_equal(received[0].passed_fd, -1);
		all_are_closed(before);
	}
}

/* Makes a loopback connection with data to send, whose peer reads nothing. */
static int lingering_socket(int seconds, int *peer)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = seconds };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 2048, fd;
	char data[65536] = { 0 };

	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	*peer = accept(listener, NULL, NULL);
	close(listener);
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

static void a_descriptor_with_a_slow_close_does_not_block_the_receiver_or_others(void **state)
{
	struct delivery_message message = message_of(DELIVERY_TAKEN, 0);
	int before = next_free_fd(), peers[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		/* The last one: with room for fewer, the kernel would have to close it in recvmmsg(). */
		int fds[2] = { servers, lingering_socket(20, &peers[i]) };
		struct timespec begin, end;

		send_fds(&message, fds, 2);
		close(fds[1]);
		clock_gettime(CLOCK_MONOTONIC, &begin);
		assert_int_equal(receive(), 1);
		clock_gettime(CLOCK_MONOTONIC, &end);
		assert_true(end.tv_sec - begin.tv_sec < 5);
	}
	/* Three are stuck by now or soon; descriptors of other users are still closed. */
	for (int i = 0; i < 100; i++)
		descriptor_close(dup(servers), geteuid() + 1);
	for (int i = 0; i < 100 && descriptor_unclosed(geteuid() + 1); i++) {
		descriptor_tick();
		usleep(20000);
	}
	assert_int_equal(descriptor_unclosed(geteuid() + 1), 0);
	assert_true(descriptor_unclosed(geteuid()) >= 3);
	for (int i = 0; i < 3; i++)
		close(peers[i]); /* resets the connections: close() has nothing to wait for */
	all_are_closed(before);
}

static void wrong_lengths_and_versions_are_invalid(void **state)
{
	struct delivery_message message = message_of(DELIVERY_TAKEN, 1);
	char longer[sizeof(message) + 1] = { 0 };

	(void)state;
	memcpy(longer, &message, sizeof(message));
	for (size_t length = 1; length <= sizeof(longer); length++) {
		assert_int_equal(send(servers, longer, length, 0), length);
		assert_int_equal(receive(), 1);
		assert_int_equal(received[0].message.type,
				 length == sizeof(message) ? DELIVERY_TAKEN : SERVER_SOCKET_INVALID);
	}
	message.version = DELIVERY_VERSION + 1;
	assert_int_equal(send(servers, &message, sizeof(message), 0), sizeof(message));
	assert_int_equal(receive(), 1);
	assert_int_equal(received[0].message.type, SERVER_SOCKET_INVALID);
}

static void messages_before_an_invalid_one_count(void **state)
{
	struct delivery_message message = message_of(DELIVERY_TAKEN, 7);

	(void)state;
	assert_int_equal(send(servers, &message, sizeof(message), 0), sizeof(message));
	assert_int_equal(send(servers, "?", 1, 0), 1);
	assert_int_equal(send(servers, &message, sizeof(message), 0), sizeof(message));
	assert_int_equal(receive(), 2);
	assert_int_equal(received[0].message.id, 7);
	assert_int_equal(received[1].message.type, SERVER_SOCKET_INVALID);
}

static void last_messages_are_read_before_the_end(void **state)
{
	struct delivery_message message = message_of(DELIVERY_TAKEN, 7);

	(void)state;
	/* Unread data of ours remains at the server: the kernel reports ECONNRESET first. */
	assert_int_equal(server_socket_send(daemons, &message, -1), 0);
	assert_int_equal(send(servers, &message, sizeof(message), 0), sizeof(message));
	close(servers);
	assert_int_equal(receive(), 1);
	assert_int_equal(received[0].message.id, 7);
	assert_int_equal(receive(), 0);
	servers = -1;
}

static void sending_never_blocks(void **state)
{
	struct delivery_message message = message_of(DELIVERY_CONNECTION, 1);
	int error = 0;

	(void)state;
	for (int i = 0; i < 100000 && !error; i++)
		error = server_socket_send(daemons, &message, daemons);
	assert_true(error == -EAGAIN || error == -ETOOMANYREFS);
	close(servers);
	error = server_socket_send(daemons, &message, -1);
	assert_true(error == -ECONNRESET || error == -EPIPE);
	servers = -1;
}

/* This many descriptors of one user leave no room for a message of that user. */
#define PILE 4000

static void descriptors_of_one_user_leave_room_for_others(void **state)
{
	const uid_t stranger = geteuid() + 2, other = geteuid() + 3;
	struct rlimit limit;
	int peer;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(descriptor_reserve(stranger, false, 1), 1);
	descriptor_unreserve(1);
	/* The only thread is stuck until descriptor_tick(). */
	descriptor_close_passed(lingering_socket(20, &peer), stranger);
	for (int i = 0; i < PILE; i++)
		descriptor_close_passed(dup(servers), stranger);
	assert_int_equal(descriptor_reserve(stranger, false, 1), -EUSERS);
	assert_int_equal(descriptor_reserve(other, false, 1), 1);
	assert_true(descriptor_reserve(geteuid(), true, SERVER_SOCKET_BATCH) > 1);
	close(peer);
	for (int i = 0; i < 5000 && descriptor_unclosed(stranger); i++)
		usleep(1000);
	assert_int_equal(descriptor_reserve(stranger, false, 1), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)
	const struct CMUnitTest tests[] = {
		TEST(messages_arrive_in_order),
		TEST(a_descriptor_is_received),
		TEST(more_than_one_descriptor_is_invalid_and_all_are_closed),
		TEST(a_descriptor_with_a_slow_close_does_not_block_the_receiver_or_others),
		TEST(descriptors_of_one_user_leave_room_for_others),
		TEST(wrong_lengths_and_versions_are_invalid),
		TEST(messages_before_an_invalid_one_count),
		TEST(last_messages_are_read_before_the_end),
		TEST(sending_never_blocks),
	};

	return cmocka_run_group_tests_name("server socket", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: user/libshakeoff/queue_client.c */
/* The server's side of the delivery protocol, with the test as the daemon's end of a socket pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libshakeoff/queue_client.h"

struct ends {
	int server, daemon;
};

static int setup(void **state)
{
	struct ends *ends = malloc(sizeof(*ends));
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	*ends = (struct ends){ .server = pair[0], .daemon = pair[1] };
	*state = ends;
	return 0;
}

static int teardown(void **state)
{
	struct ends *ends = *state;

	close(ends->server);
	if (ends->daemon >= 0)
		close(ends->daemon);
	free(ends);
	return 0;
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_packet(int fd, const void *data, size_t size, int passed_fd)
{
	struct iovec iov = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { 0 };

	if (passed_fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &header, 0), size);
}

static void say(const struct ends *ends, enum delivery_type type, uint64_t id, int value, int passed_fd)
{
	struct delivery_message message = {
		.version = DELIVERY_VERSION,
		.type = (uint16_t)type,
		.id = id,
		.value = value,
		.peer.in = { .sin_family = AF_INET, .sin_port = htons(4711), .sin_addr.s_addr = htonl(0x0a090002) },
	};

	send_packet(ends->daemon, &message, sizeof(message), passed_fd);
}

static struct delivery_message hear(const struct ends *ends, int *passed_fd)
{
	struct delivery_message message;
	struct iovec iov = { .iov_base = &message, .iov_len = sizeof(message) };
	const struct cmsghdr *rights;
	union control control;
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes),
	};

	assert_int_equal(recvmsg(ends->daemon, &header, MSG_DONTWAIT), sizeof(message));
	assert_int_equal(message.version, DELIVERY_VERSION);
	rights = CMSG_FIRSTHDR(&header);
	assert_int_equal(rights != NULL, passed_fd != NULL);
	if (rights && passed_fd)
		memcpy(passed_fd, CMSG_DATA(rights), sizeof(int));
	return message;
}

static void hear_nothing(const struct ends *ends)
{
	char byte;

	assert_int_equal(recv(ends->daemon, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* Returns a descriptor in place of a connection, whose duplicates can be recognised. */
static int a_connection(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static bool same_file(int one, int other)
{
	struct stat first, second;

	assert_int_equal(fstat(one, &first), 0);
	assert_int_equal(fstat(other, &second), 0);
	return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* ----------------------------------------------------------------------------------------------------- registration */

static void listen_is_sent_with_backlog_flags_and_socket(void **state)
{
	const struct ends *ends = *state;
	int listening = a_connection(), passed = -1;
	struct delivery_message message;

	say(ends, DELIVERY_LISTENING, 0, 128, -1);
	assert_int_equal(queue_register(ends->server, 511, DELIVERY_FLAG_DUALSTACK, listening, 1000), 0);
	message = hear(ends, &passed);
	assert_int_equal(message.type, DELIVERY_LISTEN);
	assert_int_equal(message.value, 511);
	assert_int_equal(message.flags, DELIVERY_FLAG_DUALSTACK);
	assert_true(same_file(listening, passed));
	close(passed);
	close(listening);
}

static void the_daemons_refusal_is_the_error(void **state)
{
	const struct ends *ends = *state;

	say(ends, DELIVERY_REFUSED, 0, EACCES, -1);
	assert_int_equal(queue_register(ends->server, 5, 0, -1, 1000), -EACCES);
}

static void another_version_is_refused(void **state)
{
	const struct ends *ends = *state;
	struct delivery_message message = { .version = DELIVERY_VERSION + 1, .type = DELIVERY_LISTENING };

	send_packet(ends->daemon, &message, sizeof(message), -1);
	assert_int_equal(queue_register(ends->server, 5, 0, -1, 1000), -EPROTO);
}

static void a_silent_daemon_is_not_waited_for_forever(void **state)
{
	const struct ends *ends = *state;

	assert_int_equal(queue_register(ends->server, 5, 0, -1, 30), -ETIMEDOUT);
}

static void a_daemon_that_ends_meanwhile_is_a_reset(void **state)
{
	struct ends *ends = *state;

	shutdown(ends->daemon, SHUT_WR);
	assert_int_equal(queue_register(ends->server, 5, 0, -1, 1000), -ECONNRESET);
}

/* ----------------------------------------------------------------------------------------------------------- taking */

static void a_connection_is_taken_and_acknowledged(void **state)
{
	const struct ends *ends = *state;
	int connection = a_connection(), taken;
	struct delivery_message message;

	say(ends, DELIVERY_CONNECTION, 42, 0, connection);
	taken = queue_take(ends->server, 0, 0, &message);
	assert_true(taken >= 0);
	assert_true(same_file(connection, taken));
	assert_int_equal(message.id, 42);
	assert_int_equal(message.peer.in.sin_port, htons(4711));
	message = hear(ends, NULL);
	assert_int_equal(message.type, DELIVERY_TAKEN);
	assert_int_equal(message.id, 42);
	close(taken);
	close(connection);
}

static void only_the_flags_decide_the_mode_of_the_descriptor(void **state)
{
	const struct ends *ends = *state;
	struct delivery_message message;
	int flags, connection, taken, i;

	for (i = 0; i < 4; i++) {
		flags = (i & 1 ? SOCK_NONBLOCK : 0) | (i & 2 ? SOCK_CLOEXEC : 0);
		connection = a_connection();
		say(ends, DELIVERY_CONNECTION, 1, 0, connection);
		close(connection);
		taken = queue_take(ends->server, flags, 0, &message);
		assert_true(taken >= 0);
		assert_int_equal(!!(fcntl(taken, F_GETFL) & O_NONBLOCK), !!(flags & SOCK_NONBLOCK));
		assert_int_equal(!!(fcntl(taken, F_GETFD) & FD_CLOEXEC), !!(flags & SOCK_CLOEXEC));
		close(taken);
	}
}

static void without_a_connection_it_is_eagain(void **state)
{
	const struct ends *ends = *state;
	struct delivery_message message;

	assert_int_equal(queue_take(ends->server, 0, MSG_DONTWAIT, &message), -EAGAIN);
}

static void replies_to_a_second_listen_are_skipped(void **state)
{
	const struct ends *ends = *state;
	struct delivery_message message;
	int connection = a_connection(), taken;

	assert_int_equal(queue_set_backlog(ends->server, 7, 0), 0);
	assert_int_equal(hear(ends, NULL).value, 7);
	say(ends, DELIVERY_LISTENING, 0, 7, -1);
	say(ends, DELIVERY_CONNECTION, 9, 0, connection);
	close(connection);
	taken = queue_take(ends->server, 0, 0, &message);
	assert_true(taken >= 0);
	assert_int_equal(message.id, 9);
	close(taken);
}

static void invalid_messages_are_skipped_and_their_descriptors_closed(void **state)
{
	const struct ends *ends = *state;
	int connection = a_connection(), before = dup(connection);
	struct delivery_message message;

	close(before);
	send_packet(ends->daemon, "short", 5, connection);
	assert_int_equal(queue_take(ends->server, 0, MSG_DONTWAIT, &message), -EAGAIN);
	assert_int_equal(fcntl(before, F_GETFD), -1);
	hear_nothing(ends);
	close(connection);
}

static void at_the_descriptor_limit_it_is_returned(void **state)
{
	const struct ends *ends = *state;
	struct delivery_message message;
	int connection = a_connection(), next;
	struct rlimit old, low;

	say(ends, DELIVERY_CONNECTION, 77, 0, connection);
	next = dup(connection);
	close(next);
	getrlimit(RLIMIT_NOFILE, &old);
	low = (struct rlimit){ .rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &low);
	assert_int_equal(queue_take(ends->server, 0, MSG_DONTWAIT, &message), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	message = hear(ends, NULL);
	assert_int_equal(message.type, DELIVERY_RETURNED);
	assert_int_equal(message.id, 77);
	close(connection);
}

static void the_end_is_epipe(void **state)
{
	struct ends *ends = *state;
	struct delivery_message message;

	close(ends->daemon);
	ends->daemon = -1;
	assert_int_equal(queue_take(ends->server, 0, 0, &message), -EPIPE);
}

static void connections_sent_by_a_killed_daemon_are_still_taken(void **state)
{
	struct ends *ends = *state;
	struct delivery_message message;
	int connection = a_connection(), taken;

	/* Unread data at the daemon's end turns its death into a reset. */
	assert_int_equal(queue_set_backlog(ends->server, 7, 0), 0);
	say(ends, DELIVERY_CONNECTION, 5, 0, connection);
	close(connection);
	close(ends->daemon);
	ends->daemon = -1;
	taken = queue_take(ends->server, 0, 0, &message);
	assert_true(taken >= 0);
	assert_int_equal(message.id, 5);
	close(taken);
	assert_int_equal(queue_take(ends->server, 0, 0, &message), -EPIPE);
}

static void nothing_is_taken_after_a_refusal(void **state)
{
	const struct ends *ends = *state;
	struct delivery_message message;
	int connection = a_connection();

	say(ends, DELIVERY_REFUSED, 0, EBUSY, -1);
	say(ends, DELIVERY_CONNECTION, 5, 0, connection);
	close(connection);
	assert_int_equal(queue_take(ends->server, 0, 0, &message), -EPIPE);
	hear_nothing(ends);
}

/* ----------------------------------------------------------------------------------------------------- peer address */

static void the_peer_is_of_the_listeners_family(void **state)
{
	const struct delivery_message message = {
		.peer.in = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x0a090002) },
	};
	struct sockaddr_in6 address;
	socklen_t length = sizeof(address);
	char text[INET6_ADDRSTRLEN];

	(void)state;
	queue_copy_peer(&message, AF_INET, (struct sockaddr *)&address, &length);
	assert_int_equal(length, sizeof(struct sockaddr_in));
	assert_memory_equal(&address, &message.peer.in, sizeof(struct sockaddr_in));

	length = sizeof(address);
	queue_copy_peer(&message, AF_INET6, (struct sockaddr *)&address, &length);
	assert_int_equal(length, sizeof(address));
	assert_int_equal(address.sin6_family, AF_INET6);
	assert_int_equal(address.sin6_port, htons(80));
	assert_string_equal(inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text)), "::ffff:10.9.0.2");
}

static void a_peer_longer_than_its_room_is_cut_off(void **state)
{
	const struct delivery_message message = { .peer.in6 = { .sin6_family = AF_INET6, .sin6_port = htons(80) } };
	unsigned char room[8];
	socklen_t length = 4;

	(void)state;
	memset(room, 0x55, sizeof(room));
	queue_copy_peer(&message, AF_INET6, (struct sockaddr *)room, &length);
	assert_int_equal(length, sizeof(struct sockaddr_in6));
	assert_memory_equal(room, &message.peer, 4);
	assert_int_equal(room[4], 0x55);
}

/* ------------------------------------------------------------------------------------------------ finding a service */

static char run_dir[64];

static void link_service(const char *address, const char *target)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/listen/%s", run_dir, address);
	assert_int_equal(symlink(target, path), 0);
}

static int setup_run_dir(void **state)
{
	char path[128];

	(void)state;
	strcpy(run_dir, "/tmp/shakeoff-unit.XXXXXX");
	if (!mkdtemp(run_dir))
		return -1;
	snprintf(path, sizeof(path), "%s/listen", run_dir);
	return mkdir(path, 0755);
}

static int remove_run_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", run_dir);
	return system(command);
}

/* Returns the service of a server bound to this address, or the error's name. */
static const char *found(const char *text, uint16_t port, bool v6only)
{
	static char name[SHAKEOFF_NAME_LEN];
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const void *address = &in;
	int result;

	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
		address = &in6;
	} else {
		assert_int_equal(inet_pton(AF_INET, text, &in.sin_addr), 1);
	}
	result = queue_find_service(run_dir, address, v6only, name);
	return result ? strerrorname_np(-result) : name;
}

static void an_address_finds_its_service(void **state)
{
	(void)state;
	link_service("10.9.0.1:80", "../web.sock");
	link_service("[2001:db8::1]:443", "../tls.sock");
	assert_string_equal(found("10.9.0.1", 80, false), "web");
	assert_string_equal(found("::ffff:10.9.0.1", 80, false), "web");
	assert_string_equal(found("2001:db8::1", 443, false), "tls");
	assert_string_equal(found("10.9.0.1", 81, false), "ENOENT");
	assert_string_equal(found("10.9.0.2", 80, false), "ENOENT");
	assert_string_equal(found("10.9.0.1", 0, false), "ENOENT");
}

static void a_star_means_every_address_except_loopback_and_link_local(void **state)
{
	(void)state;
	link_service("*:22", "../ssh.sock");
	link_service("127.0.0.2:22", "../loop.sock");
	assert_string_equal(found("10.9.0.1", 22, false), "ssh");
	assert_string_equal(found("2001:db8::1", 22, false), "ssh");
	assert_string_equal(found("0.0.0.0", 22, false), "ssh");
	assert_string_equal(found("::", 22, false), "ssh");
	assert_string_equal(found("127.0.0.1", 22, false), "ENOENT");
	assert_string_equal(found("127.0.0.2", 22, false), "loop");
	assert_string_equal(found("::1", 22, false), "ENOENT");
	assert_string_equal(found("fe80::1", 22, false), "ENOENT");
}

static void an_address_has_precedence_over_the_star(void **state)
{
	(void)state;
	link_service("*:80", "../all.sock");
	link_service("10.9.0.1:80", "../one.sock");
	assert_string_equal(found("10.9.0.1", 80, false), "one");
	assert_string_equal(found("10.9.0.2", 80, false), "all");
	assert_string_equal(found("0.0.0.0", 80, false), "all");
}

static void a_wildcard_finds_the_only_service_of_its_port(void **state)
{
	(void)state;
	link_service("10.9.0.1:80", "../web.sock");
	link_service("10.9.0.2:80", "../web.sock");
	link_service("[2001:db8::1]:80", "../six.sock");
	link_service("10.9.0.1:8080", "../proxy.sock");
	assert_string_equal(found("0.0.0.0", 80, false), "web");
	assert_string_equal(found("::", 80, true), "six");
	assert_string_equal(found("::", 80, false), "ENOTUNIQ");
	assert_string_equal(found("0.0.0.0", 8080, false), "proxy");
	assert_string_equal(found("::", 8080, true), "ENOENT");
}

static void without_a_run_directory_there_is_no_service(void **state)
{
	(void)state;
	remove_run_dir(NULL);
	assert_string_equal(found("10.9.0.1", 80, false), "ENOENT");
	assert_string_equal(found("0.0.0.0", 80, false), "ENOENT");
	assert_int_equal(queue_connect(run_dir, "web"), -ENOENT);
}

/* ------------------------------------------------------------------------------------------- waiting for the daemon */

static bool becomes_readable(const struct queue_watch *watch, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = watch->inotify_fd, .events = POLLIN },
				 { .fd = watch->timer_fd, .events = POLLIN } };

	return poll(fds, 2, timeout_ms) > 0;
}

static void the_watch_sees_the_socket_appear(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	struct queue_watch watch;

	(void)state;
	assert_int_equal(queue_watch_open(&watch, run_dir), 0);
	assert_false(queue_watch_fired(&watch, run_dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/web.sock", run_dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_true(becomes_readable(&watch, 0));
	assert_true(queue_watch_fired(&watch, run_dir));
	assert_false(queue_watch_fired(&watch, run_dir));
	close(fd);
	close(watch.inotify_fd);
	close(watch.timer_fd);
}

static void the_watch_polls_when_there_is_no_directory(void **state)
{
	struct queue_watch watch;

	(void)state;
	remove_run_dir(NULL);
	assert_int_equal(queue_watch_open(&watch, run_dir), 0);
	assert_true(becomes_readable(&watch, 20000));
	assert_true(queue_watch_fired(&watch, run_dir));
	close(watch.inotify_fd);
	close(watch.timer_fd);
}

#define test_with_ends(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
#define test_with_run_dir(function) cmocka_unit_test_setup_teardown(function, setup_run_dir, remove_run_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_with_ends(listen_is_sent_with_backlog_flags_and_socket),
		test_with_ends(the_daemons_refusal_is_the_error),
		test_with_ends(another_version_is_refused),
		test_with_ends(a_silent_daemon_is_not_waited_for_forever),
		test_with_ends(a_daemon_that_ends_meanwhile_is_a_reset),
		test_with_ends(a_connection_is_taken_and_acknowledged),
		test_with_ends(only_the_flags_decide_the_mode_of_the_descriptor),
		test_with_ends(without_a_connection_it_is_eagain),
		test_with_ends(replies_to_a_second_listen_are_skipped),
		test_with_ends(invalid_messages_are_skipped_and_their_descriptors_closed),
		test_with_ends(at_the_descriptor_limit_it_is_returned),
		test_with_ends(the_end_is_epipe),
		test_with_ends(connections_sent_by_a_killed_daemon_are_still_taken),
		test_with_ends(nothing_is_taken_after_a_refusal),
		cmocka_unit_test(the_peer_is_of_the_listeners_family),
		cmocka_unit_test(a_peer_longer_than_its_room_is_cut_off),
		test_with_run_dir(an_address_finds_its_service),
		test_with_run_dir(a_star_means_every_address_except_loopback_and_link_local),
		test_with_run_dir(an_address_has_precedence_over_the_star),
		test_with_run_dir(a_wildcard_finds_the_only_service_of_its_port),
		test_with_run_dir(without_a_run_directory_there_is_no_service),
		test_with_run_dir(the_watch_sees_the_socket_appear),
		test_with_run_dir(the_watch_polls_when_there_is_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

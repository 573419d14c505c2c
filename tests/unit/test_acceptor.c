/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A thread that accepts from a socket that other processes have, too: they can block only this thread.
 *
 * link: user/shakeoffd/queue/acceptor.c
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "shakeoffd/queue/acceptor.h"
#include "common/clock.h"

static struct acceptor acceptor;
static struct sockaddr_in address;
static _Atomic(int) connections, doubts, released;
static _Atomic(bool) full, useless, flips;
static int theirs; /* the other process's descriptor of the socket */

static bool examine(struct acceptor *of)
{
	(void)of;
	return !useless;
}

static bool holds(struct acceptor *of)
{
	int listens = 0;
	socklen_t size = sizeof(listens);

	getsockopt(of->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
	if (!listens)
		doubts++;
	return listens;
}

static bool has_room(struct acceptor *of)
{
	if (full)
		acceptor_pause(of);
	return !full;
}

static void accepted(struct acceptor *of, int fd, const union socket_address *peer)
{
	(void)of;
	assert_int_equal(peer->sa.sa_family, AF_INET);
	connections++;
	close(fd);
}

static void failed(struct acceptor *of, int error)
{
	(void)of;
	(void)error;
}

static void release(struct acceptor *of)
{
	(void)of;
	released++;
}

static const struct acceptor_calls calls = { examine, holds, has_room, accepted, failed, release };

static int start(void **state)
{
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)&address, &size))
		return -1;
	theirs = dup(fd);
	connections = doubts = released = 0;
	full = false;
	acceptor = (struct acceptor){ 0 };
	return acceptor_start(&acceptor, fd, 5, &calls);
}

static int stop(void **state)
{
	(void)state;
	close(theirs);
	useless = false;
	return 0;
}

static void end(void)
{
	acceptor_end(&acceptor);
	assert_true(acceptor_end_all(10 * NS_PER_S));
	assert_int_equal(released, 1);
}

static void come(int count)
{
	for (int i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		close(fd);
	}
}

static bool becomes(_Atomic(int) *value, int least)
{
	for (int i = 0; i < 5000 && *value < least; i++)
		usleep(1000);
	return *value >= least;
}

static void connections_are_accepted(void **state)
{
	(void)state;
	come(10);
	assert_true(becomes(&connections, 10));
	end();
	assert_int_equal(connections, 10);
}

static void none_is_accepted_without_room(void **state)
{
	(void)state;
	full = true;
	come(3);
	usleep(50000);
	assert_int_equal(connections, 0);
	full = false;
	acceptor_resume(&acceptor);
	assert_true(becomes(&connections, 3));
	end();
}

static void the_end_of_listening_is_seen_at_once(void **state)
{
	uint64_t begin = clock_ns();

	(void)state;
	shutdown(theirs, SHUT_RDWR);
	assert_true(becomes(&doubts, 1));
	assert_true(clock_ns() - begin < NS_PER_S / 2);
	end();
}

static void a_useless_acceptor_only_ends(void **state)
{
	(void)state;
	come(3);
	usleep(50000);
	assert_int_equal(connections, 0);
	end();
}

static int start_useless(void **state)
{
	useless = true;
	return start(state);
}

/* The thread waits here as it would for the lock of a socket. */
static _Atomic(bool) held;

static bool examine_slowly(struct acceptor *of)
{
	(void)of;
	while (held)
		usleep(1000);
	return false;
}

static void an_acceptor_that_cannot_end_is_counted_for_its_user(void **state)
{
	const struct acceptor_calls slow = { examine_slowly, holds, has_room, accepted, failed, release };

	(void)state;
	end();
	released = 0;
	held = true;
	acceptor = (struct acceptor){ 0 };
	assert_int_equal(acceptor_start(&acceptor, dup(theirs), 5, &slow), 0);
	assert_int_equal(acceptor_count_stuck(5), 0);
	acceptor_end(&acceptor);
	assert_int_equal(acceptor_count_stuck(5), 1);
	assert_int_equal(acceptor_count_stuck(6), 0);
	assert_false(acceptor_end_all(NS_PER_MS));
	held = false;
	assert_true(acceptor_end_all(10 * NS_PER_S));
	assert_int_equal(released, 1);
	assert_int_equal(acceptor_count_stuck(5), 0);
}

static void *flip(void *unused)
{
	while (flips)
		fcntl(theirs, F_SETFL, 0);
	return unused;
}

/* It sleeps in accept() only sometimes: the test repeats often, and a single failure to end would hang it. */
static void an_acceptor_that_sleeps_in_accept_ends(void **state)
{
	pthread_t thread;

	flips = true;
	for (int i = 0; i < 10; i++) {
		if (i)
			assert_int_equal(start(state), 0);
		assert_int_equal(pthread_create(&thread, NULL, flip, NULL), 0);
		come(20);
		flips = false;
		assert_int_equal(pthread_join(thread, NULL), 0);
		flips = true;
		end();
		if (i < 9)
			close(theirs);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(connections_are_accepted),
		TEST(none_is_accepted_without_room),
		TEST(the_end_of_listening_is_seen_at_once),
		cmocka_unit_test_setup_teardown(a_useless_acceptor_only_ends, start_useless, stop),
		TEST(an_acceptor_that_cannot_end_is_counted_for_its_user),
		TEST(an_acceptor_that_sleeps_in_accept_ends),
	};

	return cmocka_run_group_tests_name("acceptor", tests, NULL, NULL);
}

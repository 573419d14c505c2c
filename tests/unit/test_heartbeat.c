/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The heartbeat shows that the event loops make progress, not that a thread runs.
 *
 * link: user/shakeoffd/hook/heartbeat.c user/common/log.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "shakeoffd/hook/heartbeat.h"

static struct shakeoff_control control;
static struct datapath *const datapaths[1] = { (struct datapath *)&control };

/* Two workers' loops. */
struct event_loop {
	_Atomic(uint64_t) busy_ns;
};

static struct event_loop workers[2];
static struct event_loop *const loops[2] = { &workers[0], &workers[1] };
static struct heartbeat *heartbeat;

struct shakeoff_control *datapath_control(struct datapath *datapath)
{
	assert_ptr_equal(datapath, datapaths[0]);
	return &control;
}

uint64_t event_loop_busy_since(const struct event_loop *loop)
{
	return loop->busy_ns;
}

static uint64_t beat(void)
{
	return __atomic_load_n(&control.heartbeat_ns, __ATOMIC_RELAXED);
}

/* Sleeps for the time of two beats. */
static void pause_briefly(void)
{
	usleep(2 * SHAKEOFF_HEARTBEAT_PERIOD_NS / 1000 + 100000);
}

static bool continues(void)
{
	uint64_t before = beat();

	pause_briefly();
	return beat() > before;
}

static int begin(void **state)
{
	(void)state;
	workers[0].busy_ns = workers[1].busy_ns = 0;
	control.heartbeat_ns = 0;
	return heartbeat_start(&heartbeat, datapaths, 1, loops, 2);
}

static int end(void **state)
{
	(void)state;
	heartbeat_stop(heartbeat);
	return control.heartbeat_ns ? -1 : 0;
}

static void it_continues_while_all_loops_do(void **state)
{
	(void)state;
	workers[1].busy_ns = clock_ns() - NS_PER_S;
	pause_briefly();
	assert_true(continues());
}

static void it_stops_while_the_main_loop_stands_still(void **state)
{
	(void)state;
	heartbeat_alive(heartbeat, clock_ns() - HEARTBEAT_STUCK_NS);
	pause_briefly();
	assert_false(continues());
	assert_false(heartbeat_is_well(heartbeat, clock_ns()));
	heartbeat_alive(heartbeat, clock_ns());
	pause_briefly();
	assert_true(continues());
}

static void it_stops_while_a_worker_stands_still(void **state)
{
	(void)state;
	workers[1].busy_ns = clock_ns() - HEARTBEAT_STUCK_NS;
	pause_briefly();
	assert_false(continues());
	assert_false(heartbeat_is_well(heartbeat, clock_ns()));
	/* It waits for events again, however long that takes. */
	workers[1].busy_ns = 0;
	pause_briefly();
	assert_true(continues());
	assert_true(heartbeat_is_well(heartbeat, clock_ns()));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(it_continues_while_all_loops_do),
		TEST(it_stops_while_the_main_loop_stands_still),
		TEST(it_stops_while_a_worker_stands_still),
	};

	return cmocka_run_group_tests_name("heartbeat", tests, NULL, NULL);
}

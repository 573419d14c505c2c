/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "common/clock.h"
#include "shakeoffd/hook/heartbeat.h"

#define HIGHEST_PRIORITY (-20)

struct heartbeat {
	pthread_t thread;
	int stop_fd;
	struct datapath *const *datapaths;
	size_t count;
	struct event_loop *const *loops;
	size_t loop_count;
	bool stuck;                 /* it has been logged */
	_Atomic(uint64_t) alive_ns; /* when the main thread last called heartbeat_alive() */
};

static void beat(const struct heartbeat *heartbeat, uint64_t now_ns)
{
	for (size_t i = 0; i < heartbeat->count; i++)
		__atomic_store_n(&datapath_control(heartbeat->datapaths[i])->heartbeat_ns, now_ns, __ATOMIC_RELAXED);
}

static bool is_older(uint64_t then_ns, uint64_t now_ns)
{
	return (int64_t)(now_ns - then_ns) >= (int64_t)HEARTBEAT_STUCK_NS;
}

bool heartbeat_is_well(const struct heartbeat *heartbeat, uint64_t now_ns)
{
	bool well = !is_older(atomic_load(&heartbeat->alive_ns), now_ns);

	for (size_t i = 0; i < heartbeat->loop_count && well; i++) {
		uint64_t busy_ns = event_loop_busy_since(heartbeat->loops[i]);

		well = !busy_ns || !is_older(busy_ns, now_ns);
	}
	return well;
}

static void *run(void *argument)
{
	struct heartbeat *heartbeat = argument;
	struct pollfd stop = { .fd = heartbeat->stop_fd, .events = POLLIN };

	/* On Linux each thread has its own priority (setpriority(2), "C library/kernel differences"). */
	if (setpriority(PRIO_PROCESS, (id_t)gettid(), HIGHEST_PRIORITY))
		log_debug("the heartbeat runs with ordinary priority: %m");
	do {
		uint64_t now = clock_ns();
		bool well = heartbeat_is_well(heartbeat, now);

		if (well)
			beat(heartbeat, now);
		else if (!heartbeat->stuck)
			log_warn("an event loop of the daemon has been stuck for %llu s: the hook acts as without a "
				 "daemon",
				 HEARTBEAT_STUCK_NS / NS_PER_S);
		heartbeat->stuck = !well;
	} while (poll(&stop, 1, SHAKEOFF_HEARTBEAT_PERIOD_NS / NS_PER_MS) <= 0);
	beat(heartbeat, 0);
	return NULL;
}

int heartbeat_start(struct heartbeat **result, struct datapath *const *datapaths, size_t count,
		    struct event_loop *const *loops, size_t loop_count)
{
	struct heartbeat *heartbeat = calloc(1, sizeof(*heartbeat));
	int error = ENOMEM;

	if (!heartbeat)
		return -ENOMEM;
	heartbeat->datapaths = datapaths;
	heartbeat->count = count;
	heartbeat->loops = loops;
	heartbeat->loop_count = loop_count;
	heartbeat_alive(heartbeat, clock_ns());
	heartbeat->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (heartbeat->stop_fd >= 0) {
		error = pthread_create(&heartbeat->thread, NULL, run, heartbeat);
		if (!error) {
			*result = heartbeat;
			return 0;
		}
		close(heartbeat->stop_fd);
	} else {
		error = errno;
	}
	free(heartbeat);
	return -error;
}

void heartbeat_alive(struct heartbeat *heartbeat, uint64_t now_ns)
{
	atomic_store(&heartbeat->alive_ns, now_ns);
}

void heartbeat_stop(struct heartbeat *heartbeat)
{
	uint64_t one = 1;

	if (!heartbeat)
		return;
	while (write(heartbeat->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(heartbeat->thread, NULL);
	close(heartbeat->stop_fd);
	free(heartbeat);
}

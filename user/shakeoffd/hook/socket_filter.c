/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Builds a new filter in three steps, so that a tuple with a socket is never missing from the active filter:
 *
 *	1. The spare filter is cleared. From then on the hook notes new connections in both (SHAKEOFF_FILTER_BUILDING).
 *	2. After a pause, and once the rings have been empty since, every connection noted before step 1 has its
 *	   socket. Then the tuples of all sockets are noted in the spare filter.
 *	3. Hints of the active filter that are still needed are carried over. The spare filter becomes the active one.
 */
#include <errno.h>
#include <string.h>

#include <netinet/tcp.h>

#include "common/sock_diag.h"
#include <shakeoff/socket_filter.h>
#include "common/clock.h"
#include "shakeoffd/hook/socket_filter.h"

#define BUILD_PERIOD_NS (20 * NS_PER_S)
#define BUILD_PAUSE_NS NS_PER_S
#define COST_SHARE 20 /* of one CPU */

/* If reading takes no longer, the caller that publishes addresses does it; the event loop must not wait longer. */
#define NOTE_AT_ONCE_NS (10 * NS_PER_MS)

/* After this number of swaps, every cookie that was valid when a hint was set has expired. */
#define AGE_MAX ((SHAKEOFF_COOKIE_LIFETIME_NS + BUILD_PERIOD_NS - 1) / BUILD_PERIOD_NS)
_Static_assert(SHAKEOFF_FILTER_AGE / SHAKEOFF_FILTER_AGE_ONE >= AGE_MAX, "three bits hold it");

/* Every state but LISTEN, including NEW-SYN-RECV (12, include/net/tcp_states.h). */
#define ALL_BUT_LISTEN (0xffffffffu & ~(1u << TCP_LISTEN))

void socket_filter_open(struct socket_filter *filter, struct datapath **datapaths, size_t datapath_count)
{
	*filter = (struct socket_filter){ .datapaths = datapaths,
					  .datapath_count = datapath_count,
					  .aged_ns = clock_ns() };
}

static void distrust(struct socket_filter *filter)
{
	for (size_t i = 0; i < filter->datapath_count; i++)
		__atomic_and_fetch(&datapath_control(filter->datapaths[i])->flags, ~SHAKEOFF_FILTER_READY,
				   __ATOMIC_SEQ_CST);
}

static void restart(struct socket_filter *filter)
{
	distrust(filter);
	filter->building = filter->note_again = filter->unknown = filter->built = false;
	filter->since_ns = 0;
}

static struct shakeoff_filter *active(const struct socket_filter *filter, size_t i)
{
	return datapath_filter(filter->datapaths[i], datapath_control(filter->datapaths[i])->filter_active);
}

static struct shakeoff_filter *spare(const struct socket_filter *filter, size_t i)
{
	return datapath_filter(filter->datapaths[i], datapath_control(filter->datapaths[i])->filter_active ^ 1);
}

static void set(struct shakeoff_filter *filter, uint32_t slot, uint8_t bits)
{
	__atomic_fetch_or(&filter->slots[slot], SHAKEOFF_FILTER_SOCKET | bits, __ATOMIC_RELAXED);
	__atomic_store_n(&filter->regions[slot >> SHAKEOFF_FILTER_REGION_BITS], 1, __ATOMIC_RELEASE);
}

static int note(void *context, const struct sock_diag_entry *entry)
{
	const struct socket_filter *filter = context;
	uint32_t slot = shakeoff_filter_tuple_slot(&entry->tuple);

	if (background_task_is_to_stop(&filter->task))
		return -ECANCELED;
	for (size_t i = 0; i < filter->datapath_count; i++) {
		set(active(filter, i), slot, 0);
		set(spare(filter, i), slot, 0);
	}
	return 0;
}

/* Notes all sockets, in the task's thread. The filters' bytes are shared with the hook anyway. */
static int note_all(void *context)
{
	return sock_diag_each(ALL_BUT_LISTEN, note, context);
}

static void begin_reading(struct socket_filter *filter, bool finishing)
{
	filter->finishing = finishing;
	filter->note_again = false;
	background_task_begin(&filter->task, note_all, filter);
}

static int note_now(struct socket_filter *filter)
{
	uint64_t before = clock_cpu_ns();
	int error = note_all(filter);

	filter->cost_ns = clock_cpu_ns() - before;
	return error;
}

void socket_filter_note_sockets(struct socket_filter *filter)
{
	bool fresh = !filter->building && !filter->since_ns;

	if (!fresh && (filter->cost_ns > NOTE_AT_ONCE_NS || background_task_is_busy(&filter->task))) {
		distrust(filter);
		filter->note_again = filter->unknown = true;
	} else if (fresh || note_now(filter)) {
		restart(filter);
	} else {
		filter->note_again = true;
	}
}

/*
 * Carries hints from a datapath's active filter to the spare one. `older`: a period has passed since ages were last
 * raised.
 */
static void carry_hints(const struct socket_filter *filter, size_t i, bool older)
{
	const struct shakeoff_filter *from = active(filter, i);
	struct shakeoff_filter *to = spare(filter, i);

	for (size_t slot = 0; slot < SHAKEOFF_FILTER_BYTES; slot++) {
		uint8_t byte = __atomic_load_n(&from->slots[slot], __ATOMIC_RELAXED);
		uint8_t age = byte & SHAKEOFF_FILTER_AGE;

		if (!(byte & SHAKEOFF_FILTER_UNCONFIRMED) || (older && age >= AGE_MAX * SHAKEOFF_FILTER_AGE_ONE))
			continue;
		if (__atomic_load_n(&to->slots[slot], __ATOMIC_RELAXED) & SHAKEOFF_FILTER_UNCONFIRMED)
			continue; /* set again meanwhile */
		age += older ? SHAKEOFF_FILTER_AGE_ONE : 0;
		set(to, slot, SHAKEOFF_FILTER_UNCONFIRMED | age);
	}
}

static void begin(struct socket_filter *filter)
{
	for (size_t i = 0; i < filter->datapath_count; i++) {
		struct shakeoff_control *control = datapath_control(filter->datapaths[i]);

		/* A daemon that was killed may have left it set. */
		__atomic_and_fetch(&control->flags, ~SHAKEOFF_FILTER_BUILDING, __ATOMIC_SEQ_CST);
		memset(spare(filter, i), 0, sizeof(*spare(filter, i)));
		__atomic_or_fetch(&control->flags, SHAKEOFF_FILTER_BUILDING, __ATOMIC_SEQ_CST);
	}
	filter->building = true;
	filter->since_ns = clock_ns(); /* after the flag: a ring that is empty from now on has no earlier connections */
}

static void finish(struct socket_filter *filter, uint64_t now_ns)
{
	bool older = now_ns - filter->aged_ns >= BUILD_PERIOD_NS;

	if (older)
		filter->aged_ns = now_ns;
	filter->unknown &= filter->note_again; /* unknown connections that came after that reading began */
	for (size_t i = 0; i < filter->datapath_count; i++) {
		struct shakeoff_control *control = datapath_control(filter->datapaths[i]);

		carry_hints(filter, i, older);
		__atomic_store_n(&control->filter_active, control->filter_active ^ 1, __ATOMIC_SEQ_CST);
		if (!filter->unknown)
			__atomic_or_fetch(&control->flags, SHAKEOFF_FILTER_READY, __ATOMIC_SEQ_CST);
		__atomic_and_fetch(&control->flags, ~SHAKEOFF_FILTER_BUILDING, __ATOMIC_SEQ_CST);
	}
	filter->building = false;
	filter->built = true;
	filter->since_ns = now_ns;
}

/* Lets the hook trust the filter, unless more unknown connections came after the reading began. */
static void trust(struct socket_filter *filter)
{
	if (filter->note_again || !filter->unknown)
		return;
	filter->unknown = false;
	for (size_t i = 0; i < filter->datapath_count && filter->built; i++)
		__atomic_or_fetch(&datapath_control(filter->datapaths[i])->flags, SHAKEOFF_FILTER_READY,
				  __ATOMIC_SEQ_CST);
}

/* Takes the result of reading the sockets, if it is done. 0 or a negative errno. */
static int take_reading(struct socket_filter *filter, uint64_t now_ns)
{
	bool was_restarted = filter->finishing && !filter->building;
	int error;

	if (!background_task_take(&filter->task, &error, &filter->cost_ns) || was_restarted)
		return 0;
	if (error && filter->finishing) {
		filter->note_again = true;
		return error; /* the next tick tries again */
	}
	if (error)
		restart(filter);
	else if (filter->finishing)
		finish(filter, now_ns);
	else
		trust(filter);
	return 0;
}

/* Returns the period of new filters: readings also take at most a twentieth of one CPU. */
static uint64_t period(const struct socket_filter *filter)
{
	return filter->cost_ns * COST_SHARE > BUILD_PERIOD_NS ? filter->cost_ns * COST_SHARE : BUILD_PERIOD_NS;
}

static bool is_time_to_finish(const struct socket_filter *filter, uint64_t now_ns, uint64_t drained_ns)
{
	return filter->building && now_ns - filter->since_ns >= BUILD_PAUSE_NS && drained_ns >= filter->since_ns;
}

int socket_filter_tick(struct socket_filter *filter, uint64_t now_ns, uint64_t drained_ns)
{
	int error = take_reading(filter, now_ns);

	if (error || background_task_is_busy(&filter->task))
		return error;
	if (is_time_to_finish(filter, now_ns, drained_ns)) {
		begin_reading(filter, true);
	} else if (filter->note_again) {
		/* Reads again for connections that the kernel made while addresses were published. */
		begin_reading(filter, false);
	} else if (!filter->building && (!filter->since_ns || now_ns - filter->since_ns >= period(filter))) {
		begin(filter);
	}
	return take_reading(filter, now_ns);
}

int socket_filter_start(struct socket_filter *filter, struct event_loop *loop)
{
	return background_task_start(&filter->task, loop);
}

void socket_filter_close(struct socket_filter *filter)
{
	background_task_close(&filter->task);
}

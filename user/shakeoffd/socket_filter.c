/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A new filter is built in three steps, so that no tuple with a socket is ever missing in the one that is read:
 *
 *	1. The spare filter is cleared; from then on the hook notes new connections in both (SHAKEOFF_FILTER_BUILDING).
 *	2. After a pause, and when the rings have been empty since, so that every connection that was noted before step 1 has
 *	   got its socket, the tuples of all sockets are noted in the spare one.
 *	3. The spare one becomes the active one.
 */
#include <string.h>

#include <netinet/tcp.h>

#include <common/sock_diag.h>
#include <shakeoff/filter.h>
#include <shakeoffd/clock.h>
#include <shakeoffd/socket_filter.h>

#define BUILD_PERIOD_NS (20 * NS_PER_S)
#define BUILD_PAUSE_NS NS_PER_S

/* Every state but LISTEN, NEW-SYN-RECV (12, linux: include/net/tcp_states.h) included. */
#define ALL_BUT_LISTEN (0xffffffffu & ~(1u << TCP_LISTEN))

void socket_filter_open(struct socket_filter *filter, struct datapath **datapaths, size_t datapath_count)
{
	*filter = (struct socket_filter){ .datapaths = datapaths, .datapath_count = datapath_count };
}

void socket_filter_restart(struct socket_filter *filter)
{
	for (size_t i = 0; i < filter->datapath_count; i++)
		__atomic_and_fetch(&datapath_control(filter->datapaths[i])->flags, ~SHAKEOFF_FILTER_READY,
				   __ATOMIC_SEQ_CST);
	filter->building = false;
	filter->since_ns = 0;
}

static uint8_t *spare(const struct socket_filter *filter, size_t i)
{
	const struct shakeoff_control *control = datapath_control(filter->datapaths[i]);

	return datapath_filter(filter->datapaths[i], control->filter_active ^ 1);
}

static int note(void *context, const struct sock_diag_entry *entry)
{
	const struct socket_filter *filter = context;
	uint32_t slot = shakeoff_filter_tuple_slot(&entry->tuple);

	for (size_t i = 0; i < filter->datapath_count; i++)
		__atomic_fetch_or(&spare(filter, i)[slot], SHAKEOFF_FILTER_SOCKET, __ATOMIC_RELAXED);
	return 0;
}

static void begin(struct socket_filter *filter)
{
	for (size_t i = 0; i < filter->datapath_count; i++) {
		struct shakeoff_control *control = datapath_control(filter->datapaths[i]);

		/* A daemon that was killed may have left it set. */
		__atomic_and_fetch(&control->flags, ~SHAKEOFF_FILTER_BUILDING, __ATOMIC_SEQ_CST);
		memset(spare(filter, i), 0, SHAKEOFF_FILTER_BYTES);
		__atomic_or_fetch(&control->flags, SHAKEOFF_FILTER_BUILDING, __ATOMIC_SEQ_CST);
	}
	filter->building = true;
	filter->since_ns = clock_ns(); /* after the flag: a ring that is empty from now on holds nothing from before */
}

static int finish(struct socket_filter *filter, uint64_t now_ns)
{
	int error = sock_diag_each(ALL_BUT_LISTEN, note, filter);

	if (error)
		return error;
	for (size_t i = 0; i < filter->datapath_count; i++) {
		struct shakeoff_control *control = datapath_control(filter->datapaths[i]);

		__atomic_store_n(&control->filter_active, control->filter_active ^ 1, __ATOMIC_SEQ_CST);
		__atomic_or_fetch(&control->flags, SHAKEOFF_FILTER_READY, __ATOMIC_SEQ_CST);
		__atomic_and_fetch(&control->flags, ~SHAKEOFF_FILTER_BUILDING, __ATOMIC_SEQ_CST);
	}
	filter->building = false;
	filter->since_ns = now_ns;
	return 0;
}

int socket_filter_tick(struct socket_filter *filter, uint64_t now_ns, uint64_t drained_ns)
{
	if (filter->building && (now_ns - filter->since_ns < BUILD_PAUSE_NS || drained_ns < filter->since_ns))
		return 0;
	if (filter->building)
		return finish(filter, now_ns);
	if (!filter->since_ns || now_ns - filter->since_ns >= BUILD_PERIOD_NS)
		begin(filter);
	return 0;
}

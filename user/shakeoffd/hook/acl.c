/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "acl/store.h"
#include "acl/lock.h"
#include "common/log.h"
#include "common/clock.h"
#include "shakeoffd/hook/acl.h"

/*
 * Going through a list of a million entries takes about 2 s, so it is done only when an entry has expired, and in small
 * steps.
 */
#define SWEEP_PERIOD_NS NS_PER_S
#define STEP_NS (3 * NS_PER_MS)

/* How long the start and the end wait for the lock. After that the daemon goes on without the lists. */
#define PATIENCE_MS 10000

struct acl_keeper_datapath {
	struct datapath_sweep *sweep; /* NULL: no sweep is under way */
	uint64_t swept_ns;            /* when the last one began; 0: there has been none */
	bool unswept;                 /* it was broken off */
};

/* -------------------------------------------------------------------------------------------- from daemon to daemon */

static void report(const char *what, int error)
{
	const char *detail = datapath_detail();

	log_warn("%s: %s%s%s", what, error == -EWOULDBLOCK ? "a command keeps the lists locked" : strerror(-error),
		 *detail ? ": " : "", detail);
}

/*
 * Restores the lists of the first datapath only: commands change all datapaths alike, and a daemon that has loaded the
 * program has only one.
 */
static void restore(struct datapath *datapath)
{
	cleanup_fd int lock = -1;
	int result = acl_lock(PATIENCE_MS, &lock);

	if (!result)
		result = datapath_acl_restore(datapath);
	if (result < 0)
		report("the lists of sources of the last daemon could not be restored", result);
	else if (result)
		log_info("the lists of sources that the last daemon left hold again");
}

static bool is_attached(const struct datapath *datapath)
{
	cleanup_free struct datapath_attachment *list = NULL;
	size_t count = 0;

	if (datapath_list(&list, &count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (list[i].ours && list[i].control_id == datapath_control_id(datapath))
			return true;
	return false;
}

void acl_keeper_keep(const struct acl_keeper *acl_keeper)
{
	cleanup_fd int lock = -1;
	int result = 0;

	for (size_t i = 0; i < acl_keeper->count; i++) {
		struct datapath *datapath = acl_keeper->datapaths[i];

		if (!datapath_acl_in_use(datapath) || is_attached(datapath))
			continue;
		result = acl_lock(PATIENCE_MS, &lock);
		if (!result)
			result = datapath_acl_keep(datapath);
		if (result)
			report("the lists of sources are lost: they could not be kept for the next daemon", result);
		return;
	}
}

int acl_keeper_open(struct acl_keeper *acl_keeper, struct datapath *const *datapaths, size_t count)
{
	*acl_keeper = (struct acl_keeper){ .datapaths = datapaths,
					   .count = count,
					   .states = calloc(count, sizeof(*acl_keeper->states)) };
	if (!acl_keeper->states)
		return -ENOMEM;
	restore(datapaths[0]);
	return 0;
}

void acl_keeper_close(struct acl_keeper *acl_keeper)
{
	for (size_t i = 0; i < acl_keeper->count && acl_keeper->states; i++)
		if (acl_keeper->states[i].sweep)
			datapath_acl_sweep_end(acl_keeper->states[i].sweep);
	free(acl_keeper->states);
	*acl_keeper = (struct acl_keeper){ 0 };
}

/* --------------------------------------------------------------------------------------------------------- sweeping */

/*
 * Returns whether a sweep is due. A sweep that was broken off has left no time of expiry, so another one is due
 * whatever the time says. A daemon that died may have broken one off, so the first sweep is always due.
 */
static bool is_due(const struct acl_keeper_datapath *state, struct datapath *datapath, uint64_t now_ns)
{
	uint64_t expiry = datapath_acl_expiry(datapath);

	if (!datapath_acl_in_use(datapath))
		return false;
	if (!state->swept_ns)
		return true;
	return now_ns - state->swept_ns >= SWEEP_PERIOD_NS && (state->unswept || (expiry && now_ns >= expiry));
}

static int begin(struct acl_keeper_datapath *state, struct datapath *datapath, uint64_t now_ns)
{
	state->swept_ns = now_ns;
	return datapath_acl_sweep_begin(datapath, &state->sweep);
}

/* Takes one step of a sweep, under the lock. */
static int step(struct acl_keeper_datapath *state, struct datapath *datapath, uint64_t now_ns)
{
	int result = 0;

	if (!state->sweep)
		result = begin(state, datapath, now_ns);
	if (!result)
		result = datapath_acl_sweep(state->sweep, now_ns, STEP_NS);
	if (result > 0)
		return 0;
	if (state->sweep)
		datapath_acl_sweep_end(state->sweep);
	state->sweep = NULL;
	state->unswept = result != 0;
	return result;
}

int acl_keeper_tick(struct acl_keeper *acl_keeper, uint64_t now_ns)
{
	cleanup_fd int lock = -1;
	int result = 0;

	for (size_t i = 0; i < acl_keeper->count && !result; i++) {
		struct acl_keeper_datapath *state = &acl_keeper->states[i];

		if (!state->sweep && !is_due(state, acl_keeper->datapaths[i], now_ns))
			continue;
		if (lock < 0)
			result = acl_lock(0, &lock);
		if (!result)
			result = step(state, acl_keeper->datapaths[i], now_ns);
	}
	return result == -EWOULDBLOCK ? 0 : result;
}

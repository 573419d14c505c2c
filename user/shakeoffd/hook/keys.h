/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Cookie keys: four slots, one per epoch, filled in advance. In epoch e they hold the keys of
 *
 *	e - 1  cookies that are still valid
 *	e      cookies for new SYNs
 *	e + 1  in a fleet, cookies of hosts whose clocks are ahead; otherwise for the future
 *	e + 2  for the future: for two epochs (128 to 192 s) no key is missing if the daemon dies
 *
 * Epochs are numbered by the wall clock. Without a key file keys are random. With a key file they are derived from its
 * master secret and the number of their epoch, so that every host of a fleet has the same keys. The epochs then follow
 * the wall clock when it is set, or when the host was suspended (which the hook's clock, CLOCK_MONOTONIC, does not
 * notice):
 *
 *	by less than an epoch    nothing is lost: the epoch is the same, or one of its neighbours
 *	forward by more          handshakes under way are lost, as none of their cookies is valid in the new epochs
 *	back by more             epochs go back by at most one from the newest so far, as old cookies would be valid
 *	                         again; they go on with the time that passes, until the clock has caught up
 *
 * A new master, or a requested rotation, begins with an epoch that has no cookies yet: nothing is lost.
 *
 * If no new keys come because the daemon is dead, the hook goes on with the slots as they are. Each epoch then has the
 * key of the epoch four before it. No old cookie becomes valid again, because the epoch is part of every cookie. A host
 * of a fleet then validates its own cookies, but no longer those of other hosts.
 */
#ifndef SHAKEOFFD_HOOK_KEYS_H
#define SHAKEOFFD_HOOK_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "shakeoffd/hook/key_file.h"

struct keys {
	struct datapath *const *datapaths;
	size_t count;
	struct master *master; /* NULL: keys are random */
	struct key_file file;
	uint64_t looked_ns; /* when the file was last checked */
};

/* The same time by both clocks. */
struct keys_time {
	uint64_t monotonic_ns; /* the hook's */
	uint64_t wall_ns;
};
struct keys_time keys_now(void);

/*
 * Fills the slots of datapaths that have no keys yet. An adopted datapath keeps its keys, so that cookies of its
 * clients stay valid. key_file: NULL for random keys. On failure `error` is one sentence.
 */
int keys_open(struct keys *keys, struct datapath *const *datapaths, size_t count, const char *key_file,
	      const struct keys_time *now, char *error, size_t error_size);
void keys_close(struct keys *keys);

/* Wipes the keys of a program that is no longer attached. Without keys the hook answers nothing. */
int keys_forget(struct datapath *datapath);

/*
 * Makes new keys: for the coming epochs, for other epochs after the wall clock was set, for `shakeoff key rotate`, and
 * for a changed key file. Call it several times a second. 0 or a negative errno: then the next call tries again.
 */
int keys_tick(struct keys *keys, const struct keys_time *now);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Cookie keys: four slots, one an epoch, filled before their turn comes. In epoch e they hold the keys of
 *
 *	e - 1  cookies that are still good
 *	e      what SYNs are answered with
 *	e + 1  in a fleet, cookies of hosts whose clocks are ahead; to come for the others
 *	e + 2  to come: for two epochs (128 to 192 s) nothing is missing if the daemon dies
 *
 * Epochs are numbered by the wall clock. Without a key file keys are random. With one they are derived from its master
 * secret and the number of their epoch, so that every host of a fleet has the same ones; the epochs then follow the wall clock
 * when it is set, or when the host was suspended (which CLOCK_MONOTONIC, the hook's clock, does not notice):
 *
 *	by less than an epoch       nothing is lost: the epoch is the same, or one of its neighbours
 *	forward by more             handshakes of that moment are lost, as none of their cookies is good in the new epochs
 *	back by more                epochs do not go back by more than one from the newest that there has been, as old cookies would
 *	                            be good again: they go on by the time that passes, until the clock has caught up
 *
 * A master that changes, or a rotation that is asked for, begins with an epoch that no cookie is out for: nothing is lost.
 *
 * What the hook does when no new keys come (the daemon is dead): it goes on with the slots as they are. Each epoch then has the
 * key of the one four before it; as the epoch itself is part of every cookie, no old one becomes good again. A host of a fleet
 * then validates its own cookies, but the others' no longer.
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
	uint64_t looked_ns; /* when the file was last looked at */
};

/* A moment by both clocks. */
struct keys_time {
	uint64_t monotonic_ns; /* the hook's */
	uint64_t wall_ns;
};
struct keys_time keys_now(void);

/*
 * Fills the slots of datapaths that have none yet; an adopted one keeps the keys that cookies are out under, and with them its
 * clients. key_file: NULL for random keys. On failure `error` is one sentence.
 */
int keys_open(struct keys *keys, struct datapath *const *datapaths, size_t count, const char *key_file,
	      const struct keys_time *now, char *error, size_t error_size);
void keys_close(struct keys *keys);

/* Wipes the keys of a program that is attached nowhere any more. Without keys the hook answers nothing. */
int keys_forget(struct datapath *datapath);

/*
 * To be called several times a second: new keys for the epochs to come, or for others after the wall clock was set; what
 * `shakeoff key rotate` asks for; a key file that has changed. 0 or a negative errno: then the next call tries again.
 */
int keys_tick(struct keys *keys, const struct keys_time *now);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/log.h"
#include "common/clock.h"
#include "shakeoffd/hook/keys.h"

/* The two clocks are not read at the same instant: a smaller difference counts as none. */
#define CLOCK_SLACK_NS NS_PER_S
/* The key of an epoch that begins this soon is not changed any more. */
#define TURN_MARGIN_NS NS_PER_S
#define LOOK_PERIOD_NS NS_PER_S

struct keys_time keys_now(void)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct keys_time){
		.monotonic_ns = clock_ns(),
		.wall_ns = (uint64_t)wall.tv_sec * NS_PER_S + (uint64_t)wall.tv_nsec,
	};
}

static bool is_loaded(const struct shakeoff_control *control)
{
	return __atomic_load_n(&control->flags, __ATOMIC_RELAXED) & SHAKEOFF_KEYS_LOADED;
}

/* ------------------------------------------------------------------------------------------------------------ slots */

static int random_words(__u64 words[2])
{
	const size_t size = 2 * sizeof(words[0]);

	do {
		if (getrandom(words, size, 0) != (ssize_t)size)
			return -errno;
	} while (!words[0] && !words[1]);
	return 0;
}

/* Makes a random key. The offset of timestamps stays the same when cookie keys or the daemon change. */
static int random_key(struct shakeoff_control *control, struct shakeoff_epoch_key *key)
{
	__u64 words[2];
	int error = random_words(words);

	if (!error && !control->tsval_secret[0] && !control->tsval_secret[1])
		error = random_words(key->offset);
	if (error)
		return error;
	if (!control->tsval_secret[0] && !control->tsval_secret[1])
		memcpy(control->tsval_secret, key->offset, sizeof(key->offset));
	memcpy(key->offset, control->tsval_secret, sizeof(key->offset));
	key->cookie = (struct shakeoff_key){ words[0], words[1] };
	explicit_bzero(words, sizeof(words));
	return 0;
}

static uint64_t fingerprint_of(const struct keys *keys)
{
	return keys->master ? master_fingerprint(keys->master) : 0;
}

static int fill_key_slot(const struct keys *keys, struct datapath *datapath, uint32_t epoch)
{
	struct shakeoff_control *control = datapath_control(datapath);
	struct shakeoff_key_state *state = &control->keys;
	uint32_t slot = epoch % SHAKEOFF_KEY_SLOTS;
	struct shakeoff_epoch_key key;
	int error = 0;

	if (keys->master) {
		master_derive(keys->master, epoch, &key.cookie);
		master_derive_offset(keys->master, key.offset);
	} else {
		error = random_key(control, &key);
	}
	if (!error)
		error = datapath_key_set(datapath, slot, &key);
	explicit_bzero(&key, sizeof(key));
	if (error)
		return error;
	__atomic_store_n(&state->fingerprint[slot], fingerprint_of(keys), __ATOMIC_RELAXED);
	__atomic_store_n(&state->epoch[slot], epoch, __ATOMIC_RELAXED);
	return 0;
}

/* The present epoch, and the first epoch for which no cookie exists yet, so that its keys may be changed. */
struct epochs {
	uint64_t offset_ns;
	uint32_t now, unused;
};

static struct epochs epochs_at(uint64_t monotonic_ns, uint64_t offset_ns)
{
	uint64_t time_ns = monotonic_ns + offset_ns;

	return (struct epochs){
		.offset_ns = offset_ns,
		.now = (uint32_t)(time_ns / SHAKEOFF_EPOCH_NS),
		.unused = (uint32_t)((time_ns + TURN_MARGIN_NS) / SHAKEOFF_EPOCH_NS) + 1,
	};
}

/* Returns whether the last keys were a fleet's, whose cookies become valid again when their epochs return. */
static bool is_shared(const struct shakeoff_control *control)
{
	return is_loaded(control) && __atomic_load_n(&control->flags, __ATOMIC_RELAXED) & SHAKEOFF_ACCEPT_NEXT_EPOCH;
}

/*
 * Returns whether following the wall clock would go back too far: cookies whose lifetime is over would be valid again.
 * The present and the previous epoch are always valid, so one epoch back is allowed, which is more than a well-kept
 * clock needs.
 */
static bool is_too_old(const struct shakeoff_control *control, uint32_t epoch)
{
	return is_shared(control) &&
	       (int32_t)(epoch + 1 - __atomic_load_n(&control->keys.newest, __ATOMIC_RELAXED)) < 0;
}

/*
 * Returns the epochs. Random keys need the wall clock only for the first number. Shared keys follow it, or go on
 * counting if it goes back too far.
 */
static struct epochs epochs_of(const struct keys *keys, const struct shakeoff_control *control,
			       const struct keys_time *now)
{
	uint64_t present = __atomic_load_n(&control->epoch_offset_ns, __ATOMIC_RELAXED);
	uint64_t wall = now->wall_ns - now->monotonic_ns;
	struct epochs followed = epochs_at(now->monotonic_ns, wall);
	int64_t moved = (int64_t)(wall - present);

	if (!is_loaded(control))
		return followed;
	if (!keys->master || (moved < (int64_t)CLOCK_SLACK_NS && moved > -(int64_t)CLOCK_SLACK_NS))
		return epochs_at(now->monotonic_ns, present);
	if (!is_too_old(control, followed.now))
		return followed;
	log_warn_limited(
		"the wall clock was set back and is %" PRId64
		" s behind the epochs of the cookies: they go on with the time that passes, "
		"because old cookies would be valid again. Hosts of the fleet with other clocks do not know these "
		"epochs: if the clock was wrong before, restart shakeoffd with `shakeoff detach` in between",
		-moved / (int64_t)NS_PER_S);
	return epochs_at(now->monotonic_ns, present);
}

/* Notes the newest epoch. It only goes forward, except for the first of a fleet's keys. */
static void note_newest(struct shakeoff_control *control, uint32_t epoch)
{
	if (!is_shared(control) || (int32_t)(epoch - control->keys.newest) > 0)
		__atomic_store_n(&control->keys.newest, epoch, __ATOMIC_RELAXED);
}

static bool is_unused(const struct epochs *epochs, uint32_t epoch)
{
	return (int32_t)(epoch - epochs->unused) >= 0;
}

/*
 * Returns whether a key is missing. The key of an epoch that has begun has cookies, so it is kept. If it was made for
 * another epoch it is random, and as good as any other; but no other host of a fleet has it.
 */
static bool lacks_key(const struct keys *keys, const struct shakeoff_key_state *state, const struct epochs *epochs,
		      uint32_t epoch)
{
	uint32_t slot = epoch % SHAKEOFF_KEY_SLOTS;
	bool made = state->epoch[slot] == epoch;

	if (is_unused(epochs, epoch))
		return !made || state->fingerprint[slot] != fingerprint_of(keys);
	return keys->master && !made;
}

static void report_clock(const struct keys_time *now, const struct shakeoff_control *control,
			 const struct epochs *epochs)
{
	uint32_t before = epochs_at(now->monotonic_ns, control->epoch_offset_ns).now;
	int64_t moved_s = (int64_t)(epochs->offset_ns - control->epoch_offset_ns) / (int64_t)NS_PER_S;
	int32_t apart = (int32_t)(epochs->now - before);

	log_info("the wall clock was set, or the host suspended (%+" PRId64
		 " s): the epochs of the cookies follow it%s",
		 moved_s, apart < -1 || apart > 1 ? "; handshakes under way are lost" : "");
}

/*
 * Fills the key slots. Keys are written before the values that make the hook use them. After a small step of the clock,
 * the only slot that is written belongs to an epoch that is valid neither before nor after the step.
 */
static int fill(const struct keys *keys, struct datapath *datapath, const struct keys_time *now)
{
	struct shakeoff_control *control = datapath_control(datapath);
	const struct epochs epochs = epochs_of(keys, control, now);
	bool fresh = !is_loaded(control);
	int error = 0;

	for (uint32_t epoch = epochs.now - 1; epoch != epochs.now + 3 && !error; epoch++)
		if (fresh || lacks_key(keys, &control->keys, &epochs, epoch))
			error = fill_key_slot(keys, datapath, epoch);
	if (error)
		return error;
	if (!fresh && epochs.offset_ns != control->epoch_offset_ns)
		report_clock(now, control, &epochs);
	note_newest(control, epochs.now);
	__atomic_store_n(&control->epoch_offset_ns, epochs.offset_ns, __ATOMIC_RELEASE);
	__atomic_fetch_or(&control->flags, SHAKEOFF_KEYS_LOADED, __ATOMIC_RELEASE);
	return 0;
}

/* Carries out `shakeoff key rotate`. With a master there is nothing new; the command has reported that. */
static int grant_rotation(const struct keys *keys, struct datapath *datapath, const struct keys_time *now)
{
	struct shakeoff_control *control = datapath_control(datapath);
	uint32_t asked = __atomic_load_n(&control->keys.rotations_asked, __ATOMIC_ACQUIRE);
	struct epochs epochs = epochs_of(keys, control, now);
	int error = 0;

	if (asked == control->keys.rotations_made || keys->master)
		return 0;
	for (uint32_t epoch = epochs.unused; epoch != epochs.now + 3 && !error; epoch++)
		error = fill_key_slot(keys, datapath, epoch);
	if (error)
		return error;
	__atomic_store_n(&control->keys.rotated_from, epochs.unused, __ATOMIC_RELAXED);
	__atomic_store_n(&control->keys.rotations_made, asked, __ATOMIC_RELEASE);
	log_info("new random keys from epoch %u on, as asked", epochs.unused);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------- file */

static void take_master(struct keys *keys, struct master *fresh)
{
	if (master_fingerprint(fresh) == master_fingerprint(keys->master)) {
		log_info("key file %s: read again, the same key", keys->file.path);
	} else {
		log_info("key file %s: a new key, %016" PRIx64 ", for the epochs that have not begun", keys->file.path,
			 master_fingerprint(fresh));
	}
	master_close(keys->master);
	keys->master = fresh;
}

static void follow_file(struct keys *keys, uint64_t now_ns)
{
	struct master *fresh;
	char sentence[512];

	if (!keys->master || now_ns - keys->looked_ns < LOOK_PERIOD_NS)
		return;
	keys->looked_ns = now_ns;
	if (!key_file_changed(&keys->file))
		return;
	if (key_file_read(&keys->file, &fresh, sentence, sizeof(sentence)))
		log_warn_limited("%s; the key that was read before stays in use", sentence);
	else
		take_master(keys, fresh);
}

/* -------------------------------------------------------------------------------------------------------- all of it */

/* Reports a datapath whose last daemon had keys of the other kind. */
static void report_shared(const struct keys *keys, struct shakeoff_control *control)
{
	if (keys->master)
		__atomic_fetch_or(&control->flags, SHAKEOFF_ACCEPT_NEXT_EPOCH, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&control->flags, ~SHAKEOFF_ACCEPT_NEXT_EPOCH, __ATOMIC_RELEASE);
}

int keys_open(struct keys *result, struct datapath *const *datapaths, size_t count, const char *key_file,
	      const struct keys_time *now, char *text, size_t size)
{
	struct keys keys = { .datapaths = datapaths, .count = count, .file.path = key_file };
	int error = key_file ? key_file_read(&keys.file, &keys.master, text, size) : 0;

	if (error)
		return error;
	if (keys.master)
		log_info("key file %s: key %016" PRIx64, key_file, master_fingerprint(keys.master));
	for (size_t i = 0; i < count && !error; i++) {
		error = fill(&keys, datapaths[i], now);
		if (!error)
			report_shared(&keys, datapath_control(datapaths[i]));
	}
	if (error) {
		snprintf(text, size, "the cookie keys could not be made: %s", strerror(-error));
		keys_close(&keys);
		return error;
	}
	*result = keys;
	return 0;
}

void keys_close(struct keys *keys)
{
	master_close(keys->master);
	keys->master = NULL;
}

int keys_forget(struct datapath *datapath)
{
	static const struct shakeoff_epoch_key none;
	struct shakeoff_control *control = datapath_control(datapath);
	int error = 0;

	__atomic_fetch_and(&control->flags, ~SHAKEOFF_KEYS_LOADED, __ATOMIC_SEQ_CST);
	for (uint32_t slot = 0; slot < SHAKEOFF_KEY_SLOTS && !error; slot++)
		error = datapath_key_set(datapath, slot, &none);
	explicit_bzero(control->tsval_secret, sizeof(control->tsval_secret));
	memset(control->keys.fingerprint, 0, sizeof(control->keys.fingerprint));
	memset(control->keys.epoch, 0, sizeof(control->keys.epoch));
	return error;
}

int keys_tick(struct keys *keys, const struct keys_time *now)
{
	int error = 0;

	follow_file(keys, now->monotonic_ns);
	for (size_t i = 0; i < keys->count && !error; i++) {
		error = fill(keys, keys->datapaths[i], now);
		if (!error)
			error = grant_rotation(keys, keys->datapaths[i], now);
	}
	return error;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which slot holds the key of which epoch, and when it is exchanged. The datapath is made up here; clocks are numbers.
 *
 * link: user/shakeoffd/hook/keys.c user/shakeoffd/hook/key_file.c user/shakeoffd/hook/master.c user/common/log.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "shakeoffd/hook/keys.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define OTHER "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define S 1000000000ull
#define EPOCH 28000000u

struct datapath {
	struct shakeoff_control control;
	struct shakeoff_epoch_key keys[SHAKEOFF_KEY_SLOTS];
	int error;
	int writes;
};

struct shakeoff_control *datapath_control(struct datapath *datapath)
{
	return &datapath->control;
}

int datapath_key_set(struct datapath *datapath, uint32_t slot, const struct shakeoff_epoch_key *key)
{
	if (datapath->error)
		return datapath->error;
	datapath->keys[slot] = *key;
	datapath->writes++;
	return 0;
}

static struct datapath path;
static struct datapath *const paths[] = { &path };
static struct keys keys;
static struct keys_time now;
static char file[64];
static char sentence[256];

static void put(const char *content)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
}

/* The host has been up for a thousand seconds, and EPOCH began 10 s ago. */
static int set_up(void **state)
{
	int fd;

	(void)state;
	path = (struct datapath){ 0 };
	keys = (struct keys){ 0 };
	now = (struct keys_time){ .monotonic_ns = 1000 * S, .wall_ns = EPOCH * SHAKEOFF_EPOCH_NS + 10 * S };
	strcpy(file, "/tmp/shakeoff-keys.XXXXXX");
	fd = mkstemp(file);
	if (fd < 0)
		return -1;
	close(fd);
	put(KEY);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	keys_close(&keys);
	return unlink(file);
}

static void start(const char *key_file)
{
	keys_close(&keys);
	assert_int_equal(keys_open(&keys, paths, 1, key_file, &now, sentence, sizeof(sentence)), 0);
	path.writes = 0;
}

static void pass(uint64_t seconds)
{
	now.monotonic_ns += seconds * S;
	now.wall_ns += seconds * S;
}

static void tick(void)
{
	assert_int_equal(keys_tick(&keys, &now), 0);
}

/* The epoch as the hook computes it. */
static uint32_t epoch_now(void)
{
	return (uint32_t)((now.monotonic_ns + path.control.epoch_offset_ns) / SHAKEOFF_EPOCH_NS);
}

static struct shakeoff_key key_of(uint32_t epoch)
{
	return path.keys[epoch % SHAKEOFF_KEY_SLOTS].cookie;
}

static bool same_offset(uint32_t epoch, const __u64 offset[2])
{
	return !memcmp(path.keys[epoch % SHAKEOFF_KEY_SLOTS].offset, offset, sizeof(path.keys[0].offset));
}

static bool is_same(struct shakeoff_key a, struct shakeoff_key b)
{
	return a.k0 == b.k0 && a.k1 == b.k1;
}

static bool is_derived(uint32_t epoch)
{
	struct shakeoff_key key;
	__u64 offset[2];

	master_derive(keys.master, epoch, &key);
	master_derive_offset(keys.master, offset);
	return is_same(key, key_of(epoch)) && same_offset(epoch, offset);
}

/* Asserts that the slots around the present epoch have the keys of a host of the fleet. */
static void all_are_derived(void)
{
	for (uint32_t epoch = epoch_now() - 1; epoch != epoch_now() + 3; epoch++) {
		assert_true(is_derived(epoch));
		assert_int_equal(path.control.keys.epoch[epoch % SHAKEOFF_KEY_SLOTS], epoch);
		assert_int_equal(path.control.keys.fingerprint[epoch % SHAKEOFF_KEY_SLOTS],
				 master_fingerprint(keys.master));
	}
}

/* ----------------------------------------------------------------------------------------------------------- random */

static void a_fresh_datapath_gets_four_random_keys_and_the_wall_clocks_epochs(void **state)
{
	(void)state;
	start(NULL);
	assert_true(path.control.flags & SHAKEOFF_KEYS_LOADED);
	assert_false(path.control.flags & SHAKEOFF_ACCEPT_NEXT_EPOCH);
	assert_int_equal(epoch_now(), EPOCH);
	for (uint32_t i = 0; i < SHAKEOFF_KEY_SLOTS; i++) {
		assert_true(key_of(i).k0 || key_of(i).k1);
		assert_false(is_same(key_of(i), key_of(i + 1)));
		assert_int_equal(path.control.keys.fingerprint[i], 0);
	}
}

static void an_epoch_brings_one_new_key_two_epochs_ahead(void **state)
{
	struct shakeoff_epoch_key before[SHAKEOFF_KEY_SLOTS];

	(void)state;
	start(NULL);
	tick();
	assert_int_equal(path.writes, 0);
	memcpy(before, path.keys, sizeof(before));
	pass(64);
	tick();
	tick();
	assert_int_equal(path.writes, 1);
	for (uint32_t epoch = EPOCH; epoch != EPOCH + 3; epoch++)
		assert_true(is_same(key_of(epoch), before[epoch % SHAKEOFF_KEY_SLOTS].cookie));
	assert_false(is_same(key_of(EPOCH + 3), before[(EPOCH + 3) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_int_equal(path.control.keys.epoch[(EPOCH + 3) % SHAKEOFF_KEY_SLOTS], EPOCH + 3);
}

static void a_restarted_daemon_keeps_the_keys(void **state)
{
	struct shakeoff_epoch_key before[SHAKEOFF_KEY_SLOTS];

	(void)state;
	start(NULL);
	memcpy(before, path.keys, sizeof(before));
	start(NULL);
	tick();
	assert_memory_equal(path.keys, before, sizeof(before));
}

static void after_a_long_absence_a_daemon_keeps_the_keys_of_issued_cookies(void **state)
{
	struct shakeoff_epoch_key before[SHAKEOFF_KEY_SLOTS];

	(void)state;
	start(NULL);
	memcpy(before, path.keys, sizeof(before));
	pass(64 * 10);
	start(NULL);
	assert_true(is_same(key_of(EPOCH + 9), before[(EPOCH + 9) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_true(is_same(key_of(EPOCH + 10), before[(EPOCH + 10) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_false(is_same(key_of(EPOCH + 11), before[(EPOCH + 11) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_false(is_same(key_of(EPOCH + 12), before[(EPOCH + 12) % SHAKEOFF_KEY_SLOTS].cookie));
}

static void random_keys_do_not_depend_on_the_wall_clock(void **state)
{
	(void)state;
	start(NULL);
	now.wall_ns += 1000000 * S;
	tick();
	assert_int_equal(path.writes, 0);
	assert_int_equal(epoch_now(), EPOCH);
}

static void a_failure_is_reported_and_repaired_by_the_next_call(void **state)
{
	(void)state;
	path.error = -ENOMEM;
	assert_int_equal(keys_open(&keys, paths, 1, NULL, &now, sentence, sizeof(sentence)), -ENOMEM);
	assert_non_null(strstr(sentence, "Cannot allocate memory"));
	assert_false(path.control.flags & SHAKEOFF_KEYS_LOADED);
	path.error = 0;
	start(NULL);
	pass(64);
	path.error = -ENOMEM;
	assert_int_equal(keys_tick(&keys, &now), -ENOMEM);
	path.error = 0;
	tick();
	assert_int_equal(path.control.keys.epoch[(EPOCH + 3) % SHAKEOFF_KEY_SLOTS], EPOCH + 3);
}

/* Timestamps never go back, whatever happens to the keys and to the daemon. */
static void random_keys_have_one_offset_of_timestamps(void **state)
{
	__u64 offset[2];

	(void)state;
	start(NULL);
	memcpy(offset, path.keys[0].offset, sizeof(offset));
	assert_true(offset[0] || offset[1]);
	assert_memory_equal(path.control.tsval_secret, offset, sizeof(offset));
	for (int i = 0; i < 10; i++) {
		for (uint32_t slot = 0; slot < SHAKEOFF_KEY_SLOTS; slot++) {
			assert_true(same_offset(slot, offset));
			assert_false(key_of(slot).k0 == offset[0] || key_of(slot).k1 == offset[1]);
		}
		if (i % 3 == 0)
			start(NULL);
		if (i % 3 == 1)
			path.control.keys.rotations_asked++;
		pass(64);
		tick();
	}
}

static void two_datapaths_of_random_keys_have_two_offsets(void **state)
{
	struct shakeoff_epoch_key before;

	(void)state;
	start(NULL);
	before = path.keys[0];
	path = (struct datapath){ 0 };
	start(NULL);
	assert_false(same_offset(0, before.offset));
}

/* --------------------------------------------------------------------------------------------------------- rotation */

static void a_rotation_exchanges_the_keys_of_epochs_to_come(void **state)
{
	struct shakeoff_epoch_key before[SHAKEOFF_KEY_SLOTS];

	(void)state;
	start(NULL);
	memcpy(before, path.keys, sizeof(before));
	path.control.keys.rotations_asked++;
	tick();
	tick();
	assert_int_equal(path.writes, 2);
	assert_true(is_same(key_of(EPOCH - 1), before[(EPOCH - 1) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_true(is_same(key_of(EPOCH), before[EPOCH % SHAKEOFF_KEY_SLOTS].cookie));
	assert_false(is_same(key_of(EPOCH + 1), before[(EPOCH + 1) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_false(is_same(key_of(EPOCH + 2), before[(EPOCH + 2) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_int_equal(path.control.keys.rotations_made, 1);
	assert_int_equal(path.control.keys.rotated_from, EPOCH + 1);
}

static void an_epoch_that_begins_at_once_is_not_touched(void **state)
{
	struct shakeoff_epoch_key before[SHAKEOFF_KEY_SLOTS];

	(void)state;
	pass(53);
	now.monotonic_ns += S / 2;
	now.wall_ns += S / 2;
	start(NULL);
	memcpy(before, path.keys, sizeof(before));
	path.control.keys.rotations_asked++;
	tick();
	assert_int_equal(epoch_now(), EPOCH);
	assert_true(is_same(key_of(EPOCH + 1), before[(EPOCH + 1) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_false(is_same(key_of(EPOCH + 2), before[(EPOCH + 2) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_int_equal(path.control.keys.rotated_from, EPOCH + 2);
}

static void a_rotation_that_fails_is_not_granted(void **state)
{
	(void)state;
	start(NULL);
	path.control.keys.rotations_asked++;
	path.error = -ENOMEM;
	assert_int_equal(keys_tick(&keys, &now), -ENOMEM);
	assert_int_equal(path.control.keys.rotations_made, 0);
	path.error = 0;
	tick();
	assert_int_equal(path.control.keys.rotations_made, 1);
}

static void keys_of_a_file_are_not_rotated(void **state)
{
	(void)state;
	start(file);
	path.control.keys.rotations_asked++;
	tick();
	assert_int_equal(path.writes, 0);
	assert_int_equal(path.control.keys.rotations_made, 0);
	all_are_derived();
}

/* ------------------------------------------------------------------------------------------------------- a key file */

static void keys_of_a_file_are_those_of_the_wall_clocks_epochs(void **state)
{
	(void)state;
	start(file);
	assert_true(path.control.flags & SHAKEOFF_ACCEPT_NEXT_EPOCH);
	assert_int_equal(epoch_now(), EPOCH);
	all_are_derived();
	for (int i = 0; i < 10; i++) {
		pass(64);
		tick();
		assert_int_equal(path.writes, i + 1);
		all_are_derived();
	}
}

static void hosts_with_other_monotonic_clocks_have_the_same_keys(void **state)
{
	struct shakeoff_epoch_key here[SHAKEOFF_KEY_SLOTS];

	(void)state;
	start(file);
	memcpy(here, path.keys, sizeof(here));
	path = (struct datapath){ 0 };
	now.monotonic_ns = 77 * 86400 * S;
	start(file);
	assert_int_equal(epoch_now(), EPOCH);
	assert_memory_equal(path.keys, here, sizeof(here));
}

static void a_missing_file_makes_the_start_fail(void **state)
{
	(void)state;
	assert_int_equal(keys_open(&keys, paths, 1, "/nonexistent/key", &now, sentence, sizeof(sentence)), -ENOENT);
	assert_non_null(strstr(sentence, "/nonexistent/key: cannot be opened"));
	assert_false(path.control.flags & SHAKEOFF_KEYS_LOADED);
}

static void a_small_step_of_the_clock_keeps_the_keys_of_both_epochs(void **state)
{
	(void)state;
	start(file);
	now.wall_ns += 60 * S; /* an epoch ahead */
	tick();
	assert_int_equal(epoch_now(), EPOCH + 1);
	assert_int_equal(path.writes, 1);
	all_are_derived();
	now.wall_ns -= 60 * S; /* and back */
	tick();
	assert_int_equal(epoch_now(), EPOCH);
	assert_int_equal(path.writes, 2);
	all_are_derived();
}

static void a_long_step_brings_the_keys_of_the_new_epochs(void **state)
{
	(void)state;
	start(file);
	now.wall_ns += 100000 * S;
	tick();
	assert_int_equal(epoch_now(), EPOCH + 1562);
	all_are_derived();
}

/* So that no old cookie becomes valid again; the epochs keep counting, and clients are served. */
static void a_clock_that_is_set_back_far_does_not_bring_back_old_epochs(void **state)
{
	(void)state;
	start(file);
	now.wall_ns -= 200000 * S;
	tick();
	assert_int_equal(epoch_now(), EPOCH);
	all_are_derived();
	pass(64);
	tick();
	assert_int_equal(epoch_now(), EPOCH + 1);
	all_are_derived();
	/* A daemon that is started then does not bring them back either. */
	start(file);
	assert_int_equal(epoch_now(), EPOCH + 1);
	now.wall_ns += 200000 * S;
	tick();
	assert_int_equal(path.control.epoch_offset_ns, now.wall_ns - now.monotonic_ns);
	all_are_derived();
}

static void many_small_steps_back_are_accepted(void **state)
{
	uint32_t oldest = EPOCH;

	(void)state;
	start(file);
	for (int i = 0; i < 100; i++) {
		now.wall_ns -= 60 * S;
		tick();
		if (epoch_now() < oldest)
			oldest = epoch_now();
	}
	assert_int_equal(oldest, EPOCH - 1);
	all_are_derived();
}

static void a_host_that_joins_a_fleet_takes_its_epochs(void **state)
{
	(void)state;
	start(NULL);
	now.wall_ns -= 100000 * S;
	tick();
	assert_int_equal(epoch_now(), EPOCH);
	start(file);
	assert_int_equal(epoch_now(), EPOCH - 1563);
	assert_true(is_derived(epoch_now()));
}

static void forgotten_keys_are_wiped_and_not_used(void **state)
{
	static const struct shakeoff_epoch_key none[SHAKEOFF_KEY_SLOTS];

	(void)state;
	start(NULL);
	assert_int_equal(keys_forget(&path), 0);
	assert_memory_equal(path.keys, none, sizeof(none));
	assert_false(path.control.flags & SHAKEOFF_KEYS_LOADED);
	assert_int_equal(path.control.tsval_secret[0] | path.control.tsval_secret[1], 0);
	/* A daemon that still finds the maps makes new keys. */
	start(NULL);
	assert_true(path.control.flags & SHAKEOFF_KEYS_LOADED);
	assert_false(is_same(key_of(EPOCH), none[0].cookie));
}

static void the_time_between_two_clock_readings_is_no_step(void **state)
{
	uint64_t offset;

	(void)state;
	start(file);
	offset = path.control.epoch_offset_ns;
	now.wall_ns += S / 2;
	tick();
	now.wall_ns -= S;
	tick();
	assert_int_equal(path.control.epoch_offset_ns, offset);
	/* But small steps do not add up. */
	now.wall_ns += 3 * S;
	tick();
	assert_int_equal(path.control.epoch_offset_ns, now.wall_ns - now.monotonic_ns);
}

static void after_a_long_absence_a_daemon_joins_the_fleet_at_once(void **state)
{
	(void)state;
	start(file);
	pass(64 * 10);
	start(file);
	all_are_derived();
}

static void from_random_keys_to_a_file_and_back_no_cookie_is_lost(void **state)
{
	struct shakeoff_epoch_key before[SHAKEOFF_KEY_SLOTS];
	__u64 random_offset[2];

	(void)state;
	start(NULL);
	memcpy(before, path.keys, sizeof(before));
	memcpy(random_offset, before[0].offset, sizeof(random_offset));
	start(file);
	assert_true(is_same(key_of(EPOCH - 1), before[(EPOCH - 1) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_true(is_same(key_of(EPOCH), before[EPOCH % SHAKEOFF_KEY_SLOTS].cookie));
	assert_true(same_offset(EPOCH - 1, random_offset)); /* cookies that were issued are read with it */
	assert_true(same_offset(EPOCH, random_offset));
	assert_true(is_derived(EPOCH + 1));
	assert_true(is_derived(EPOCH + 2));
	assert_false(same_offset(EPOCH + 1, random_offset));
	pass(128);
	tick();
	all_are_derived();

	memcpy(before, path.keys, sizeof(before));
	start(NULL);
	assert_false(path.control.flags & SHAKEOFF_ACCEPT_NEXT_EPOCH);
	assert_true(is_same(key_of(EPOCH + 1), before[(EPOCH + 1) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_true(is_same(key_of(EPOCH + 2), before[(EPOCH + 2) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_false(is_same(key_of(EPOCH + 3), before[(EPOCH + 3) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_true(same_offset(EPOCH + 2, before[(EPOCH + 2) % SHAKEOFF_KEY_SLOTS].offset));
	assert_true(same_offset(EPOCH + 3, random_offset));
}

static void a_changed_file_counts_from_the_next_epoch_on(void **state)
{
	struct shakeoff_epoch_key before[SHAKEOFF_KEY_SLOTS];
	uint64_t fingerprint;

	(void)state;
	start(file);
	fingerprint = master_fingerprint(keys.master);
	memcpy(before, path.keys, sizeof(before));
	usleep(20000);
	put(OTHER);
	pass(1);
	tick();
	pass(1);
	tick();
	assert_int_not_equal(master_fingerprint(keys.master), fingerprint);
	assert_true(is_same(key_of(EPOCH - 1), before[(EPOCH - 1) % SHAKEOFF_KEY_SLOTS].cookie));
	assert_true(is_same(key_of(EPOCH), before[EPOCH % SHAKEOFF_KEY_SLOTS].cookie));
	assert_int_equal(path.control.keys.fingerprint[EPOCH % SHAKEOFF_KEY_SLOTS], fingerprint);
	assert_true(same_offset(EPOCH, before[EPOCH % SHAKEOFF_KEY_SLOTS].offset));
	assert_false(same_offset(EPOCH + 1, before[EPOCH % SHAKEOFF_KEY_SLOTS].offset));
	assert_true(is_derived(EPOCH + 1));
	assert_true(is_derived(EPOCH + 2));
}

static void a_wrong_file_keeps_the_keys(void **state)
{
	(void)state;
	start(file);
	usleep(20000);
	put("nonsense\n");
	for (int i = 0; i < 5; i++) {
		pass(1);
		tick();
	}
	assert_int_equal(path.writes, 0);
	pass(64);
	tick();
	all_are_derived();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_fresh_datapath_gets_four_random_keys_and_the_wall_clocks_epochs),
		TEST(an_epoch_brings_one_new_key_two_epochs_ahead),
		TEST(a_restarted_daemon_keeps_the_keys),
		TEST(after_a_long_absence_a_daemon_keeps_the_keys_of_issued_cookies),
		TEST(random_keys_do_not_depend_on_the_wall_clock),
		TEST(a_failure_is_reported_and_repaired_by_the_next_call),
		TEST(random_keys_have_one_offset_of_timestamps),
		TEST(two_datapaths_of_random_keys_have_two_offsets),
		TEST(a_rotation_exchanges_the_keys_of_epochs_to_come),
		TEST(an_epoch_that_begins_at_once_is_not_touched),
		TEST(a_rotation_that_fails_is_not_granted),
		TEST(keys_of_a_file_are_not_rotated),
		TEST(keys_of_a_file_are_those_of_the_wall_clocks_epochs),
		TEST(hosts_with_other_monotonic_clocks_have_the_same_keys),
		TEST(a_missing_file_makes_the_start_fail),
		TEST(a_small_step_of_the_clock_keeps_the_keys_of_both_epochs),
		TEST(a_long_step_brings_the_keys_of_the_new_epochs),
		TEST(a_clock_that_is_set_back_far_does_not_bring_back_old_epochs),
		TEST(many_small_steps_back_are_accepted),
		TEST(a_host_that_joins_a_fleet_takes_its_epochs),
		TEST(forgotten_keys_are_wiped_and_not_used),
		TEST(the_time_between_two_clock_readings_is_no_step),
		TEST(after_a_long_absence_a_daemon_joins_the_fleet_at_once),
		TEST(from_random_keys_to_a_file_and_back_no_cookie_is_lost),
		TEST(a_changed_file_counts_from_the_next_epoch_on),
		TEST(a_wrong_file_keeps_the_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The key file: which files are accepted, which are refused with which message, and when it is read again.
 *
 * link: user/shakeoffd/hook/key_file.c user/shakeoffd/hook/master.c
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "shakeoffd/hook/key_file.h"

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

/* After this time a file gets another time of change. */
#define TICK_US 20000

static char dir[64], path[96];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/shakeoff-key-file.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/key", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	rmdir(path);
	return rmdir(dir);
}

/* Puts a new file at the path, as tools do that write whole files. */
static void put(const char *content, mode_t mode)
{
	int fd;

	usleep(TICK_US);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void append_zero(void)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, "", 1), 1);
	close(fd);
}

/*
 * Returns whether a message has a number besides the path and the length of a key: the log must reveal nothing of
 * another file.
 */
static bool has_number(const char *error)
{
	const char *rest = strstr(error, path);

	for (rest = rest ? rest + strlen(path) : error; *rest; rest++) {
		if (!strncmp(rest, "64 hexadecimal", 14) || !strncmp(rest, "600 it", 6))
			rest += strcspn(rest, " ");
		else if (*rest >= '0' && *rest <= '9')
			return true;
	}
	return false;
}

/* Reads it from a fresh state; the error must contain `words`. */
static void refused(const char *words)
{
	struct key_file file = { .path = path };
	struct master *master = NULL;
	char error[256] = "";

	assert_true(key_file_read(&file, &master, error, sizeof(error)) < 0);
	assert_null(master);
	if (!strstr(error, words) || !strstr(error, path))
		fail_msg("error: %s", error);
	/* The error contains none of the file's bytes. */
	assert_null(strstr(error, "0405060708"));
	if (has_number(error))
		fail_msg("error: %s", error);
}

static uint64_t taken(struct key_file *file)
{
	struct master *master = NULL;
	uint64_t fingerprint;
	char error[256] = "";

	if (key_file_read(file, &master, error, sizeof(error)))
		fail_msg("%s", error);
	fingerprint = master_fingerprint(master);
	master_close(master);
	return fingerprint;
}

static void a_line_of_64_digits_is_accepted(void **state)
{
	struct key_file file = { .path = path };
	uint64_t fingerprint;

	(void)state;
	put(KEY "\n", 0600);
	fingerprint = taken(&file);
	put(KEY, 0400);
	assert_int_equal(taken(&file), fingerprint);
	put(" " KEY "\r\n\n", 0600);
	assert_int_equal(taken(&file), fingerprint);
	put("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F\n", 0600);
	assert_int_equal(taken(&file), fingerprint);
	put(OTHER "\n", 0600);
	assert_int_not_equal(taken(&file), fingerprint);
}

static void other_content_is_refused(void **state)
{
	char large[4096];

	(void)state;
	put("", 0600);
	refused("is not one line of 64 hexadecimal digits");
	put(KEY "00\n", 0600);
	refused("is not one line of 64 hexadecimal digits");
	put("0001020304050607080\n", 0600);
	refused("is not one line of 64 hexadecimal digits");
	put("00010203040506070809 0a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0600);
	refused("is not one line of 64 hexadecimal digits");
	put(KEY "\n" OTHER "\n", 0600);
	refused("is not one line of 64 hexadecimal digits");
	put("0001020304050607080x0a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0600);
	refused("is not one line of 64 hexadecimal digits");
	put(KEY "\n", 0600);
	append_zero();
	refused("is not one line of 64 hexadecimal digits");
	put("0000000000000000000000000000000000000000000000000000000000000000", 0600);
	refused("nothing but zeroes");
	memset(large, 'a', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	put(large, 0600);
	refused("is not one line of 64 hexadecimal digits");
}

static void a_file_that_others_may_read_or_write_is_refused(void **state)
{
	static const mode_t open_ones[] = { 0604, 0602, 0644, 0620, 0660, 0666, 0601 };
	struct key_file file = { .path = path };

	(void)state;
	for (size_t i = 0; i < sizeof(open_ones) / sizeof(open_ones[0]); i++) {
		put(KEY "\n", open_ones[i]);
		refused("is open to others");
	}
	if (geteuid())
		skip();
	put(KEY "\n", 0640); /* root's group */
	taken(&file);
	assert_int_equal(chown(path, 0, 1), 0);
	refused("is open to others");
	put(KEY "\n", 0600);
	assert_int_equal(chown(path, 1, 0), 0);
	refused("belongs to another user");
}

static void a_file_that_an_access_control_list_opens_is_refused(void **state)
{
	/*
	 * Version 2; then tag, permissions, id of each: user::rw- user:1:r-- group::--- mask::r-- other::---
	 * (posix_acl_xattr.h).
	 */
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, permissions;
			uint32_t id;
		} entries[5];
	} acl = { 2, { { 1, 6, -1u }, { 2, 4, 1 }, { 4, 0, -1u }, { 16, 4, -1u }, { 32, 0, -1u } } };

	(void)state;
	put(KEY "\n", 0600);
	if (geteuid() || setxattr(path, "system.posix_acl_access", &acl, sizeof(acl), 0))
		skip();
	refused("has an access control list");
	assert_int_equal(chmod(path, 0600), 0); /* the mask, too: only the owner has access */
	taken(&(struct key_file){ .path = path });
}

static void only_a_regular_file_is_accepted(void **state)
{
	char target[128];

	(void)state;
	refused("cannot be opened: No such file or directory");
	snprintf(target, sizeof(target), "%s/target", dir);
	put(KEY "\n", 0600);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink("target", path), 0);
	refused("is a symbolic link");
	unlink(path);
	unlink(target);
	assert_int_equal(mkdir(path, 0700), 0);
	refused("is not a regular file");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused("is not a regular file");
}

static void a_change_is_seen_after_it_has_settled(void **state)
{
	struct key_file file = { .path = path };

	(void)state;
	put(KEY "\n", 0600);
	taken(&file);
	assert_false(key_file_changed(&file));
	assert_false(key_file_changed(&file));

	put(OTHER "\n", 0600);
	assert_false(key_file_changed(&file)); /* perhaps written by half */
	assert_true(key_file_changed(&file));
	taken(&file);
	assert_false(key_file_changed(&file));
	assert_false(key_file_changed(&file));
}

static void a_change_that_does_not_settle_is_not_read(void **state)
{
	struct key_file file = { .path = path };

	(void)state;
	put(KEY "\n", 0600);
	taken(&file);
	for (int i = 0; i < 3; i++) {
		put(OTHER "\n", 0600);
		assert_false(key_file_changed(&file));
	}
	assert_true(key_file_changed(&file));
}

static void a_wrong_or_missing_file_is_reported_once(void **state)
{
	struct key_file file = { .path = path };
	struct master *master = NULL;
	char error[256];

	(void)state;
	put(KEY "\n", 0600);
	taken(&file);

	unlink(path);
	assert_false(key_file_changed(&file));
	assert_true(key_file_changed(&file));
	assert_int_equal(key_file_read(&file, &master, error, sizeof(error)), -ENOENT);
	assert_false(key_file_changed(&file));
	assert_false(key_file_changed(&file));

	put("nothing", 0600);
	assert_false(key_file_changed(&file));
	assert_true(key_file_changed(&file));
	assert_int_equal(key_file_read(&file, &master, error, sizeof(error)), -EINVAL);
	assert_false(key_file_changed(&file));
	assert_false(key_file_changed(&file));

	/* Another mode is a change, too. */
	put(KEY "\n", 0644);
	assert_false(key_file_changed(&file));
	assert_true(key_file_changed(&file));
	assert_int_equal(key_file_read(&file, &master, error, sizeof(error)), -EPERM);
	usleep(TICK_US);
	assert_int_equal(chmod(path, 0600), 0);
	assert_false(key_file_changed(&file));
	assert_true(key_file_changed(&file));
	taken(&file);
}

static void a_file_that_failed_for_lack_of_descriptors_is_read_again(void **state)
{
	struct key_file file = { .path = path };
	struct rlimit limit, none;
	struct master *master;
	char error[256];
	int result;

	(void)state;
	put(KEY "\n", 0600);
	taken(&file);
	put(OTHER "\n", 0600);
	assert_false(key_file_changed(&file));
	assert_true(key_file_changed(&file));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	result = key_file_read(&file, &master, error, sizeof(error));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(result, -EMFILE);
	assert_true(key_file_changed(&file));
	taken(&file);
	assert_false(key_file_changed(&file));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_of_64_digits_is_accepted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_content_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_others_may_read_or_write_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_an_access_control_list_opens_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_a_regular_file_is_accepted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_change_is_seen_after_it_has_settled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_change_that_does_not_settle_is_not_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_wrong_or_missing_file_is_reported_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_failed_for_lack_of_descriptors_is_read_again, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

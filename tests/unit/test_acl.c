/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ACL of sources: prefixes, durations, lines of a file, and the filter.
 *
 * link: user/acl/acl.c user/acl/filter.c user/common/prefix.c user/common/text.c
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "acl/acl.h"
#include "acl/filter.h"
#include "common/text.h"

/* The hook's own look-up in the filter, on memory instead of a map. */
#define bpf_map_lookup_elem(map, key) (&((struct shakeoff_acl_block *)(map))[*(key)])
#include "limit/acl_filter.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --------------------------------------------------------------------------------------------------------- prefixes */

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;
	char wrong[256];

	if (prefix_read(text, &prefix, wrong, sizeof(wrong)))
		fail_msg("%s", wrong);
	return prefix;
}

static void reads_back(const char *text, const char *expected)
{
	struct prefix prefix = prefix_of(text);
	char written[PREFIX_TEXT];

	prefix_write(&prefix, written, sizeof(written));
	assert_string_equal(written, expected);
}

static void prefixes_are_read_and_written(void **state)
{
	(void)state;
	reads_back("192.0.2.0/24", "192.0.2.0/24");
	reads_back("192.0.2.1", "192.0.2.1");
	reads_back("192.0.2.1/32", "192.0.2.1");
	reads_back("0.0.0.0/0", "0.0.0.0/0");
	reads_back("128.0.0.0/1", "128.0.0.0/1");
	reads_back("192.0.2.128/25", "192.0.2.128/25");
	reads_back("2001:db8::/32", "2001:db8::/32");
	reads_back("2001:DB8:0:0::1/128", "2001:db8::1");
	reads_back("::/0", "::/0");
	reads_back("fe80::/10", "fe80::/10");
	reads_back("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8");
	assert_int_equal(prefix_of("10.0.0.0/8").len, 8);
	assert_false(prefix_of("10.0.0.0/8").ipv6);
	assert_true(prefix_of("::/0").ipv6);
}

static void is_refused(const char *text, const char *reason)
{
	struct prefix prefix = { .len = 77 };
	char wrong[256];

	assert_int_equal(prefix_read(text, &prefix, wrong, sizeof(wrong)), -EINVAL);
	assert_int_equal(prefix.len, 77);
	if (!strstr(wrong, reason))
		fail_msg("`%s` is refused with: %s", text, wrong);
}

static void invalid_prefixes_are_refused_with_the_allowed_forms(void **state)
{
	static const char *const wrong[] = {
		"",
		"/",
		"/24",
		"192.0.2.0/",
		"192.0.2.0/33",
		"192.0.2.0/-1",
		"192.0.2",
		"192.0.2.256",
		"192.0.2.0/024",
		"2001:db8::/129",
		"192.0.2.0/1x",
		"192.0.2.0/99999999999999",
		"web",
		"192.0.2.0/24/24",
		" 192.0.2.1",
		"2001:db8:::1",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999::/1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		is_refused(wrong[i], "a prefix is written as");
}

static void bits_after_the_length_are_refused_with_both_meanings(void **state)
{
	(void)state;
	is_refused("192.0.2.1/24", "is it 192.0.2.1, or 192.0.2.0/24?");
	is_refused("192.0.2.1/31", "is it 192.0.2.1, or 192.0.2.0/31?");
	is_refused("0.0.0.1/0", "is it 0.0.0.1, or 0.0.0.0/0?");
	is_refused("2001:db8::1/127", "is it 2001:db8::1, or 2001:db8::/127?");
	is_refused("2001:db8:1::/33", "or 2001:db8::/33?");
}

static void mapped_prefixes_are_refused(void **state)
{
	(void)state;
	is_refused("::ffff:192.0.2.1", "without ::ffff:");
	is_refused("::ffff:192.0.2.0/120", "without ::ffff:");
}

/* -------------------------------------------------------------------------------------------------------- durations */

static uint64_t seconds_of(const char *text)
{
	uint64_t nanoseconds = 0;

	return text_read_duration(text, &nanoseconds) ? nanoseconds / 1000000000 : 0;
}

static void durations_are_read(void **state)
{
	(void)state;
	assert_int_equal(seconds_of("90"), 90);
	assert_int_equal(seconds_of("90s"), 90);
	assert_int_equal(seconds_of("10m"), 600);
	assert_int_equal(seconds_of("1h30m"), 5400);
	assert_int_equal(seconds_of("1w2d3h4m5s"), 788645);
	assert_int_equal(seconds_of("3650d"), 3650 * 86400);
}

static void invalid_durations_are_refused(void **state)
{
	static const char *const wrong[] = {
		"",      "0",    "0s",   "s",    "-1",    "1x",          "1h 30m",
		"30m1h", "1m1m", "1h30", "1.5h", "4000d", "9999999999s", "99999999999999999999",
		"1hm"
	};

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		if (seconds_of(wrong[i]))
			fail_msg("`%s` was taken for a duration", wrong[i]);
}

static void durations_are_written_as_they_are_read(void **state)
{
	const uint64_t second = 1000000000;
	char text[TEXT_DURATION];

	(void)state;
	text_write_duration(788645 * second, text, sizeof(text));
	assert_string_equal(text, "1w2d3h4m5s");
	text_write_duration(5399 * second + 1, text, sizeof(text));
	assert_string_equal(text, "1h30m");
	text_write_duration(1, text, sizeof(text));
	assert_string_equal(text, "1s");
}

/* ------------------------------------------------------------------------------------------------------------ files */

#define NOW 5000000000ull

static int read_bytes(const char *bytes, size_t length, struct acl *list, char *error, size_t size)
{
	FILE *file = fmemopen((void *)bytes, length, "r");
	int result;

	assert_non_null(file);
	result = acl_read(file, "FILE", NOW, list, error, size);
	fclose(file);
	return result;
}

static int read_text(const char *text, struct acl *list, char *error, size_t size)
{
	return read_bytes(text, strlen(text), list, error, size);
}

static void a_file_is_read(void **state)
{
	static const char *const expected[] = {
		"block 192.0.2.0/24",
		"block 192.0.2.1",
		"allow 2001:db8::/32 for 1h30m service web",
		"block 10.0.0.0/8",
		"block 10.1.0.0/16 service ssh",
		"allow 10.2.0.0/16 for 1w service web",
	};
	struct acl list = { 0 };
	char text[ACL_ENTRY_TEXT];

	(void)state;
	assert_int_equal(read_text("# a list\n"
				   "192.0.2.0/24\n"
				   "\t192.0.2.1 ; SBL1234\r\n"
				   "\n"
				   "allow 2001:db8::/32 service web for 90m # friends\n"
				   "block 10.0.0.0/8\n"
				   "10.1.0.0/16 service ssh\n"
				   "allow 10.2.0.0/16 for 7d service web",
				   &list, text, sizeof(text)),
			 0);
	assert_int_equal(list.count, COUNT(expected));
	for (size_t i = 0; i < list.count; i++) {
		acl_entry_write(&list.entries[i], acl_name_of(&list, list.entries[i].scope), NOW, text, sizeof(text));
		assert_string_equal(text, expected[i]);
	}
	assert_int_equal(list.name_count, 2);
	acl_free(&list);
}

static void a_wrong_line_is_refused_with_its_number(void **state)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
		{ "192.0.2.0/24\nnonsense\n", "FILE:2: `nonsense`: a prefix is written as" },
		{ "block\n", "FILE:1: there is no prefix" },
		{ "\n\ndrop 192.0.2.1\n", "FILE:3: `drop`: a prefix" },
		{ "192.0.2.1 192.0.2.2\n", "FILE:1: read `192.0.2.2`, but a line is" },
		{ "192.0.2.1 for\n", "FILE:1: read `for`, but a line is" },
		{ "192.0.2.1 for ever\n", "FILE:1: read `for ever`, but a duration is written as" },
		{ "192.0.2.1 until 10m\n", "FILE:1: read `until`, but a line is" },
		{ "192.0.2.1/24\n", "FILE:1: `192.0.2.1/24`: there are bits behind the length" },
		{ "192.0.2.1 service 0123456789012345678901234567890123456789012345678\n",
		  "the name is too long for a service" },
		{ "192.0.2.1 for 1h for 2h\n", "FILE:1: read `for 2h`, but a duration is named before it" },
		{ "192.0.2.1 service a service b\n", "FILE:1: read `service b`, but a service is named before it" },
	};
	struct acl list = { .count = 77 };
	char error[512];

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(read_text(wrong[i].text, &list, error, sizeof(error)), -EINVAL);
		if (!strstr(error, wrong[i].error))
			fail_msg("refused with: %s", error);
	}
	assert_int_equal(list.count, 77);
}

static void zero_bytes_are_refused(void **state)
{
	static const char hidden[] = "192.0.2.0/24\0 nonsense\n", comment[] = "192.0.2.0/24\n# \0\n";
	static const char zeroes[4096]; /* the contents, after a crash, of a file that was just written */
	struct acl list = { .count = 77 };
	char error[512];

	(void)state;
	assert_int_equal(read_bytes(zeroes, sizeof(zeroes), &list, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "FILE:1: there is a zero byte: this is not text");
	assert_int_equal(read_bytes(hidden, sizeof(hidden) - 1, &list, error, sizeof(error)), -EINVAL);
	assert_int_equal(read_bytes(comment, sizeof(comment) - 1, &list, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "FILE:2: there is a zero byte: this is not text");
	assert_int_equal(list.count, 77);
}

static void a_line_without_an_end_is_refused_before_it_fills_the_memory(void **state)
{
	FILE *endless = popen("yes '' | tr '\\n' 1", "re");
	struct acl list = { .count = 77 };
	char error[512];

	(void)state;
	assert_non_null(endless);
	assert_int_equal(acl_read(endless, "FILE", NOW, &list, error, sizeof(error)), -EINVAL);
	pclose(endless);
	assert_non_null(strstr(error, "FILE:1: the line is longer than 1023 characters"));
	assert_int_equal(list.count, 77);
}

static void a_comment_may_be_of_any_length(void **state)
{
	struct acl list = { 0 };
	char text[100000], error[512];

	(void)state;
	strcpy(text, "192.0.2.1 ");
	memset(text + 10, '#', sizeof(text) - 10);
	strcpy(text + sizeof(text) - 11, "\n192.0.2.2"); /* the last line has no end */
	assert_int_equal(read_bytes(text, sizeof(text) - 1, &list, error, sizeof(error)), 0);
	assert_int_equal(list.count, 2);
	acl_free(&list);
}

static void too_many_services_are_refused_at_once(void **state)
{
	char text[64 * (SHAKEOFF_MAX_ACL_NAMES + 1)], error[512];
	struct acl list = { .count = 77 };
	size_t used = 0;

	(void)state;
	for (uint32_t i = 0; i <= SHAKEOFF_MAX_ACL_NAMES; i++)
		used += sprintf(text + used, "192.0.2.1 service s%u\n", i);
	assert_int_equal(read_bytes(text, used, &list, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "FILE:682: the maximum is 681 names of services");
	assert_int_equal(list.count, 77);
	*strstr(text, "192.0.2.1 service s681") = '#';
	assert_int_equal(read_bytes(text, used, &list, error, sizeof(error)), 0);
	assert_int_equal(list.name_count, SHAKEOFF_MAX_ACL_NAMES);
	acl_free(&list);
}

static void names_with_the_same_hash_are_distinguished(void **state)
{
	struct acl list = { 0 };
	uint32_t scope, again;

	(void)state;
	assert_int_equal(acl_add_name(&list, "costarring", &scope), 0); /* the best known collision of FNV-1a */
	assert_int_equal(acl_add_name(&list, "liquid", &again), -EEXIST);
	assert_int_equal(acl_add_name(&list, "costarring", &again), 0);
	assert_int_equal(scope, again);
	assert_string_equal(acl_name_of(&list, scope), "costarring");
	assert_null(acl_name_of(&list, scope + 1));
	acl_free(&list);
}

/* ----------------------------------------------------------------------------------------------------------- filter */

static struct shakeoff_acl_block *blocks;
static uint32_t acl;

static int filter_new(void **state)
{
	(void)state;
	blocks = calloc(SHAKEOFF_ACL_BLOCKS, sizeof(*blocks));
	acl = 0;
	return blocks ? 0 : -1;
}

static int filter_drop(void **state)
{
	(void)state;
	free(blocks);
	return 0;
}

static uint32_t random32(void)
{
	static uint64_t seed = 88172645463325252ull; /* xorshift64, Marsaglia 2003 */

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed >> 32;
}

static void cut_to(__be32 address[4], unsigned int from, bool ones)
{
	for (unsigned int bit = from; bit < 128; bit++) {
		__be32 mask = htonl(0x80000000u >> bit % 32);

		address[bit / 32] = ones ? address[bit / 32] | mask : address[bit / 32] & ~mask;
	}
}

static struct prefix random_prefix(bool ipv6, uint8_t len)
{
	struct prefix prefix = { .ipv6 = ipv6, .len = len };

	for (int i = 0; i < 4; i++)
		prefix.address[i] = random32();
	cut_to(prefix.address, len, false);
	return prefix;
}

static void assert_held(const struct prefix *prefix, const __be32 *address)
{
	char text[PREFIX_TEXT];

	prefix_write(prefix, text, sizeof(text));
	if (!acl_may_hold(blocks, acl, prefix->ipv6, address))
		fail_msg("the filter does not know an address of %s", text);
}

static void every_address_of_a_prefix_is_found_at_every_length_and_size(void **state)
{
	(void)state;
	for (uint32_t shrink = 0; shrink <= SHAKEOFF_ACL_SHRINK_MAX; shrink++) {
		for (int len = 0; len <= 32 + 128; len++) {
			bool ipv6 = len > 32;
			struct prefix prefix = random_prefix(ipv6, ipv6 ? len - 32 : len);
			__be32 address[4];

			memset(blocks, 0, SHAKEOFF_ACL_BLOCKS * sizeof(*blocks));
			acl = acl_filter_add(blocks, &prefix, shrink << SHAKEOFF_ACL_SHRINK_SHIFT);
			memcpy(address, prefix.address, sizeof(address));
			assert_held(&prefix, address);
			cut_to(address, prefix.len, true);
			assert_held(&prefix, address);
			for (int i = 0; i < 20; i++) {
				for (int k = 0; k < 4; k++)
					address[k] = random32();
				for (int bit = 0; bit < prefix.len; bit++) {
					__be32 mask = htonl(0x80000000u >> bit % 32);

					address[bit / 32] = (address[bit / 32] & ~mask) |
							    (prefix.address[bit / 32] & mask);
				}
				assert_held(&prefix, address);
			}
		}
	}
}

static void an_empty_filter_finds_nothing(void **state)
{
	__be32 address[4] = { 0 };

	(void)state;
	assert_false(acl_may_hold(blocks, UINT32_MAX, false, address));
	assert_false(acl_may_hold(blocks, UINT32_MAX, true, address));
}

/* Returns in how many of a thousand random sources the filter errs, with this many random prefixes of these lengths. */
static unsigned int errors(bool ipv6, size_t prefixes, const uint8_t *lens, size_t len_count)
{
	unsigned int held = 0;

	acl = acl_filter_shrink(prefixes);
	for (size_t i = 0; i < prefixes; i++) {
		struct prefix prefix = random_prefix(ipv6, lens[i % len_count]);

		acl = acl_filter_add(blocks, &prefix, acl);
	}
	for (int i = 0; i < 1000000; i++) {
		__be32 address[4] = { random32(), random32(), random32(), random32() };

		held += acl_may_hold(blocks, acl, ipv6, address);
	}
	return (held + 500) / 1000;
}

static void a_million_hosts_are_distinguished_from_others(void **state)
{
	static const uint8_t hosts[] = { 32 };

	(void)state;
	assert_in_range(errors(false, 1000000, hosts, 1), 0, 4);
}

static void a_million_networks_of_ipv6_are_distinguished_from_others(void **state)
{
	static const uint8_t lens[] = { 48, 56, 64, 128 };

	(void)state;
	assert_in_range(errors(true, 1000000, lens, COUNT(lens)), 0, 8);
}

static void a_few_thousand_are_distinguished_from_others_in_a_small_filter(void **state)
{
	static const uint8_t lens[] = { 24, 25, 28, 32 };
	size_t used = 0;

	(void)state;
	assert_in_range(errors(false, 4000, lens, COUNT(lens)), 0, 3);
	for (size_t i = 1; i < SHAKEOFF_ACL_BLOCKS; i++)
		for (size_t k = 0; k < SHAKEOFF_ACL_BLOCK_WORDS; k++)
			used += !!blocks[i].words[k];
	assert_in_range(used, 1, 2048);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes_are_read_and_written),
		cmocka_unit_test(invalid_prefixes_are_refused_with_the_allowed_forms),
		cmocka_unit_test(bits_after_the_length_are_refused_with_both_meanings),
		cmocka_unit_test(mapped_prefixes_are_refused),
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(invalid_durations_are_refused),
		cmocka_unit_test(durations_are_written_as_they_are_read),
		cmocka_unit_test(a_file_is_read),
		cmocka_unit_test(a_wrong_line_is_refused_with_its_number),
		cmocka_unit_test(zero_bytes_are_refused),
		cmocka_unit_test(a_line_without_an_end_is_refused_before_it_fills_the_memory),
		cmocka_unit_test(a_comment_may_be_of_any_length),
		cmocka_unit_test(too_many_services_are_refused_at_once),
		cmocka_unit_test(names_with_the_same_hash_are_distinguished),
		cmocka_unit_test_setup_teardown(every_address_of_a_prefix_is_found_at_every_length_and_size, filter_new,
						filter_drop),
		cmocka_unit_test_setup_teardown(an_empty_filter_finds_nothing, filter_new, filter_drop),
		cmocka_unit_test_setup_teardown(a_million_hosts_are_distinguished_from_others, filter_new, filter_drop),
		cmocka_unit_test_setup_teardown(a_million_networks_of_ipv6_are_distinguished_from_others, filter_new,
						filter_drop),
		cmocka_unit_test_setup_teardown(a_few_thousand_are_distinguished_from_others_in_a_small_filter,
						filter_new, filter_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP options: the values read from real and from damaged lists, and the options of a SYN-ACK, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/tcpopt.h"
#include "tcpopt_reference.h"

struct option_list {
	const char *name;
	uint8_t bytes[TCPOPT_MAX_BYTES];
	uint32_t len;
	struct tcpopt expected; /* but for `position` */
};

#define NONE SHAKEOFF_NO_WSCALE

static const struct option_list lists[] = {
	{ "no options at all", { 0 }, 0, { .wscale = NONE } },
	{ "Linux",
	  { 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 1, 3, 3, 7 },
	  20,
	  { .mss = 1460, .sack = 1, .timestamps = 1, .tsval = 0x11223344, .wscale = 7 } },
	{ "Linux with tcp_timestamps=0",
	  { 2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, 10 },
	  12,
	  { .mss = 1460, .sack = 1, .wscale = 10 } },
	{ "Linux with fast open",
	  { 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7, 34, 2, 1, 1 },
	  24,
	  { .mss = 1460, .sack = 1, .timestamps = 1, .tsval = 1, .wscale = 7 } },
	{ "Linux with MPTCP",
	  { 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7, 30, 4, 1, 1 },
	  24,
	  { .mss = 1460, .sack = 1, .timestamps = 1, .tsval = 1, .wscale = 7 } },
	{ "Windows", { 2, 4, 0x05, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2 }, 12, { .mss = 1460, .sack = 1, .wscale = 8 } },
	{ "macOS",
	  { 2, 4, 0x05, 0xb4, 1, 3, 3, 6, 1, 1, 8, 10, 0xaa, 0xbb, 0xcc, 0xdd, 0, 0, 0, 0, 4, 2, 0, 0 },
	  24,
	  { .mss = 1460, .sack = 1, .timestamps = 1, .tsval = 0xaabbccdd, .wscale = 6 } },
	{ "MSS only", { 2, 4, 0x02, 0x18 }, 4, { .mss = 536, .wscale = NONE } },
	{ "an ACK of Linux",
	  { 1, 1, 8, 10, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xfe },
	  12,
	  { .timestamps = 1, .tsval = 5, .tsecr = 0xfffffffe, .wscale = NONE } },
	{ "a window scale above 14 counts as 14", { 3, 3, 15, 1 }, 4, { .wscale = 14 } },
	{ "of two equal options the last counts",
	  { 2, 4, 0x05, 0xb4, 2, 4, 0x02, 0x18 },
	  8,
	  { .mss = 536, .wscale = NONE } },
	{ "nothing counts after the end of the list", { 0, 0, 0, 0, 2, 4, 0x05, 0xb4 }, 8, { .wscale = NONE } },
	{ "a length of zero ends the list", { 8, 0, 1, 1, 2, 4, 0x05, 0xb4 }, 8, { .wscale = NONE } },
	{ "a length of one ends the list", { 8, 1, 1, 1, 2, 4, 0x05, 0xb4 }, 8, { .wscale = NONE } },
	{ "a length beyond the end ends the list",
	  { 2, 4, 0x05, 0xb4, 8, 10, 0, 0 },
	  8,
	  { .mss = 1460, .wscale = NONE } },
	{ "a kind in the last byte has no length", { 1, 1, 1, 2 }, 4, { .wscale = NONE } },
	{ "a kind in the last byte of 40 has no length",
	  { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2 },
	  40,
	  { .wscale = NONE } },
	{ "an MSS of the wrong length is skipped", { 2, 5, 1, 2, 3, 3, 3, 4 }, 8, { .wscale = 4 } },
	{ "timestamps of the wrong length are skipped", { 8, 6, 1, 2, 3, 4, 4, 2 }, 8, { .sack = 1, .wscale = NONE } },
	{ "an unknown option is skipped", { 253, 6, 2, 4, 5, 180, 4, 2 }, 8, { .sack = 1, .wscale = NONE } },
	{ "TCP-MD5",
	  { 1, 1, 19, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	  20,
	  { .auth = 1, .wscale = NONE } },
	{ "TCP-AO", { 29, 16, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }, 16, { .auth = 1, .wscale = NONE } },
	{ "an authentication that is cut off is none", { 19, 18, 1, 2, 3, 4, 5, 6 }, 8, { .wscale = NONE } },
};

static struct tcpopt read_list(const uint8_t *bytes, uint32_t len)
{
	struct tcpopt opt = { .wscale = SHAKEOFF_NO_WSCALE };
	uint32_t words[TCPOPT_BUFFER_WORDS];
	bool auth;

	reference_words(bytes, len, words);
	auth = tcpopt_read(words, len, &opt);
	assert_int_equal(auth, opt.auth);
	return opt;
}

static void assert_options_equal(const struct tcpopt *found, const struct tcpopt *expected)
{
	assert_int_equal(found->mss, expected->mss);
	assert_int_equal(found->wscale, expected->wscale);
	assert_int_equal(found->sack, expected->sack);
	assert_int_equal(found->timestamps, expected->timestamps);
	assert_int_equal(found->tsval, expected->tsval);
	assert_int_equal(found->tsecr, expected->tsecr);
	assert_int_equal(found->auth, expected->auth);
}

static void a_list_is_read(void **state)
{
	const struct option_list *list = *state;
	struct tcpopt opt = read_list(list->bytes, list->len);

	assert_options_equal(&opt, &list->expected);
}

static void every_list_cut_anywhere_is_read_as_by_the_reference(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (uint32_t len = 0; len <= lists[i].len; len += 4) {
			struct reference_options reference = reference_read(lists[i].bytes, len);
			struct tcpopt opt = read_list(lists[i].bytes, len);

			assert_true(reference_agrees(&reference, &opt));
		}
	}
}

/* Bytes that are mostly kinds and lengths, so that the lists have some depth. */
static void random_list(uint8_t *bytes, uint32_t len)
{
	static const uint8_t likely[] = { 0, 1, 1, 1, 2, 3, 3, 4, 2, 8, 10, 19, 18, 29, 4, 5, 34, 40 };

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = random() % 8 ? likely[random() % sizeof(likely)] : random();
}

static void random_bytes_are_read_as_by_the_reference(void **state)
{
	(void)state;
	srandom(2);
	for (int i = 0; i < 500000; i++) {
		uint8_t bytes[TCPOPT_MAX_BYTES] = { 0 };
		uint32_t len = random() % (TCPOPT_MAX_WORDS + 1) * 4;

		random_list(bytes, len);
		struct reference_options reference = reference_read(bytes, len);
		struct tcpopt opt = read_list(bytes, len);

		assert_true(reference_agrees(&reference, &opt));
	}
}

static void the_fast_path_reads_the_options_of_linux(void **state)
{
	struct tcpopt opt = { .wscale = SHAKEOFF_NO_WSCALE };
	uint32_t words[TCPOPT_BUFFER_WORDS];

	(void)state;
	reference_words(lists[1].bytes, lists[1].len, words);
	assert_true(tcpopt_read_linux_syn(words, &opt));
	assert_options_equal(&opt, &lists[1].expected);
}

static void the_fast_path_has_the_result_of_the_slow_one(void **state)
{
	(void)state;
	for (int value = 0; value < 256; value++) {
		for (uint32_t i = 0; i < lists[1].len; i++) {
			struct tcpopt fast = { .wscale = SHAKEOFF_NO_WSCALE }, slow;
			uint32_t words[TCPOPT_BUFFER_WORDS];
			uint8_t bytes[20];

			memcpy(bytes, lists[1].bytes, sizeof(bytes));
			bytes[i] = value;
			reference_words(bytes, sizeof(bytes), words);
			slow = read_list(bytes, sizeof(bytes));
			if (tcpopt_read_linux_syn(words, &fast))
				assert_options_equal(&fast, &slow);
		}
	}
}

static void the_fast_path_refuses_other_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct tcpopt opt = { .wscale = SHAKEOFF_NO_WSCALE }, untouched = opt;
		uint32_t words[TCPOPT_BUFFER_WORDS];

		reference_words(lists[i].bytes, lists[i].len, words);
		if (!tcpopt_read_linux_syn(words, &opt))
			assert_memory_equal(&opt, &untouched, sizeof(opt));
	}
}

struct synack {
	const char *name;
	struct tcpopt say;
	uint8_t bytes[TCPOPT_SYNACK_MAX_WORDS * 4];
	uint32_t words;
};

/* Writes options as the kernel's tcp_options_write() does. */
static const struct synack synacks[] = {
	{ "MSS", { .mss = 1460, .wscale = NONE }, { 2, 4, 0x05, 0xb4 }, 1 },
	{ "MSS, scale", { .mss = 1460, .wscale = 7 }, { 2, 4, 0x05, 0xb4, 1, 3, 3, 7 }, 2 },
	{ "MSS, SACK", { .mss = 1440, .sack = 1, .wscale = NONE }, { 2, 4, 0x05, 0xa0, 1, 1, 4, 2 }, 2 },
	{ "MSS, SACK, scale",
	  { .mss = 1440, .sack = 1, .wscale = 0 },
	  { 2, 4, 0x05, 0xa0, 1, 1, 4, 2, 1, 3, 3, 0 },
	  3 },
	{ "MSS, timestamps",
	  { .mss = 8960, .timestamps = 1, .tsval = 0x01020304, .tsecr = 0xf1f2f3f4, .wscale = NONE },
	  { 2, 4, 0x23, 0x00, 1, 1, 8, 10, 1, 2, 3, 4, 0xf1, 0xf2, 0xf3, 0xf4 },
	  4 },
	{ "MSS, SACK, timestamps",
	  { .mss = 1460, .sack = 1, .timestamps = 1, .tsval = 0x01020304, .tsecr = 0xf1f2f3f4, .wscale = NONE },
	  { 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0xf1, 0xf2, 0xf3, 0xf4 },
	  4 },
	{ "MSS, timestamps, scale",
	  { .mss = 1460, .timestamps = 1, .tsval = 0x01020304, .tsecr = 0xf1f2f3f4, .wscale = 14 },
	  { 2, 4, 0x05, 0xb4, 1, 1, 8, 10, 1, 2, 3, 4, 0xf1, 0xf2, 0xf3, 0xf4, 1, 3, 3, 14 },
	  5 },
	{ "MSS, SACK, timestamps, scale",
	  { .mss = 1460, .sack = 1, .timestamps = 1, .tsval = 0x01020304, .tsecr = 0xf1f2f3f4, .wscale = 7 },
	  { 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0xf1, 0xf2, 0xf3, 0xf4, 1, 3, 3, 7 },
	  5 },
};

static void a_synack_is_written_as_linux_does(void **state)
{
	const struct synack *synack = *state;
	__be32 words[TCPOPT_SYNACK_MAX_WORDS];
	__u32 tsecr_word;

	memset(words, 0xee, sizeof(words));
	assert_int_equal(tcpopt_write_synack(words, &synack->say, synack->words, &tsecr_word), synack->words);
	assert_memory_equal(words, synack->bytes, sizeof(words)); /* zeros after the options */
	assert_int_equal(tsecr_word, TCPOPT_SYNACK_TSECR);
}

/* The options after the MSS stay the same, one word further ahead. */
static void without_room_the_mss_is_omitted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(synacks) / sizeof(synacks[0]); i++) {
		const struct synack *synack = &synacks[i];
		uint8_t expected[sizeof(synack->bytes)] = { 0 };
		__be32 words[TCPOPT_SYNACK_MAX_WORDS];
		__u32 tsecr_word;

		memcpy(expected, synack->bytes + 4, sizeof(expected) - 4);
		memset(words, 0xee, sizeof(words));
		assert_int_equal(tcpopt_write_synack(words, &synack->say, synack->words - 1, &tsecr_word),
				 synack->words - 1);
		assert_memory_equal(words, expected, sizeof(words));
		if (synack->say.timestamps)
			assert_int_equal(bpf_ntohl(words[tsecr_word]), synack->say.tsecr);
	}
}

/* Asserts that all options in the SYN-ACK need at most the room of the client's options, except for the MSS. */
static void assert_answer_has_room(const struct tcpopt *offer, uint32_t len)
{
	struct tcpopt say = *offer;
	__be32 words[TCPOPT_SYNACK_MAX_WORDS];
	__u32 tsecr_word;

	say.mss = 1460;
	assert_true(tcpopt_write_synack(words, &say, len / 4, &tsecr_word) <= len / 4);
}

static void a_synack_to_random_options_has_room(void **state)
{
	static const uint8_t kinds[] = { 0, 1, 1, 2, 3, 4, 8, 19 }, lengths[] = { 0, 1, 2, 3, 4, 10, 10, 5 };

	(void)state;
	srandom(7);
	for (int i = 0; i < 300000; i++) {
		uint8_t bytes[TCPOPT_MAX_BYTES];
		uint32_t len = random() % 11 * 4;
		struct tcpopt offer;

		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = random() % 2 ? kinds[random() % sizeof(kinds)] : lengths[random() % sizeof(lengths)];
		offer = read_list(bytes, len);
		assert_answer_has_room(&offer, len);
	}
}

static void a_written_synack_reads_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(synacks) / sizeof(synacks[0]); i++) {
		struct tcpopt opt = read_list(synacks[i].bytes, synacks[i].words * 4);

		assert_options_equal(&opt, &synacks[i].say);
	}
}

#define LISTS (sizeof(lists) / sizeof(lists[0]))
#define SYNACKS (sizeof(synacks) / sizeof(synacks[0]))

int main(void)
{
	const struct CMUnitTest others[] = {
		cmocka_unit_test(every_list_cut_anywhere_is_read_as_by_the_reference),
		cmocka_unit_test(random_bytes_are_read_as_by_the_reference),
		cmocka_unit_test(the_fast_path_reads_the_options_of_linux),
		cmocka_unit_test(the_fast_path_has_the_result_of_the_slow_one),
		cmocka_unit_test(the_fast_path_refuses_other_lists),
		cmocka_unit_test(a_written_synack_reads_back),
		cmocka_unit_test(without_room_the_mss_is_omitted),
		cmocka_unit_test(a_synack_to_random_options_has_room),
	};
	struct CMUnitTest read[LISTS], written[SYNACKS];
	int failed;

	for (size_t i = 0; i < LISTS; i++)
		read[i] = (struct CMUnitTest){ lists[i].name, a_list_is_read, NULL, NULL, (void *)&lists[i] };
	for (size_t i = 0; i < SYNACKS; i++)
		written[i] = (struct CMUnitTest){ synacks[i].name, a_synack_is_written_as_linux_does, NULL, NULL,
						  (void *)&synacks[i] };
	failed = cmocka_run_group_tests_name("options read", read, NULL, NULL);
	failed += cmocka_run_group_tests_name("options of a SYN-ACK", written, NULL, NULL);
	failed += cmocka_run_group_tests_name("options", others, NULL, NULL);
	return failed;
}

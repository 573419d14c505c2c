/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A repeated SYN-ACK has the time of the repetition, with any headers before its TCP header; other frames stay
 * unchanged.
 *
 * link: user/shakeoffd/hook/synack_frame.c
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shakeoffd/hook/synack_frame.h"

#define TCP_LEN 40
#define TSVAL_AT 28 /* in the segments below */

static const uint8_t segment[TCP_LEN] = {
	27, 88, 0x30, 0x39, 1, 2, 3, 4,  5,    6,    7,    8,    0xa0, 0x12, 0xfe, 0x88, 0, 0, 0, 0,
	2,  4,  5,    0xb4, 4, 2, 8, 10, 0xff, 0xff, 0xff, 0xf0, 0,    1,    2,    3,    1, 3, 3, 7,
};

struct frame {
	uint8_t bytes[128];
	size_t len, ip, tcp;
};

static uint16_t checksum(const struct frame *frame, int family)
{
	size_t from = frame->ip + (family == 4 ? 12 : 8), addresses = family == 4 ? 8 : 32;
	uint32_t sum = IPPROTO_TCP + TCP_LEN;

	for (size_t i = 0; i < addresses; i += 2)
		sum += (uint32_t)frame->bytes[from + i] << 8 | frame->bytes[from + i + 1];
	for (size_t i = 0; i < TCP_LEN; i += 2)
		sum += (uint32_t)frame->bytes[frame->tcp + i] << 8 | frame->bytes[frame->tcp + i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void put16(struct frame *frame, size_t at, uint16_t value)
{
	frame->bytes[at] = value >> 8;
	frame->bytes[at + 1] = value & 0xff;
}

static uint32_t tsval(const struct frame *frame)
{
	uint32_t value;

	memcpy(&value, frame->bytes + frame->tcp + TSVAL_AT, sizeof(value));
	return ntohl(value);
}

static void make(struct frame *frame, int family, int tags)
{
	*frame = (struct frame){ .ip = 14 + 4 * (size_t)tags };
	for (int i = 0; i < tags; i++)
		put16(frame, 12 + 4 * i, i + 1 < tags ? 0x88a8 : 0x8100);
	put16(frame, frame->ip - 2, family == 4 ? 0x0800 : 0x86dd);
	frame->tcp = frame->ip + (family == 4 ? 20 : 40);
	frame->bytes[frame->ip] = family == 4 ? 0x45 : 0x60;
	frame->bytes[frame->ip + (family == 4 ? 9 : 6)] = IPPROTO_TCP;
	for (size_t i = frame->ip + (family == 4 ? 12 : 8); i < frame->tcp; i++)
		frame->bytes[i] = 17 * i;
	memcpy(frame->bytes + frame->tcp, segment, TCP_LEN);
	frame->len = frame->tcp + TCP_LEN;
	put16(frame, frame->tcp + 16, checksum(frame, family));
}

static void the_timestamp_is_later_and_the_checksum_correct(void **state)
{
	static const uint32_t laters[] = { 0, 1, 15, 16, 1000, 3001, 31000, 0x10000, 0xffffffff };
	struct frame frame, before;

	(void)state;
	for (int family = 4; family <= 6; family += 2)
		for (int tags = 0; tags <= 2; tags++)
			for (size_t i = 0; i < sizeof(laters) / sizeof(laters[0]); i++) {
				make(&before, family, tags);
				frame = before;
				assert_true(synack_frame_later(frame.bytes, frame.len, laters[i]));
				assert_int_equal(tsval(&frame), 0xfffffff0 + laters[i]);
				assert_int_equal(checksum(&frame, family), 0);
				/* All other bytes are unchanged. */
				memcpy(frame.bytes + frame.tcp + TSVAL_AT, before.bytes + frame.tcp + TSVAL_AT, 4);
				memcpy(frame.bytes + frame.tcp + 16, before.bytes + frame.tcp + 16, 2);
				assert_memory_equal(frame.bytes, before.bytes, sizeof(frame.bytes));
			}
}

/* Changed often, from any number: the checksum never drifts. */
static void the_checksum_stays_right_over_many_changes(void **state)
{
	struct frame frame;
	uint32_t want = 0xfffffff0;

	(void)state;
	make(&frame, 4, 0);
	srand(1);
	for (int i = 0; i < 100000; i++) {
		uint32_t ms = (uint32_t)rand() << 1 ^ (uint32_t)rand();

		want += ms;
		assert_true(synack_frame_later(frame.bytes, frame.len, ms));
		assert_int_equal(tsval(&frame), want);
		assert_int_equal(checksum(&frame, 4), 0);
	}
}

static void stays(const struct frame *frame)
{
	/* Of its exact size, so that reads beyond it are found. */
	uint8_t *copy = malloc(frame->len ? frame->len : 1);

	assert_non_null(copy);
	memcpy(copy, frame->bytes, frame->len);
	assert_false(synack_frame_later(copy, frame->len, 1000));
	assert_memory_equal(copy, frame->bytes, frame->len);
	free(copy);
}

static void a_frame_that_is_cut_anywhere_stays(void **state)
{
	struct frame frame;

	(void)state;
	for (int family = 4; family <= 6; family += 2)
		for (int tags = 0; tags <= 2; tags++) {
			make(&frame, family, tags);
			while (frame.len--)
				stays(&frame);
		}
}

static void a_frame_without_a_timestamp_stays(void **state)
{
	struct frame frame;

	(void)state;
	make(&frame, 4, 0);
	memset(frame.bytes + frame.tcp + 26, 1, 10); /* NOP */
	stays(&frame);
	make(&frame, 4, 0);
	frame.bytes[frame.tcp + 26] = 0; /* the end of options */
	stays(&frame);
	make(&frame, 4, 0);
	frame.bytes[frame.tcp + 12] = 5 << 4; /* no options */
	stays(&frame);
}

static void a_frame_with_broken_options_stays(void **state)
{
	static const uint8_t lengths[] = { 0, 1, 9, 11, 15, 255 };
	struct frame frame;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths); i++) {
		make(&frame, 6, 0);
		frame.bytes[frame.tcp + 27] = lengths[i];
		stays(&frame);
	}
	make(&frame, 6, 0);
	frame.bytes[frame.tcp + 21] = 0; /* the MSS option's length */
	stays(&frame);
}

static void other_frames_stay(void **state)
{
	struct frame frame;

	(void)state;
	make(&frame, 4, 0);
	frame.bytes[frame.tcp + 13] = 0x10; /* an ACK */
	stays(&frame);
	make(&frame, 4, 0);
	frame.bytes[frame.ip + 9] = IPPROTO_UDP;
	stays(&frame);
	make(&frame, 6, 0);
	frame.bytes[frame.ip + 6] = IPPROTO_UDP;
	stays(&frame);
	make(&frame, 4, 0);
	put16(&frame, 12, 0x0806); /* ARP */
	stays(&frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_timestamp_is_later_and_the_checksum_correct),
		cmocka_unit_test(the_checksum_stays_right_over_many_changes),
		cmocka_unit_test(a_frame_that_is_cut_anywhere_stays),
		cmocka_unit_test(a_frame_without_a_timestamp_stays),
		cmocka_unit_test(a_frame_with_broken_options_stays),
		cmocka_unit_test(other_frames_stay),
	};

	return cmocka_run_group_tests_name("SYN-ACKs that are sent again", tests, NULL, NULL);
}

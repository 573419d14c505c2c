/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The frames of the flood generator: every kind has its fields right, in both families, and no two frames are equal. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../bench/flood_frame.h"
#include "frame.h"

#include "bench/flood.skel.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PORT 80
#define ETHERNET 14
#define STALE_BYTE 0xaa /* the byte that a receiver left in the memory of an earlier frame */

static struct flood *flood;
static struct flood_ends ends;

/* A frame taken apart; l4: where TCP begins, after all IP headers. */
struct taken {
	uint8_t bytes[FLOOD_FRAME_MAX];
	size_t len, l4, ip_len; /* ip_len: the length in the packet's IP header */
	size_t extensions;
	bool fragment, more;
	unsigned int offset, id;
};

static int teardown(void **state)
{
	(void)state;
	flood__destroy(flood);
	flood = NULL;
	return 0;
}

/* Loads the program for a kind. */
static void begins(enum flood_kind kind, bool ipv6)
{
	struct flood_plan plan;

	teardown(NULL);
	ends = (struct flood_ends){
		.ipv6 = ipv6, .port = htons(PORT), .dst_mac = { 2, 0, 0, 0, 0, 1 }, .src_mac = { 2, 0, 0, 0, 0, 2 }
	};
	assert_int_equal(inet_pton(ipv6 ? AF_INET6 : AF_INET, ipv6 ? "2001:db8::1" : "10.9.0.1", &ends.dst), 1);
	assert_int_equal(flood_plan_make(&plan, kind, flood_shapes[kind].options, &ends), 0);
	flood = flood__open();
	assert_non_null(flood);
	memcpy((void *)flood->rodata->frames, plan.frames, sizeof(plan.frames));
	flood->rodata->pairs = plan.pairs;
	flood->rodata->ipv6 = ipv6;
	flood->bss->random_state = 0x123456789abcdef;
	assert_int_equal(flood__load(flood), 0);
}

static void take_ipv6(struct taken *frame)
{
	uint8_t next = frame->bytes[ETHERNET + 6];

	frame->l4 = ETHERNET + 40;
	frame->ip_len = 40 + get16(frame->bytes + ETHERNET + 4);
	for (; next != IPPROTO_TCP; next = frame->bytes[frame->l4], frame->l4 += 8) {
		const uint8_t *header = frame->bytes + frame->l4;

		frame->extensions++;
		if (next == IPPROTO_FRAGMENT) {
			frame->fragment = true;
			frame->offset = get16(header + 2) & ~7u;
			frame->more = header[3] & 1;
			frame->id = get32(header + 4);
			continue;
		}
		assert_true(next == IPPROTO_DSTOPTS || (next == IPPROTO_HOPOPTS && frame->extensions == 1));
		assert_int_equal(header[1], 0);
		assert_int_equal(get16(header + 2), 0x0104); /* PadN of 4 */
	}
}

static void take_ipv4(struct taken *frame)
{
	const uint8_t *ip = frame->bytes + ETHERNET;
	unsigned int flags = get16(ip + 6);

	assert_int_equal(ip[0], 0x45);
	assert_int_equal(ip[9], IPPROTO_TCP);
	assert_int_equal((uint16_t)~sum_bytes(0, ip, 20), 0);
	frame->l4 = ETHERNET + 20;
	frame->ip_len = get16(ip + 2);
	frame->fragment = flags & 0x3fff;
	frame->more = flags & FRAGMENT_MF;
	frame->offset = (flags & 0x1fff) * 8;
	frame->id = get16(ip + 4);
	assert_true(frame->fragment != !!(flags & FRAGMENT_DF));
}

/* Takes the next frame. */
static void take(struct taken *frame)
{
	uint8_t in[FLOOD_FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = flood->rodata->frames[0].len,
		    .data_out = frame->bytes, .data_size_out = sizeof(frame->bytes));

	memset(in, STALE_BYTE, sizeof(in));
	*frame = (struct taken){};
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(flood->progs.flood), &options), 0);
	assert_int_equal(options.retval, XDP_REDIRECT);
	frame->len = options.data_size_out;
	assert_memory_equal(frame->bytes, ends.dst_mac, 6);
	assert_memory_equal(frame->bytes + 6, ends.src_mac, 6);
	assert_int_equal(get16(frame->bytes + 12), ends.ipv6 ? 0x86dd : 0x0800);
	if (ends.ipv6)
		take_ipv6(frame);
	else
		take_ipv4(frame);
	assert_memory_equal(frame->bytes + ETHERNET + (ends.ipv6 ? 24 : 16), &ends.dst, ends.ipv6 ? 16 : 4);
	/* Asserts that every byte was written; a random byte may have the old value by chance. */
	for (size_t i = ETHERNET + frame->ip_len; i + 2 < frame->len; i++)
		assert_false(frame->bytes[i] == STALE_BYTE && frame->bytes[i + 1] == STALE_BYTE &&
			     frame->bytes[i + 2] == STALE_BYTE);
}

static const uint8_t *source(const struct taken *frame)
{
	return frame->bytes + ETHERNET + (ends.ipv6 ? 8 : 12);
}

static void assert_source_is_made_up(const struct taken *frame)
{
	if (ends.ipv6) {
		assert_int_equal(get32(source(frame)), FLOOD_PREFIX6);
	} else {
		assert_int_equal(get32(source(frame)) & FLOOD_MASK4, FLOOD_PREFIX4);
	}
}

static uint16_t checksum(const struct taken *frame, const uint8_t *tcp, size_t len)
{
	return tcp_checksum(source(frame), ends.ipv6 ? 32 : 8, tcp, len);
}

/* Takes two frames; the test decides what is right. */
static void take_two(struct taken frames[2])
{
	take(&frames[0]);
	take(&frames[1]);
}

static size_t segment_len(const struct taken *frame)
{
	return ETHERNET + frame->ip_len - frame->l4;
}

/* --------------------------------------------------------------------------------------------------- whole segments */

struct whole {
	enum flood_kind kind;
	uint8_t flags;
	size_t options, payload, timestamps; /* timestamps: where their value is in the header; 0: there are none */
};

static const struct whole wholes[] = {
	{ FLOOD_SYN, SYN, 20, 0, 28 },
	{ FLOOD_SYN_PLAIN, SYN, 12, 0, 0 },
	{ FLOOD_ACK, ACK, 0, 0, 0 },
	{ FLOOD_ACK_DATA, ACK | PSH, 0, 32, 0 },
	{ FLOOD_ACK_TS, ACK, 12, 0, 24 },
	{ FLOOD_RST, RST, 0, 0, 0 },
	{ FLOOD_FIN, FIN | ACK, 0, 0, 0 },
	{ FLOOD_SYNACK, SYN | ACK, 20, 0, 28 },
	{ FLOOD_SYN_FIN, SYN | FIN, 20, 0, 28 },
	{ FLOOD_NULL, 0, 0, 0, 0 },
	{ FLOOD_XMAS, FIN | PSH | URG, 0, 0, 0 },
	{ FLOOD_URG, ACK | URG, 0, 32, 0 },
	{ FLOOD_ZERO_PORT, SYN, 20, 0, 28 },
	{ FLOOD_BAD_CHECKSUM, SYN, 20, 0, 28 },
	{ FLOOD_LAND, SYN, 20, 0, 28 },
	{ FLOOD_EXT_CHAIN, SYN, 20, 0, 28 },
};

static void assert_is_whole(const struct taken *frame, const struct whole *whole)
{
	const uint8_t *tcp = frame->bytes + frame->l4;

	assert_false(frame->fragment);
	assert_int_equal(segment_len(frame), 20 + whole->options + whole->payload);
	assert_true(ETHERNET + frame->ip_len <= frame->len);
	assert_int_equal(tcp[12] >> 4, 5 + whole->options / 4);
	assert_int_equal(tcp[13], whole->flags);
	assert_int_equal(get16(tcp + 2), PORT);
	if (!(whole->flags & ACK))
		assert_int_equal(get32(tcp + 8), 0);
	assert_int_equal(get16(tcp + 18), whole->flags & URG ? 1 : 0);
	assert_int_equal(frame->extensions, whole->kind == FLOOD_EXT_CHAIN ? 8 : 0);
	assert_int_equal(!checksum(frame, tcp, segment_len(frame)), whole->kind != FLOOD_BAD_CHECKSUM);
	if (whole->timestamps)
		assert_int_equal(get16(tcp + whole->timestamps - 2), 0x080a);
	if (whole->kind == FLOOD_LAND) {
		assert_memory_equal(source(frame), &ends.dst, ends.ipv6 ? 16 : 4);
		assert_int_equal(get16(tcp), PORT);
		return;
	}
	assert_source_is_made_up(frame);
	if (whole->kind == FLOOD_ZERO_PORT)
		assert_int_equal(get16(tcp), 0);
	else
		assert_true(get16(tcp) >= 1024);
}

static void assert_differ(const struct taken frames[2], size_t offset, size_t len)
{
	assert_memory_not_equal(frames[0].bytes + offset, frames[1].bytes + offset, len);
}

/* Asserts that source, port and numbers are random where the frame has them. */
static void assert_are_random(const struct taken frames[2], const struct whole *whole)
{
	size_t l4 = frames[0].l4;

	assert_differ(frames, l4 + 4, 4);
	if (whole->kind != FLOOD_LAND)
		assert_differ(frames, ETHERNET + (ends.ipv6 ? 8 : 12), ends.ipv6 ? 16 : 4);
	if (whole->kind != FLOOD_LAND && whole->kind != FLOOD_ZERO_PORT)
		assert_differ(frames, l4, 2);
	if (whole->flags & ACK)
		assert_differ(frames, l4 + 8, 4);
	if (whole->timestamps)
		assert_differ(frames, l4 + whole->timestamps, 4);
	if (whole->timestamps && whole->flags & ACK)
		assert_differ(frames, l4 + whole->timestamps + 4, 4);
}

static void whole_segments_have_the_fields_of_their_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * COUNT(wholes); i++) {
		const struct whole *whole = &wholes[i / 2];
		struct taken frames[2];

		if (whole->kind == FLOOD_EXT_CHAIN && !(i % 2))
			continue;
		begins(whole->kind, i % 2);
		take_two(frames);
		assert_is_whole(&frames[0], whole);
		assert_is_whole(&frames[1], whole);
		assert_are_random(frames, whole);
	}
}

static void ipv4_has_no_chain_of_extensions(void **state)
{
	struct flood_plan plan;

	(void)state;
	ends.ipv6 = false;
	assert_int_equal(flood_plan_make(&plan, FLOOD_EXT_CHAIN, FLOOD_OPTIONS_LINUX, &ends), -EAFNOSUPPORT);
}

static void names_find_their_kind(void **state)
{
	(void)state;
	for (enum flood_kind kind = 0; kind < FLOOD_KIND_COUNT; kind++)
		assert_int_equal(flood_kind_named(flood_shapes[kind].name), kind);
	assert_int_equal(flood_kind_named("nothing"), FLOOD_KIND_COUNT);
}

/* ----------------------------------------------------------------------------------------------------- damaged ones */

static void offsets_are_alternately_too_short_and_too_long(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct taken frames[2];

		begins(FLOOD_BAD_OFFSET, ipv6);
		take_two(frames);
		assert_int_equal(frames[0].bytes[frames[0].l4 + 12] >> 4, 4);
		assert_int_equal(frames[1].bytes[frames[1].l4 + 12] >> 4, 15);
		for (int i = 0; i < 2; i++) {
			const uint8_t *tcp = frames[i].bytes + frames[i].l4;

			assert_int_equal(segment_len(&frames[i]), 20);
			assert_int_equal(tcp[13], SYN);
			assert_int_equal(checksum(&frames[i], tcp, 20), 0);
			assert_source_is_made_up(&frames[i]);
		}
	}
}

static void lengths_are_alternately_too_short_and_too_long(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct taken frames[2];

		begins(FLOOD_BAD_LENGTH, ipv6);
		take(&frames[0]);
		assert_true(segment_len(&frames[0]) < 20);
		take(&frames[1]);
		assert_true(ETHERNET + frames[1].ip_len > frames[1].len);
		for (int i = 0; i < 2; i++)
			assert_source_is_made_up(&frames[i]);
	}
}

/* -------------------------------------------------------------------------------------------------------- fragments */

static void first_fragments_hold_too_little_of_tcp(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct taken frames[2];

		begins(FLOOD_FRAGMENT, ipv6);
		take_two(frames);
		for (int i = 0; i < 2; i++) {
			assert_true(frames[i].fragment && frames[i].more);
			assert_int_equal(frames[i].offset, 0);
			assert_int_equal(segment_len(&frames[i]), 8);
			assert_int_equal(get16(frames[i].bytes + frames[i].l4 + 2), PORT);
			assert_source_is_made_up(&frames[i]);
		}
		assert_int_not_equal(frames[0].id, frames[1].id);
	}
}

/* Two frames are the pieces of one packet. */
static void assert_belong_together(const struct taken *first, const struct taken *second)
{
	assert_true(first->fragment && second->fragment);
	assert_int_equal(first->id, second->id);
	assert_memory_equal(source(first), source(second), ends.ipv6 ? 16 : 4);
	assert_source_is_made_up(first);
}

static void a_syn_in_two_fragments_reassembles(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct taken frames[2], next;
		uint8_t tcp[40];

		begins(FLOOD_FRAGMENT_SYN, ipv6);
		take_two(frames);
		assert_belong_together(&frames[0], &frames[1]);
		assert_true(frames[0].more && !frames[1].more);
		assert_int_equal(frames[0].offset, 0);
		assert_int_equal(frames[1].offset, segment_len(&frames[0]));
		assert_int_equal(segment_len(&frames[0]) + segment_len(&frames[1]), sizeof(tcp));
		memcpy(tcp, frames[0].bytes + frames[0].l4, frames[1].offset);
		memcpy(tcp + frames[1].offset, frames[1].bytes + frames[1].l4, segment_len(&frames[1]));
		assert_int_equal(tcp[13], SYN);
		assert_int_equal(tcp[12] >> 4, 10);
		assert_int_equal(checksum(&frames[0], tcp, sizeof(tcp)), 0);
		take(&next);
		assert_int_not_equal(next.id, frames[0].id);
	}
}

static void later_fragments_overlap(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct taken frames[2];

		begins(FLOOD_FRAGMENT_REST, ipv6);
		take_two(frames);
		assert_belong_together(&frames[0], &frames[1]);
		assert_true(frames[0].offset > 0);
		assert_true(frames[0].offset < frames[1].offset);
		assert_true(frames[1].offset < frames[0].offset + segment_len(&frames[0]));
		assert_true(frames[1].offset + segment_len(&frames[1]) > frames[0].offset + segment_len(&frames[0]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(whole_segments_have_the_fields_of_their_kind, teardown),
		cmocka_unit_test(ipv4_has_no_chain_of_extensions),
		cmocka_unit_test(names_find_their_kind),
		cmocka_unit_test_teardown(offsets_are_alternately_too_short_and_too_long, teardown),
		cmocka_unit_test_teardown(lengths_are_alternately_too_short_and_too_long, teardown),
		cmocka_unit_test_teardown(first_fragments_hold_too_little_of_tcp, teardown),
		cmocka_unit_test_teardown(a_syn_in_two_fragments_reassembles, teardown),
		cmocka_unit_test_teardown(later_fragments_overlap, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

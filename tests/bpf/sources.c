/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/prefix_hash.h>
#include <shakeoff/source.h>

#include "sources.h"

static const struct segment linux_syn = LINUX_SYN;

int listener, connected[CAPACITY];
static uint16_t next_port;

void replies_sent(uint32_t window, uint32_t sent)
{
	static struct shakeoff_reply_cells cells;
	__u32 zero = 0;

	for (size_t i = 0; i < COUNT(cells.cells); i++)
		cells.cells[i] = (struct shakeoff_reply_cell){ .window = window, .sent = sent };
	for (size_t i = 0; i < COUNT(cells.spares); i++)
		cells.spares[i] = (struct shakeoff_reply_spare){ .window = window, .sent = sent };
	assert_int_equal(bpf_map_update_elem(harness.replies, &zero, &cells, BPF_ANY), 0);
}

int sources_setup(void **state)
{
	listener = -1;
	memset(connected, -1, sizeof(connected));
	next_port = 20000;
	acl_fixture_reset();
	harness_reset(state);
	replies_sent(0, 0);
	/* A new salt: counts of an earlier test are in other cells. */
	harness.control->replies = shakeoff_reply_budget(monotonic_ns() * 0x9e3779b97f4a7c15ull, 0, 1);
	return 0;
}

int sources_teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(connected); i++)
		if (connected[i] >= 0)
			reset_socket(&connected[i]);
	if (listener >= 0)
		close(listener);
	return 0;
}

struct segment syn_from(const char *from)
{
	struct segment syn = linux_syn;

	syn.from = from;
	syn.sport = next_port++;
	return syn;
}

enum shakeoff_verdict syn_result(const char *from)
{
	struct segment syn = syn_from(from);

	return run_segment(&syn, NULL);
}

int syns_that(const char *from, int count, enum shakeoff_verdict verdict, enum shakeoff_verdict otherwise)
{
	int those = 0;

	while (count--) {
		enum shakeoff_verdict got = syn_result(from);

		if (got != verdict)
			assert_string_equal(verdict_name(got), verdict_name(otherwise));
		those += got == verdict;
	}
	return those;
}

enum shakeoff_verdict opens(const char *from)
{
	struct client client = { .syn = syn_from(from) };
	enum shakeoff_verdict verdict;
	static struct frame out;

	verdict = run_segment(&client.syn, &out);
	if (verdict != SHAKEOFF_SYNACK_SENT)
		return verdict;
	assert_null(frame_read(out.bytes, out.len, &client.synack));
	client_make_ack(&client);
	verdict = run_segment(&client.ack, NULL);
	if (verdict == SHAKEOFF_ACK_VALID)
		expect_event(SHAKEOFF_EVENT_OPEN);
	return verdict;
}

void shared_queue(void)
{
	harness.service->capacity = harness.service->backlog = CAPACITY;
	harness.service->fair_share = 1;
}

void others_come(void)
{
	harness.service->mixed_ns = monotonic_ns();
}

int takes(const char *from, enum shakeoff_verdict refusal)
{
	for (int got = 0;; got++) {
		enum shakeoff_verdict verdict;

		others_come();
		verdict = opens(from);

		if (verdict == SHAKEOFF_ACK_VALID || verdict == SHAKEOFF_ACK_ADMITTED)
			continue;
		assert_string_equal(verdict_name(verdict), verdict_name(refusal));
		return got;
	}
}

const char *of_a_site(int i)
{
	static char text[40];

	snprintf(text, sizeof(text), "2001:db8:7:%x::7", i);
	return text;
}

int site_takes(enum shakeoff_verdict refusal)
{
	for (int got = 0;; got++) {
		enum shakeoff_verdict verdict;

		others_come();
		verdict = opens(of_a_site(got));
		if (verdict == SHAKEOFF_ACK_VALID)
			continue;
		assert_string_equal(verdict_name(verdict), verdict_name(refusal));
		return got;
	}
}

int count_of(int map)
{
	struct shakeoff_source_key key, *previous = NULL;
	int elements = 0;

	for (; !bpf_map_get_next_key(map, previous, &key); previous = &key)
		elements++;
	return elements;
}

int sources_start(void **state)
{
	return harness_start(state) || acl_fixture_start() ? -1 : 0;
}

int sources_stop(void **state)
{
	acl_fixture_stop();
	return harness_stop(state);
}

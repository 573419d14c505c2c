/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c */
/* The table of tuples whose ACK was accepted (shakeoff/validated.h): its sets, and what happens when one is full. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <shakeoff/validated.h>

#include "harness.h"

#define SECOND 1000000000ll
#define CLIENTS (SHAKEOFF_VALIDATED_WAYS + 1)

static const struct segment syn4 = LINUX_SYN;
static const struct segment syn6 = LINUX_SYN6;

static __u32 set_of(const struct segment *segment)
{
	struct shakeoff_tuple tuple = tuple_of_segment(segment);

	return shakeoff_validated_set(shakeoff_filter_tuple_slot(&tuple));
}

/* Connects clients of several addresses whose tuples fall into the same set; the first opened the longest ago. */
static void clients_of_one_set(struct client *clients, size_t count, const struct segment *like)
{
	static char from[UINT8_MAX][INET6_ADDRSTRLEN];
	struct segment syn = *like;
	size_t found = 0;
	__u32 set = 0;

	for (unsigned int number = 1; number < UINT8_MAX && found < count; number++) {
		snprintf(from[number], sizeof(from[number]), like->from ? "2001:db8:7::%u" : "198.51.100.%u", number);
		syn.from = from[number];
		for (syn.sport = 1024; syn.sport < UINT16_MAX && found < count; syn.sport++) {
			if (!found)
				set = set_of(&syn);
			if (set_of(&syn) != set)
				continue;
			client_opens(&clients[found], &syn);
			validated_age(&clients[found].ack, (int64_t)(count - found) * SECOND);
			found++;
		}
	}
	assert_int_equal(found, count);
}

static void assert_only_the_first_is_forgotten(const struct segment *like)
{
	struct client clients[CLIENTS];
	struct shakeoff_validated entry;

	clients_of_one_set(clients, CLIENTS, like);
	assert_false(validated_get(&clients[0].ack, &entry));
	for (size_t i = 1; i < CLIENTS; i++) {
		assert_true(validated_get(&clients[i].ack, &entry));
		assert_int_equal(entry.cookie, clients[i].synack.seq);
		assert_verdict(&clients[i].ack, SHAKEOFF_ACK_REPLAYED);
	}
	assert_verdict(&clients[0].ack, SHAKEOFF_ACK_VALID);
}

static void a_full_set_drops_its_oldest(void **state)
{
	(void)state;
	assert_only_the_first_is_forgotten(&syn4);
}

static void a_full_set_of_ipv6_does_so_too(void **state)
{
	(void)state;
	assert_only_the_first_is_forgotten(&syn6);
}

/* An entry that was freed in the middle of the set is used next, and entries after it are still found. */
static void a_freed_entry_is_used_first(void **state)
{
	static const struct shakeoff_validated nothing;
	struct client clients[SHAKEOFF_VALIDATED_WAYS], next;
	struct shakeoff_validated entry;

	(void)state;
	clients_of_one_set(clients, SHAKEOFF_VALIDATED_WAYS, &syn4);
	validated_set(&clients[1].ack, &nothing);
	for (size_t i = 0; i < SHAKEOFF_VALIDATED_WAYS; i++)
		assert_int_equal(validated_get(&clients[i].ack, &entry), i != 1);
	client_opens(&next, &clients[1].syn);
	for (size_t i = 0; i < SHAKEOFF_VALIDATED_WAYS; i++)
		assert_true(validated_get(&clients[i].ack, &entry));
}

static void tuples_that_differ_only_in_an_address_are_separate(void **state)
{
	struct segment syn = syn4;
	struct client one, other;
	struct shakeoff_validated entry;

	(void)state;
	client_opens(&one, &syn);
	syn.from = "198.51.100.8";
	client_opens(&other, &syn);
	assert_true(validated_get(&one.ack, &entry));
	assert_int_equal(entry.cookie, one.synack.seq);
	assert_true(validated_get(&other.ack, &entry));
	assert_int_equal(entry.cookie, other.synack.seq);
}

/* The client returns to its port: the new connection gets the entry of the old one, not a second entry. */
static void a_new_connection_of_a_tuple_replaces_the_old_entry(void **state)
{
	static const struct shakeoff_validated nothing;
	struct shakeoff_validated entry;
	struct client old, new;
	struct segment syn = syn4;

	(void)state;
	client_opens(&old, &syn);
	validated_age(&old.ack, SECOND);
	syn.seq += 100000;
	client_opens(&new, &syn);
	assert_true(validated_get(&new.ack, &entry));
	assert_int_equal(entry.client_isn, syn.seq);
	validated_set(&new.ack, &nothing);
	assert_false(validated_get(&old.ack, &entry));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, harness_reset)
	const struct CMUnitTest tests[] = {
		TEST(a_full_set_drops_its_oldest),
		TEST(a_full_set_of_ipv6_does_so_too),
		TEST(a_freed_entry_is_used_first),
		TEST(tuples_that_differ_only_in_an_address_are_separate),
		TEST(a_new_connection_of_a_tuple_replaces_the_old_entry),
	};

	return cmocka_run_group_tests(tests, harness_start, harness_stop);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ACL of sources, as commands write it and the hook reads it.
 *
 * link: tests/bpf/harness*.c tests/bpf/acl_fixture.c user/datapath/?*.c user/common/process.c user/common/link.c
 * link: user/common/log.c user/acl/?*.c user/common/prefix.c user/common/text.c
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "acl_fixture.h"

static int group_start(void **state)
{
	return harness_start(state) || acl_fixture_start() ? -1 : 0;
}

static int group_stop(void **state)
{
	acl_fixture_stop();
	return harness_stop(state);
}

static int reset(void **state)
{
	acl_fixture_reset();
	return harness_reset(state);
}

/* ------------------------------------------------------------------------------------------------------- one source */

#define SYN4 LINUX_SYN  /* from 198.51.100.7 */
#define SYN6 LINUX_SYN6 /* from 2001:db8:7::7 */

static const struct {
	const char *name, *lines;
	const char *expired; /* lines of entries that have expired */
	struct segment in;
	enum shakeoff_verdict verdict;
} cases[] = {
	{ "nothing is listed", "", "", SYN4, SHAKEOFF_SYNACK_SENT },
	{ "a source in a blocked prefix", "198.51.100.0/24", "", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "a blocked host", "198.51.100.7", "", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "its neighbour", "198.51.100.6", "", SYN4, SHAKEOFF_SYNACK_SENT },
	{ "a source in a blocked prefix, IPv6", "2001:db8::/32", "", SYN6, SHAKEOFF_ACL_BLOCKED },
	{ "a blocked host, IPv6", "2001:db8:7::7", "", SYN6, SHAKEOFF_ACL_BLOCKED },
	{ "its neighbour, IPv6", "2001:db8:7::6", "", SYN6, SHAKEOFF_SYNACK_SENT },
	{ "all of IPv4 is not IPv6", "0.0.0.0/0", "", SYN6, SHAKEOFF_SYNACK_SENT },
	{ "all of IPv6 is not IPv4", "::/0", "", SYN4, SHAKEOFF_SYNACK_SENT },

	{ "the longest prefix decides: block in allow", "allow 198.51.0.0/16\n198.51.100.0/24", "", SYN4,
	  SHAKEOFF_ACL_BLOCKED },
	{ "allow in block", "0.0.0.0/0\nallow 198.51.100.0/24", "", SYN4, SHAKEOFF_SYNACK_SENT },
	{ "block in allow in block", "0.0.0.0/0\nallow 198.51.100.0/24\n198.51.100.7", "", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "block in allow, IPv6", "allow 2001:db8::/32\n2001:db8:7::/48", "", SYN6, SHAKEOFF_ACL_BLOCKED },
	{ "allow in block, IPv6", "::/0\nallow 2001:db8:7::7", "", SYN6, SHAKEOFF_SYNACK_SENT },
	{ "the same prefix again changes its entry", "198.51.100.7\nallow 198.51.100.7", "", SYN4,
	  SHAKEOFF_SYNACK_SENT },

	{ "an entry without an expiry", "198.51.100.0/24 for 1h", "", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "an expired entry", "", "198.51.100.0/24", SYN4, SHAKEOFF_SYNACK_SENT },
	{ "an expired entry does not hide a shorter valid one", "198.51.0.0/16", "198.51.100.0/24", SYN4,
	  SHAKEOFF_ACL_BLOCKED },
	{ "an entry that has not expired yet", "198.51.0.0/16 for 1h", "198.51.100.0/24", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "nested prefixes", "0.0.0.0/0",
	  "128.0.0.0/1\n198.0.0.0/8\n198.51.0.0/16\nallow 198.51.100.0/24\n198.51.100.7", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "nested prefixes that all have expired", "", "0.0.0.0/0\n198.51.100.0/24\n198.51.100.7", SYN4,
	  SHAKEOFF_SYNACK_SENT },
	{ "an expired allow does not hide a block", "198.51.0.0/16", "allow 198.51.100.7", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "an expired block does not hide an allow", "0.0.0.0/0\nallow 198.51.0.0/16", "198.51.100.7", SYN4,
	  SHAKEOFF_SYNACK_SENT },
	{ "an expired entry does not hide a shorter valid one, IPv6", "2001::/16", "2001:db8::/32\n2001:db8:7::7", SYN6,
	  SHAKEOFF_ACL_BLOCKED },

	{ "for the service alone", "198.51.100.0/24 service web", "", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "for the service alone, IPv6", "2001:db8:7::/64 service web", "", SYN6, SHAKEOFF_ACL_BLOCKED },
	{ "for another service", "198.51.100.0/24 service ssh", "", SYN4, SHAKEOFF_SYNACK_SENT },
	{ "for another service, IPv6", "::/0 service ssh", "", SYN6, SHAKEOFF_SYNACK_SENT },
	{ "of equal prefixes the service's entry decides", "198.51.100.0/24\nallow 198.51.100.0/24 service web", "",
	  SYN4, SHAKEOFF_SYNACK_SENT },
	{ "of equal prefixes the service's entry decides, in the other order",
	  "198.51.100.0/24 service web\nallow 198.51.100.0/24", "", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "a longer prefix for all services wins over it", "allow 198.51.0.0/16 service web\n198.51.100.0/24", "", SYN4,
	  SHAKEOFF_ACL_BLOCKED },
	{ "and wins over a shorter prefix for all services", "198.51.0.0/16\nallow 198.51.100.0/24 service web", "",
	  SYN4, SHAKEOFF_SYNACK_SENT },
	{ "an expired entry of the service does not hide the one for all", "198.51.0.0/16",
	  "allow 198.51.100.7 service web", SYN4, SHAKEOFF_ACL_BLOCKED },
	{ "an expired entry for all services does not hide the service's", "198.51.0.0/16 service web",
	  "allow 198.51.100.7", SYN4, SHAKEOFF_ACL_BLOCKED },

	{ "an ACK from a blocked source", "198.51.100.7", "", { .flags = ACK }, SHAKEOFF_ACL_BLOCKED },
	{ "an RST", "198.51.100.7", "", { .flags = RST }, SHAKEOFF_ACL_BLOCKED },
	{ "a SYN that is also invalid", "198.51.100.7", "", { .flags = SYN | FIN }, SHAKEOFF_ACL_BLOCKED },
	{ "one to a port of no service", "0.0.0.0/0", "", { .flags = SYN, .dport = 81 }, SHAKEOFF_NO_SERVICE },
	{ "one to an address of no service", "0.0.0.0/0", "", { .flags = SYN, .to = "10.9.0.2" }, SHAKEOFF_NO_SERVICE },
	{ "a SYN-ACK to a connection that the host began",
	  "0.0.0.0/0",
	  "",
	  { .flags = SYN | ACK, .sport = 80, .dport = 40000 },
	  SHAKEOFF_NO_SERVICE },
	{ "an allowed source still needs a cookie",
	  "allow 198.51.100.7",
	  "",
	  { .flags = ACK },
	  SHAKEOFF_ACK_BAD_COOKIE },
};

static void is_checked(void **state)
{
	size_t i = (size_t)*state;

	acl_fixture_add(cases[i].lines);
	if (*cases[i].expired)
		acl_fixture_expired(cases[i].expired, 1);
	assert_verdict(&cases[i].in, cases[i].verdict);
}

/* ------------------------------------------------------------------------------------------------------- boundaries */

static bool is_blocked(const char *from)
{
	const struct segment syn = { .from = from, .flags = SYN, .options = LINUX_OPTIONS };

	return run_segment(&syn, NULL) == SHAKEOFF_ACL_BLOCKED;
}

/* Writes the address `offset` before the first or after the last address of a prefix as text. False: there is none. */
static bool beside(const struct prefix *prefix, bool last, int offset, char *text, size_t size)
{
	int max = PREFIX_LEN_MAX(prefix->ipv6);
	uint8_t bytes[16];

	memcpy(bytes, prefix->address, sizeof(bytes));
	for (int bit = prefix->len; bit < max && last; bit++)
		bytes[bit / 8] |= 0x80 >> bit % 8;
	for (int i = max / 8 - 1; offset; i--) {
		if (i < 0)
			return false;
		bytes[i] += offset;
		offset = bytes[i] == (offset > 0 ? 0 : 0xff) ? offset : 0;
	}
	return inet_ntop(prefix->ipv6 ? AF_INET6 : AF_INET, bytes, text, size);
}

static void assert_beside(const struct prefix *prefix, bool last, int offset)
{
	char text[INET6_ADDRSTRLEN], name[PREFIX_TEXT];

	if (!beside(prefix, last, offset, text, sizeof(text)) || is_blocked(text) == !offset)
		return;
	prefix_write(prefix, name, sizeof(name));
	fail_msg("%s is%s blocked by %s", text, offset ? "" : " not", name);
}

static void a_prefix_reaches_from_its_first_to_its_last_address(void **state)
{
	static const char *const prefixes[] = {
		"0.0.0.0/0",          "128.0.0.0/1",
		"96.0.0.0/5",         "100.0.0.0/8",
		"100.128.0.0/9",      "100.66.0.0/15",
		"100.77.0.0/16",      "100.77.128.0/17",
		"100.78.2.0/23",      "100.79.1.0/24",
		"100.80.1.0/25",      "100.81.1.252/30",
		"100.82.1.254/31",    "100.83.1.255",
		"100.84.0.0",         "::/0",
		"8000::/1",           "2000::/3",
		"2600::/15",          "2600::/16",
		"2601:8000::/17",     "2602:8::/31",
		"2603:9::/32",        "2604:9:8000::/33",
		"2605:9:2::/47",      "2606:9:3::/48",
		"2607:9:3:8000::/49", "2608:9:3:2::/63",
		"2609:9:3:5::/64",    "260a:9:3:5:8000::/65",
		"260b::4/127",        "260c::4",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(prefixes); i++) {
		struct prefix prefix;
		char wrong[256];

		assert_int_equal(prefix_read(prefixes[i], &prefix, wrong, sizeof(wrong)), 0);
		acl_fixture_add(prefixes[i]);
		assert_beside(&prefix, false, 0);
		assert_beside(&prefix, true, 0);
		assert_beside(&prefix, false, -1);
		assert_beside(&prefix, true, 1);
		assert_int_equal(datapath_acl_remove(acl_fixture_datapath, &prefix, 0), 0);
		assert_int_equal(harness.control->acl, 0);
	}
}

/* Adds all prefixes of the address; all except the shortest have expired. */
static void expired_but_the_shortest(bool ipv6, const char *address)
{
	struct prefix prefix;
	char wrong[256];

	acl_fixture_add(ipv6 ? "::/0" : "0.0.0.0/0");
	assert_int_equal(prefix_read(address, &prefix, wrong, sizeof(wrong)), 0);
	for (; prefix.len; prefix.len--) {
		uint8_t *last = (uint8_t *)prefix.address + (prefix.len - 1) / 8;
		char line[PREFIX_TEXT];

		prefix_write(&prefix, line, sizeof(line));
		acl_fixture_expired(line, 1);
		*last &= 0xff00 >> (prefix.len - 1) % 8;
	}
}

static void many_expired_entries_do_not_hide_a_shorter_prefix(void **state)
{
	(void)state;
	expired_but_the_shortest(false, "198.51.100.7");
	assert_true(is_blocked("198.51.100.7"));
	expired_but_the_shortest(true, "2001:db8:7::7");
	assert_true(is_blocked("2001:db8:7::7"));
}

/* ---------------------------------------------------------------------------------------------------------- changes */

static void remove_it(const char *text, uint32_t scope, int expected)
{
	struct prefix prefix;
	char wrong[256];

	assert_int_equal(prefix_read(text, &prefix, wrong, sizeof(wrong)), 0);
	assert_int_equal(datapath_acl_remove(acl_fixture_datapath, &prefix, scope), expected);
}

static void a_removed_entry_has_no_effect(void **state)
{
	(void)state;
	remove_it("198.51.100.7", 0, -ENOENT);
	acl_fixture_add("198.51.100.7\n198.51.100.0/24 service web\n2001:db8::/32");
	remove_it("198.51.100.0/24", 0, -ENOENT);
	remove_it("198.51.100.7", 0, 0);
	assert_true(is_blocked("198.51.100.7"));
	remove_it("198.51.100.0/24", shakeoff_acl_scope("web"), 0);
	assert_false(is_blocked("198.51.100.7"));
	assert_true(is_blocked("2001:db8:7::7"));
	assert_string_equal(acl_fixture_entries(), "block 2001:db8::/32");
}

static int look_up(const char *text, uint32_t scope, struct acl_entry *entry)
{
	struct prefix prefix;
	char wrong[256];

	assert_int_equal(prefix_read(text, &prefix, wrong, sizeof(wrong)), 0);
	return datapath_acl_get(acl_fixture_datapath, &prefix, scope, entry);
}

static void an_entry_is_found_by_its_exact_prefix_and_scope(void **state)
{
	struct acl_entry entry;

	(void)state;
	assert_int_equal(look_up("198.51.100.7", 0, &entry), -ENOENT);
	acl_fixture_add("198.51.100.0/24\nallow 198.51.100.7 service web\nallow 2001:db8::/32");
	assert_int_equal(look_up("198.51.100.0/24", 0, &entry), 0);
	assert_int_equal(entry.action, SHAKEOFF_ACL_BLOCK);
	assert_int_equal(look_up("198.51.100.7", 0, &entry), -ENOENT);
	assert_int_equal(look_up("198.51.0.0/16", 0, &entry), -ENOENT);
	assert_int_equal(look_up("198.51.100.7", shakeoff_acl_scope("web"), &entry), 0);
	assert_int_equal(entry.action, SHAKEOFF_ACL_ALLOW);
	assert_int_equal(look_up("2001:db8::/32", 0, &entry), 0);
	assert_true(entry.prefix.ipv6);
	assert_int_equal(entry.action, SHAKEOFF_ACL_ALLOW);
	assert_int_equal(look_up("2001:db8:7::/48", 0, &entry), -ENOENT);
}

static void an_empty_acl_costs_nothing(void **state)
{
	(void)state;
	acl_fixture_add("198.51.100.7\n2001:db8::/32");
	assert_int_not_equal(harness.control->acl, 0);
	remove_it("198.51.100.7", 0, 0);
	remove_it("2001:db8::/32", 0, 0);
	assert_int_equal(harness.control->acl, 0);
	acl_fixture_add("198.51.100.7");
	assert_true(is_blocked("198.51.100.7"));
}

/* Returns a map of the program, by its name. */
static int map_of_program(const char *name)
{
	__u32 ids[64], size = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = { .nr_map_ids = COUNT(ids), .map_ids = (uintptr_t)ids };

	assert_int_equal(bpf_obj_get_info_by_fd(harness.plain_program, &info, &size), 0);
	for (__u32 i = 0; i < info.nr_map_ids; i++) {
		struct bpf_map_info map = { 0 };
		int fd = bpf_map_get_fd_by_id(ids[i]);

		size = sizeof(map);
		assert_int_equal(bpf_obj_get_info_by_fd(fd, &map, &size), 0);
		if (!strcmp(map.name, name))
			return fd;
		close(fd);
	}
	fail_msg("the program has no map %s", name);
	return -1;
}

static void a_killed_load_is_cleaned_up(void **state)
{
	int outer = map_of_program("acl4"), inner;
	__u32 which, other, id;

	(void)state;
	acl_fixture_load("198.51.100.7");
	which = harness.control->acl & SHAKEOFF_ACL_WHICH;
	other = which ^ 1;
	/* As if the next load had come this far. */
	assert_int_equal(bpf_map_lookup_elem(outer, &which, &id), 0);
	inner = bpf_map_get_fd_by_id(id);
	assert_int_equal(bpf_map_update_elem(outer, &other, &inner, 0), 0);
	close(inner);
	assert_int_equal(datapath_acl_clear(acl_fixture_datapath), 0);
	assert_int_equal(bpf_map_lookup_elem(outer, &which, &id), -ENOENT);
	assert_int_equal(bpf_map_lookup_elem(outer, &other, &id), -ENOENT);
	close(outer);
}

static void a_load_replaces_the_loaded_entries(void **state)
{
	(void)state;
	acl_fixture_load("198.51.100.7\n203.0.113.0/24 service web");
	assert_true(is_blocked("198.51.100.7"));
	assert_true(is_blocked("203.0.113.9"));
	acl_fixture_load("allow 198.51.100.8");
	assert_false(is_blocked("198.51.100.7"));
	assert_string_equal(acl_fixture_entries(), "allow 198.51.100.8");
	acl_fixture_load("");
	assert_string_equal(acl_fixture_entries(), "");
	assert_int_equal(harness.control->acl, 0);
}

static void entries_added_by_hand_stay_and_win_over_loaded_entries(void **state)
{
	(void)state;
	acl_fixture_add("198.51.100.7 for 1h\nallow 203.0.113.0/24 service web");
	acl_fixture_load("allow 198.51.100.7\n192.0.2.1\n203.0.113.0/24 service web");
	assert_true(is_blocked("198.51.100.7"));
	assert_true(is_blocked("192.0.2.1"));
	assert_false(is_blocked("203.0.113.1"));
	acl_fixture_load("192.0.2.2");
	assert_true(is_blocked("198.51.100.7"));
	assert_false(is_blocked("192.0.2.1"));
	assert_false(is_blocked("203.0.113.1"));
	assert_true(is_blocked("192.0.2.2"));
}

static void the_last_of_two_lines_for_a_prefix_counts(void **state)
{
	(void)state;
	acl_fixture_load("198.51.100.7\nallow 198.51.100.7");
	assert_false(is_blocked("198.51.100.7"));
	acl_fixture_load("allow 198.51.100.7\nblock 198.51.100.7");
	assert_true(is_blocked("198.51.100.7"));
}

static void services_with_the_same_hash_are_not_mixed_up(void **state)
{
	struct acl_entry entry = { .scope = shakeoff_acl_scope("liquid") };

	(void)state;
	acl_fixture_add("198.51.100.7 service costarring");
	assert_int_equal(datapath_acl_set(acl_fixture_datapath, &entry, "liquid"), -EEXIST);
}

/* The filter starts small: it has to grow with the entries without losing one. */
static void an_acl_grows_entry_by_entry(void **state)
{
	const uint32_t count = 3 * SHAKEOFF_ACL_CAPACITY(SHAKEOFF_ACL_SHRINK_MAX);
	uint32_t first;

	(void)state;
	acl_fixture_add("198.51.100.7 service web");
	first = SHAKEOFF_ACL_SHRINK(harness.control->acl);
	for (uint32_t i = 0; i < count; i++) {
		struct acl_entry entry = { .prefix = { .address = { htonl(0x0a000000 + i * 7) }, .len = 32 } };

		assert_int_equal(datapath_acl_set(acl_fixture_datapath, &entry, NULL), 0);
	}
	assert_true(SHAKEOFF_ACL_SHRINK(harness.control->acl) < first);
	assert_true(is_blocked("198.51.100.7"));
	for (uint32_t i = 0; i < count; i += 97) {
		struct in_addr address = { htonl(0x0a000000 + i * 7) }, next = { htonl(0x0a000000 + i * 7 + 1) };
		char text[INET_ADDRSTRLEN];

		assert_true(is_blocked(inet_ntop(AF_INET, &address, text, sizeof(text))));
		assert_false(is_blocked(inet_ntop(AF_INET, &next, text, sizeof(text))));
	}
}

/* --------------------------------------------------------------------------------------------------------- sweeping */

static void sweep(uint64_t budget_ns, int *steps)
{
	struct datapath_sweep *sweep;
	int result;

	assert_int_equal(datapath_acl_sweep_begin(acl_fixture_datapath, &sweep), 0);
	for (*steps = 1; (result = datapath_acl_sweep(sweep, monotonic_ns(), budget_ns)) == 1; ++*steps)
		assert_true(*steps < 1000);
	assert_int_equal(result, 0);
	datapath_acl_sweep_end(sweep);
}

static void expired_entries_are_removed(void **state)
{
	int steps;

	(void)state;
	acl_fixture_add("198.51.0.0/16\n203.0.113.1 for 1h\n2001:db8::/32 service web");
	acl_fixture_expired("198.51.100.0/24\n198.51.100.7\n203.0.113.0/24\n2001:db8:7::7 service web", 1);
	sweep(0, &steps); /* one entry a step */
	assert_in_range(steps, 7, 9);
	remove_it("198.51.100.0/24", 0, -ENOENT);
	remove_it("198.51.100.7", 0, -ENOENT);
	remove_it("203.0.113.0/24", 0, -ENOENT);
	remove_it("2001:db8:7::7", shakeoff_acl_scope("web"), -ENOENT);
	assert_true(is_blocked("198.51.100.7"));
	assert_true(is_blocked("203.0.113.1"));
	assert_true(is_blocked("2001:db8:7::7"));
}

static void the_next_expiry_is_known(void **state)
{
	uint64_t now = monotonic_ns();
	int steps;

	(void)state;
	acl_fixture_add("198.51.100.7");
	assert_int_equal(datapath_acl_expiry(acl_fixture_datapath), 0);
	acl_fixture_add("198.51.100.8 for 2h\n198.51.100.9 for 1h");
	assert_in_range(datapath_acl_expiry(acl_fixture_datapath) / 1000000000, now / 1000000000 + 3600,
			now / 1000000000 + 3610);
	remove_it("198.51.100.9", 0, 0);
	acl_fixture_expired("198.51.100.10", 10);
	assert_true(datapath_acl_expiry(acl_fixture_datapath) < now);
	sweep(1000000000, &steps);
	assert_int_equal(steps, 1);
	assert_in_range(datapath_acl_expiry(acl_fixture_datapath) / 1000000000, now / 1000000000 + 7200,
			now / 1000000000 + 7210);
}

static void an_acl_whose_entries_all_expired_costs_nothing(void **state)
{
	int steps;

	(void)state;
	acl_fixture_expired("198.51.100.7\n2001:db8::/32", 1);
	sweep(1000000000, &steps);
	assert_int_equal(harness.control->acl, 0);
	assert_false(datapath_acl_in_use(acl_fixture_datapath));
}

static void an_acl_that_is_loaded_meanwhile_ends_the_sweep(void **state)
{
	struct datapath_sweep *sweep;

	(void)state;
	acl_fixture_expired("198.51.100.7\n198.51.100.8", 1);
	assert_int_equal(datapath_acl_sweep_begin(acl_fixture_datapath, &sweep), 0);
	assert_int_equal(datapath_acl_sweep(sweep, monotonic_ns(), 0), 1);
	acl_fixture_load("192.0.2.1 for 1h");
	assert_int_equal(datapath_acl_sweep(sweep, monotonic_ns(), 0), 0);
	datapath_acl_sweep_end(sweep);
	assert_true(is_blocked("192.0.2.1"));
	assert_int_not_equal(datapath_acl_expiry(acl_fixture_datapath), 0);
}

/* The entry where a sweep stopped may be removed before the sweep continues. */
static void removed_entries_do_not_disturb_a_sweep(void **state)
{
	struct datapath_sweep *sweep;
	int result;

	(void)state;
	acl_fixture_add("198.51.100.1\n198.51.100.2\n198.51.100.3");
	acl_fixture_expired("198.51.100.4\n198.51.100.5", 1);
	assert_int_equal(datapath_acl_sweep_begin(acl_fixture_datapath, &sweep), 0);
	assert_int_equal(datapath_acl_sweep(sweep, monotonic_ns(), 0), 1);
	for (const char *const *gone = (const char *const[]){ "198.51.100.1", "198.51.100.2", "198.51.100.3", NULL };
	     *gone; gone++)
		remove_it(*gone, 0, 0);
	while ((result = datapath_acl_sweep(sweep, monotonic_ns(), 1000000000)) == 1)
		continue;
	assert_int_equal(result, 0);
	datapath_acl_sweep_end(sweep);
	assert_false(datapath_acl_in_use(acl_fixture_datapath));
}

/* -------------------------------------------------------------------------------------------------------- a million */

#define MILLION 1000000u

static struct in_addr scattered(uint32_t i)
{
	return (struct in_addr){ htonl(0x01000000 + i * 2654435761u % 0xdf000000u) };
}

static void a_million_prefixes_are_loaded(void **state)
{
	struct acl list = { .entries = calloc(MILLION, sizeof(*list.entries)), .count = MILLION };
	unsigned int wrong = 0;
	uint64_t begin;

	(void)state;
	assert_non_null(list.entries);
	for (uint32_t i = 0; i < MILLION; i++)
		list.entries[i] = (struct acl_entry){
			.prefix = { .address = { scattered(i).s_addr }, .len = 32 },
			.flags = SHAKEOFF_ACL_LOADED,
		};
	begin = monotonic_ns();
	assert_int_equal(datapath_acl_load(acl_fixture_datapath, &list), 0);
	print_message("# a million prefixes in %.1f s\n", (monotonic_ns() - begin) / 1e9);
	for (uint32_t i = 0; i < MILLION; i += MILLION / 500) {
		struct in_addr present = scattered(i), absent = { present.s_addr ^ htonl(1) };
		char text[INET_ADDRSTRLEN];

		assert_true(is_blocked(inet_ntop(AF_INET, &present, text, sizeof(text))));
		wrong += is_blocked(inet_ntop(AF_INET, &absent, text, sizeof(text)));
	}
	assert_int_equal(wrong, 0);
	acl_free(&list);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test_setup(a_prefix_reaches_from_its_first_to_its_last_address, reset),
		cmocka_unit_test_setup(many_expired_entries_do_not_hide_a_shorter_prefix, reset),
		cmocka_unit_test_setup(a_removed_entry_has_no_effect, reset),
		cmocka_unit_test_setup(an_entry_is_found_by_its_exact_prefix_and_scope, reset),
		cmocka_unit_test_setup(an_empty_acl_costs_nothing, reset),
		cmocka_unit_test_setup(a_killed_load_is_cleaned_up, reset),
		cmocka_unit_test_setup(a_load_replaces_the_loaded_entries, reset),
		cmocka_unit_test_setup(entries_added_by_hand_stay_and_win_over_loaded_entries, reset),
		cmocka_unit_test_setup(the_last_of_two_lines_for_a_prefix_counts, reset),
		cmocka_unit_test_setup(services_with_the_same_hash_are_not_mixed_up, reset),
		cmocka_unit_test_setup(an_acl_grows_entry_by_entry, reset),
		cmocka_unit_test_setup(expired_entries_are_removed, reset),
		cmocka_unit_test_setup(the_next_expiry_is_known, reset),
		cmocka_unit_test_setup(an_acl_whose_entries_all_expired_costs_nothing, reset),
		cmocka_unit_test_setup(an_acl_that_is_loaded_meanwhile_ends_the_sweep, reset),
		cmocka_unit_test_setup(removed_entries_do_not_disturb_a_sweep, reset),
		cmocka_unit_test_setup(a_million_prefixes_are_loaded, reset),
	};
	struct CMUnitTest tests[COUNT(cases) + COUNT(others)];

	for (size_t i = 0; i < COUNT(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, is_checked, reset, NULL, (void *)i };
	memcpy(tests + COUNT(cases), others, sizeof(others));
	return cmocka_run_group_tests_name("acl", tests, group_start, group_stop);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps of the data path, read and written from user space.
 *
 * link: user/datapath/?*.c user/common/process.c user/common/link.c user/common/log.c user/acl/?*.c
 * link: user/common/prefix.c user/common/text.c tests/bpf/veths.c
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/validated.h>

#include "veths.h"

struct hook_ctx {
	struct datapath *datapath;
	unsigned int seen, mapped;
	bool remove;
};

static int see_address(void *context, const struct in6_addr *address, uint16_t port, uint32_t service)
{
	struct hook_ctx *iter = context;

	iter->seen++;
	iter->mapped += IN6_IS_ADDR_V4MAPPED(address);
	assert_int_equal(service, port);
	if (iter->remove)
		succeeds(datapath_address_remove(iter->datapath, address, port));
	return 0;
}

static void addresses_of_both_families_are_iterated_and_removed(void **state)
{
	struct datapath *datapath = loaded();
	struct hook_ctx iter = { .datapath = datapath };
	struct in6_addr v4, v6;

	(void)state;
	inet_pton(AF_INET6, "::ffff:10.9.0.1", &v4);
	inet_pton(AF_INET6, "2001:db8::1", &v6);
	for (uint16_t port = 1; port <= 300; port++) {
		succeeds(datapath_address_set(datapath, &v4, port, port));
		succeeds(datapath_address_set(datapath, &v6, port, port));
	}
	succeeds(datapath_address_set(datapath, &v6, 300, 300));
	iter.remove = true;
	succeeds(datapath_address_each(datapath, see_address, &iter));
	assert_int_equal(iter.seen, 600);
	assert_int_equal(iter.mapped, 300);

	iter.seen = 0;
	succeeds(datapath_address_each(datapath, see_address, &iter));
	assert_int_equal(iter.seen, 0);
	assert_int_equal(datapath_address_remove(datapath, &v4, 1), -ENOENT);
	datapath_close(datapath);
}

static void packets_are_counted_over_all_cpus(void **state)
{
	struct shakeoff_service_counters counters = { .syn = 1 };
	uint64_t counts[SHAKEOFF_VERDICT_COUNT], sum = 0;
	struct datapath *datapath = loaded();

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	run("ip link set two down; ip link set two up; sleep 0.5; "
	    "ping -c 3 -i 0.1 -W 1 -I two ff02::1 >/dev/null 2>&1 || true");
	succeeds(datapath_verdicts(datapath, counts));
	for (int i = 0; i < SHAKEOFF_VERDICT_COUNT; i++)
		sum += counts[i];
	assert_true(counts[SHAKEOFF_NO_SERVICE] > 0);
	assert_int_equal(sum, counts[SHAKEOFF_NO_SERVICE]);

	succeeds(datapath_service_counters_reset(datapath, 3));
	succeeds(datapath_service_counters(datapath, 3, &counters));
	assert_int_equal(counters.syn, 0);
	assert_int_equal(datapath_service_counters(datapath, SHAKEOFF_MAX_SERVICES, &counters), -ENOENT);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

static void the_daemons_entries_can_be_set_and_removed(void **state)
{
	struct shakeoff_interface interface = { .mss = { 1460, 1440 } };
	struct shakeoff_tuple tuple = { .local_port = htons(80) };
	struct shakeoff_epoch_key key = { .cookie = { 1, 2 }, .offset = { 3, 4 } };
	struct shakeoff_validated entry;
	struct datapath *datapath = loaded();

	(void)state;
	succeeds(datapath_interface_set(datapath, 7, &interface));
	succeeds(datapath_interface_remove(datapath, 7));
	assert_int_equal(datapath_interface_remove(datapath, 7), -ENOENT);
	succeeds(datapath_key_set(datapath, SHAKEOFF_KEY_SLOTS - 1, &key));
	assert_int_equal(datapath_key_set(datapath, SHAKEOFF_KEY_SLOTS, &key), -E2BIG);
	assert_int_equal(datapath_validated_get(datapath, &tuple, &entry), -ENOENT);
	assert_int_equal(datapath_validated_forget(datapath, &tuple), -ENOENT);
	datapath_services(datapath)[SHAKEOFF_MAX_SERVICES - 1].capacity = 1;
	datapath_close(datapath);
}

/* Returns the map of this name that the program on an interface uses. */
static int map_of(const char *ifname, const char *name)
{
	int program = bpf_prog_get_fd_by_id(looked(ifname).prog_id), found = -1;
	uint32_t ids[64];
	struct bpf_prog_info info = { .map_ids = (uintptr_t)ids, .nr_map_ids = 64 };
	uint32_t size = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(program, &info, &size), 0);
	for (uint32_t i = 0; i < info.nr_map_ids && found < 0; i++) {
		int map = bpf_map_get_fd_by_id(ids[i]);
		struct bpf_map_info map_info = { 0 };

		size = sizeof(map_info);
		assert_int_equal(bpf_obj_get_info_by_fd(map, &map_info, &size), 0);
		if (!strcmp(map_info.name, name))
			found = map;
		else
			close(map);
	}
	close(program);
	assert_true(found >= 0);
	return found;
}

static void one_validated_tuple_is_found_and_removed(void **state)
{
	struct shakeoff_tuple tuple = { .remote = { 0, 0, htonl(0xffff), 1 }, .local = { 0, 0, htonl(0xffff), 2 } };
	struct shakeoff_validated entry = { .established_ns = 1, .tuple = tuple, .cookie = 7 };
	__u32 first = shakeoff_validated_set(shakeoff_filter_tuple_slot(&tuple)),
	      last = first + SHAKEOFF_VALIDATED_WAYS - 1;
	struct datapath *datapath = loaded();
	int map;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	map = map_of("one", "validated");
	assert_int_equal(bpf_map_update_elem(map, &last, &entry, BPF_ANY), 0);
	entry.tuple.remote_port = htons(1); /* of another tuple, in the same set */
	assert_int_equal(bpf_map_update_elem(map, &first, &entry, BPF_ANY), 0);
	entry = (struct shakeoff_validated){ 0 };
	succeeds(datapath_validated_get(datapath, &tuple, &entry));
	assert_int_equal(entry.cookie, 7);
	succeeds(datapath_validated_forget(datapath, &tuple));
	assert_int_equal(datapath_validated_get(datapath, &tuple, &entry), -ENOENT);
	assert_int_equal(bpf_map_lookup_elem(map, &first, &entry), 0);
	assert_int_equal(entry.established_ns, 1);
	close(map);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

struct half_open_iter {
	uint64_t sum;
	size_t count;
	bool even; /* take these out */
};

static bool half_open_seen(void *context, const struct shakeoff_tuple *tuple, const struct shakeoff_half_open *entry)
{
	struct half_open_iter *iter = context;

	assert_int_equal(tuple->remote[3], entry->rcv_nxt);
	iter->sum += entry->rcv_nxt;
	iter->count++;
	return iter->even && entry->rcv_nxt % 2 == 0;
}

static void every_half_open_connection_is_seen_once_and_removed_on_request(void **state)
{
	struct datapath *datapath = loaded();
	struct half_open_iter iter = { .even = true };
	int map;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	assert_true(datapath_half_open_is_empty(datapath));
	succeeds(datapath_half_open_each(datapath, half_open_seen, &iter));
	assert_int_equal(iter.count, 0);
	map = map_of("one", "half_open");
	for (uint32_t i = 1; i <= 1000; i++) {
		struct shakeoff_tuple tuple = { .remote[3] = i };
		struct shakeoff_half_open entry = { .rcv_nxt = i };

		assert_int_equal(bpf_map_update_elem(map, &tuple, &entry, BPF_NOEXIST), 0);
	}
	assert_false(datapath_half_open_is_empty(datapath));
	succeeds(datapath_half_open_each(datapath, half_open_seen, &iter));
	assert_int_equal(iter.count, 1000);
	assert_int_equal(iter.sum, 1000 * 1001 / 2);
	iter = (struct half_open_iter){ 0 };
	succeeds(datapath_half_open_each(datapath, half_open_seen, &iter));
	assert_int_equal(iter.count, 500);
	close(map);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

static void ignore_event(void *context, const struct shakeoff_event *event)
{
	(void)context;
	(void)event;
}

static void rings_are_made_once_and_kept_for_the_next_daemon(void **state)
{
	struct datapath *datapath = loaded(), *again;
	struct datapath_attachment attachment;
	struct datapath_ring *ring = NULL;
	uint32_t actual = 0;

	(void)state;
	assert_int_equal(datapath_rings_prepare(datapath, 0, &actual), -EINVAL);
	assert_int_equal(datapath_rings_prepare(datapath, SHAKEOFF_MAX_RINGS + 1, &actual), -EINVAL);
	succeeds(datapath_rings_prepare(datapath, 2, &actual));
	assert_int_equal(actual, 2);
	datapath_control(datapath)->rings = actual;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_DAEMON, false));
	datapath_close(datapath);

	attachment = looked("one");
	succeeds(datapath_open(&attachment, &again));
	succeeds(datapath_rings_prepare(again, 3, &actual));
	assert_int_equal(actual, 2);
	succeeds(datapath_ring_open(again, 1, ignore_event, NULL, &ring));
	assert_true(datapath_ring_fd(ring) >= 0);
	assert_int_equal(datapath_ring_consume(ring), 0);
	datapath_ring_close(ring);
	assert_int_equal(datapath_ring_open(again, 2, ignore_event, NULL, &ring), -ENOENT);
	datapath_close(again);
	succeeds(datapath_detach("one"));
}

static void maps_of_another_abi_are_not_opened(void **state)
{
	struct datapath *datapath = loaded(), *again = NULL;
	struct datapath_attachment attachment;

	(void)state;
	succeeds(datapath_attach(datapath, "one", DATAPATH_MODE_NATIVE, DATAPATH_OWNER_ATTACH, false));
	attachment = looked("one");
	attachment.abi++;
	assert_int_equal(datapath_open(&attachment, &again), -EPROTO);
	assert_null(again);
	succeeds(datapath_detach("one"));
	datapath_close(datapath);
}

#define test(function) cmocka_unit_test_setup_teardown(function, make_veths, remove_veths)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(addresses_of_both_families_are_iterated_and_removed),
		test(packets_are_counted_over_all_cpus),
		test(the_daemons_entries_can_be_set_and_removed),
		test(one_validated_tuple_is_found_and_removed),
		test(every_half_open_connection_is_seen_once_and_removed_on_request),
		test(rings_are_made_once_and_kept_for_the_next_daemon),
		test(maps_of_another_abi_are_not_opened),
	};

	return cmocka_run_group_tests_name("datapath: maps", tests, enter_namespace, NULL);
}

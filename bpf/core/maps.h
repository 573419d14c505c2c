/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of shakeoff/maps.h. None is pinned: `ip link` would share them between interfaces and network namespaces. */
#ifndef SHAKEOFF_BPF_CORE_MAPS_H
#define SHAKEOFF_BPF_CORE_MAPS_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>
#include <shakeoff/acl.h>
#include <shakeoff/issued.h>
#include <shakeoff/route.h>
#include <shakeoff/socket_filter.h>
#include <shakeoff/source.h>
#include <shakeoff/synack_rate.h>
#include <shakeoff/validated.h>
#include <shakeoff/verdict.h>

#include "core/ctx.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct shakeoff_filter);
} socket_filter SEC(".maps");

/* The control map, whose name ends in the number of the ABI (abi.h). */
#define CONTROL_MAP_OF(abi) CONTROL_MAP_NAME(abi)
#define CONTROL_MAP_NAME(abi) shakeoff_v##abi
#define CONTROL_MAP CONTROL_MAP_OF(SHAKEOFF_ABI)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shakeoff_control);
} CONTROL_MAP SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SHAKEOFF_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct shakeoff_service);
} service_state SEC(".maps");

/* Hash tables are not preallocated: most hosts use only a few elements. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_ADDRESSES);
	__type(key, struct shakeoff_address4);
	__type(value, __u32);
} addresses4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_ADDRESSES);
	__type(key, struct shakeoff_address6);
	__type(value, __u32);
} addresses6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct shakeoff_interface);
} interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct shakeoff_admissions);
} admissions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_VLANS);
	__type(key, __u32);
	__type(value, __u8);
} vlans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_NEIGHBOURS);
	__type(key, struct shakeoff_neighbour);
	__type(value, struct shakeoff_next_hop);
} neighbours SEC(".maps");

struct own6 {
	__be32 first[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_OWN);
	__type(key, struct shakeoff_route_key4);
	__type(value, __be32);
} own4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_OWN);
	__type(key, struct shakeoff_route_key6);
	__type(value, struct own6);
} own6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_ROUTES);
	__type(key, struct shakeoff_route_key4);
	__type(value, struct shakeoff_route);
} routes4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_ROUTES);
	__type(key, struct shakeoff_route_key6);
	__type(value, struct shakeoff_route);
} routes6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHAKEOFF_KEY_SLOTS);
	__type(key, __u32);
	__type(value, struct shakeoff_epoch_key);
} cookie_keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHAKEOFF_VERDICT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHAKEOFF_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct shakeoff_service_counters);
} service_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* for the elements' alignment only: the kernel refuses to mmap a lock */
	__uint(max_entries, SHAKEOFF_MAX_VALIDATED);
	__type(key, __u32);
	__type(value, struct shakeoff_validated);
} validated SEC(".maps");

/* Not preallocated: it stays empty if every service has syncookies = adaptive. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SHAKEOFF_MAX_HALF_OPEN);
	__type(key, struct shakeoff_tuple);
	__type(value, struct shakeoff_half_open);
} half_open SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shakeoff_reply_cells);
} reply_cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHAKEOFF_FRAGMENT_CELLS);
	__type(key, __u32);
	__type(value, struct shakeoff_fragment_cell);
} fragment_cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHAKEOFF_MAX_SOURCES);
	__type(key, struct shakeoff_source_key);
	__type(value, struct shakeoff_source);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHAKEOFF_MAX_SYN_SOURCES);
	__type(key, struct shakeoff_source_key);
	__type(value, __u64);
} syn_sources SEC(".maps");

/* A CPU's counts of SYNs (limit/syn_rate.h), in rows of the maximum element size. */
#define SYN_COUNT_BITS 15
#define SYN_COUNTS 8192
#define SYN_COUNT_ROWS ((1u << SYN_COUNT_BITS) / SYN_COUNTS)

struct syn_counts {
	__u16 cells[SYN_COUNTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SYN_COUNT_ROWS);
	__type(key, __u32);
	__type(value, struct syn_counts);
} syn_counts SEC(".maps");

/*
 * The ACL of sources: one of the two elements is in use. User space fills them; they are empty before the first ACL
 * entry. Sizes instead of types: clang 14 leaves types that only an inner map names undefined in the BTF.
 */
struct acl_trie4 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct shakeoff_acl_key4));
	__uint(value_size, sizeof(struct shakeoff_acl_entry));
};

struct acl_trie6 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct shakeoff_acl_key6));
	__uint(value_size, sizeof(struct shakeoff_acl_entry));
};

struct acl_filter {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SHAKEOFF_ACL_BLOCKS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct shakeoff_acl_block));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct acl_trie4);
} acl4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct acl_trie6);
} acl6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct acl_filter);
} acl_filters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * SHAKEOFF_ISSUED_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} issued SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Elements go only by age: a handshake that was taken still shows where its frames came from. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHAKEOFF_MAX_HANDSHAKES);
	__type(key, struct shakeoff_tuple);
	__type(value, struct shakeoff_event);
} handshakes SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SHAKEOFF_RING_BYTES);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SHAKEOFF_MAX_RINGS);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

#endif

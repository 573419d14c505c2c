/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of the maps that the programs and user space share. The programs define the maps with BTF
 * (bpf/core/maps.h). User space builds from the table its enum, the names, and the properties that it expects of each
 * map. No map is pinned.
 */
#ifndef SHAKEOFF_MAPS_H
#define SHAKEOFF_MAPS_H

#include <shakeoff/abi.h>

/*
 * X(constant, name, type, key, value, entries, flags). Kernel limit for a name: 15 characters. entries: the exact
 * number for an array or a trie; 0: any number. flags: the map has at least these. The maps of the ACL have two
 * elements (acl.h): one is in use; a new ACL is built in the other.
 */
/* clang-format off */
#define SHAKEOFF_MAPS(X)                                                                                               \
	X(MAP_CONTROL, SHAKEOFF_MAP_CONTROL, ARRAY, __u32, struct shakeoff_control, 1, BPF_F_MMAPABLE)                 \
	/* index: service id */                                                                                        \
	X(MAP_SERVICES, "service_state", ARRAY, __u32, struct shakeoff_service, SHAKEOFF_MAX_SERVICES, BPF_F_MMAPABLE) \
	/* service id and SHAKEOFF_ADDRESS_* */                                                                        \
	X(MAP_ADDRESSES4, "addresses4", HASH, struct shakeoff_address4, __u32, 0, 0)                                   \
	X(MAP_ADDRESSES6, "addresses6", HASH, struct shakeoff_address6, __u32, 0, 0) /* likewise */                    \
	X(MAP_INTERFACES, "interfaces", HASH, __u32, struct shakeoff_interface, 0, 0) /* key: ifindex */               \
	X(MAP_ADMISSIONS, "admissions", HASH, __u32, struct shakeoff_admissions, 0, 0) /* key: ifindex */              \
	/* key: SHAKEOFF_VLAN_KEY() of a tag of frames that the host accepts */                                        \
	X(MAP_VLANS, "vlans", HASH, __u32, __u8, 0, 0)                                                                 \
	/* for SHAKEOFF_ANSWER_ROUTE */                                                                                \
	X(MAP_NEIGHBOURS, "neighbours", HASH, struct shakeoff_neighbour, struct shakeoff_next_hop, 0, 0)               \
	/* the prefix's first address */                                                                               \
	X(MAP_OWN4, "own4", LPM_TRIE, struct shakeoff_route_key4, __be32, SHAKEOFF_MAX_OWN, BPF_F_NO_PREALLOC)         \
	/* likewise */                                                                                                 \
	X(MAP_OWN6, "own6", LPM_TRIE, struct shakeoff_route_key6, __be32[4], SHAKEOFF_MAX_OWN, BPF_F_NO_PREALLOC)      \
	X(MAP_ROUTES4, "routes4", LPM_TRIE, struct shakeoff_route_key4,                                                \
	  struct shakeoff_route, SHAKEOFF_MAX_ROUTES, BPF_F_NO_PREALLOC)                                               \
	X(MAP_ROUTES6, "routes6", LPM_TRIE, struct shakeoff_route_key6,                                                \
	  struct shakeoff_route, SHAKEOFF_MAX_ROUTES, BPF_F_NO_PREALLOC)                                               \
	/* index: epoch % slots */                                                                                     \
	X(MAP_KEYS, "cookie_keys", ARRAY, __u32, struct shakeoff_epoch_key, SHAKEOFF_KEY_SLOTS, 0)                     \
	X(MAP_VERDICTS, "verdicts", PERCPU_ARRAY, __u32, __u64, SHAKEOFF_VERDICT_COUNT, 0)                             \
	X(MAP_SERVICE_COUNTERS, "service_counts", PERCPU_ARRAY, __u32,                                                 \
	  struct shakeoff_service_counters, SHAKEOFF_MAX_SERVICES, 0) /* index: service id */                          \
	X(MAP_VALIDATED, "validated", ARRAY, __u32, struct shakeoff_validated, SHAKEOFF_MAX_VALIDATED, 0)              \
	X(MAP_HALF_OPEN, "half_open", HASH, struct shakeoff_tuple, struct shakeoff_half_open, 0, 0)                    \
	X(MAP_SOURCES, "sources", LRU_HASH, struct shakeoff_source_key, struct shakeoff_source, 0, 0)                  \
	/* when its SYNs are due */                                                                                    \
	X(MAP_SYN_SOURCES, "syn_sources", LRU_HASH, struct shakeoff_source_key, __u64, 0, 0)                           \
	X(MAP_REPLIES, "reply_cells", ARRAY, __u32, struct shakeoff_reply_cells, 1, 0)                                 \
	X(MAP_ISSUED, "issued", ARRAY, __u32, __u64, 2 * SHAKEOFF_ISSUED_WORDS, BPF_F_MMAPABLE)                        \
	X(MAP_FILTER, "socket_filter", ARRAY, __u32, struct shakeoff_filter, 2, BPF_F_MMAPABLE)                        \
	/* without a packet: see SHAKEOFF_INPUT */                                                                     \
	X(MAP_HANDSHAKES, "handshakes", LRU_HASH, struct shakeoff_tuple, struct shakeoff_event,                        \
	  SHAKEOFF_MAX_HANDSHAKES, 0)                                                                                  \
	/* of RINGBUF; the daemon makes the rings, and they outlive it */                                              \
	X(MAP_RINGS, "rings", ARRAY_OF_MAPS, __u32, __u32, SHAKEOFF_MAX_RINGS, 0)                                      \
	/* of LPM_TRIE shakeoff_acl_key4 -> shakeoff_acl_entry */                                                      \
	X(MAP_ACL4, "acl4", ARRAY_OF_MAPS, __u32, __u32, 2, 0)                                                         \
	/* of LPM_TRIE shakeoff_acl_key6 -> shakeoff_acl_entry */                                                      \
	X(MAP_ACL6, "acl6", ARRAY_OF_MAPS, __u32, __u32, 2, 0)                                                         \
	/* of ARRAY of shakeoff_acl_block, mmapable */                                                                 \
	X(MAP_ACL_FILTERS, "acl_filters", ARRAY_OF_MAPS, __u32, __u32, 2, 0)
/* clang-format on */

#endif

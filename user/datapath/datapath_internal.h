/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Declarations that the files of `datapath` share. Besides them, only user/acl includes this file, and thus libbpf. */
#ifndef SHAKEOFF_DATAPATH_DATAPATH_INTERNAL_H
#define SHAKEOFF_DATAPATH_DATAPATH_INTERNAL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <limits.h>
#include <stdbool.h>

#include <shakeoff/maps.h>

#include "datapath/datapath.h"
#include "common/link.h"

#define PROGRAM_MAPS_MAX 64 /* the kernel's MAX_USED_MAPS */

enum map {
#define X(constant, ...) constant,
	SHAKEOFF_MAPS(X)
#undef X
		MAP_COUNT
};

struct datapath {
	int maps[MAP_COUNT];
	int program;                     /* loaded here, or found on an interface */
	int frags;                       /* the xdp.frags program, loaded when an interface needs it; -1 before that */
	int admit;                       /* the tc program at ingress, likewise */
	int outgoing;                    /* the tc program at egress */
	int spare_admit, spare_outgoing; /* second instances of these programs, for the move to the front; or -1 */
	int input[2];                    /* links of the netfilter program, IPv4 and IPv6; -1: none */
	uint32_t control_id;
	struct shakeoff_control *control;
	struct shakeoff_service *services;
	struct shakeoff_filter *filters; /* two filters */
};

/* ---- datapath_detail.c: the cause of the last failure, for datapath_detail() */

void detail_clear(void);
void detail_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- datapath_id.c: descriptors by id, as libbpf's functions return them: -1 and errno if there is none */

int program_by_id(uint32_t id);
int map_by_id(uint32_t id);
int link_by_id(uint32_t id);
int link_id_after(uint32_t id, uint32_t *next);

/* In the daemon libbpf's own functions fail, because it has no CAP_SYS_ADMIN: a broker makes these calls there. */
#ifndef DATAPATH_MAY_FIND_BY_ID
#pragma GCC poison bpf_prog_get_fd_by_id bpf_map_get_fd_by_id bpf_link_get_fd_by_id bpf_link_get_next_id
#endif

/* ---- datapath.c: programs and maps */

struct program {
	char name[BPF_OBJ_NAME_LEN];
	uint32_t map_ids[PROGRAM_MAPS_MAX];
	uint32_t map_count;
};

int program_read(int fd, struct program *program);
int map_info(int fd, struct bpf_map_info *info);

/* Opens an element of a map of maps. -ENOENT: it is empty. */
int map_inner(const struct datapath *datapath, enum map outer, uint32_t index, int *fd);

/* The control map, by which a program of shakeoff is recognised. */
struct control {
	uint32_t id;
	int abi;
};

/* Returns whether it is a program of shakeoff, of any version. */
bool program_control(const struct program *program, struct control *control);

/* Makes an object that is not loaded yet use the maps of this datapath (shakeoff/maps.h). */
int object_share_maps(struct bpf_object *object, const struct datapath *datapath);

/* Returns a duplicate of a descriptor, or a negative errno. */
int duplicate(int fd);

/* Loads the object's program for packets in several buffers, onto this datapath's maps. Kernel 5.18 and later. */
int datapath_load_frags(struct datapath *datapath);

/* ---- datapath_each.c: hash maps, element by element */

/*
 * Calls back for each, perhaps twice if the map changes meanwhile; elements for which the callback returns true are
 * removed.
 */
typedef bool (*map_each_fn)(void *context, const void *key, const void *value);
int map_each(int fd, size_t key_size, size_t value_size, map_each_fn callback, void *context);

/* ---- datapath_routes.c: tries of prefixes */

union trie_key {
	struct shakeoff_route_key4 v4;
	struct shakeoff_route_key6 v6;
};

/* Returns the key of a prefix for the map of its address family. */
union trie_key trie_key_of(const struct prefix *prefix);

/* ---- datapath_pin.c: bpffs, and the links in it */

/*
 * Prepares the directory for pins. *by_link: whether programs of this owner are attached by a pinned link. That is not
 * so for owner netlink, nor where a pin would not stay. -ENOTDIR: the directory that the user gave is unfit.
 */
int bpffs_prepare(enum datapath_owner owner, bool *by_link);

/* Removes the directory that was made for the last pin, unless the user gave it. */
void bpffs_tidy(void);

enum hook { HOOK_XDP, HOOK_TCX };

struct hook_link {
	int fd;
	char pin[PATH_MAX]; /* "": no pin visible here */
	enum hook hook;
	enum datapath_owner owner;
};

/* Finds the link that holds a program at an interface: -ENOENT if it was attached without one. The caller closes it. */
int link_find(enum hook hook, unsigned int ifindex, uint32_t prog_id, struct hook_link *found);

/* Removes the program from the interface, removes the pin and closes the link. */
int link_remove(struct hook_link *link);

/* Pins a link under the name of its interface, hook and owner. */
int link_pin(int fd, enum hook hook, const char *ifname, unsigned int ifindex, enum datapath_owner owner);

/*
 * Pins an object that outlives its program, and replaces an earlier pin of that name. -EOPNOTSUPP: it would not stay.
 */
int bpffs_keep(int fd, const char *name);

/* Takes a kept object back and removes its pin. Returns a descriptor, or a negative errno; -ENOENT: there is none. */
int bpffs_take(const char *name);

/* ---- datapath_admit.c: the tc program beside the XDP program */

/* Returns the id of the program that works on these maps; 0: none. */
uint32_t admit_find(unsigned int ifindex, uint32_t control_id);

/* Returns the same for the program at egress. */
uint32_t outgoing_find(unsigned int ifindex, uint32_t control_id);

/* Removes all tc programs of shakeoff from an interface. Returns how many there were, or a negative errno. */
int admit_remove(unsigned int ifindex);

/* Attaches the tc programs. -EOPNOTSUPP: this kernel cannot. */
int admit_attach(struct datapath *datapath, const struct link_entry *interface, enum datapath_owner owner,
		 bool by_link);

/* Attaches the program at egress of an interface that already has the program at ingress. */
int admit_attach_outgoing(struct datapath *datapath, unsigned int ifindex);

/* ---- datapath_input.c: the netfilter program */

/* Removes the pins of a netfilter program that works on these maps: no hook gives it packets any more. */
void input_forget(uint32_t control_id);

#endif

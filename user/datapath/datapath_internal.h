/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of `datapath` share. Besides them only user/acl includes it, and with it libbpf. */
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
	int program;                     /* loaded here, or what was found on an interface */
	int frags;                       /* the xdp.frags program, loaded when an interface needs it; -1 before */
	int admit;                       /* the tc program at ingress, likewise */
	int outgoing;                    /* the one at egress */
	int spare_admit, spare_outgoing; /* the same programs once more, to go to the front with; or -1 */
	int input[2];                    /* links of the netfilter program, IPv4 and IPv6; -1: none of ours */
	uint32_t control_id;
	struct shakeoff_control *control;
	struct shakeoff_service *services;
	struct shakeoff_filter *filters; /* two */
};

/* ---- datapath_detail.c: the last failure's cause, for datapath_detail() */

void detail_clear(void);
void detail_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- datapath_id.c: descriptors by id, as libbpf's functions give them: -1 and errno where there is none */

int program_by_id(uint32_t id);
int map_by_id(uint32_t id);
int link_by_id(uint32_t id);
int link_id_after(uint32_t id, uint32_t *next);

/* In the daemon libbpf's own fail, for want of CAP_SYS_ADMIN: a broker makes these calls there. */
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

/* The control map, by which a program of ours is known. */
struct control {
	uint32_t id;
	int abi;
};

/* Whether it is a program of ours, of whatever version. */
bool program_control(const struct program *program, struct control *control);

/* Before an object is loaded: the maps of abi.h that it has will be this datapath's. */
int object_share_maps(struct bpf_object *object, const struct datapath *datapath);

/* A duplicate of a descriptor, or a negative errno. */
int duplicate(int fd);

/* Loads the object's program for packets in several buffers, onto this datapath's maps. Kernel 5.18 and later. */
int datapath_load_frags(struct datapath *datapath);

/* ---- datapath_each.c: hash maps, element by element */

/* Calls back for each, perhaps twice for one that changes meanwhile; those for which it returns true are taken out. */
typedef bool (*map_each_fn)(void *context, const void *key, const void *value);
int map_each(int fd, size_t key_size, size_t value_size, map_each_fn callback, void *context);

/* ---- datapath_routes.c: tries of prefixes */

union trie_key {
	struct shakeoff_route_key4 v4;
	struct shakeoff_route_key6 v6;
};

/* Returns the key of a prefix, in the map of its family. */
union trie_key trie_key_of(const struct prefix *prefix);

/* ---- datapath_pin.c: bpffs, and the links in it */

/*
 * Makes a place for pins. *by_link: whether programs of this owner are to be attached by a link that is pinned: not those of
 * netlink, and none where what is pinned would not stay. -ENOTDIR: the directory that the user gave is unfit.
 */
int bpffs_prepare(enum datapath_owner owner, bool *by_link);

/* Removes the directory that was made for the last pin, unless the user gave it. */
void bpffs_tidy(void);

enum hook { HOOK_XDP, HOOK_TCX };

struct hook_link {
	int fd;
	char pin[PATH_MAX]; /* "": none that is visible here */
	enum hook hook;
	enum datapath_owner owner;
};

/* The link that holds a program at an interface: -ENOENT if it was attached without one. The caller closes it. */
int link_find(enum hook hook, unsigned int ifindex, uint32_t prog_id, struct hook_link *found);

/* Takes the program from the interface, removes the pin and closes the link. */
int link_remove(struct hook_link *link);

/* Pins a link under the name of its interface, hook and owner. */
int link_pin(int fd, enum hook hook, const char *ifname, unsigned int ifindex, enum datapath_owner owner);

/* Pins what is to outlive its program under a name of its own, in place of what has it. -EOPNOTSUPP: it would not stay. */
int bpffs_keep(int fd, const char *name);

/* Takes it back, its pin with it: a descriptor, or a negative errno; -ENOENT: there is none. */
int bpffs_take(const char *name);

/* ---- datapath_admit.c: the tc program beside the XDP program */

/* The id of the one that works on these maps; 0: none. */
uint32_t admit_find(unsigned int ifindex, uint32_t control_id);

/* The same of the program at egress. */
uint32_t outgoing_find(unsigned int ifindex, uint32_t control_id);

/* Takes all of ours from an interface. Returns how many there were, or a negative errno. */
int admit_remove(unsigned int ifindex);

/* -EOPNOTSUPP: not on this kernel. */
int admit_attach(struct datapath *datapath, const struct link_entry *interface, enum datapath_owner owner,
		 bool by_link);

/* Puts the program at egress beside one at ingress that is there already. */
int admit_attach_outgoing(struct datapath *datapath, unsigned int ifindex);

/* ---- datapath_input.c: the netfilter program */

/* Takes away the pins of a program that works on these maps: it gets nothing any more. */
void input_forget(uint32_t control_id);

#endif

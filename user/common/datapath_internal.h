/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of `datapath` share; nobody else includes libbpf. */
#ifndef SHAKEOFF_DATAPATH_INTERNAL_H
#define SHAKEOFF_DATAPATH_INTERNAL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <limits.h>
#include <stdbool.h>

#include "common/datapath.h"

#define PROGRAM_MAPS_MAX 64 /* the kernel's MAX_USED_MAPS */

enum map {
	MAP_CONTROL,
	MAP_SERVICES,
	MAP_ADDRESSES4,
	MAP_ADDRESSES6,
	MAP_INTERFACES,
	MAP_KEYS,
	MAP_VERDICTS,
	MAP_SERVICE_COUNTERS,
	MAP_VALIDATED,
	MAP_FILTER,
	MAP_RINGS,
	MAP_COUNT
};

struct datapath {
	int maps[MAP_COUNT];
	int program; /* loaded here, or what was found on an interface */
	int frags;   /* the xdp.frags program, loaded when an interface needs it; -1 before */
	uint32_t control_id;
	struct shakeoff_control *control;
	struct shakeoff_service *services;
	uint8_t *filters; /* two of SHAKEOFF_FILTER_BYTES */
};

/* ---- datapath_detail.c: the last failure's cause, for datapath_detail() */

void detail_clear(void);
void detail_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- datapath.c: programs and maps */

struct program {
	char name[BPF_OBJ_NAME_LEN];
	uint32_t map_ids[PROGRAM_MAPS_MAX];
	uint32_t map_count;
};

int program_read(int fd, struct program *program);
int map_info(int fd, struct bpf_map_info *info);

/* Loads the object's program for packets in several buffers, onto this datapath's maps. Kernel 5.18 and later. */
int datapath_load_frags(struct datapath *datapath);

/* ---- datapath_pin.c: bpffs, and the links in it */

/* -EOPNOTSUPP: nothing can be pinned here so that it stays. -ENOTDIR: the directory that the user gave is unfit. */
int bpffs_prepare(void);

/* Removes the directory that was made for the last pin, unless the user gave it. */
void bpffs_tidy(void);

struct xdp_link {
	int fd;
	char pin[PATH_MAX]; /* "": none that is visible here */
	enum datapath_owner owner;
};

/* The link that holds a program at an interface: -ENOENT if it was attached by netlink. The caller closes it. */
int link_find(unsigned int ifindex, uint32_t prog_id, struct xdp_link *found);

/* Pins a link under the name of its interface and owner. */
int link_pin(int fd, const char *ifname, unsigned int ifindex, enum datapath_owner owner);

#endif

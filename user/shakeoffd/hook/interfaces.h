/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The interfaces and their datapaths: the configured ones, found as an earlier daemon, `shakeoff attach` or `ip link`
 * left them, or attached; without a configured one all that have shakeoff's program.
 */
#ifndef SHAKEOFFD_HOOK_INTERFACES_H
#define SHAKEOFFD_HOOK_INTERFACES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "datapath/datapath.h"
#include "common/device.h"
#include "shakeoffd/hook/devices.h"
#include "shakeoffd/sys/sysctls.h"
#include "shakeoffd/hook/tc_order.h"

struct interface {
	char name[IFNAMSIZ];
	char configured[IFNAMSIZ]; /* the same, unless it was renamed: one that comes back has this name */
	unsigned int ifindex;      /* 0: it is gone, or our program on it */
	uint32_t mtu;
	size_t datapath;       /* index */
	bool attach;           /* nothing hung there: it is for interfaces_attach() */
	bool detach;           /* a daemon attached it, so a daemon detaches it */
	bool attached_now;     /* this daemon did */
	bool in_vrf;           /* then it does not admit */
	bool unserved;         /* the program sees nothing there, or cannot read it: it only is listed */
	bool inactive;         /* a member of a bond that takes nothing in by it at the moment */
	bool vlans;            /* there are VLAN devices above it */
	bool open_sibling;     /* a bond's member, of which another has no program: it was said */
	bool hides_tags;       /* their tags are, or may be, beside the frames: it was said */
	bool more_macs;        /* more MAC addresses are above it than the hook can be told: it was said */
	unsigned int *members; /* ifindexes of a bond's members, where its program runs for it */
	size_t member_count;
	uint32_t admit_id;        /* of the tc program that hangs there; 0: none, or it is not to be used */
	uint32_t outgoing_id;     /* of the one at egress; 0: none */
	struct tc_order order[2]; /* of both; index: enum datapath_hook */
	bool to_front[2];         /* it is to be put there with the next refresh */
	struct tc_flow flow;
	uint64_t dropped;                  /* packets by full backlog queues: softnet_dropped() */
	bool stalled;                      /* validated ACKs do not come to the tc program */
	enum shakeoff_admits said;         /* what was last said of it */
	struct shakeoff_interface profile; /* as published */
};

struct interfaces {
	struct interface *list;
	size_t count;
	struct datapath **datapaths;
	size_t datapath_count;
	const struct sysctls *sysctls;
	const struct devices *devices;
	bool all;                 /* every interface that has the program, now and later */
	bool changed;             /* which of them admit, or can be tested; the reader of this clears it */
	struct topology topology; /* of the host, when it was last looked */
	uint32_t *vlans;          /* tags as published, sorted: SHAKEOFF_VLAN_KEY() */
	size_t vlan_count;
	bool vlans_published;
	uint64_t programs; /* a sum over the XDP programs of all interfaces */
	uint32_t refused;  /* control id of a datapath that came later, and that was warned of */
};

/*
 * Looks at every interface before anything is changed, opens the datapaths that are there, and loads one if it is
 * needed. Says what is wrong. Sysctls and devices stay the caller's, who reads them again.
 */
int interfaces_open(struct interfaces *interfaces, const struct config *config, const struct sysctls *sysctls,
		    const struct devices *devices);

/* Tells whether the program is, or is to be, on the one with this index. */
bool interfaces_have(const struct interfaces *interfaces, unsigned int ifindex);

/*
 * Tells whether the hook finds a socket that is bound to the device with this index: where a bond's members run the
 * program it does not.
 */
bool interfaces_find_bound(const struct interfaces *interfaces, unsigned int ifindex);

/*
 * The one device whose clients, and no other's, come to the hook; 0: there are several, or tagged frames come with
 * them.
 */
unsigned int interfaces_only_device(const struct interfaces *interfaces);

/* Tells whether one of them has a VLAN device above it, or is a port of a bridge. */
bool interfaces_are_below_others(const struct interfaces *interfaces);

/* Tells whether they all are ports of bridges: then everything comes in through one. */
bool interfaces_are_bridge_ports(const struct interfaces *interfaces);

/* Tells whether this device is a bridge of which an interface of ours is a port, and itself has no program. */
bool interfaces_bridge(const struct interfaces *interfaces, unsigned int ifindex);

/* Tells whether frames for the addresses of this device come in by an interface of ours with a VLAN tag. */
bool interfaces_tag(const struct interfaces *interfaces, unsigned int ifindex);

/* The bit of shakeoff_route.refused that stands for one of them. */
uint32_t interfaces_route_bit(const struct interfaces *interfaces, const struct interface *interface);

/*
 * Publishes what a SYN-ACK offers on each interface, and which frames are for it, where that has changed. Says what is
 * wrong.
 */
int interfaces_profile(struct interfaces *interfaces);

/* Attaches where nothing hung, and puts the tc program beside it where it is missing. Says what is wrong. */
int interfaces_attach(struct interfaces *interfaces);

/* After links have changed: new MTUs, interfaces that went or came back. Needs the privileges of the start. */
void interfaces_refresh(struct interfaces *interfaces);

/*
 * Tells whether XDP programs have come or gone since this was last asked: a bpf link makes no message. To be followed
 * by interfaces_refresh(); itself it needs no privilege.
 */
bool interfaces_look(struct interfaces *interfaces);

/*
 * Looks after the tc programs: whether one has gone or has another before it, and whether ACKs that the hook validates
 * come to it. The kernel refuses those that do not, so that SYNs are not answered there from now on if it cannot be
 * mended. Returns whether interfaces_refresh() is to follow at once; itself it needs no privilege but CAP_NET_ADMIN. To
 * be called several times a second.
 */
bool interfaces_watch(struct interfaces *interfaces, uint64_t now_ns);

/* Tells whether what is answered there gets to listening sockets. */
bool interface_admits(const struct interface *interface);

/* Detaches what daemons have attached; with only_new what this daemon has. */
void interfaces_detach(struct interfaces *interfaces, bool only_new);
void interfaces_close(struct interfaces *interfaces);

#endif

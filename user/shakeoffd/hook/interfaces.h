/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The interfaces and their datapaths. Configured interfaces are used as an earlier daemon, `shakeoff attach` or `ip
 * link` left them, or get attached. If none is configured, all interfaces with shakeoff's program are used.
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
	char configured[IFNAMSIZ]; /* differs only if it was renamed: an interface that comes back has this name */
	unsigned int ifindex;      /* 0: the interface is gone, or lost the program */
	uint32_t mtu;
	size_t datapath;       /* index */
	bool attach;           /* it had no program: interfaces_attach() attaches it */
	bool detach;           /* a daemon attached it, so a daemon detaches it */
	bool attached_now;     /* by this daemon */
	bool in_vrf;           /* then servers that listen are bypassed */
	bool unserved;         /* the program sees no packets there, or cannot read them: only listed */
	bool inactive;         /* a member of a bond that receives nothing for it now */
	bool vlans;            /* there are VLAN devices above it */
	bool open_sibling;     /* it has been logged that another member of its bond has no program */
	bool hides_tags;       /* it has been logged that VLAN tags are, or may be, beside the frames */
	bool more_macs;        /* it has been logged that more MAC addresses are above it than the hook can store */
	unsigned int *members; /* ifindexes of a bond's members, if its program runs on them */
	size_t member_count;
	uint32_t admit_id;        /* of the attached tc program; 0: none, or not usable */
	uint32_t outgoing_id;     /* of the program at egress; 0: none */
	struct tc_order order[2]; /* of both; index: enum datapath_hook */
	bool to_front[2];         /* the next refresh has to move it there */
	struct tc_flow flow;
	uint64_t dropped;                  /* packets lost to full backlog queues: softnet_dropped() */
	bool stalled;                      /* validated ACKs do not reach the tc program */
	enum shakeoff_admits said;         /* the state that was last logged */
	struct shakeoff_interface profile; /* as published */
};

struct interfaces {
	struct interface *list;
	size_t count;
	struct datapath **datapaths;
	size_t datapath_count;
	const struct sysctls *sysctls;
	const struct devices *devices;
	bool all;                 /* use every interface that has the program, now and later */
	bool changed;             /* the set that admits, or can be tested, has changed; the reader of this clears it */
	struct topology topology; /* of the host, when it was last read */
	uint32_t *vlans;          /* tags as published, sorted: SHAKEOFF_VLAN_KEY() */
	size_t vlan_count;
	bool vlans_published;
	uint64_t programs; /* a sum over the XDP programs of all interfaces */
	uint32_t refused;  /* control id of a datapath that came later, after the warning about it */
};

/*
 * Reads all interfaces before it changes anything, opens the existing datapaths, and loads one if needed. Logs what is
 * wrong. The caller owns sysctls and devices, and reads them again.
 */
int interfaces_open(struct interfaces *interfaces, const struct config *config, const struct sysctls *sysctls,
		    const struct devices *devices);

/* Returns whether the program is, or has to be, on the interface with this index. */
bool interfaces_have(const struct interfaces *interfaces, unsigned int ifindex);

/*
 * Returns whether the hook finds a socket that is bound to the device with this index. It does not for a bond whose
 * members run the program.
 */
bool interfaces_find_bound(const struct interfaces *interfaces, unsigned int ifindex);

/* Returns the only device whose clients come to the hook; 0: there are several, or tagged frames come as well. */
unsigned int interfaces_only_device(const struct interfaces *interfaces);

/* Returns whether an interface has a VLAN device above it, or is a port of a bridge. */
bool interfaces_are_below_others(const struct interfaces *interfaces);

/* Returns whether all interfaces are ports of bridges, so that all packets come in through a bridge. */
bool interfaces_are_bridge_ports(const struct interfaces *interfaces);

/* Returns whether this device is a bridge without the program that has one of the interfaces as a port. */
bool interfaces_bridge(const struct interfaces *interfaces, unsigned int ifindex);

/* Returns whether frames for this device's addresses come in by one of the interfaces with a VLAN tag. */
bool interfaces_tag(const struct interfaces *interfaces, unsigned int ifindex);

/* Returns the bit for an interface in shakeoff_route.refused. */
uint32_t interfaces_route_bit(const struct interfaces *interfaces, const struct interface *interface);

/*
 * Publishes for each interface what a SYN-ACK offers there, and which frames are for the host, if it has changed. Logs
 * what is wrong.
 */
int interfaces_profile(struct interfaces *interfaces);

/* Attaches the XDP program to interfaces that had none, and the tc program where it is missing. Logs what is wrong. */
int interfaces_attach(struct interfaces *interfaces);

/* Adapts to changed links: new MTUs, interfaces that went or came back. Needs the privileges of the start. */
void interfaces_refresh(struct interfaces *interfaces);

/*
 * Returns whether XDP programs have come or gone since the last call: the kernel sends no message about a bpf link. If
 * so, the caller has to call interfaces_refresh(). Needs no privilege.
 */
bool interfaces_look(struct interfaces *interfaces);

/*
 * Checks the tc programs: whether one has gone or has another program before it, and whether the ACKs that the hook
 * validates reach it. The kernel refuses ACKs that do not, so SYNs are not answered there until it is repaired. Returns
 * whether the caller has to call interfaces_refresh() at once. Needs only CAP_NET_ADMIN. Call it several times a
 * second.
 */
bool interfaces_watch(struct interfaces *interfaces, uint64_t now_ns);

/* Returns whether connections that the hook answers for get to listening sockets. */
bool interface_admits(const struct interface *interface);

/* Detaches what daemons have attached; with only_new only what this daemon has attached. */
void interfaces_detach(struct interfaces *interfaces, bool only_new);
void interfaces_close(struct interfaces *interfaces);

#endif

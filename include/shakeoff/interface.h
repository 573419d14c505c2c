/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An interface, and what is on its link: the offers of SYN-ACKs, MAC addresses, neighbours, VLAN tags. */
#ifndef SHAKEOFF_INTERFACE_H
#define SHAKEOFF_INTERFACE_H

#include <shakeoff/types.h>

#define SHAKEOFF_MAX_INTERFACES 256
#define SHAKEOFF_MAX_VLANS 16384
#define SHAKEOFF_MAX_NEIGHBOURS 16384

/*
 * Whether the ACKs that the hook validates reach listening sockets: what the daemon found out about the tc program of
 * an interface.
 */
enum shakeoff_admits {
	SHAKEOFF_ADMITS_NOTHING, /* there is no tc program, or none that may work */
	SHAKEOFF_ADMITS,
	/*
	 * With the next two values SYNs pass to the kernel. Cookies that were sent are still accepted if the tc program
	 * gets their ACKs.
	 */
	SHAKEOFF_ADMITS_BEHIND, /* another program insists on running before it, and may keep packets from it */
	SHAKEOFF_ADMITS_LOST,   /* it runs first, but validated ACKs do not reach it */
};

#define SHAKEOFF_MACS 8

/*
 * What a SYN-ACK that leaves through an interface offers, unless listening socket or route say otherwise. Index of
 * `mss` and `hop_limit`: 0 IPv4, 1 IPv6.
 */
struct shakeoff_interface {
	__u16 mss[2];
	__u8 sack;       /* sysctl tcp_sack */
	__u8 timestamps; /* sysctl tcp_timestamps is not 0 */
	__u8 ecn;        /* sysctl tcp_ecn is not 0: a client's ECN is accepted (listener handoff only) */
	/* enum shakeoff_admits: whether services with the listener handoff are answered, or why they are not. */
	__u8 admits;
	__u8 in_vrf; /* a port of a VRF device: its sockets are bound to the VRF, and the hook does not find them */
	__u8 hop_limit[2];   /* time to live and hop limit, unless socket or route say otherwise */
	__u8 window_scaling; /* sysctl tcp_window_scaling */
	__u8 signed_windows; /* sysctl tcp_workaround_signed_windows */
	__u8 reflect_tos;    /* sysctl tcp_reflect_tos */
	__u8 vlans;          /* it has VLAN devices: a tag may be stripped from the frame (SHAKEOFF_ADDRESS_TAGGED) */
	__u8 mac_count;
	__u32 window_space; /* the greater of tcp_rmem[2] and net.core.rmem_max: the window scale is chosen for it */
	/* The interface's bit in shakeoff_route.refused; 0: the routes do not apply to the interface (a VRF). */
	__u32 route_bit;
	/*
	 * Frames to these MAC addresses are for the host: first the interface's own, then those of devices above it
	 * (VLAN, macvlan, bridge). The kernel drops all other frames: eth_type_trans(), net/ethernet/eth.c.
	 */
	__be16 macs[SHAKEOFF_MACS][3];
};
_Static_assert(sizeof(struct shakeoff_interface) == 72, "no hidden padding");

/* A neighbour on the link, IPv4 mapped, and the interface where its frames come in (shakeoff_interface.route_bit). */
struct shakeoff_neighbour {
	__be32 address[4];
	__u32 route_bit;
};

struct shakeoff_next_hop {
	__be16 mac[3];
	__u16 pad;
};
_Static_assert(sizeof(struct shakeoff_neighbour) == 20 && sizeof(struct shakeoff_next_hop) == 8, "no hidden padding");

/*
 * A VLAN tag of frames that the host accepts at this interface: index, 802.1ad, id. Interface indexes of 2^19 and above
 * have no key.
 */
#define SHAKEOFF_VLAN_TAG(provider, id) (((provider) ? 0x1000u : 0u) | ((id)&0xfffu))
#define SHAKEOFF_VLAN_KEY(ifindex, tag) ((__u32)(ifindex) << 13 | (tag))
#define SHAKEOFF_VLAN_IFINDEX_MAX ((1u << 19) - 1)

/*
 * Listener handoff: validated ACKs of an interface, counted by the two programs. Each counts an ACK once, so the
 * difference is on its way (microseconds) or was lost.
 */
struct shakeoff_admissions {
	__u64 claimed; /* given to the tc program by the hook */
	__u64 reached; /* seen by the tc program; for members of a bond: at the bond */
};
_Static_assert(sizeof(struct shakeoff_admissions) == 16, "no hidden padding");

#endif

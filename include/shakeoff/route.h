/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What routes set in SYN-ACKs to the clients behind them, and whether the kernel would send SYN-ACKs there. The hook
 * knows what an interface offers (shakeoff_interface). A route is published here if its metrics, its device or its type
 * differ from that. Every longer prefix inside of it is published, too, because its own route takes precedence (routes4
 * and routes6 are longest-prefix-match tries). If no route differs, both maps are empty and cost nothing.
 */
#ifndef SHAKEOFF_ROUTE_H
#define SHAKEOFF_ROUTE_H

#include <shakeoff/types.h>

#define SHAKEOFF_MAX_ROUTES 16384 /* of one family */

struct shakeoff_route_key4 {
	__u32 prefix_len;
	__be32 address;
};

struct shakeoff_route_key6 {
	__u32 prefix_len;
	__be32 address[4];
};

/* Host byte order. A field that is zero means: as the interface. */
struct shakeoff_route {
	__u32 window;   /* RTAX_WINDOW: bounds the window, bytes; 0: no bound */
	__u16 mss;      /* dst_metric_advmss(), include/net/dst.h: what the SYN-ACK offers; 0: the interface's */
	__u16 initrwnd; /* RTAX_INITRWND: maximum of segments in the first window; 0: no bound */
	__u8 hop_limit; /* RTAX_HOPLIMIT; 0: the interface's */
	__u8 ecn;       /* RTAX_FEATURES has RTAX_FEATURE_ECN: ECN is accepted whatever the sysctl is */
	__u16 id;       /* the same for routes with equal values; not 0 */
	/*
	 * Interfaces (shakeoff_interface.route_bit) where a SYN from the prefix passes to the kernel: no route leads
	 * back, or the route refuses (blackhole, unreachable, prohibit), or rp_filter is strict and the route leads
	 * back by another interface.
	 */
	__u32 refused;
	/* With SHAKEOFF_ANSWER_ROUTE: the next hop's MAC address; zero and not on_link: unknown. */
	__be16 mac[3];
	__u16 on_link; /* the next hop is the client itself: the map of neighbours */
};
_Static_assert(sizeof(struct shakeoff_route) == 24, "no hidden padding");

#define SHAKEOFF_ROUTE_REFUSED_ALL 0xffffffffu

/*
 * Some published prefixes that change nothing and contain no other published prefix, as hosts without a default route
 * have them. The hook skips the look-up for their clients. An unused one has a (first) mask of 0. IPv6: the first 64
 * bits.
 */
#define SHAKEOFF_PLAIN4 4
#define SHAKEOFF_PLAIN6 2

struct shakeoff_plain_routes {
	struct {
		__be32 address, mask;
	} v4[SHAKEOFF_PLAIN4];
	struct {
		__be32 address[2], mask[2];
	} v6[SHAKEOFF_PLAIN6];
};
_Static_assert(sizeof(struct shakeoff_plain_routes) == 64, "a cache line");

#endif

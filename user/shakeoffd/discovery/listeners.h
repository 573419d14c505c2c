/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A table of the listening sockets of this network namespace. It is updated with lists of all sockets, and reports
 * changes. Sockets that listen at the same endpoint (SO_REUSEPORT) are one entry. Sockets bound to different devices
 * share an endpoint. Sockets on devices where the hook does not find them (elsewhere) count only if the endpoint has no
 * others.
 *
 * In an entry only the sockets of its owner count, so another user's socket (on another device, for example) has no
 * effect. The owner is the user whom the configuration names, else root, else the user who was there first.
 */
#ifndef SHAKEOFFD_DISCOVERY_LISTENERS_H
#define SHAKEOFFD_DISCOVERY_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sock_diag.h"

/* The packets that an address of a socket matches. */
enum listener_kind {
	LISTENER_IPV4,
	LISTENER_IPV6,
	LISTENER_DUALSTACK, /* any address, of both families */
};

/* The combined properties of the sockets of an entry. */
struct listener_facts {
	uint32_t sockets;
	uint32_t backlog; /* the greatest */
	bool mptcp;       /* one of them is */
	bool tcp_auth;
	bool elsewhere; /* one of them is bound to a device where the hook does not find it */
	uint32_t uid;   /* of the owner */
};

struct auto_service;

struct listener {
	struct in6_addr address; /* IPv4 mapped; in6addr_any: any */
	uint16_t port;           /* host byte order */
	uint8_t kind;            /* enum listener_kind */
	struct listener_facts facts;
	struct auto_service *discovered; /* the service that discovery made for it, or NULL */
	bool lacks_room;                 /* it has an address, but the table of services has no room for it */
	uint64_t away_round;             /* struct auto_services' round in which it was last counted as waiting */
	uint64_t counted;                /* discovery's round in which it was last counted */

	struct listener_facts fresh; /* from the list that is being read */
	uint64_t since;              /* number of the list in which it first appeared */
	struct listener *next_in_bucket;
	struct listener *next_at_port, **link_at_port;
};

struct listeners {
	struct listener **buckets;
	struct listener **ports; /* [65536]: the entries of each */
	uint64_t hash[6];        /* random: decides the bucket of an entry */
	size_t count;            /* of entries */
	uint64_t lists;          /* that were read */
	/* Returns whether the configuration names this user for a service at this port; NULL: it names no users. */
	bool (*names)(const void *context, uint16_t port, uint32_t uid);
	const void *names_context;
};

int listeners_open(struct listeners *listeners);
void listeners_close(struct listeners *listeners);

/*
 * Adds a socket of the present list, if its address can be served (own_addresses.h) and it is not bound to lo.
 * elsewhere: see listener_facts. 0 or -ENOMEM.
 */
int listeners_see(struct listeners *listeners, const struct sock_diag_listener *socket, bool elsewhere);

/* Adds `count` sockets that do not differ; backlog: the greatest of them. */
int listeners_see_group(struct listeners *listeners, const struct sock_diag_listener *socket, uint32_t count,
			bool elsewhere);

/*
 * Ends the list: calls back for every entry that has changed; `before`: its facts before. Then forgets entries without
 * sockets that have no discovered service; the others end with listeners_forget().
 */
void listeners_settle(struct listeners *listeners,
		      void (*changed)(void *context, struct listener *listener, const struct listener_facts *before),
		      void *context);

/* Discards a list that could not be read to its end. */
void listeners_abandon(struct listeners *listeners);

void listeners_forget(struct listeners *listeners, struct listener *listener);

/* Returns whether the first entry's owner has priority over the second's, when one service has both. */
bool listeners_comes_first(const struct listeners *listeners, const struct listener *first,
			   const struct listener *other);

/* Adds the facts of another entry, when one service has both. */
void listener_facts_add(struct listener_facts *facts, const struct listener_facts *more);
bool listener_facts_equal(const struct listener_facts *a, const struct listener_facts *b);

/*
 * Returns the listener that gets a connection to this address, which is not any: the most specific, as in the kernel.
 * NULL: there is none.
 */
struct listener *listeners_at(const struct listeners *listeners, const struct in6_addr *address, uint16_t port);

/* Returns whether a socket at this port takes connections to any address. */
bool listeners_any(const struct listeners *listeners, uint16_t port);

/*
 * Writes its name as `ss` shows it: "*:80" (both families), "0.0.0.0:80", "[::]:80", "10.9.0.1:80", "[2001:db8::1]:80".
 */
void listener_name(const struct listener *listener, char *name, size_t size);

#endif

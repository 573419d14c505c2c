/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The listening sockets of this network namespace, as a table that is brought up to date with a list of all sockets,
 * and tells what is new. Sockets that listen at the same endpoint (SO_REUSEPORT) are one entry. A bound device makes no
 * other endpoint, but sockets elsewhere, on devices where the hook does not find them, count only where there are no
 * others.
 *
 * Of the sockets of one entry only those of its owner count: another user's socket (on another device, say) decides
 * nothing. The owner is the user whom the configuration names, else root, else who was there first.
 */
#ifndef SHAKEOFFD_DISCOVERY_LISTENERS_H
#define SHAKEOFFD_DISCOVERY_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sock_diag.h"

/* Which packets an address of a socket means. */
enum listener_kind {
	LISTENER_IPV4,
	LISTENER_IPV6,
	LISTENER_DUALSTACK, /* any address, of both */
};

/* What the sockets of an entry are together. */
struct listener_facts {
	uint32_t sockets;
	uint32_t backlog; /* the greatest */
	bool mptcp;       /* one of them */
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
	struct auto_service *discovered; /* what discovery.c made of it, or NULL */
	bool turned_away;                /* it has an address, but the table of services has no room for it */
	uint64_t away_round;             /* of struct auto_services, when that was last counted */
	uint64_t counted;                /* by discovery.c, in this round */

	struct listener_facts fresh; /* of the list that is being read */
	uint64_t since;              /* number of the list that it came with */
	struct listener *next_in_bucket;
	struct listener *next_at_port, **link_at_port;
};

struct listeners {
	struct listener **buckets;
	struct listener **ports; /* [65536]: the entries of each */
	uint64_t hash[6];        /* at random: which bucket an entry is in */
	size_t count;            /* of entries */
	uint64_t lists;          /* that were read */
	/* Whether the configuration names this user for a service at this port; NULL: it names nobody. */
	bool (*names)(const void *context, uint16_t port, uint32_t uid);
	const void *names_context;
};

int listeners_open(struct listeners *listeners);
void listeners_close(struct listeners *listeners);

/*
 * Notes a socket of the present list, if its address can be one that is served (own_addresses.h) and it is not bound to
 * lo. elsewhere: see listener_facts. 0 or -ENOMEM.
 */
int listeners_see(struct listeners *listeners, const struct sock_diag_listener *socket, bool elsewhere);

/* The same of `count` sockets that do not differ; backlog: the greatest of them. */
int listeners_see_group(struct listeners *listeners, const struct sock_diag_listener *socket, uint32_t count,
			bool elsewhere);

/*
 * The list is complete: calls back for every entry that is not as it was; `before`: what it was then. An entry without
 * sockets is forgotten after that if discovery.c has made nothing of it; otherwise with listeners_forget().
 */
void listeners_settle(struct listeners *listeners,
		      void (*changed)(void *context, struct listener *listener, const struct listener_facts *before),
		      void *context);

/* The list could not be read to its end: as if it had not begun. */
void listeners_abandon(struct listeners *listeners);

void listeners_forget(struct listeners *listeners, struct listener *listener);

/* Whether the first entry's owner comes before the other's, where one service has both. */
bool listeners_comes_first(const struct listeners *listeners, const struct listener *first,
			   const struct listener *other);

/* Adds those of another entry, where one service has both. */
void listener_facts_add(struct listener_facts *facts, const struct listener_facts *more);
bool listener_facts_equal(const struct listener_facts *a, const struct listener_facts *b);

/* Who gets a connection to this address, which is not any: as in the kernel, the most specific. NULL: nobody. */
struct listener *listeners_at(const struct listeners *listeners, const struct in6_addr *address, uint16_t port);

/* Whether one at this port takes connections to any address. */
bool listeners_any(const struct listeners *listeners, uint16_t port);

/* Its name as `ss` shows it: "*:80" (both families), "0.0.0.0:80", "[::]:80", "10.9.0.1:80", "[2001:db8::1]:80". */
void listener_name(const struct listener *listener, char *name, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where servers of a service listen. A service may have several addresses and ports. As with the kernel, a server's
 * listening socket gets the connections for its own: of all sockets that would accept a connection, the most specific.
 */
#ifndef SHAKEOFF_COMMON_LISTENER_MATCH_H
#define SHAKEOFF_COMMON_LISTENER_MATCH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/sock_diag.h"

struct binding_key {
	struct in6_addr address; /* IPv4 mapped; :: when `any` */
	uint16_t port;           /* host byte order; 0: every port */
	bool any;
	bool ipv4, ipv6; /* the families of `any` */
};

/* The binding of a server that brings no socket: everything that the service has. */
extern const struct binding_key binding_everything;

/* The greatest wins, as in compute_score() of net/ipv4/inet_hashtables.c and net/ipv6/inet6_hashtables.c. */
enum binding_match {
	BINDING_NO,
	BINDING_EVERYTHING,
	BINDING_DUALSTACK, /* IPv4 for :: */
	BINDING_WILDCARD,
	BINDING_EXACT,
};

enum binding_match binding_match(const struct binding_key *key, const struct in6_addr *address, uint16_t port);
bool binding_equal(const struct binding_key *a, const struct binding_key *b);

/* Returns whether there is an address and port for which both would accept connections. */
bool binding_overlap(const struct binding_key *a, const struct binding_key *b);

/* Reads the binding of a bound TCP socket. Returns 0 or a negative errno. */
int binding_of_socket(int fd, struct binding_key *key);

/* Returns the binding of a listening socket from a dump. */
struct binding_key binding_of_listener(const struct sock_diag_listener *listener);

#endif

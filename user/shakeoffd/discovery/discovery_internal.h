/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by the parts of discovery.h:
 *
 *	discovery.c             open and close, what has changed, and the order in which changes are carried out
 *	discovery_scan.c        the listening sockets
 *	discovery_configured.c  the sockets of configured services, and their handoffs
 *	discovery_bypass.c      which endpoints are bypassed
 *	discovery_port.c        the endpoints of a port, and their addresses
 */
#ifndef SHAKEOFFD_DISCOVERY_DISCOVERY_INTERNAL_H
#define SHAKEOFFD_DISCOVERY_DISCOVERY_INTERNAL_H

#include "shakeoffd/discovery/discovery.h"

#define PORTS (1u << 16)

/* An endpoint with the listener handoff, or one with the queue handoff (covered) that firewall rules may forbid. */
struct tested {
	struct in6_addr address;
	struct listening_service *owner;
	bool by_socket; /* bypassed because of its socket, but not the whole service */
	bool covered;
	bool bypassed;        /* published as bypassed: tested_is_bypassed() */
	bool untested;        /* published as untested: tested_stays_untested() */
	uint64_t bypassed_ns; /* covered, and bypassed: since when; 0: since before discovery knew it */
};

struct discovery_port {
	struct tested *list;
	size_t count;
	bool dirty;
};

/* Note that a port, or the ports of a configured service, have to be resolved again. */
void discovery_mark(struct discovery *discovery, uint16_t port);
void discovery_mark_service(struct discovery *discovery, const struct config_service *service);

/* Describes the present sockets of a service to the hook. */
void discovery_describe(struct discovery *discovery, struct listening_service *listening);

/* Begins to read the listening sockets. 0 or -ENOMEM. */
int discovery_begin_look(struct discovery *discovery, uint64_t now_ns);
void discovery_free_inodes(struct inodes *inodes);

/*
 * Counts the sockets of each configured service. Changes services to the listener handoff here, before their addresses
 * are published.
 */
void discovery_recount(struct discovery *discovery, uint64_t now_ns);

/*
 * Changes services to the queue handoff, after their addresses are published: by then no address leads to them that
 * their servers lack.
 */
void discovery_change_to_queue(struct discovery *discovery);

/* Give the self-test the endpoints that it may try, and the reader of rules all endpoints. 0 or -ENOMEM. */
int discovery_request_tests(struct discovery *discovery);
int discovery_request_rules(struct discovery *discovery);

/* Takes the results of both: marks the ports where an endpoint becomes bypassed, or stops being bypassed. */
void discovery_apply_results(struct discovery *discovery);

/* Returns whether the rules of an endpoint are still pending; whether its rules or its test are. */
bool tested_awaits_rules(const struct discovery *discovery, const struct tested *tested, uint16_t port);
bool tested_is_pending(const struct discovery *discovery, const struct tested *tested, uint16_t port, uint64_t now_ns);

/* Returns whether an endpoint is bypassed. */
bool tested_is_bypassed(const struct discovery *discovery, const struct tested *tested, uint16_t port);

/* Returns whether it will stay unknown if packets reach an endpoint. */
bool tested_stays_untested(const struct discovery *discovery, const struct tested *tested, uint16_t port);

/* Returns whether IPsec policies require protected packets at this address and port. */
bool discovery_is_secured(const struct discovery *discovery, const struct in6_addr *address, uint16_t port);

/* Makes the addresses of a port agree with its endpoints. 0 or a negative errno. */
int discovery_resolve(struct discovery *discovery, uint16_t port, uint64_t now_ns);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Discovers which sockets listen where: reads the listening sockets again and again, and keeps services and their
 * addresses in agreement with them, with the configuration, the host's addresses and the registered servers.
 *
 *	listeners -> endpoints -> services (configured or discovered) -> addresses
 *
 * All work is done port by port, and only for ports where something has changed.
 */
#ifndef SHAKEOFFD_DISCOVERY_DISCOVERY_H
#define SHAKEOFFD_DISCOVERY_DISCOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shakeoffd/discovery/addresses.h"
#include "shakeoffd/discovery/auto_service.h"
#include "shakeoffd/hook/interfaces.h"
#include "shakeoffd/discovery/listener_scan.h"
#include "shakeoffd/discovery/endpoints.h"
#include "shakeoffd/firewall/ruleset_reader.h"
#include "shakeoffd/selftest/selftest.h"
#include "shakeoffd/discovery/upper_addresses.h"
#include "shakeoffd/firewall/xfrm.h"

struct discovery_port;

struct inodes {
	uint32_t *list; /* sorted */
	size_t count;
};

/* What discovery asks about registered servers: those that are connected to the daemon and get connections from it. */
struct discovery_servers {
	void *context;

	/*
	 * Returns whether a server of a configured service (its index) listens there. *keep_only: an earlier daemon may
	 * have had a server there that may come back, so a published address stays published, but no new address is
	 * added.
	 */
	bool (*cover)(void *context, size_t service, const struct in6_addr *address, uint16_t port, bool *keep_only);

	/*
	 * Calls back with the inode of each listening socket that servers have passed. Returns the first non-zero
	 * result.
	 */
	int (*each_socket)(void *context, int (*callback)(void *context, uint32_t inode), void *callback_context);
};

struct discovery {
	const struct config *config;
	struct discovery_servers servers;
	struct addresses *addresses;
	const struct interfaces *interfaces;
	struct selftest *selftest;        /* new endpoints are tested before they are published; NULL: no tests */
	const struct xfrm_policies *xfrm; /* NULL: policies are not followed */
	bool follows;                     /* there may be services with the listener handoff */
	bool obeys_rules;                 /* endpoints are bypassed if firewall rules match their SYNs */
	struct ruleset_reader *ruleset;   /* NULL: the rules are not known */

	struct bypass_host host;
	struct listeners listeners;
	struct own_addresses own;
	struct upper_addresses upper;
	struct auto_services discovered;
	struct listening_service *configured; /* in the order of the configuration */
	size_t configured_count;

	struct discovery_port *ports; /* [65536] */
	bool dirty;                   /* a port is dirty */
	bool pending;                 /* a port waits for the self-test */
	bool recount;                 /* the sockets of configured services have to be counted again */
	bool tests_changed;           /* the self-test has to get a new list of endpoints */
	bool rules_answered; /* the reader of the firewall's rules has, since the self-test last got endpoints */
	uint64_t round;
	uint64_t looked_ns;   /* last time of look_again() */
	uint64_t settle_ns;   /* next time of settle() */
	uint64_t withdraw_ns; /* when a bypassed address has to be withdrawn; 0: none has */

	struct endpoints endpoints; /* working memory that is used again */
	struct address *list;
	size_t room;

	struct listener_scan scan;
	struct inodes own_inodes; /* of the present or last scan */
	bool looked_again;        /* the last scan was repeated because it was outdated */
};

/* The settings of the host that discovery depends on. */
struct discovery_host {
	bool can_admit;
	bool syncookies;
	bool routes_bypassed[2]; /* IPv4, IPv6: routes_bypassed() */
	uint32_t roots_ports;    /* lower ports are only for root */
	/*
	 * Connections of the queue handoff pass the firewall's rules before they are made. If not, endpoints where a
	 * rule refuses some clients are bypassed.
	 */
	bool queue_passes_rules;
};

int discovery_open(struct discovery *discovery, const struct config *config, const struct services *services,
		   const struct discovery_servers *servers, struct service_ids *service_ids,
		   struct addresses *addresses, const struct interfaces *interfaces, const struct discovery_host *host);
/* Starts the thread that reads the sockets from now on and wakes this loop. 0 or a negative errno. */
int discovery_start(struct discovery *discovery, struct event_loop *loop);
void discovery_close(struct discovery *discovery);

/* Note that something has changed. The caller then has to call discovery_update(). */
int discovery_addresses_changed(struct discovery *discovery);
int discovery_devices_changed(struct discovery *discovery);
void discovery_policies_changed(struct discovery *discovery); /* of IPsec */
void discovery_servers_changed(struct discovery *discovery);
void discovery_host_changed(struct discovery *discovery, const struct discovery_host *host);

/* Begins to read the sockets when it is time to. Call it several times a second. */
int discovery_tick(struct discovery *discovery, uint64_t now_ns);

/* Takes the sockets, if they have been read. Call it after every round of the event loop. */
int discovery_take_look(struct discovery *discovery);

/* Takes results of the self-test and of the reader of rules. Call it after every round of the event loop. */
void discovery_take_results(struct discovery *discovery);

/* Carries out what has changed, if anything has. */
int discovery_update(struct discovery *discovery, uint64_t now_ns);

/* Returns whether an endpoint still waits for its test before it is published. */
bool discovery_is_pending(const struct discovery *discovery);

/* Returns the number of discovered services, that is without the configured ones. */
size_t discovery_count(const struct discovery *discovery);

/* Calls service_stop_answering() for all services: the daemon is about to end. */
bool discovery_stop_answering(struct discovery *discovery, uint64_t now_ns);

/* Stops all services in the hook when the daemon ends. Addresses have to be withdrawn before. */
void discovery_stop(struct discovery *discovery);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Services that are made for listening sockets which no service of the configuration names. */
#ifndef SHAKEOFFD_DISCOVERY_AUTO_SERVICE_H
#define SHAKEOFFD_DISCOVERY_AUTO_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "shakeoffd/discovery/listeners.h"
#include "shakeoffd/discovery/listening_service.h"
#include "shakeoffd/hook/service.h"
#include "shakeoffd/discovery/user_quota.h"

/* So long the id of a service without a socket or an address is kept: servers restart. */
#define AUTO_SERVICE_GRACE_NS (60 * NS_PER_S)

/* And so long at least, and no longer if its user has much: what the hook had begun with it is done. */
#define AUTO_SERVICE_QUARANTINE_NS NS_PER_S

struct auto_service {
	struct listening_service listening;
	struct service service;
	struct config_service config;
	struct listener *listener;
	struct user_quota *quota;       /* of its user; NULL: it comes first */
	bool evicted;                   /* it is to give its id to one that comes first */
	uint64_t idle_ns;               /* since when it has had none; 0: it has */
	struct auto_service_list *list; /* where it is: in use, or idle, oldest first */
	struct auto_service *next, **link;
};

struct auto_service_list {
	struct auto_service *first, **end;
	size_t length;
};

struct auto_services {
	const struct config_policy *policy;
	struct service_ids *service_ids;
	struct listeners *listeners;
	const struct bypass_host *host;
	struct auto_service_list used, idle;
	struct auto_service_list hasty; /* idle ones whose user has much: their ids are not kept for long */

	/*
	 * A user other than root has a quarter of the ids at most, and such users together what those do not need
	 * that come first: root's, those at ports that only root may have, and a quarter of all for them to come.
	 */
	uint32_t roots_ports;      /* ports below */
	size_t most;               /* ids that discovered services can have */
	struct user_quotas quotas; /* with those that are idle */
	size_t ordinary;           /* ids of all that do not come first */
	size_t first;              /* of those that do */
	size_t waiting;            /* of them without a service id, in this round; waited: in the one before */
	size_t waited;
	uint64_t round; /* number of times that auto_services_look_again() was called, and one */

	bool full;        /* it was said that there is no id */
	bool turned_away; /* for want of a service id, since auto_services_look_again() */
	bool changed;     /* something was, or is no more, since auto_services_report() */
};

/* Begins without services. configured: how many ids the configuration has. */
void auto_services_open(struct auto_services *services, const struct config_policy *policy,
			struct service_ids *service_ids, struct listeners *listeners, const struct bypass_host *host,
			size_t configured);
void auto_services_close(struct auto_services *services);

/* Returns the service of this listener, made if need be, and described. NULL: there is no id or no memory. */
struct auto_service *auto_service_use(struct auto_services *services, struct listener *listener, uint64_t now_ns);

/* Notes that a service has no address any more. */
void auto_service_idle(struct auto_services *services, struct auto_service *discovered, uint64_t now_ns);

/* Ends services that have been idle for long. */
void auto_services_expire(struct auto_services *services, uint64_t now_ns);

/* Notes that the sockets of a service have another owner now. */
void auto_service_changes_owner(struct auto_services *services, struct auto_service *discovered);

/*
 * Chooses a service that has to give its id to one that comes first. Its port is to be looked at again:
 * auto_service_use() then has nothing for it. NULL: none has to.
 */
struct auto_service *auto_services_evict(struct auto_services *services);

/* Returns whether a service that comes first waits for a service id. */
bool auto_services_is_awaited(const struct auto_services *services);

/* Logs once, and tells `shakeoff status`, what has no id. */
void auto_services_report(struct auto_services *services);

/* Returns whether something was turned away, which may find a service id now. Forgets it. */
bool auto_services_look_again(struct auto_services *services);

#endif

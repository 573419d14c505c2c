/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Services for listening sockets that no service of the configuration names. */
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

/* How long the id of a service without a socket or an address is kept, because servers restart. */
#define AUTO_SERVICE_GRACE_NS (60 * NS_PER_S)

/*
 * Minimum time that an id is kept, so that the hook has finished what it began with the id. The id of a user who has
 * much is kept no longer.
 */
#define AUTO_SERVICE_QUARANTINE_NS NS_PER_S

struct auto_service {
	struct listening_service listening;
	struct service service;
	struct config_service config;
	struct listener *listener;
	struct user_quota *quota;       /* of its user; NULL: it has priority */
	bool evicted;                   /* it must give its id to a service with priority */
	uint64_t idle_ns;               /* since when it has no socket or address; 0: it has both */
	struct auto_service_list *list; /* the list that it is in: used, or idle (oldest first) */
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
	struct auto_service_list short_grace; /* idle services whose user has much: their ids are kept only briefly */

	/*
	 * A user other than root has at most a quarter of the ids. All such users together have the ids that services
	 * with priority do not need. Services with priority are root's and those at ports that only root may have; a
	 * quarter of all ids is reserved for new ones.
	 */
	uint32_t roots_ports;      /* lower ports are only for root */
	size_t most;               /* ids that discovered services can have */
	struct user_quotas quotas; /* idle services included */
	size_t ordinary;           /* ids of all services without priority */
	size_t first;              /* ids of services with priority */
	size_t waiting; /* services with priority without an id, in this round; waited: in the round before */
	size_t waited;
	uint64_t round; /* number of calls of auto_services_look_again(), plus 1 */

	bool full;       /* it is reported that there is no id */
	bool lacks_room; /* a socket found no service id, since auto_services_look_again() */
	bool changed;    /* the set of sockets without an id has changed, since auto_services_report() */
};

/* Begins without services. configured: how many ids the configuration uses. */
void auto_services_open(struct auto_services *services, const struct config_policy *policy,
			struct service_ids *service_ids, struct listeners *listeners, const struct bypass_host *host,
			size_t configured);
void auto_services_close(struct auto_services *services);

/* Returns the described service of this listener, and makes it if needed. NULL: there is no id or no memory. */
struct auto_service *auto_service_use(struct auto_services *services, struct listener *listener, uint64_t now_ns);

/* Notes that a service has no address any more. */
void auto_service_idle(struct auto_services *services, struct auto_service *discovered, uint64_t now_ns);

/* Ends services that have been idle for long. */
void auto_services_expire(struct auto_services *services, uint64_t now_ns);

/* Notes that the sockets of a service now have another owner. */
void auto_service_changes_owner(struct auto_services *services, struct auto_service *discovered);

/*
 * Chooses a service that must give its id to a service with priority. The caller has to resolve its port again:
 * auto_service_use() then returns NULL for it. NULL: no service has to.
 */
struct auto_service *auto_services_evict(struct auto_services *services);

/* Returns whether a service with priority waits for a service id. */
bool auto_services_is_awaited(const struct auto_services *services);

/* Reports the sockets without an id: logs them once, and publishes them for `shakeoff status`. */
void auto_services_report(struct auto_services *services);

/* Returns whether a socket found no service id since the last call, so that it is worth another try. */
bool auto_services_look_again(struct auto_services *services);

#endif

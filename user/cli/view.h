/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The view of the read-only commands: the datapaths of this network namespace, and the contents of their maps. */
#ifndef SHAKEOFF_CLI_VIEW_H
#define SHAKEOFF_CLI_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "common/device.h"
#include "cli/command.h"
#include "cli/state.h"

struct view_address {
	struct in6_addr address; /* IPv4 mapped */
	uint16_t port;
	bool bypassed;  /* SHAKEOFF_ADDRESS_BYPASSED */
	bool tagged;    /* SHAKEOFF_ADDRESS_TAGGED */
	bool untested;  /* SHAKEOFF_ADDRESS_UNTESTED */
	bool elsewhere; /* on devices without packets for the hook */
	uint32_t service;
};

struct view_datapath {
	uint32_t control_id;
	struct datapath *datapath;
	char interfaces[256]; /* "eth0, eth1" */
	struct shakeoff_control control;
	struct shakeoff_service *services;      /* SHAKEOFF_MAX_SERVICES, copied once */
	struct view_address *addresses;         /* sorted by address and port */
	const struct view_address **by_service; /* the same, sorted by service */
	size_t address_count;
	enum interface_obstacle obstacle; /* of the interface that is nearest to working */
	bool works;                       /* an interface works */
	bool answers;                     /* the hook knows an interface: enough for the queue handoff */
	bool hides_tags;                  /* an interface hides tags */
};

struct view {
	struct datapath_attachment *attachments; /* including foreign ones */
	enum interface_obstacle *obstacles;      /* one for each; NO_TC for foreign ones */
	struct topology topology;
	size_t attachment_count;
	struct view_datapath *datapaths;
	size_t datapath_count;
	uint64_t now_ns;
};

/*
 * Opens every datapath, or that of an interface. Errors are reported with the prefix `what`; returns a STATUS_*. Close
 * the view with view_close(), also after a failure.
 */
int view_open(struct view *view, const char *what, const char *ifname);
void view_close(struct view *view);

/* Returns the service of an address, or NULL. `port`: host byte order. */
const struct shakeoff_service *view_service_at(const struct view_datapath *datapath, const struct in6_addr *address,
					       uint16_t port);

/* Returns the number of a service's addresses, and *first. */
size_t view_addresses_of(const struct view_datapath *datapath, uint32_t service,
			 const struct view_address *const **first);

/*
 * Writes them as people read them: "10.9.0.1:80 [2001:db8::1]:443 (bypassed)"; of many the first few. For JSON it
 * returns all of them, or all bypassed ones.
 */
#define VIEW_ADDRESSES 80
void view_addresses(const struct view_datapath *datapath, uint32_t service, char *text, size_t size);
json_t *view_addresses_json(const struct view_datapath *datapath, uint32_t service);
json_t *view_bypassed_addresses_json(const struct view_datapath *datapath, uint32_t service);

/* Returns the number of connections that wait in the accept queue of a service with the queue handoff. */
uint32_t view_waiting(const struct shakeoff_service *service);

/* Returns the greatest backlog that a server has given to listen(); 0 also without listen(). */
uint32_t view_listen_backlog(const struct shakeoff_service *service);

/* Returns what a service does now, and why. */
enum service_state view_service_state(const struct view *view, const struct view_datapath *datapath, uint32_t service);
struct named view_service_reason(const struct view_datapath *datapath, uint32_t service, enum service_state state);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the commands that only look have before them: the datapaths of this network namespace, and what is in their maps. */
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
	bool elsewhere; /* on devices by which nothing comes to the hook */
	uint32_t service;
};

struct view_datapath {
	uint32_t control_id;
	struct datapath *datapath;
	char interfaces[256]; /* "eth0, eth1" */
	struct shakeoff_control control;
	struct shakeoff_service *services;      /* SHAKEOFF_MAX_SERVICES, copied once */
	struct view_address *addresses;         /* in the order of address and port */
	const struct view_address **by_service; /* the same in the order of services */
	size_t address_count;
	enum interface_obstacle obstacle; /* of the interface that is nearest to working */
	bool works;                       /* one has none */
	bool answers;                     /* one is known to the hook: enough for the queue handoff */
	bool hides_tags;                  /* one of them */
};

struct view {
	struct datapath_attachment *attachments; /* foreign ones too */
	enum interface_obstacle *obstacles;      /* of each; of foreign ones NO_TC */
	struct topology topology;
	size_t attachment_count;
	struct view_datapath *datapaths;
	size_t datapath_count;
	uint64_t now_ns;
};

/*
 * Opens every datapath, or that of one interface. What goes wrong is said in the name of `what`; returns a STATUS_*. A
 * view that was filled is closed by view_close(), also after a failure.
 */
int view_open(struct view *view, const char *what, const char *ifname);
void view_close(struct view *view);

/* The service that an address belongs to, or NULL. `port`: host byte order. */
const struct shakeoff_service *view_service_at(const struct view_datapath *datapath, const struct in6_addr *address,
					       uint16_t port);

/* The addresses of a service: how many, from *first on. */
size_t view_addresses_of(const struct view_datapath *datapath, uint32_t service,
			 const struct view_address *const **first);

/*
 * The same as people read them: "10.9.0.1:80 [2001:db8::1]:443 (bypassed)", of many the first few; and for JSON all of them, or
 * all that are bypassed.
 */
#define VIEW_ADDRESSES 80
void view_addresses(const struct view_datapath *datapath, uint32_t service, char *text, size_t size);
json_t *view_addresses_json(const struct view_datapath *datapath, uint32_t service);
json_t *view_bypassed_addresses_json(const struct view_datapath *datapath, uint32_t service);

/* Connections that wait in the accept queue of a service with the queue handoff. */
uint32_t view_waiting(const struct shakeoff_service *service);

/* The greatest backlog that a server has given to listen(); 0 also if none has listened. */
uint32_t view_listen_backlog(const struct shakeoff_service *service);

/* What a service does now, and why. */
enum service_state view_service_state(const struct view *view, const struct view_datapath *datapath, uint32_t service);
struct named view_service_reason(const struct view_datapath *datapath, uint32_t service, enum service_state state);

#endif

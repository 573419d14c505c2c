/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the commands that only look have before them: the datapaths of this network namespace, and what is in their maps. */
#ifndef SHAKEOFF_VIEW_H
#define SHAKEOFF_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/datapath.h"
#include "shakeoff/command.h"

struct view_address {
	struct in6_addr address; /* IPv4 mapped */
	uint16_t port;
	uint32_t service;
};

struct view_datapath {
	uint32_t control_id;
	struct datapath *datapath;
	char interfaces[256]; /* "eth0, eth1" */
	struct shakeoff_control control;
	struct shakeoff_service *services; /* SHAKEOFF_MAX_SERVICES, copied once */
	struct view_address *addresses;    /* in the order of address and port */
	size_t address_count;
};

struct view {
	struct datapath_attachment *attachments; /* foreign ones too */
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

/* The addresses of a service: "10.9.0.1:80 [2001:db8::1]:443", of very many the first few; and all of them for JSON. */
void view_addresses(const struct view_datapath *datapath, uint32_t service, char *text, size_t size);
json_t *view_addresses_json(const struct view_datapath *datapath, uint32_t service);

/* Connections that wait in the accept queue. */
uint32_t view_waiting(const struct shakeoff_service *service);

enum view_daemon { VIEW_DAEMON_NEVER, VIEW_DAEMON_ALIVE, VIEW_DAEMON_DEAD };

/* Of the heartbeat; *age_ns: how long ago the last one was. */
enum view_daemon view_daemon(const struct view *view, const struct view_datapath *datapath, uint64_t *age_ns);

/* Whether a slot belongs to a configured service. */
bool view_service_used(const struct view_datapath *datapath, uint32_t service);

#endif

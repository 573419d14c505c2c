/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The services of a datapath in the order of display: those that need attention first. */
#ifndef SHAKEOFF_CLI_SERVICE_LIST_H
#define SHAKEOFF_CLI_SERVICE_LIST_H

#include <stddef.h>
#include <stdint.h>

#include <shakeoff/abi.h>

/* Maximum number that is shown without --all. */
#define SERVICE_LIST_SHOWN 50

struct service_row {
	const struct shakeoff_service *service;
	uint32_t id;
	uint32_t rank; /* 0 first */
};

/*
 * Lists the used ones of SHAKEOFF_MAX_SERVICES service ids: by rank (NULL: all equal), then configured before
 * discovered services. Configured services are in the order of the file, discovered ones by port and address. *rows is
 * malloc()ed. -ENOMEM.
 */
int service_list(const struct shakeoff_service *services, uint32_t (*rank)(const void *context, uint32_t id),
		 const void *context, struct service_row **rows, size_t *count);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/service_list.h"

static bool is_discovered(const struct service_row *row)
{
	return row->service->flags & SHAKEOFF_SERVICE_DISCOVERED;
}

/* Returns the port of a discovered service, whose name is that of its socket: *:80, [2001:db8::1]:443. */
static int port_of(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon ? atoi(colon + 1) : 0;
}

static int compare_discovered(const char *a, const char *b)
{
	int order = port_of(a) - port_of(b);

	return order ? order : strverscmp(a, b);
}

static int compare_rows(const void *first, const void *second)
{
	const struct service_row *a = first, *b = second;
	int order = 0;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (is_discovered(a) != is_discovered(b))
		return is_discovered(a) ? 1 : -1;
	if (is_discovered(a))
		order = compare_discovered(a->service->name, b->service->name);
	if (order)
		return order;
	return a->id < b->id ? -1 : 1;
}

int service_list(const struct shakeoff_service *services, uint32_t (*rank)(const void *context, uint32_t id),
		 const void *context, struct service_row **rows, size_t *count)
{
	struct service_row *list;
	size_t used = 0;

	for (uint32_t id = 0; id < SHAKEOFF_MAX_SERVICES; id++)
		used += !!(services[id].flags & SHAKEOFF_SERVICE_USED);
	list = calloc(used + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	used = 0;
	for (uint32_t id = 0; id < SHAKEOFF_MAX_SERVICES; id++)
		if (services[id].flags & SHAKEOFF_SERVICE_USED)
			list[used++] = (struct service_row){ &services[id], id, rank ? rank(context, id) : 0 };
	qsort(list, used, sizeof(*list), compare_rows);
	*rows = list;
	*count = used;
	return 0;
}

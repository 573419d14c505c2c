/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `shakeoff status`: what its text, in two files, and its JSON share. */
#ifndef SHAKEOFF_CLI_STATUS_H
#define SHAKEOFF_CLI_STATUS_H

#include "cli/report.h"
#include "cli/shortfall.h"

/* Returns how an interface's XDP program was attached: "shakeoffd", "shakeoff attach", "netlink", "foreign", "?". */
const char *status_owner_name(const struct datapath_attachment *attachment);

uint32_t status_epoch(const struct view *view, const struct view_datapath *datapath);
uint64_t status_uptime_ns(const struct view *view, const struct view_datapath *datapath);

/* Prints the services of a datapath; without `all` only the first of them. Returns 0 or -ENOMEM. */
int status_print_services(const struct view *view, const struct view_datapath *datapath, bool all);

/* Returns everything as an object. data: struct shortfalls. */
json_t *status_json(const struct subject *subject);

#endif

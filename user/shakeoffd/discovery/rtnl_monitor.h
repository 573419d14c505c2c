/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Notices that addresses or links of the host have changed. The users of its flags read the new state themselves. */
#ifndef SHAKEOFFD_DISCOVERY_RTNL_MONITOR_H
#define SHAKEOFFD_DISCOVERY_RTNL_MONITOR_H

#include <stdbool.h>

#include "shakeoffd/sys/event_loop.h"

struct rtnl_monitor {
	struct event_source source;
	bool addresses_changed; /* their reader clears both */
	bool links_changed;
};

int rtnl_monitor_open(struct rtnl_monitor *rtnl_monitor, struct event_loop *loop);
void rtnl_monitor_close(struct rtnl_monitor *rtnl_monitor);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Starts discovery, the reader of the firewall's rules and the self-test, which decide for whom the hook may answer. */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/follow.h"
#include "shakeoffd/stages.h"
#include "common/clock.h"

/* Answers discovery's questions about registered servers: see struct discovery_servers. */
static bool cover(void *context, size_t service, const struct in6_addr *address, uint16_t port, bool *keep_only)
{
	struct daemon *daemon = context;
	enum delivery_coverage coverage = delivery_covers(&daemon->deliveries[service], address, port);

	*keep_only = coverage == DELIVERY_KEPT;
	return coverage != DELIVERY_UNCOVERED;
}

static int each_socket(void *context, int (*callback)(void *context, uint32_t inode), void *callback_context)
{
	struct daemon *daemon = context;
	int result = 0;

	for (size_t i = 0; i < daemon->delivery_count && !result; i++)
		result = delivery_each_inode(&daemon->deliveries[i], callback, callback_context);
	return result;
}

int start_discovery(struct daemon *daemon)
{
	const struct discovery_servers servers = { .context = daemon, .cover = cover, .each_socket = each_socket };
	struct discovery_host host = follow_discovery_host(daemon);
	int error = discovery_open(&daemon->discovery, &daemon->config, &daemon->services, &servers,
				   &daemon->service_ids, &daemon->addresses, &daemon->interfaces, &host);

	if (!error) {
		error = daemon_report("the policies of IPsec could not be read", xfrm_open(&daemon->xfrm));
		daemon->discovery.xfrm = &daemon->xfrm;
	}
	if (!error && !host.can_admit && daemon->discovery.follows)
		log_info("servers that listen are bypassed: %s", bypass_help(SHAKEOFF_BYPASS_KERNEL));
	else if (!error && !host.syncookies && daemon->discovery.follows)
		log_warn("servers that listen are bypassed: %s", bypass_help(SHAKEOFF_BYPASS_SYNCOOKIES));
	if (!error) {
		daemon->own = (struct own_publisher){ .datapaths = daemon->interfaces.datapaths,
						      .count = daemon->interfaces.datapath_count };
		follow_own_addresses(daemon);
	}
	return daemon_report("the listening sockets could not be listed", error);
}

void stop_discovery(struct daemon *daemon)
{
	own_publisher_close(&daemon->own);
	discovery_close(&daemon->discovery);
	xfrm_close(&daemon->xfrm);
}

int start_rules(struct daemon *daemon)
{
	daemon->discovery.ruleset = daemon->ruleset;
	daemon->discovery.obeys_rules = true;
	follow_device_names(daemon);
	return daemon_report("the rules of the firewall cannot be followed",
			     ruleset_reader_listen(daemon->ruleset, daemon->loop));
}

int start_selftest(struct daemon *daemon)
{
	int error;

	if (!daemon->discovery.follows || !datapath_can_admit())
		return 0;
	error = selftest_open(&daemon->selftest, daemon->loop);
	if (error) {
		log_warn("the self-test cannot be made, so it cannot find firewall rules that refuse a SYN, or an ACK "
			 "without a SYN: %s",
			 strerror(-error));
		return 0;
	}
	follow_test_interfaces(daemon);
	daemon->discovery.selftest = daemon->selftest;
	return 0;
}

void stop_selftest(struct daemon *daemon)
{
	selftest_close(daemon->selftest);
}

/* Publishes the addresses of services. From now on the hook answers for those that need no test first. */
int publish_addresses(struct daemon *daemon)
{
	int error = discovery_update(&daemon->discovery, clock_ns());

	if (!error)
		service_ids_sweep(&daemon->service_ids);
	return daemon_report("the addresses of the services could not be published", error);
}

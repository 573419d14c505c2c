/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Takes the results of the scans of listening sockets; a thread makes the scans (listener_scan.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "shakeoffd/discovery/discovery_internal.h"

static int note_inode(void *context, uint32_t inode)
{
	struct inodes *inodes = context;
	return array_append(inodes->list, inodes->count, inode);
}

void discovery_free_inodes(struct inodes *inodes)
{
	free(inodes->list);
	*inodes = (struct inodes){ 0 };
}

/* Finds the sockets that servers have passed to the daemon, which have the queue handoff. */
static int find_own_inodes(const struct discovery *discovery, struct inodes *inodes)
{
	const struct discovery_servers *servers = &discovery->servers;
	int error;

	*inodes = (struct inodes){ 0 };
	error = servers->each_socket(servers->context, note_inode, inodes);
	if (error)
		discovery_free_inodes(inodes);
	if (inodes->count)
		qsort(inodes->list, inodes->count, sizeof(*inodes->list), listener_scan_compare_inodes);
	return error;
}

static bool inodes_are(const struct inodes *a, const struct inodes *b)
{
	return a->count == b->count && (!a->count || !memcmp(a->list, b->list, a->count * sizeof(*a->list)));
}

static void listener_changed(void *context, struct listener *listener, const struct listener_facts *before)
{
	struct discovery *discovery = context;

	if (!listener->facts.sockets != !before->sockets ||
	    bypass_by_socket(&listener->facts) != bypass_by_socket(before))
		discovery_mark(discovery, listener->port);
	else if (endpoints_configured(discovery->config, listener->port))
		discovery->recount = true;
	if (listener->discovered && !listener->discovered->evicted && listener->facts.sockets &&
	    listener->facts.uid != before->uid) {
		auto_service_changes_owner(&discovery->discovered, listener->discovered);
		discovery_mark(discovery, listener->port);
	}
	discovery->discovered.changed |= listener->lacks_room && !listener->facts.sockets;
	if (listener->discovered && !listener->discovered->idle_ns && listener->facts.sockets) {
		listener->discovered->listening.facts = listener->facts;
		discovery_describe(discovery, &listener->discovered->listening);
		/* The reason for a bypass may have gone, so that a test is needed, or a reason may be new. */
		discovery->tests_changed = true;
	}
}

int discovery_begin_look(struct discovery *discovery, uint64_t now_ns)
{
	discovery_free_inodes(&discovery->own_inodes);
	if (find_own_inodes(discovery, &discovery->own_inodes))
		return -ENOMEM;
	listener_scan_begin(&discovery->scan, now_ns, discovery->own_inodes.list, discovery->own_inodes.count);
	return 0;
}

static int take_look(struct discovery *discovery)
{
	const struct listener_scan_list *seen = &discovery->scan.seen;
	int error = 0;

	for (size_t i = 0; i < seen->count && !error; i++) {
		const struct sock_diag_listener *socket = &seen->list[i].socket;

		error = listeners_see_group(&discovery->listeners, socket, seen->list[i].count,
					    socket->ifindex &&
						    !interfaces_find_bound(discovery->interfaces, socket->ifindex));
	}
	if (error) {
		listeners_abandon(&discovery->listeners);
		return error;
	}
	listeners_settle(&discovery->listeners, listener_changed, discovery);
	return 0;
}

/*
 * Returns whether the scan has to be made again, which is done once. A socket that a server passed to the daemon during
 * the scan may be in it as a socket that only listens.
 */
static bool is_outdated(struct discovery *discovery)
{
	struct inodes now;
	bool outdated;

	if (discovery->looked_again || find_own_inodes(discovery, &now)) {
		discovery->looked_again = false;
		return false;
	}
	outdated = !inodes_are(&now, &discovery->own_inodes);
	discovery_free_inodes(&now);
	discovery->looked_again = outdated;
	return outdated;
}

int discovery_take_look(struct discovery *discovery)
{
	int error;

	if (!listener_scan_take(&discovery->scan, &error))
		return 0;
	if (error)
		return error;
	if (is_outdated(discovery)) {
		listener_scan_hurry(&discovery->scan);
		return 0;
	}
	return take_look(discovery);
}

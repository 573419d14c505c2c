/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Decides whether one more server may connect. */
#include "shakeoffd/queue/delivery_internal.h"
#include "shakeoffd/queue/descriptor.h"
#include "common/clock.h"

/*
 * Limits for connections of servers to a service. Servers of root, of the daemon's user and of those that the service
 * names are always admitted. The others are limited in total, per user, and in the number that have not sent LISTEN
 * yet. A server sends LISTEN at once, so one that has not for a while gives way to the next.
 */
#define MAX_SERVERS 4096
#define MAX_OF_USER 1024
#define MAX_WAITING 256
#define MAX_WAITING_OF_USER 32
#define GIVES_WAY_NS (100 * NS_PER_MS)

struct crowd {
	size_t of_user, waiting, waiting_of_user;
	struct server *oldest, *oldest_of_user; /* of those that have not sent LISTEN */
};

static bool waits(const struct server *server)
{
	return !server->binding && !server->peer.trusted;
}

static struct crowd count_servers(const struct delivery *delivery, uid_t uid)
{
	struct crowd crowd = { 0 };

	for (struct server *server = delivery->servers; server; server = server->next) {
		bool of_user = server->peer.uid == uid;

		crowd.of_user += of_user;
		if (!waits(server))
			continue;
		crowd.waiting++;
		crowd.waiting_of_user += of_user;
		if (!crowd.oldest || server->connected_ns < crowd.oldest->connected_ns)
			crowd.oldest = server;
		if (of_user && (!crowd.oldest_of_user || server->connected_ns < crowd.oldest_of_user->connected_ns))
			crowd.oldest_of_user = server;
	}
	return crowd;
}

static bool give_way(struct server *server, struct finished *finished)
{
	if (clock_ns() - server->connected_ns < GIVES_WAY_NS)
		return false;
	server_end(server, finished);
	return true;
}

bool delivery_admits(const struct delivery *delivery, const struct peer *peer, struct finished *finished)
{
	struct crowd crowd;

	if (peer->trusted)
		return true;
	if (delivery->connected >= MAX_SERVERS || descriptor_is_stuck(peer->uid) ||
	    acceptor_count_stuck(peer->uid) >= DELIVERY_MAX_STUCK)
		return false;
	crowd = count_servers(delivery, peer->uid);
	if (crowd.of_user >= MAX_OF_USER)
		return false;
	if (crowd.waiting_of_user >= MAX_WAITING_OF_USER)
		return give_way(crowd.oldest_of_user, finished);
	return crowd.waiting < MAX_WAITING || give_way(crowd.oldest, finished);
}

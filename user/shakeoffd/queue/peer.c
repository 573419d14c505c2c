/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "shakeoffd/queue/peer.h"

bool peer_is_trusted_user(uid_t uid, const struct config_service *service)
{
	return uid == 0 || uid == geteuid() || (service->has_user && uid == service->user);
}

/* Returns whether the peer had this supplementary group when it connected. */
static bool has_group(int fd, gid_t group)
{
	cleanup_free gid_t *groups = NULL;
	socklen_t size = 0;

	/* Ask for the size first (socket(7)): a process may have up to NGROUPS_MAX groups. */
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) || errno != ERANGE)
		return false;
	groups = malloc(size);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
		return false;
	for (size_t i = 0; i < size / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

int peer_of(int fd, const struct config_service *service, struct peer *peer)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size))
		return -errno;
	peer->uid = credentials.uid;
	peer->pid = credentials.pid;
	peer->trusted = peer_is_trusted_user(credentials.uid, service) ||
			(service->has_group && (credentials.gid == service->group || has_group(fd, service->group)));
	return 0;
}

bool peer_may_pass_socket(const struct peer *peer, const struct config_service *service)
{
	return peer->trusted || (!service->has_user && !service->has_group);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The listening sockets of this network namespace, and which of them receive connections to an address. */
#ifndef SHAKEOFF_CLI_LISTENING_H
#define SHAKEOFF_CLI_LISTENING_H

#include <stddef.h>

#include "common/sock_diag.h"
#include "cli/view.h"

struct listening_socket {
	struct sock_diag_listener socket;
	uint32_t counted; /* number of the last sum that it was added to */
};

struct listening {
	struct listening_socket *list; /* sorted by port */
	size_t count;
	uint32_t sums;
	uint32_t somaxconn; /* sysctl net.core.somaxconn; 0: unknown */
};

/* Lists all of them. Returns a negative errno on failure; call listening_free() in any case. */
int listening_read(struct listening *listening);
void listening_free(struct listening *listening);

/* Adds a listening socket for listening_read(), which sorts when all have been added. */
int listening_add(struct listening *listening, const struct sock_diag_listener *listener);
void listening_sort(struct listening *listening);

/* The accept queues of all sockets of a service together. */
struct listening_queue {
	uint64_t waiting;  /* Recv-Q */
	uint64_t capacity; /* Send-Q: the sum of the smaller of each socket's own and the service's backlog */
	const char *cause; /* of the capacity */
	uint32_t sockets;
};

/*
 * Sums up the sockets from which the kernel would choose for connections to these addresses. For each address these are
 * the sockets bound to it, else those of any address of its family, else dual-stack ones. backlog: the service's,
 * UINT32_MAX: none.
 */
struct listening_queue listening_queue(struct listening *listening, const struct view_address *const *addresses,
				       size_t count, uint32_t backlog);

#endif

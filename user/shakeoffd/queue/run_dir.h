/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The run directory:
 *
 *	shakeoffd.pid           locked by the daemon while it lives; readable only by root, because a reader can lock it
 *	NAME.sock               where servers of a service connect: for every user, or for its `user =` and `group =`
 *	listen/ADDRESS:PORT     a symbolic link to ../NAME.sock for each `listen =`
 */
#ifndef SHAKEOFFD_QUEUE_RUN_DIR_H
#define SHAKEOFFD_QUEUE_RUN_DIR_H

#include <sys/types.h>

#include "config/config.h"

struct run_dir {
	const char *path;
	int lock_fd;
};

/*
 * Makes it if needed, and locks it. Logs what is wrong: -EBUSY: another daemon has it; -EPERM: another user owns it, or
 * can write there.
 */
int run_dir_open(struct run_dir *run_dir, const char *path);

/* Removes the sockets and links that an earlier daemon left. */
void run_dir_clear(const struct run_dir *run_dir);

/* Makes the listening socket of a service. The caller owns *fd. Logs what is wrong. */
int run_dir_listen(const struct run_dir *run_dir, const struct config_service *service, int *fd);

/*
 * Makes the links when all sockets listen: a server that waits for the daemon looks for the link, so it cannot try a
 * socket that does not listen yet. Logs what is wrong.
 */
int run_dir_link(const struct run_dir *run_dir, const struct config *config);

/* Removes sockets, links and the lock. */
void run_dir_close(struct run_dir *run_dir);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Closes descriptors whose open file other processes share. Such a close() may take as long as another process wants:
 * the last close() of a socket with SO_LINGER waits for the peer, that of a file in a FUSE file system for the file
 * system's server. So separate threads close them, and the caller never waits. Usually there is one such thread;
 * whenever it makes no progress, one more is started. A user whose descriptors keep threads busy delays only its own.
 */
#ifndef SHAKEOFFD_QUEUE_DESCRIPTOR_H
#define SHAKEOFFD_QUEUE_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes a connection. owner: the user whose processes may make the close() wait. */
void descriptor_close(int fd, uid_t owner);

/* Closes a descriptor that came with a message. */
void descriptor_close_passed(int fd, uid_t owner);

/* Closes a server's socket: unread messages and their descriptors are closed with it. */
void descriptor_close_socket(int fd, uid_t owner);

/* Closes a connection with an RST to the client. */
void descriptor_reset(int fd, uid_t owner);

/* Returns how many descriptors of this user are not closed yet. */
size_t descriptor_unclosed(uid_t owner);

/* Returns whether this user's descriptors keep all its threads busy, so that no more of them are closed. */
bool descriptor_is_stuck(uid_t owner);

/*
 * Reserves descriptors for messages of this user, for each message the maximum that it can bring (SCM_MAX_FD). Returns
 * the number of messages, at most `most`. Descriptors that are not closed yet count as well, and one user's are
 * limited. 0: none at present. -EUSERS: none before some are closed.
 */
int descriptor_reserve(uid_t owner, bool trusted, int most);
void descriptor_unreserve(int messages);

/* Returns whether more refused sockets may be queued for closing. */
bool descriptor_may_refuse(void);

/* Starts one more thread if none makes progress. Call it about every 100 ms. */
void descriptor_tick(void);

/* Waits until everything is closed, or until the timeout. Call it at the daemon's end. */
void descriptor_finish(unsigned int timeout_ms);

/* Raises the limit of descriptors as far as possible. */
void descriptor_raise_limit(void);

/* The maximum that a message can bring (SCM_MAX_FD, include/net/scm.h). */
#define DESCRIPTORS_OF_MESSAGE 253

/*
 * Returns how many descriptors connections may hold, without those that are not closed yet. The rest is for passed
 * descriptors: at the limit, recvmmsg() would close those that the kernel cannot install (scm_detach_fds()), and wait.
 */
size_t descriptor_limit_of_connections(void);

#endif

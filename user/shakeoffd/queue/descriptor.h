/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Closes descriptors whose open file other processes share. Such a close() may take as long as another process wants:
 * the last one of a socket with SO_LINGER waits for the peer, one of a file in a FUSE file system waits for that file
 * system's server. So threads of their own close them, and the caller never waits. There is one such thread as a rule;
 * whenever it makes no progress there is one more. A user whose descriptors keep threads busy delays only its own.
 */
#ifndef SHAKEOFFD_QUEUE_DESCRIPTOR_H
#define SHAKEOFFD_QUEUE_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Connections. owner: the user whose processes may make the close() wait. */
void descriptor_close(int fd, uid_t owner);

/* What came with a message. */
void descriptor_close_passed(int fd, uid_t owner);

/* A server's socket: what nobody has read there, descriptors included, is closed with it. */
void descriptor_close_socket(int fd, uid_t owner);

/* Closes a connection with an RST to the client. */
void descriptor_reset(int fd, uid_t owner);

/* How many descriptors of this user are not closed yet. */
size_t descriptor_unclosed(uid_t owner);

/* Whether this user's descriptors keep all the threads busy that they may, so that nothing more of his is closed. */
bool descriptor_is_stuck(uid_t owner);

/*
 * Sets places aside for what messages of this user bring, each as many descriptors as it can (SCM_MAX_FD). Returns for how many
 * messages, `most` at most. Those that are not closed yet hold places, too, and one user's a part of them at most.
 * 0: in a moment. -EUSERS: not before some are closed.
 */
int descriptor_reserve(uid_t owner, bool trusted, int most);
void descriptor_unreserve(int messages);

/* Whether sockets that were accepted and refused may still be left to close. */
bool descriptor_may_refuse(void);

/* About every 100 ms: starts one more thread where none makes progress. */
void descriptor_tick(void);

/* At the daemon's end: waits until everything is closed, at most so long. */
void descriptor_finish(unsigned int timeout_ms);

/* Raises the limit of descriptors as far as it can be. */
void descriptor_raise_limit(void);

/* The most that a message can bring (SCM_MAX_FD, include/net/scm.h). */
#define DESCRIPTORS_OF_MESSAGE 253

/*
 * How many of them connections may hold, those that are not closed yet aside. The rest is for what servers pass: at the limit
 * the kernel would close in recvmmsg() what it cannot install (scm_detach_fds()), and wait there.
 */
size_t descriptor_limit_of_connections(void);

#endif

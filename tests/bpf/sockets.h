/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Real sockets in the network namespace of the tests, where the addresses of the service and of a client (10.9.0.2 and
 * 2001:db8::2) belong to the host. The hook never sees what the kernel sends over loopback.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_SOCKETS_H
#define SHAKEOFF_TESTS_SOCKETS_H

#include <netinet/in.h>
#include <stdint.h>

#include "frame.h"

struct family {
	int family;
	const char *client, *server;
};

extern const struct family ipv4, ipv6;

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

union address make_address(const struct family *family, const char *text, uint16_t port);

/* Returns a bound socket with SO_REUSEADDR that does not listen yet. */
int bound_socket(const struct family *family, const char *text, uint16_t port);

/* Returns a socket that listens at port 80 of an address: "::" is dual-stack. */
int listening_socket(const struct family *family, const char *text, int backlog);

/* Returns a listening socket that is a member of a group (SO_REUSEPORT). */
int listening_member(const struct family *family, const char *text, int backlog);

/* Returns the number of connections in the accept queue of a listening socket. */
int waiting_at(int fd);

/*
 * Connects from the client's address, from a port (0: any), to the service; the connection waits in the accept queue.
 */
int connected_socket(const struct family *family, uint16_t port);

/* Closes it with an RST, so that no TIME-WAIT remains, and sets it to -1. */
void reset_socket(int *fd);

void sysctl_set(const char *path, int value);

/* Hands a segment to the kernel's own TCP. */
void kernel_receives(const struct segment *segment);

/*
 * Hands a SYN of the client's address to the kernel, with sysctl tcp_syncookies = 2: returns the sequence number of the
 * SYN-ACK, which is one of the kernel's cookies. A socket must listen. Skipped where the hook cannot check it (before
 * 6.0).
 */
uint32_t kernel_cookie(const struct segment *syn);

#endif

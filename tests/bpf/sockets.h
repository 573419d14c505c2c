/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Real sockets in the network namespace of the tests, where the service's addresses and those of a client (10.9.0.2 and
 * 2001:db8::2) are the host's own. What the kernel sends over loopback the hook never sees.
 *
 * cmocka.h and what it needs has to be included before.
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

/* With SO_REUSEADDR, not listening yet. */
int bound_socket(const struct family *family, const char *text, uint16_t port);

/* One that listens at port 80 of an address: "::" is dual-stack. */
int listening_socket(const struct family *family, const char *text, int backlog);

/* The same of a group (SO_REUSEPORT). */
int listening_member(const struct family *family, const char *text, int backlog);

/* How many connections wait in the accept queue of a listening socket. */
int waiting_at(int fd);

/* A connection from the client's address to the service, from a port (0: any); it waits in the accept queue. */
int connected_socket(const struct family *family, uint16_t port);

/* Closes it with an RST, so that nothing is left in TIME-WAIT, and sets it to -1. */
void reset_socket(int *fd);

void sysctl_set(const char *path, int value);

/* Hands a segment to the kernel's own TCP. */
void kernel_receives(const struct segment *segment);

/*
 * The same with a SYN of the client's address, with sysctl tcp_syncookies = 2: returns the sequence number of the SYN-ACK,
 * a cookie of the kernel's own. Somebody has to listen. Skipped where the hook cannot check it (before 6.0).
 */
uint32_t kernel_cookie(const struct segment *syn);

#endif

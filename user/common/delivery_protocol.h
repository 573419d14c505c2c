/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The protocol between servers and the daemon over RUN_DIR/NAME.sock (AF_UNIX, SOCK_SEQPACKET): a struct
 * delivery_message per packet, descriptors as SCM_RIGHTS.
 *
 *	server                              daemon
 *	LISTEN backlog, [listening fd] -->
 *	                               <--  LISTENING capacity   (or REFUSED errno, then close)
 *	                               <--  CONNECTION id, peer, [connection fd]      when a connection waits
 *	TAKEN id                       -->                       the daemon closes its duplicate
 *	RETURNED id                    -->                       descriptor lost on the way (EMFILE): it is sent again
 *
 * The daemon owns a connection until TAKEN: when the socket closes before that, all unacknowledged connections go back
 * to the head of the accept queue. The daemon has a bounded number of unacknowledged connections a socket.
 *
 * The listening fd is optional: a TCP socket in LISTEN on the service's address. The daemon accepts connections from it
 * that the hook does not see (loopback, interfaces without the program) into the same accept queue, and closes it
 * together with the server. A server's right to serve depends on it (shakeoffd/queue/delivery.h): when it no longer
 * listens, the daemon disconnects the server.
 *
 * RUN_DIR/listen/ADDRESS:PORT are symbolic links to ../NAME.sock, one for each `listen =` of the configuration, so that
 * a server can find its service by the address that it binds: 10.9.0.1:80, [2001:db8::1]:443, *:22. Addresses are
 * written as inet_ntop() does. The daemon removes sockets and links when it stops cleanly, and replaces them when it
 * starts.
 */
#ifndef SHAKEOFF_DELIVERY_PROTOCOL_H
#define SHAKEOFF_DELIVERY_PROTOCOL_H

#include <netinet/in.h>
#include <stdint.h>

#define DELIVERY_VERSION 1
#define DELIVERY_LISTEN_DIR "listen"

enum delivery_type {
	DELIVERY_LISTEN = 1, /* value: backlog, flags: DELIVERY_FLAG_* */
	DELIVERY_LISTENING,  /* value: the queue's capacity */
	DELIVERY_REFUSED,    /* value: an errno; the daemon closes after it */
	DELIVERY_CONNECTION, /* id, peer; one descriptor */
	DELIVERY_TAKEN,      /* id */
	DELIVERY_RETURNED,   /* id */
};

/* The server listens on an IPv6 socket that also accepts IPv4: connections are AF_INET6 with mapped addresses. */
#define DELIVERY_FLAG_DUALSTACK 0x1u

/* Both ends are on one host: host byte order, except in peer. Every packet has exactly this size. */
struct delivery_message {
	uint16_t version; /* DELIVERY_VERSION */
	uint16_t type;    /* enum delivery_type */
	uint32_t flags;
	uint64_t id;
	int32_t value;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} peer;
};
_Static_assert(sizeof(struct delivery_message) == 48, "read by programs of other builds");

#endif

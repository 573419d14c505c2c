/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP sockets of this network namespace, over NETLINK_SOCK_DIAG (sock_diag(7), linux/inet_diag.h). */
#ifndef SHAKEOFF_SOCK_DIAG_H
#define SHAKEOFF_SOCK_DIAG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shakeoff/abi.h>

/* The index of lo in every network namespace (linux, include/net/net_namespace.h). */
#define LOOPBACK_IFINDEX 1

struct sock_diag_entry {
	struct shakeoff_tuple tuple; /* IPv4 mapped, network byte order */
	uint8_t family;              /* AF_INET, AF_INET6 */
	uint8_t state;               /* TCP_ESTABLISHED ... as in linux/tcp_states.h, netinet/tcp.h */
	uint32_t rqueue, wqueue;     /* as ss shows them: Recv-Q, Send-Q */
	uint32_t ifindex;            /* bound device or 0 */
	uint32_t uid;
	uint32_t inode; /* 0: no file (TIME-WAIT, not accepted) */
};

/*
 * Calls back for each TCP socket of both families whose state is in `states` (bits 1 << TCP_x). Stops at a callback's
 * non-zero return, and returns it; otherwise 0 or a negative errno.
 */
int sock_diag_each(uint32_t states, int (*callback)(void *context, const struct sock_diag_entry *entry), void *context);

/* A listening socket. */
struct sock_diag_listener {
	struct in6_addr address;   /* IPv4 mapped; in6addr_any: any */
	uint16_t port;             /* host byte order */
	uint8_t family;            /* AF_INET, AF_INET6; an IPv6 socket at an IPv4 mapped address is AF_INET */
	bool dualstack;            /* AF_INET6 that takes IPv4, too */
	bool mptcp;                /* the subflow of an MPTCP socket */
	bool tcp_auth;             /* it has TCP-MD5 keys (needs CAP_NET_ADMIN); the kernel does not report TCP-AO */
	uint32_t waiting, backlog; /* of its accept queue: sk_ack_backlog, sk_max_ack_backlog */
	uint32_t receive_buffer;   /* sk_rcvbuf, bytes */
	uint32_t ifindex;          /* bound device or 0 */
	uint32_t inode;
	uint32_t uid;
};

/* Calls back for listening sockets alone; cheap on a host with many connections. A dual-stack socket comes once. */
int sock_diag_each_listener(int (*callback)(void *context, const struct sock_diag_listener *listener), void *context);

/* Listening sockets to skip: at an address, or in a prefix. */
struct sock_diag_skip {
	struct in6_addr address; /* IPv4 mapped; in6addr_any with AF_INET: 0.0.0.0 */
	uint8_t family;          /* AF_INET, AF_INET6 */
	uint8_t prefix;          /* bits of the family's address, from 1 on */
	int port;                /* host byte order; SOCK_DIAG_ANY_PORT */
};

#define SOCK_DIAG_ANY_PORT (-1)
#define SOCK_DIAG_SKIPS_MAX 256

/*
 * Calls back for listening sockets except these: the kernel skips them without describing them, which is the expensive
 * part. At most SOCK_DIAG_SKIPS_MAX are skipped.
 */
int sock_diag_each_listener_but(const struct sock_diag_skip *skips, size_t skip_count,
				int (*callback)(void *context, const struct sock_diag_listener *listener),
				void *context);

/*
 * Returns the state's name in RFC 9293's spelling: "ESTABLISHED", "FIN-WAIT-1", "TIME-WAIT"; "?" for an unknown number.
 */
const char *sock_diag_state_name(uint8_t state);

/*
 * Removes the TIME-WAIT socket of a tuple (SOCK_DESTROY). -ENOENT: there is none; -EADDRINUSE: the socket is in another
 * state, and stays; -EOPNOTSUPP: this kernel cannot (5.10).
 * Opens a netlink socket per thread and keeps it. Safe in any thread.
 */
int sock_diag_destroy_time_wait(const struct shakeoff_tuple *tuple);

#endif

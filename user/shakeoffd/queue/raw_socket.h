/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets made by hand: frames that were held back, returned to the kernel as if they had just arrived, and RSTs to clients.
 *
 * What came through the kernel's input path goes back to where it came in: a packet socket sends it over lo, marked, and the tc program
 * there (shakeoff_return, bpf/input.bpf.c) turns it round to its interface, where it meets all of the firewall once more. Should the
 * program be gone, it is a frame for another host's address on lo, which nobody takes.
 *
 * What the hook itself has held (no netfilter program on this kernel), a packet with a client's source that is sent to one of the
 * host's own addresses, goes over the loopback interface, too, as an IP packet, and keeps the route it was sent with, so that neither
 * rp_filter nor the check for martians applies.
 *
 * In both cases lo has to be up. The kernel's TCP takes it like any other: checksum, PAWS, FIN and RST included.
 */
#ifndef SHAKEOFFD_QUEUE_RAW_SOCKET_H
#define SHAKEOFFD_QUEUE_RAW_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include <shakeoff/abi.h>

struct raw_socket {
	int fd4;
	int fd6;          /* -1: no IPv6 here */
	int frames;       /* a packet socket for what goes back to its interface; -1: none */
	unsigned int lo;  /* ifindex */
	uint32_t ifindex; /* the interface that its frames go to: SO_PRIORITY */
};

/* mark: of datapath_return_mark(); 0: nothing goes back to its interface. */
int raw_socket_open(struct raw_socket *raw, uint32_t mark);
void raw_socket_close(struct raw_socket *raw);

/* Gives the packet of an event back to the kernel. 0 or a negative errno. */
int raw_give_back(struct raw_socket *raw, const struct shakeoff_event *event);

/* Refuses the connection of an OPEN event: RST with the number that its ACK asks for (RFC 9293, 3.10.7.1). */
int raw_reset(const struct raw_socket *raw, const struct shakeoff_event *event);

/* The TCP checksum of an event's packet, as if the field were zero (RFC 9293, section 3.1). In network byte order. */
uint16_t raw_checksum(const struct shakeoff_event *event);

#endif

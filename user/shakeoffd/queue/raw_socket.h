/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that the daemon builds: held frames that are given back to the kernel as if they had just arrived, and RSTs
 * to clients.
 *
 * Frames that came through the kernel's input path go back to their interface: a packet socket sends them over lo with
 * a mark, and the tc program there (shakeoff_return, bpf/input.bpf.c) redirects them to their interface, where they
 * pass the whole firewall once more. If that program is gone, such a frame is for another host's address on lo, and is
 * dropped.
 *
 * Packets that the hook itself has held (a kernel without the netfilter program) have a client's source and one of the
 * host's own addresses as destination. They are sent over the loopback interface as IP packets, too, and keep the route
 * that they were sent with, so that neither rp_filter nor the check for martians applies.
 *
 * In both cases lo has to be up. The kernel's TCP treats them like any others: checksum, PAWS, FIN and RST included.
 */
#ifndef SHAKEOFFD_QUEUE_RAW_SOCKET_H
#define SHAKEOFFD_QUEUE_RAW_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include <shakeoff/abi.h>

struct raw_socket {
	int fd4;
	int fd6;          /* -1: the host has no IPv6 */
	int frames;       /* a packet socket for frames that go back to their interface; -1: none */
	unsigned int lo;  /* ifindex */
	uint32_t ifindex; /* the interface of its last frame: SO_PRIORITY */
};

/* Opens the sockets. mark: of datapath_return_mark(); 0: no frame goes back to its interface. */
int raw_socket_open(struct raw_socket *raw, uint32_t mark);
void raw_socket_close(struct raw_socket *raw);

/* Gives the packet of an event back to the kernel. 0 or a negative errno. */
int raw_give_back(struct raw_socket *raw, const struct shakeoff_event *event);

/* Refuses the connection of an OPEN event with an RST, whose number comes from its ACK (RFC 9293, 3.10.7.1). */
int raw_reset(const struct raw_socket *raw, const struct shakeoff_event *event);

/*
 * Returns the TCP checksum of an event's packet, computed with a zero checksum field (RFC 9293, section 3.1). In
 * network byte order.
 */
uint16_t raw_checksum(const struct shakeoff_event *event);

#endif

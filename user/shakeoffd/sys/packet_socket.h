/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends complete frames by a given interface, without routing, neighbour lookup or firewall. */
#ifndef SHAKEOFFD_SYS_PACKET_SOCKET_H
#define SHAKEOFFD_SYS_PACKET_SOCKET_H

#include <stddef.h>
#include <stdint.h>

/* Opens a socket that receives nothing. Needs CAP_NET_RAW. Returns a descriptor or a negative errno. */
int packet_socket_open(void);

/* Sends a frame, which starts with its Ethernet header. 0 or a negative errno. */
int packet_send(int fd, unsigned int ifindex, const uint8_t *frame, size_t len);

#endif

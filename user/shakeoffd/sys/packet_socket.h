/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames that leave as they are, by the interface that is said: no route, no neighbour and no firewall is asked. */
#ifndef SHAKEOFFD_SYS_PACKET_SOCKET_H
#define SHAKEOFFD_SYS_PACKET_SOCKET_H

#include <stddef.h>
#include <stdint.h>

/* One that receives nothing. Needs CAP_NET_RAW. Returns a descriptor or a negative errno. */
int packet_socket_open(void);

/* frame: from its Ethernet header on. 0 or a negative errno. */
int packet_send(int fd, unsigned int ifindex, const uint8_t *frame, size_t len);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/socket.h>

#include "shakeoffd/sys/packet_socket.h"

int packet_socket_open(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int packet_send(int fd, unsigned int ifindex, const uint8_t *frame, size_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex, .sll_halen = ETH_ALEN };

	if (len < ETH_HLEN)
		return -EINVAL;
	memcpy(&to.sll_protocol, frame + 2 * ETH_ALEN, sizeof(to.sll_protocol));
	memcpy(to.sll_addr, frame, ETH_ALEN);
	return sendto(fd, frame, len, MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shakeoffd/monitor.h>

#define GROUP(number) (1u << ((number)-1))

static void message(struct monitor *monitor, const struct nlmsghdr *header)
{
	switch (header->nlmsg_type) {
	case RTM_NEWADDR:
	case RTM_DELADDR: monitor->addresses_changed = true; break;
	case RTM_NEWLINK:
	case RTM_DELLINK: monitor->links_changed = true; break;
	}
}

static void ready(struct event_source *source, uint32_t events)
{
	struct monitor *monitor = (struct monitor *)source;
	_Alignas(struct nlmsghdr) char buffer[16 * 1024];
	ssize_t size;

	(void)events;
	while ((size = recv(source->fd, buffer, sizeof(buffer), MSG_DONTWAIT)) != 0) {
		if (size < 0 && errno == ENOBUFS) {
			/* Messages were lost: it may have been anything. */
			monitor->addresses_changed = monitor->links_changed = true;
			continue;
		}
		if (size < 0)
			return;
		for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, (size_t)size);
		     header = NLMSG_NEXT(header, size))
			message(monitor, header);
	}
}

int monitor_open(struct monitor *monitor, struct event_loop *loop)
{
	struct sockaddr_nl groups = {
		.nl_family = AF_NETLINK,
		.nl_groups = GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_IPV4_IFADDR) | GROUP(RTNLGRP_IPV6_IFADDR),
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int error = 0;

	if (fd < 0)
		return -errno;
	*monitor = (struct monitor){ 0 };
	if (bind(fd, (struct sockaddr *)&groups, sizeof(groups)))
		error = -errno;
	if (!error)
		error = event_loop_add(loop, &monitor->source, fd, EPOLLIN, ready);
	if (error)
		close(fd);
	return error;
}

void monitor_close(struct monitor *monitor)
{
	close(monitor->source.fd);
}

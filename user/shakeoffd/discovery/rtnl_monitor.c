/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shakeoffd/discovery/rtnl_monitor.h"
#include "shakeoffd/sys/rtnetlink.h"

static void message(struct rtnl_monitor *rtnl_monitor, const struct nlmsghdr *header)
{
	switch (header->nlmsg_type) {
	case RTM_NEWADDR:
	case RTM_DELADDR: rtnl_monitor->addresses_changed = true; break;
	case RTM_NEWLINK:
	case RTM_DELLINK: rtnl_monitor->links_changed = true; break;
	}
}

static void ready(struct event_source *source, uint32_t events)
{
	struct rtnl_monitor *rtnl_monitor = (struct rtnl_monitor *)source;
	_Alignas(struct nlmsghdr) char buffer[16 * 1024];
	ssize_t size;

	(void)events;
	while ((size = recv(source->fd, buffer, sizeof(buffer), MSG_DONTWAIT)) != 0) {
		if (size < 0 && errno == ENOBUFS) {
			/* Messages were lost, so anything may have changed. */
			rtnl_monitor->addresses_changed = rtnl_monitor->links_changed = true;
			continue;
		}
		if (size < 0)
			return;
		for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, (size_t)size);
		     header = NLMSG_NEXT(header, size))
			message(rtnl_monitor, header);
	}
}

int rtnl_monitor_open(struct rtnl_monitor *rtnl_monitor, struct event_loop *loop)
{
	int fd = rtnetlink_subscribe(RTNETLINK_GROUP(RTNLGRP_LINK) | RTNETLINK_GROUP(RTNLGRP_IPV4_IFADDR) |
				     RTNETLINK_GROUP(RTNLGRP_IPV6_IFADDR));
	int error;

	if (fd < 0)
		return fd;
	*rtnl_monitor = (struct rtnl_monitor){ 0 };
	error = event_loop_add(loop, &rtnl_monitor->source, fd, EPOLLIN, ready);
	if (error)
		close(fd);
	return error;
}

void rtnl_monitor_close(struct rtnl_monitor *rtnl_monitor)
{
	close(rtnl_monitor->source.fd);
}

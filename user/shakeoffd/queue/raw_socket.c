/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shakeoffd/queue/raw_socket.h"
#include "common/tuple.h"

/* from linux/in6.h, which conflicts with netinet/in.h */
#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif

#define RESET_TTL 64

static int raw_open(int family, int level, int option)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	int one = 1, least = 1, error;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, level, option, &one, sizeof(one))) {
		error = -errno;
		close(fd);
		return error;
	}
	/* The socket is never read. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
	return fd;
}

/* Opens the socket for frames. -1: frames cannot go back to interfaces. */
static int frames_open(uint32_t mark)
{
	int fd;

	if (!mark)
		return -1;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int raw_socket_open(struct raw_socket *raw, uint32_t mark)
{
	struct raw_socket fresh = { .frames = -1, .lo = if_nametoindex("lo") };

	fresh.fd4 = raw_open(AF_INET, IPPROTO_IP, IP_HDRINCL);
	if (fresh.fd4 < 0)
		return fresh.fd4;
	fresh.fd6 = raw_open(AF_INET6, IPPROTO_IPV6, IPV6_HDRINCL);
	if (fresh.fd6 < 0 && fresh.fd6 != -EAFNOSUPPORT) {
		close(fresh.fd4);
		return fresh.fd6;
	}
	fresh.frames = frames_open(mark);
	*raw = fresh;
	return 0;
}

void raw_socket_close(struct raw_socket *raw)
{
	if (raw->fd4 >= 0)
		close(raw->fd4);
	if (raw->fd6 >= 0)
		close(raw->fd6);
	if (raw->frames >= 0)
		close(raw->frames);
	raw->fd4 = raw->fd6 = raw->frames = -1;
}

static uint32_t sum_words(const void *data, size_t bytes, uint32_t sum)
{
	const uint8_t *byte = data;
	uint16_t word;

	for (; bytes >= 2; bytes -= 2, byte += 2) {
		memcpy(&word, byte, 2);
		sum += word;
		if (sum >> 31) /* a packet of 64 KiB is too much for 32 bits */
			sum = (sum & 0xffff) + (sum >> 16);
	}
	if (bytes) {
		word = htons((uint16_t)(*byte << 8));
		sum += word;
	}
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/*
 * Adds up the pseudo header (RFC 9293, section 3.1, and RFC 8200, section 8.1). Zeros of mapped addresses do not count.
 */
static uint32_t sum_pseudo_header(const struct shakeoff_tuple *tuple, uint32_t segment_len)
{
	size_t skip = tuple_is_ipv4(tuple) ? 3 : 0;
	uint32_t length = htonl(segment_len), sum = htons(IPPROTO_TCP);

	sum = sum_words(&length, sizeof(length), sum);
	sum = sum_words(&tuple->remote[skip], sizeof(tuple->remote) - 4 * skip, sum);
	return sum_words(&tuple->local[skip], sizeof(tuple->local) - 4 * skip, sum);
}

uint16_t raw_checksum(const struct shakeoff_event *event)
{
	const uint8_t *segment = event->packet + event->tcp_offset;
	uint32_t len = event->packet_len - event->tcp_offset, sum = sum_pseudo_header(&event->tuple, len);
	const size_t field = offsetof(struct tcphdr, check);

	sum = sum_words(segment, field, sum);
	return sum_fold(sum_words(segment + field + 2, len - field - 2, sum));
}

/* ---------------------------------------------------------------------------------------------------------- sending */

static int send_parts(int fd, const void *to, socklen_t to_len, const struct iovec *parts, size_t count)
{
	struct msghdr message = {
		.msg_name = (void *)to,
		.msg_namelen = to_len,
		.msg_iov = (struct iovec *)parts,
		.msg_iovlen = count,
	};

	return sendmsg(fd, &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int raw_send(const struct raw_socket *raw, const __be32 to[4], const struct iovec *parts, size_t count)
{
	union socket_address address;
	socklen_t size = socket_address_set(&address, to, 0, false);
	int fd = address.sa.sa_family == AF_INET ? raw->fd4 : raw->fd6;

	return send_parts(fd, &address, size, parts, count);
}

static int frame_send(struct raw_socket *raw, uint32_t ifindex, uint16_t type, const struct iovec *parts, size_t count)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)raw->lo,
		.sll_protocol = type,
		.sll_halen = ETH_ALEN,
	};

	if (raw->ifindex != ifindex) {
		if (setsockopt(raw->frames, SOL_SOCKET, SO_PRIORITY, &ifindex, sizeof(ifindex)))
			return -errno;
		raw->ifindex = ifindex;
	}
	memcpy(to.sll_addr, parts->iov_base, ETH_ALEN);
	return send_parts(raw->frames, &to, sizeof(to), parts, count);
}

/* Returns whether the packet goes back to its interface: the interface is known, and there is a socket for frames. */
static bool goes_to_interface(const struct raw_socket *raw, const struct shakeoff_event *event)
{
	static const uint8_t none[sizeof(event->mac)];

	return raw->frames >= 0 && (event->flags & SHAKEOFF_EVENT_INPUT) && memcmp(event->mac, none, sizeof(none)) != 0;
}

/*
 * Gives a packet back. The event's memory is read-only here, so a missing checksum is put between the packet's parts.
 */
int raw_give_back(struct raw_socket *raw, const struct shakeoff_event *event)
{
	const size_t check = event->tcp_offset + offsetof(struct tcphdr, check);
	uint16_t sum, type = htons(tuple_is_ipv4(&event->tuple) ? ETH_P_IP : ETH_P_IPV6);
	struct iovec parts[5] = {
		{ (void *)event->mac, sizeof(event->mac) },
		{ &type, sizeof(type) },
		{ (void *)event->packet, event->packet_len },
	};
	size_t count = 3;

	if ((event->flags & SHAKEOFF_EVENT_PARTIAL) && check + sizeof(sum) <= event->packet_len) {
		sum = raw_checksum(event);
		parts[2].iov_len = check;
		parts[3] = (struct iovec){ &sum, sizeof(sum) };
		parts[4] = (struct iovec){ (uint8_t *)event->packet + check + sizeof(sum),
					   event->packet_len - check - sizeof(sum) };
		count = 5;
	}
	if (goes_to_interface(raw, event))
		return frame_send(raw, event->ifindex, type, parts, count);
	return raw_send(raw, event->tuple.local, parts + 2, count - 2);
}

int raw_reset(const struct raw_socket *raw, const struct shakeoff_event *event)
{
	const struct shakeoff_tuple *tuple = &event->tuple;
	struct tcphdr tcp = {
		.source = tuple->local_port,
		.dest = tuple->remote_port,
		.seq = htonl(event->snd_nxt),
		.doff = sizeof(tcp) / 4,
		.rst = 1,
	};

	tcp.check = sum_fold(sum_words(&tcp, sizeof(tcp), sum_pseudo_header(tuple, sizeof(tcp))));
	if (tuple_is_ipv4(tuple)) {
		/* The kernel fills in identification, total length and checksum (raw(7)). */
		struct {
			struct iphdr ip;
			struct tcphdr tcp;
		} packet = {
			.ip = { .version = 4,
				.ihl = 5,
				.ttl = RESET_TTL,
				.protocol = IPPROTO_TCP,
				.frag_off = htons(IP_DF) },
			.tcp = tcp,
		};

		packet.ip.saddr = tuple->local[3];
		packet.ip.daddr = tuple->remote[3];
		return raw_send(raw, tuple->remote, &(struct iovec){ &packet, sizeof(packet) }, 1);
	}
	struct {
		struct ip6_hdr ip;
		struct tcphdr tcp;
	} packet = { .tcp = tcp };

	packet.ip.ip6_flow = htonl(6u << 28);
	packet.ip.ip6_plen = htons(sizeof(tcp));
	packet.ip.ip6_nxt = IPPROTO_TCP;
	packet.ip.ip6_hlim = RESET_TTL;
	memcpy(&packet.ip.ip6_src, tuple->local, sizeof(packet.ip.ip6_src));
	memcpy(&packet.ip.ip6_dst, tuple->remote, sizeof(packet.ip.ip6_dst));
	return raw_send(raw, tuple->remote, &(struct iovec){ &packet, sizeof(packet) }, 1);
}

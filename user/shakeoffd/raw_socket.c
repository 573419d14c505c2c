/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shakeoffd/raw_socket.h>
#include <shakeoffd/tuple.h>

/* linux/in6.h, which does not go together with netinet/in.h */
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
	/* Nothing is ever read from it. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
	return fd;
}

int raw_socket_open(struct raw_socket *raw)
{
	struct raw_socket fresh;

	fresh.fd4 = raw_open(AF_INET, IPPROTO_IP, IP_HDRINCL);
	if (fresh.fd4 < 0)
		return fresh.fd4;
	fresh.fd6 = raw_open(AF_INET6, IPPROTO_IPV6, IPV6_HDRINCL);
	if (fresh.fd6 < 0 && fresh.fd6 != -EAFNOSUPPORT) {
		close(fresh.fd4);
		return fresh.fd6;
	}
	*raw = fresh;
	return 0;
}

void raw_socket_close(struct raw_socket *raw)
{
	if (raw->fd4 >= 0)
		close(raw->fd4);
	if (raw->fd6 >= 0)
		close(raw->fd6);
	raw->fd4 = raw->fd6 = -1;
}

static int raw_send(const struct raw_socket *raw, const __be32 to[4], const void *packet, size_t len)
{
	union socket_address address;
	socklen_t size = socket_address_set(&address, to, 0, false);
	int fd = address.sa.sa_family == AF_INET ? raw->fd4 : raw->fd6;

	if (sendto(fd, packet, len, MSG_DONTWAIT, &address.sa, size) < 0)
		return -errno;
	return 0;
}

int raw_give_back(const struct raw_socket *raw, const struct shakeoff_event *event)
{
	return raw_send(raw, event->tuple.local, event->packet, event->packet_len);
}

static uint32_t sum_words(const void *data, size_t bytes, uint32_t sum)
{
	const uint16_t *word = data;

	for (size_t i = 0; i < bytes / 2; i++)
		sum += word[i];
	return sum;
}

/* RFC 9293, section 3.1: over the pseudo-header and the segment. Zeros of mapped addresses do not count. */
static uint16_t tcp_checksum(const struct shakeoff_tuple *tuple, const struct tcphdr *tcp)
{
	size_t skip = tuple_is_ipv4(tuple) ? 3 : 0;
	uint32_t sum = htons(IPPROTO_TCP) + htons(sizeof(*tcp));

	sum = sum_words(&tuple->remote[skip], sizeof(tuple->remote) - 4 * skip, sum);
	sum = sum_words(&tuple->local[skip], sizeof(tuple->local) - 4 * skip, sum);
	sum = sum_words(tcp, sizeof(*tcp), sum);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
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

	tcp.check = tcp_checksum(tuple, &tcp);
	if (tuple_is_ipv4(tuple)) {
		/* Identification, total length and checksum are the kernel's (raw(7)). */
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
		return raw_send(raw, tuple->remote, &packet, sizeof(packet));
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
	return raw_send(raw, tuple->remote, &packet, sizeof(packet));
}

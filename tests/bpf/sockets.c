/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sockets.h"

const struct family ipv4 = { AF_INET, "10.9.0.2", "10.9.0.1" }, ipv6 = { AF_INET6, "2001:db8::2", "2001:db8::1" };

union address make_address(const struct family *family, const char *text, uint16_t port)
{
	union address address = { 0 };

	if (family->family == AF_INET) {
		address.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
		inet_pton(AF_INET, text, &address.in.sin_addr);
	} else {
		address.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		inet_pton(AF_INET6, text, &address.in6.sin6_addr);
	}
	return address;
}

static void option_set(int fd, int option)
{
	int one = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &one, sizeof(one)), 0);
}

static int bound(const struct family *family, const char *text, uint16_t port, bool in_group)
{
	union address address = make_address(family, text, port);
	int fd = socket(family->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	option_set(fd, SO_REUSEADDR);
	if (in_group)
		option_set(fd, SO_REUSEPORT);
	if (bind(fd, &address.any, sizeof(address)))
		fail_msg("bind %s: %s", text, strerror(errno));
	return fd;
}

int bound_socket(const struct family *family, const char *text, uint16_t port)
{
	return bound(family, text, port, false);
}

static int listening(const struct family *family, const char *text, int backlog, bool in_group)
{
	int fd = bound(family, text, 80, in_group);

	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

int listening_socket(const struct family *family, const char *text, int backlog)
{
	return listening(family, text, backlog, false);
}

int listening_member(const struct family *family, const char *text, int backlog)
{
	return listening(family, text, backlog, true);
}

int waiting_at(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	return (int)info.tcpi_unacked; /* of a listening socket: its accept queue */
}

int connected_socket(const struct family *family, uint16_t port)
{
	union address server = make_address(family, family->server, 80);
	int fd = bound_socket(family, family->client, port);

	if (connect(fd, &server.any, sizeof(server)))
		fail_msg("connect: %s", strerror(errno));
	return fd;
}

void reset_socket(int *fd)
{
	struct linger linger = { .l_onoff = 1 };

	if (*fd < 0)
		return;
	setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(*fd);
	*fd = -1;
}

void sysctl_set(const char *path, int value)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fprintf(file, "%d\n", value);
	assert_int_equal(fclose(file), 0);
}

void kernel_receives(const struct segment *segment)
{
	const struct family *family = segment_is_ipv6(segment) ? &ipv6 : &ipv4;
	union address to = make_address(family, segment->to ? segment->to : family->server, 0);
	int fd = socket(family->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	static struct frame frame;

	assert_true(fd >= 0);
	frame_make(&frame, segment);
	assert_int_equal(sendto(fd, frame.bytes + frame.l3, frame.len - frame.l3, 0, &to.any, sizeof(to)),
			 frame.len - frame.l3);
	close(fd);
}

uint32_t kernel_cookie(const struct segment *syn)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
	struct timeval patience = { .tv_sec = 10 };
	uint8_t packet[256], *tcp = packet + 20;
	ssize_t len;

	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_tcp_raw_check_syncookie_ipv4, NULL) != 1)
		skip();
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	sysctl_set("/proc/sys/net/ipv4/tcp_syncookies", 2);
	kernel_receives(syn);
	do {
		len = recv(fd, packet, sizeof(packet), 0);
		if (len < 40)
			fail_msg("the kernel did not answer a SYN");
	} while (tcp[13] != (SYN | ACK) || get32(tcp + 8) != syn->seq + 1);
	close(fd);
	sysctl_set("/proc/sys/net/ipv4/tcp_syncookies", 1);
	return get32(tcp + 4);
}

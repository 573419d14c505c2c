/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libFuzzer: any packets on a server's socket, with any number of descriptors. Each received descriptor is either
 * handed over, with a valid message, or closed; and an invalid message is the last.
 *
 * link: user/shakeoffd/queue/server_socket.c
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/queue/server_socket.h"

#define MAX_DESCRIPTORS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int closed;

/* The real one has threads. */
void descriptor_close(int fd, uid_t owner)
{
	(void)owner;
	if (close(fd))
		abort();
	closed++;
}

/*
 * Sends one packet: the number of descriptors, its length, its bytes. Returns how much of the data it took; 0: no more.
 */
static size_t send_packet(int fd, const uint8_t *data, size_t size, int *sent)
{
	union {
		char bytes[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
		struct cmsghdr header;
	} control = { 0 };
	size_t count = size ? data[0] % (MAX_DESCRIPTORS + 1) : 0, length = size > 1 ? data[1] % 64 : 0;
	struct iovec bytes = { .iov_base = (void *)(data + 2), .iov_len = length };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };

	if (size < 2 + length)
		return 0;
	if (count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS,
						   .cmsg_len = CMSG_LEN(count * sizeof(int)) };
		for (size_t i = 0; i < count; i++)
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(fd));
	}
	if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return 0;
	*sent += (int)count;
	return 2 + length;
}

/* Returns how many descriptors came; -1: that was the last message. */
static int receive(int fd)
{
	struct server_message messages[SERVER_SOCKET_BATCH];
	int count = server_socket_receive(fd, 0, messages, SERVER_SOCKET_BATCH), passed = 0, last = 0;

	for (int i = 0; i < count; i++) {
		if (last)
			abort();
		last = messages[i].message.type == SERVER_SOCKET_INVALID;
		if (!last && messages[i].message.version != DELIVERY_VERSION)
			abort();
		if (messages[i].passed_fd < 0)
			continue;
		passed++;
		close(messages[i].passed_fd);
	}
	return count <= 0 || last ? -1 - passed : passed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], sent = 0, passed = 0, got;
	size_t taken;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		abort();
	closed = 0;
	while ((taken = send_packet(pair[0], data, size, &sent))) {
		data += taken;
		size -= taken;
	}
	do {
		got = receive(pair[1]);
		passed += got < 0 ? -1 - got : got;
	} while (got >= 0);
	if (passed + closed > sent)
		abort();
	close(pair[0]);
	close(pair[1]);
	/* A leak changes the number of the next socket. */
	if (pair[1] > 64)
		abort();
	return 0;
}

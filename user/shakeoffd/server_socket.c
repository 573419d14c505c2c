/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shakeoffd/server_socket.h>

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int server_socket_send(int fd, const struct delivery_message *message, int passed_fd)
{
	struct iovec data = { .iov_base = (void *)message, .iov_len = sizeof(*message) };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1 };
	union control control = { 0 };

	if (passed_fd >= 0) {
		struct cmsghdr *rights = &control.align;

		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(rights), &passed_fd, sizeof(int));
	}
	return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int passed_descriptor(struct msghdr *header)
{
	const struct cmsghdr *rights = CMSG_FIRSTHDR(header);
	int fd = -1;

	if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
	    rights->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(rights), sizeof(fd));
	return fd;
}

/* How many are good, with the first that is not as an invalid one at the end. An empty packet is the end. */
static int check_messages(const struct mmsghdr *headers, int count, struct server_message *messages)
{
	for (int i = 0; i < count; i++) {
		if (!headers[i].msg_len)
			return i;
		if (headers[i].msg_len != sizeof(messages[i].message) ||
		    headers[i].msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
		    messages[i].message.version != DELIVERY_VERSION) {
			messages[i].message.type = SERVER_SOCKET_INVALID;
			return i + 1;
		}
	}
	return count;
}

int server_socket_receive(int fd, struct server_message messages[SERVER_SOCKET_BATCH])
{
	struct mmsghdr headers[SERVER_SOCKET_BATCH] = { 0 };
	union control control[SERVER_SOCKET_BATCH];
	struct iovec data[SERVER_SOCKET_BATCH];
	int received, good;

	for (int i = 0; i < SERVER_SOCKET_BATCH; i++) {
		data[i] = (struct iovec){ .iov_base = &messages[i].message, .iov_len = sizeof(messages[i].message) };
		headers[i].msg_hdr = (struct msghdr){
			.msg_iov = &data[i],
			.msg_iovlen = 1,
			.msg_control = &control[i],
			/* Not CMSG_SPACE(), which has room for two: of more than one the kernel closes the rest. */
			.msg_controllen = CMSG_LEN(sizeof(int)),
		};
	}
	do {
		received = recvmmsg(fd, headers, SERVER_SOCKET_BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
		/* A server that left messages of ours unread: said once, before what it had sent itself. */
	} while (received < 0 && (errno == ECONNRESET || errno == EINTR));
	if (received < 0)
		return -errno;
	for (int i = 0; i < received; i++)
		messages[i].passed_fd = passed_descriptor(&headers[i].msg_hdr);
	good = check_messages(headers, received, messages);
	for (int i = good; i < received; i++)
		if (messages[i].passed_fd >= 0)
			close(messages[i].passed_fd);
	return good;
}

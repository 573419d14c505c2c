/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "shakeoffd/queue/descriptor.h"
#include "shakeoffd/queue/server_socket.h"

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/*
 * Has room for the maximum of descriptors. If there were less, the kernel would close the rest in recvmmsg(), and that
 * close() may take as long as the sender wants (descriptor.h).
 */
union received_control {
	char bytes[CMSG_SPACE(DESCRIPTORS_OF_MESSAGE * sizeof(int))];
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

/*
 * Returns the passed descriptor, or -1 if there is none. Real servers pass at most one: if there are more, *others is
 * set and all are closed.
 */
static int passed_descriptor(struct msghdr *header, uid_t sender, bool *others)
{
	int fds[DESCRIPTORS_OF_MESSAGE], passed = -1;
	size_t count;

	*others = false;
	for (struct cmsghdr *rights = CMSG_FIRSTHDR(header); rights; rights = CMSG_NXTHDR(header, rights)) {
		if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
			continue;
		count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(rights), count * sizeof(int));
		if (count == 1) {
			passed = fds[0];
			continue;
		}
		*others = count != 0;
		for (size_t i = 0; i < count; i++)
			descriptor_close_passed(fds[i], sender);
	}
	return passed;
}

static bool is_message(const struct mmsghdr *header, const struct server_message *received)
{
	return header->msg_len == sizeof(received->message) &&
	       !(header->msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && received->message.version == DELIVERY_VERSION;
}

/*
 * Checks messages. Returns how many to handle; the first bad one is the last of these, marked as invalid. An empty
 * packet is the end.
 */
static int check_messages(struct mmsghdr *headers, int count, uid_t sender, struct server_message *messages)
{
	int good = -1;

	for (int i = 0; i < count; i++) {
		bool others;

		messages[i].passed_fd = passed_descriptor(&headers[i].msg_hdr, sender, &others);
		if (good < 0 && !others && is_message(&headers[i], &messages[i]))
			continue;
		if (messages[i].passed_fd >= 0)
			descriptor_close_passed(messages[i].passed_fd, sender);
		messages[i].passed_fd = -1;
		messages[i].message.type = SERVER_SOCKET_INVALID;
		if (good < 0)
			good = headers[i].msg_len ? i + 1 : i;
	}
	return good < 0 ? count : good;
}

int server_socket_receive(int fd, uid_t sender, struct server_message *messages, int room)
{
	struct mmsghdr headers[SERVER_SOCKET_BATCH] = { 0 };
	union received_control control[SERVER_SOCKET_BATCH];
	struct iovec data[SERVER_SOCKET_BATCH];
	int received;

	for (int i = 0; i < room; i++) {
		data[i] = (struct iovec){ .iov_base = &messages[i].message, .iov_len = sizeof(messages[i].message) };
		headers[i].msg_hdr = (struct msghdr){
			.msg_iov = &data[i],
			.msg_iovlen = 1,
			.msg_control = &control[i],
			.msg_controllen = sizeof(control[i]),
		};
	}
	do {
		received = recvmmsg(fd, headers, (unsigned int)room, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
		/*
		 * A server left messages of the daemon unread: the kernel reports it once, before the server's own
		 * messages.
		 */
	} while (received < 0 && (errno == ECONNRESET || errno == EINTR));
	if (received < 0)
		return -errno;
	return check_messages(headers, received, sender, messages);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/sock_diag.h"
#include "common/tuple.h"

/* linux/tcp_states.h: a request socket. Dumps report it as SYN_RECV; the number is needed for look-ups by tuple. */
#define STATE_NEW_SYN_RECV 12

/* --------------------------------------------------------------------------------------------------- one per thread */

struct channel {
	struct mnl_socket *socket;
	unsigned int port, sequence;
	char buffer[32 * 1024]; /* a request with its filter, then the replies */
};

static pthread_key_t channel_key;
static pthread_once_t channel_once = PTHREAD_ONCE_INIT;
static int channel_key_error;

static void channel_free(void *pointer)
{
	struct channel *channel = pointer;

	if (channel->socket)
		mnl_socket_close(channel->socket);
	free(channel);
}

static void channel_key_create(void)
{
	channel_key_error = pthread_key_create(&channel_key, channel_free);
}

/* Opens a channel. NULL with errno on failure. */
static struct channel *channel_open(void)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int saved;

	if (!channel)
		return NULL;
	channel->socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!channel->socket || mnl_socket_bind(channel->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		saved = errno;
		channel_free(channel);
		errno = saved;
		return NULL;
	}
	channel->port = mnl_socket_get_portid(channel->socket);
	return channel;
}

/* Returns the present thread's channel, which is closed when the thread ends. NULL with errno on failure. */
static struct channel *channel_get(void)
{
	struct channel *channel;

	pthread_once(&channel_once, channel_key_create);
	if (channel_key_error) {
		errno = channel_key_error;
		return NULL;
	}
	channel = pthread_getspecific(channel_key);
	if (!channel) {
		channel = channel_open();
		pthread_setspecific(channel_key, channel);
	}
	return channel;
}

/* Drops the channel after an error: replies may remain in its socket, so the next request uses a new one. */
static void channel_drop(struct channel *channel)
{
	pthread_setspecific(channel_key, NULL);
	channel_free(channel);
}

/* --------------------------------------------------------------------------------------------------------- requests */

static struct inet_diag_req_v2 *request_begin(struct channel *channel, uint16_t type, uint16_t flags,
					      struct nlmsghdr **header)
{
	struct inet_diag_req_v2 *request;

	*header = mnl_nlmsg_put_header(channel->buffer);
	(*header)->nlmsg_type = type;
	(*header)->nlmsg_flags = NLM_F_REQUEST | flags;
	(*header)->nlmsg_seq = ++channel->sequence;
	request = mnl_nlmsg_put_extra_header(*header, sizeof(*request));
	request->sdiag_protocol = IPPROTO_TCP;
	request->id.idiag_cookie[0] = request->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return request;
}

/* Sends the buffered request and runs the callback on every reply. Returns its result, 0, or a negative errno. */
static int transact(struct channel *channel, struct nlmsghdr *header, mnl_cb_t callback, void *context)
{
	unsigned int sequence = channel->sequence;
	int result;

	if (mnl_socket_sendto(channel->socket, header, header->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t got = mnl_socket_recvfrom(channel->socket, channel->buffer, sizeof(channel->buffer));

		if (got < 0)
			return -errno;
		result = mnl_cb_run(channel->buffer, got, sequence, channel->port, callback, context);
	} while (result > MNL_CB_STOP);
	return result < 0 ? -errno : 0;
}

static void entry_read(const struct inet_diag_msg *message, struct sock_diag_entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	address_map(message->idiag_family, message->id.idiag_dst, (struct in6_addr *)entry->tuple.remote);
	address_map(message->idiag_family, message->id.idiag_src, (struct in6_addr *)entry->tuple.local);
	entry->tuple.remote_port = message->id.idiag_dport;
	entry->tuple.local_port = message->id.idiag_sport;
	entry->family = message->idiag_family;
	entry->state = message->idiag_state == STATE_NEW_SYN_RECV ? TCP_SYN_RECV : message->idiag_state;
	entry->rqueue = message->idiag_rqueue;
	entry->wqueue = message->idiag_wqueue;
	entry->ifindex = message->id.idiag_if;
	entry->uid = message->idiag_uid;
	entry->inode = message->idiag_inode;
}

/* Returns the message about a socket; NULL for other messages. */
static const struct inet_diag_msg *message_of(const struct nlmsghdr *header)
{
	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    mnl_nlmsg_get_payload_len(header) < sizeof(struct inet_diag_msg))
		return NULL;
	return mnl_nlmsg_get_payload(header);
}

/*
 * A dump of the sockets of both families in some of the states. `visit` calls `entry` or `listener`, and returns what
 * the callback returned.
 */
struct dump {
	uint32_t states;
	uint8_t extensions; /* bits of INET_DIAG_* */
	const void *filter; /* INET_DIAG_REQ_BYTECODE; NULL: none */
	size_t filter_size;
	int (*visit)(const struct dump *dump, const struct nlmsghdr *header, const struct inet_diag_msg *message);
	int (*entry)(void *context, const struct sock_diag_entry *entry);
	int (*listener)(void *context, const struct sock_diag_listener *listener);
	void *context;
	int result; /* of the callback that stopped the dump */
};

static int dump_message(const struct nlmsghdr *header, void *context)
{
	const struct inet_diag_msg *message = message_of(header);
	struct dump *dump = context;

	dump->result = message ? dump->visit(dump, header, message) : 0;
	return dump->result ? MNL_CB_STOP : MNL_CB_OK;
}

/* Dumps the sockets of both families until a callback returns non-zero. Returns that value. */
static int dump_run(struct dump *dump)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int error = 0;

	for (size_t i = 0; i < sizeof(families) && !error; i++) {
		struct inet_diag_req_v2 *request;
		struct nlmsghdr *header;
		/* A separate channel: the callback may call sock_diag_destroy_time_wait() during the dump. */
		struct channel *channel = channel_open();

		if (!channel)
			return -errno;
		request = request_begin(channel, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &header);
		request->sdiag_family = families[i];
		request->idiag_states = dump->states;
		request->idiag_ext = dump->extensions;
		if (dump->filter)
			mnl_attr_put(header, INET_DIAG_REQ_BYTECODE, dump->filter_size, dump->filter);
		error = transact(channel, header, dump_message, dump);
		channel_free(channel);
		if (!error)
			error = dump->result;
	}
	return error;
}

static int visit_entry(const struct dump *dump, const struct nlmsghdr *header, const struct inet_diag_msg *message)
{
	struct sock_diag_entry entry;

	(void)header;
	entry_read(message, &entry);
	return dump->entry(dump->context, &entry);
}

int sock_diag_each(uint32_t states, int (*callback)(void *context, const struct sock_diag_entry *entry), void *context)
{
	struct dump dump = { .states = states, .visit = visit_entry, .entry = callback, .context = context };

	return dump_run(&dump);
}

/* -------------------------------------------------------------------------------------------------------- listeners */

static bool ulp_is_mptcp(const struct nlattr *nest)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest) {
		if (mnl_attr_get_type(attr) == INET_ULP_INFO_NAME)
			return mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 &&
			       !strcmp(mnl_attr_get_str(attr), "mptcp");
	}
	return false;
}

static void listener_read_attribute(const struct nlattr *attr, struct sock_diag_listener *listener)
{
	const uint32_t *memory;

	switch (mnl_attr_get_type(attr)) {
	case INET_DIAG_SKMEMINFO:
		memory = mnl_attr_get_payload(attr);
		if (mnl_attr_get_payload_len(attr) > SK_MEMINFO_RCVBUF * sizeof(*memory))
			listener->receive_buffer = memory[SK_MEMINFO_RCVBUF];
		break;
	case INET_DIAG_SKV6ONLY:
		if (mnl_attr_validate(attr, MNL_TYPE_U8) >= 0)
			listener->dualstack = listener->family == AF_INET6 && !mnl_attr_get_u8(attr);
		break;
	case INET_DIAG_ULP_INFO: listener->mptcp = ulp_is_mptcp(attr); break;
	case INET_DIAG_MD5SIG: listener->tcp_auth = mnl_attr_get_payload_len(attr) > 0; break;
	}
}

static void listener_read(const struct nlmsghdr *header, const struct inet_diag_msg *message,
			  struct sock_diag_listener *listener)
{
	const struct nlattr *attr;

	*listener = (struct sock_diag_listener){
		.port = ntohs(message->id.idiag_sport),
		.family = message->idiag_family,
		.waiting = message->idiag_rqueue,
		.backlog = message->idiag_wqueue,
		.ifindex = message->id.idiag_if,
		.inode = message->idiag_inode,
		.uid = message->idiag_uid,
	};
	if (message->idiag_family == AF_INET6)
		memcpy(&listener->address, message->id.idiag_src, sizeof(listener->address));
	else if (message->id.idiag_src[0])
		address_map(AF_INET, message->id.idiag_src, &listener->address);
	mnl_attr_for_each(attr, header, sizeof(*message))
		listener_read_attribute(attr, listener);

	/* For other hosts an IPv6 socket at an address such as ::ffff:10.9.0.1 is an IPv4 socket. */
	if (listener->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&listener->address)) {
		listener->family = AF_INET;
		listener->dualstack = false;
		if (!((const __be32 *)&listener->address)[3])
			listener->address = in6addr_any;
	}
}

static int visit_listener(const struct dump *dump, const struct nlmsghdr *header, const struct inet_diag_msg *message)
{
	struct sock_diag_listener listener;

	if (message->idiag_state != TCP_LISTEN)
		return 0;
	listener_read(header, message, &listener);
	return dump->listener(dump->context, &listener);
}

#define EXTENSION(name) (1u << (INET_DIAG_##name - 1))

/*
 * A filter in the language of inet_diag_bc_run() (net/ipv4/inet_diag.c). It accepts a socket only if it ends exactly
 * at its end. Each jump is relative to its own instruction.
 *
 *	S_COND prefix	yes: go on with the next instruction; no: with the one behind it
 *	JMP		4 bytes beyond the end: refused
 *	S_COND ...
 */
struct filter {
	size_t size;
	char bytes[SOCK_DIAG_SKIPS_MAX * (2 * sizeof(struct inet_diag_bc_op) + sizeof(struct inet_diag_hostcond) + 16)];
};

static size_t address_size(const struct sock_diag_skip *skip)
{
	return skip->family == AF_INET ? 4 : 16;
}

static size_t condition_size(const struct sock_diag_skip *skip)
{
	return sizeof(struct inet_diag_bc_op) + sizeof(struct inet_diag_hostcond) + address_size(skip);
}

static void filter_put(struct filter *filter, const void *bytes, size_t size)
{
	memcpy(filter->bytes + filter->size, bytes, size);
	filter->size += size;
}

static void filter_skip(struct filter *filter, const struct sock_diag_skip *skip, size_t whole)
{
	const size_t jump_size = sizeof(struct inet_diag_bc_op), condition = condition_size(skip);
	const struct inet_diag_hostcond place = {
		.family = skip->family,
		.prefix_len = skip->prefix,
		.port = skip->port,
	};
	struct inet_diag_bc_op op = {
		.code = INET_DIAG_BC_S_COND,
		.yes = (unsigned char)condition,
		.no = (unsigned short)(condition + jump_size),
	};

	filter_put(filter, &op, sizeof(op));
	filter_put(filter, &place, sizeof(place));
	filter_put(filter, skip->address.s6_addr + 16 - address_size(skip), address_size(skip));
	op = (struct inet_diag_bc_op){
		.code = INET_DIAG_BC_JMP,
		.yes = (unsigned char)jump_size,
		.no = (unsigned short)(whole - filter->size + 4),
	};
	filter_put(filter, &op, sizeof(op));
}

static void filter_make(struct filter *filter, const struct sock_diag_skip *skips, size_t count)
{
	size_t whole = 0;

	filter->size = 0;
	if (count > SOCK_DIAG_SKIPS_MAX)
		count = SOCK_DIAG_SKIPS_MAX;
	for (size_t i = 0; i < count; i++)
		whole += condition_size(&skips[i]) + sizeof(struct inet_diag_bc_op);
	for (size_t i = 0; i < count; i++)
		filter_skip(filter, &skips[i], whole);
}

/*
 * Asks for LISTEN alone: the kernel then iterates over its table of listening sockets, never over that of connections.
 * The upper layer's name and MD5 keys have no bits of their own: they come with INFO. IPV6_V6ONLY always comes.
 */
int sock_diag_each_listener_but(const struct sock_diag_skip *skips, size_t skip_count,
				int (*callback)(void *context, const struct sock_diag_listener *listener),
				void *context)
{
	struct filter filter;
	struct dump listening = {
		.states = 1u << TCP_LISTEN,
		.extensions = EXTENSION(SKMEMINFO) | EXTENSION(INFO),
		.visit = visit_listener,
		.listener = callback,
		.context = context,
	};

	filter_make(&filter, skips, skip_count);
	if (filter.size) {
		listening.filter = filter.bytes;
		listening.filter_size = filter.size;
	}
	return dump_run(&listening);
}

int sock_diag_each_listener(int (*callback)(void *context, const struct sock_diag_listener *listener), void *context)
{
	return sock_diag_each_listener_but(NULL, 0, callback, context);
}

/* ---------------------------------------------------------------------------------------------------------- destroy */

static void request_tuple(struct inet_diag_req_v2 *request, const struct shakeoff_tuple *tuple)
{
	if (tuple_is_ipv4(tuple) && address_is_mapped(tuple->remote)) {
		request->sdiag_family = AF_INET;
		request->id.idiag_src[0] = tuple->local[3];
		request->id.idiag_dst[0] = tuple->remote[3];
	} else {
		request->sdiag_family = AF_INET6;
		memcpy(request->id.idiag_src, tuple->local, sizeof(tuple->local));
		memcpy(request->id.idiag_dst, tuple->remote, sizeof(tuple->remote));
	}
	request->id.idiag_sport = tuple->local_port;
	request->id.idiag_dport = tuple->remote_port;
	request->idiag_states = ~0u;
}

static int copy_message(const struct nlmsghdr *header, void *context)
{
	const struct inet_diag_msg *message = message_of(header);

	if (message)
		memcpy(context, message, sizeof(*message));
	return MNL_CB_OK;
}

/*
 * Finds the socket of exactly this tuple. Without such a socket the kernel would look for a listener of the local
 * address and destroy it. So the socket is looked up first, and the order to destroy has its socket cookie.
 */
static int find_socket(struct channel *channel, const struct shakeoff_tuple *tuple, struct inet_diag_msg *found)
{
	struct sock_diag_entry entry;
	struct nlmsghdr *header;
	int result;

	memset(found, 0, sizeof(*found));
	request_tuple(request_begin(channel, SOCK_DIAG_BY_FAMILY, NLM_F_ACK, &header), tuple);
	result = transact(channel, header, copy_message, found);
	if (result)
		return result;
	entry_read(found, &entry);
	if (!found->idiag_state || memcmp(&entry.tuple, tuple, sizeof(*tuple)))
		return -ENOENT;
	return 0;
}

int sock_diag_destroy_time_wait(const struct shakeoff_tuple *tuple)
{
	struct channel *channel = channel_get();
	struct inet_diag_req_v2 *request;
	struct inet_diag_msg found;
	struct nlmsghdr *header;
	int result;

	if (!channel)
		return -errno;
	result = find_socket(channel, tuple, &found);
	if (!result && found.idiag_state != TCP_TIME_WAIT)
		return -EADDRINUSE;
	if (!result) {
		request = request_begin(channel, SOCK_DESTROY, NLM_F_ACK, &header);
		request_tuple(request, tuple);
		memcpy(request->id.idiag_cookie, found.id.idiag_cookie, sizeof(request->id.idiag_cookie));
		result = transact(channel, header, NULL, NULL);
	}
	if (result && result != -ENOENT && result != -EOPNOTSUPP)
		channel_drop(channel);
	return result;
}

const char *sock_diag_state_name(uint8_t state)
{
	static const char *const names[] = {
		[TCP_ESTABLISHED] = "ESTABLISHED",
		[TCP_SYN_SENT] = "SYN-SENT",
		[TCP_SYN_RECV] = "SYN-RECEIVED",
		[TCP_FIN_WAIT1] = "FIN-WAIT-1",
		[TCP_FIN_WAIT2] = "FIN-WAIT-2",
		[TCP_TIME_WAIT] = "TIME-WAIT",
		[TCP_CLOSE] = "CLOSED",
		[TCP_CLOSE_WAIT] = "CLOSE-WAIT",
		[TCP_LAST_ACK] = "LAST-ACK",
		[TCP_LISTEN] = "LISTEN",
		[TCP_CLOSING] = "CLOSING",
		[STATE_NEW_SYN_RECV] = "SYN-RECEIVED",
	};

	return state < sizeof(names) / sizeof(names[0]) && names[state] ? names[state] : "?";
}

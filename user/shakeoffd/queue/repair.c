/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "shakeoffd/queue/repair.h"
#include "common/tuple.h"

enum { REPAIR_RECV_QUEUE = 1, REPAIR_SEND_QUEUE = 2 };

static int set_int(int fd, int option, int value)
{
	return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)) ? -errno : 0;
}

static int set_sequence(int fd, int queue, uint32_t next)
{
	int error = set_int(fd, TCP_REPAIR_QUEUE, queue);

	return error ? error : set_int(fd, TCP_QUEUE_SEQ, (int)next);
}

/*
 * Sets the receive buffer: a connection inherits a listening socket's SO_RCVBUF before its handshake. getsockopt()
 * returns twice what setsockopt() was given (socket(7)).
 */
static void set_receive_buffer(int fd, int receive_buffer)
{
	int half = receive_buffer / 2;

	if (half)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half));
}

static void set_if(int fd, int level, int name, int value, bool wanted)
{
	if (wanted)
		setsockopt(fd, level, name, &value, sizeof(value));
}

/* Sets the marks that a connection also inherits from its listening socket. */
static void set_marks(int fd, bool ipv6, const struct shakeoff_socket_offer *offer)
{
	set_if(fd, IPPROTO_IP, IP_TTL, offer->hop_limit[0], offer->hop_limit[0] >= 0);
	set_if(fd, IPPROTO_IP, IP_TOS, offer->tos[0], offer->tos[0]);
	set_if(fd, IPPROTO_IP, IP_MINTTL, offer->min_ttl[0], offer->min_ttl[0]);
	set_if(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, offer->min_ttl[1], ipv6 && offer->min_ttl[1]);
	set_if(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, offer->hop_limit[1], ipv6 && offer->hop_limit[1] >= 0);
	set_if(fd, IPPROTO_IPV6, IPV6_TCLASS, offer->tos[1], ipv6 && offer->tos[1]);
}

static int join_tuple(int fd, const struct shakeoff_event *event, bool mapped)
{
	const struct shakeoff_tuple *tuple = &event->tuple;
	union socket_address address;
	socklen_t size;
	int error;

	size = socket_address_set(&address, tuple->local, tuple->local_port, mapped);
	if (bind(fd, &address.sa, size))
		return -errno;
	error = set_sequence(fd, REPAIR_SEND_QUEUE, event->snd_nxt);
	if (!error)
		error = set_sequence(fd, REPAIR_RECV_QUEUE, event->rcv_nxt);
	if (error)
		return error;
	size = socket_address_set(&address, tuple->remote, tuple->remote_port, mapped);
	return connect(fd, &address.sa, size) ? -errno : 0;
}

/*
 * Sets the options. The scales are always set, to 0 if there are none: otherwise the scale stays that connect() chose,
 * and that was never advertised.
 */
static int set_options(int fd, const struct shakeoff_event *event)
{
	bool scaled = event->snd_wscale != SHAKEOFF_NO_WSCALE && event->rcv_wscale != SHAKEOFF_NO_WSCALE;
	struct tcp_repair_opt options[3];
	unsigned int count = 0;

	options[count].opt_code = TCPOPT_WINDOW;
	options[count++].opt_val = scaled ? event->snd_wscale | (uint32_t)event->rcv_wscale << 16 : 0;
	if (event->flags & SHAKEOFF_EVENT_SACK) {
		options[count].opt_code = TCPOPT_SACK_PERMITTED;
		options[count++].opt_val = 0;
	}
	if (event->flags & SHAKEOFF_EVENT_TIMESTAMPS) {
		options[count].opt_code = TCPOPT_TIMESTAMP;
		options[count++].opt_val = 0;
	}
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, count * sizeof(options[0])))
		return -errno;
	return 0;
}

/*
 * Lets the socket's timestamps continue the SYN-ACK's clock, whose value the hook has passed, as
 * bpf_sk_assign_tcp_reqsk() does. The value is never odd: that would switch the socket to microseconds.
 */
static int set_timestamp(int fd, const struct shakeoff_event *event)
{
	return set_int(fd, TCP_TIMESTAMP, (int)(event->tsecr + (event->tsecr & 1)));
}

static int set_window(int fd, const struct shakeoff_event *event)
{
	struct tcp_repair_window window = {
		.snd_wl1 = event->rcv_nxt,
		.snd_wnd = event->snd_wnd,
		.max_window = event->snd_wnd,
		.rcv_wnd = event->rcv_wnd,
		.rcv_wup = event->rcv_nxt,
	};

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window)) ? -errno : 0;
}

static int restore(int fd, const struct shakeoff_event *event, bool mapped)
{
	int error;

	/* The MSS has an effect only if it is set before connect(). Later it would limit the daemon's own segments. */
	error = set_int(fd, TCP_MAXSEG, event->mss);
	/*
	 * From connect() on the socket gets and answers segments of the client. These must use the SYN-ACK's clock, or
	 * the client takes all later segments for old (RFC 7323, section 5). connect() keeps the clock in repair mode.
	 */
	if (!error && event->flags & SHAKEOFF_EVENT_TIMESTAMPS)
		error = set_timestamp(fd, event);
	if (!error)
		error = join_tuple(fd, event, mapped);
	if (!error)
		error = set_int(fd, TCP_MAXSEG, 0);
	if (!error)
		error = set_options(fd, event);
	if (!error)
		error = set_window(fd, event);
	return error;
}

/*
 * Sets IPV6_FREEBIND: IPv6 sockets need it for an address of a local route (AnyIP), for which ip6_route_input() accepts
 * packets anyway.
 */
static void set_freebind(int fd, int on)
{
	setsockopt(fd, SOL_IPV6, IPV6_FREEBIND, &on, sizeof(on));
}

int repair_socket(const struct shakeoff_event *event, const struct repair_options *options, int *result)
{
	bool ipv4 = tuple_is_ipv4(&event->tuple), mapped = ipv4 && options->dualstack;
	cleanup_fd int fd = -1;
	int error, one = 1;

	fd = socket(ipv4 && !mapped ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	set_receive_buffer(fd, options->receive_buffer);
	set_marks(fd, !ipv4 || mapped, &options->offer);
	error = set_int(fd, TCP_REPAIR, TCP_REPAIR_ON);
	set_freebind(fd, 1);
	if (!error)
		error = restore(fd, event, mapped);
	set_freebind(fd, 0);
	/* Off without a window probe, so that the client notices nothing. */
	if (!error)
		error = set_int(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	if (error)
		return error; /* closing in repair mode sends nothing */
	/*
	 * Accepted sockets inherit it from servers that set it, so that a restarted server can bind. Repair mode
	 * overrides it.
	 */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	*result = take_fd(&fd);
	return 0;
}

bool repair_error_passes(int error)
{
	switch (-error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EAGAIN:
	case EINTR: return true;
	default: return false;
	}
}

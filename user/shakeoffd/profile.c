/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <common/cleanup.h>
#include <shakeoffd/profile.h>
#include <shakeoffd/tuple.h>

#define ETHERNET_MTU 1500
#define TIMESTAMP_BYTES 12

/* The limits of setsockopt(TCP_MAXSEG). */
#define MSS_MIN 88
#define MSS_MAX 32767

struct offer {
	uint16_t window;
	uint8_t wscale;
};

static uint32_t clamp_mss(uint32_t mss)
{
	if (mss < MSS_MIN)
		return MSS_MIN;
	return mss > MSS_MAX ? MSS_MAX : mss;
}

/* Listens on a free port of the loopback address, as a server with this MSS and buffer. */
static int open_listener(int family, int mss, int receive_buffer, union socket_address *address, socklen_t *size)
{
	int half = receive_buffer / 2;
	cleanup_fd int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memset(address, 0, sizeof(*address));
	address->sa.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		address->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		address->in6.sin6_addr = in6addr_loopback;
	*size = family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
	if (half && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half)))
		return -errno;
	if (setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)) || bind(fd, &address->sa, *size) ||
	    listen(fd, 1) || getsockname(fd, &address->sa, size))
		return -errno;
	return take_fd(&fd);
}

static int handshake(int family, uint32_t mss, int receive_buffer, struct offer *offer)
{
	struct linger abort = { .l_onoff = 1, .l_linger = 0 }; /* leaves no TIME-WAIT */
	struct timeval patience = { .tv_sec = 1 };
	cleanup_fd int listener = -1, client = -1;
	union socket_address address;
	struct tcp_info info = { 0 };
	socklen_t size;

	listener = open_listener(family, (int)clamp_mss(mss), receive_buffer, &address, &size);
	if (listener < 0)
		return listener;
	client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0)
		return -errno;
	setsockopt(client, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(client, &address.sa, size))
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	size = sizeof(info);
	if (getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &size))
		return -errno;
	/* The client has sent nothing, so its send window still is what the SYN-ACK offered: never scaled. */
	offer->window = info.tcpi_snd_wnd > UINT16_MAX ? UINT16_MAX : (uint16_t)info.tcpi_snd_wnd;
	offer->wscale = info.tcpi_options & TCPI_OPT_WSCALE ? info.tcpi_snd_wscale : SHAKEOFF_NO_WSCALE;
	return 0;
}

/*
 * Both handshakes over lo have timestamps, or neither. The kernel only cares for the room that they take of a segment, so
 * one without is like one with them whose MSS is that much larger.
 */
static int ask_family(int family, bool ipv6, bool timestamps, uint16_t mss, struct shakeoff_interface *profile,
		      uint8_t *wscale)
{
	struct offer with, without;
	int error;

	error = handshake(family, mss, 0, &with);
	if (!error)
		error = handshake(family, timestamps ? mss + TIMESTAMP_BYTES : mss, 0, &without);
	if (error)
		return error;
	profile->window[ipv6][1] = with.window;
	profile->window[ipv6][0] = without.window;
	*wscale = with.wscale;
	return 0;
}

int profile_ask(uint32_t mtu, const struct sysctls *sysctls, struct shakeoff_interface *profile)
{
	struct shakeoff_interface fresh = {
		.mss = { (uint16_t)clamp_mss(mtu - 40), (uint16_t)clamp_mss(mtu - 60) },
		.sack = sysctls_get(sysctls, SYSCTL_TCP_SACK, 0, 1) != 0,
		.timestamps = sysctls_get(sysctls, SYSCTL_TCP_TIMESTAMPS, 0, 1) != 0,
		.ttl = (uint8_t)sysctls_get(sysctls, SYSCTL_TTL, 0, 64),
		.ecn = sysctls_get(sysctls, SYSCTL_TCP_ECN, 0, 2) != 0,
	};
	uint8_t ignored;
	int error;

	error = ask_family(AF_INET, false, fresh.timestamps, fresh.mss[0], &fresh, &fresh.wscale);
	if (error)
		return error;
	error = ask_family(AF_INET6, true, fresh.timestamps, fresh.mss[1], &fresh, &ignored);
	/* Without IPv6 on this host there will be nothing to offer it to either. */
	if (error && error != -EADDRNOTAVAIL && error != -EAFNOSUPPORT)
		return error;
	*profile = fresh;
	return 0;
}

int profile_window(int receive_buffer, uint16_t *window, uint8_t *wscale)
{
	struct offer offer;
	int error = handshake(AF_INET, ETHERNET_MTU - 40, receive_buffer, &offer);

	if (error)
		return error;
	*window = offer.window;
	*wscale = offer.wscale;
	return 0;
}

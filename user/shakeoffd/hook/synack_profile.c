/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/cleanup.h"
#include "common/log.h"
#include <shakeoff/rcv_window.h>
#include "shakeoffd/hook/advmss.h"
#include "shakeoffd/hook/synack_profile.h"
#include "common/tuple.h"

#define RMEM_MAX_DEFAULT 212992u /* SK_RMEM_MAX, include/net/sock.h, on most machines */
#define TCP_RMEM_USUAL 131072u   /* tcp_rmem[1] */
#define TCP_RMEM_MOST (6u << 20) /* tcp_rmem[2] */

/* The part of a receive buffer that is window, in 256ths: tp->scaling_ratio of a socket that has received nothing. */
#define RATIO_ALL 256u
#define RATIO_USUAL 128u

/*
 * The receive buffer for the handshake that asks. A buffer smaller than its MSS is offered as it is; half of this is
 * requested.
 */
#define ASK_BUFFER 32768
#define ASK_MSS 32767
#define ASK_PATIENCE_US 200000

/* For the whole host; written by profile_learn(). */
static _Atomic(uint32_t) ratio = RATIO_USUAL;
static _Atomic(uint32_t) usual_buffer = TCP_RMEM_USUAL;

/* ----------------------------------------------------------------------------------------- learning from the kernel */

static int open_listener(union socket_address *address, socklen_t *size, uint32_t *buffer)
{
	int half = ASK_BUFFER / 2, mss = ASK_MSS, whole;
	socklen_t length = sizeof(whole);
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	*address = (union socket_address){ .in = { .sin_family = AF_INET } };
	address->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*size = sizeof(address->in);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half)) ||
	    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &whole, &length) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)) || bind(fd, &address->sa, *size) ||
	    listen(fd, 1) || getsockname(fd, &address->sa, size))
		return -errno;
	*buffer = (uint32_t)whole;
	return take_fd(&fd);
}

/* Makes a handshake over lo. Returns the listening socket's buffer, and the window that its SYN-ACK offered. */
static int ask(uint32_t *buffer, uint32_t *window)
{
	struct linger abort = { .l_onoff = 1, .l_linger = 0 }; /* leaves no TIME-WAIT */
	struct timeval patience = { .tv_usec = ASK_PATIENCE_US };
	cleanup_fd int listener = -1, client = -1;
	union socket_address address;
	struct tcp_info info = { 0 };
	socklen_t size;

	listener = open_listener(&address, &size, buffer);
	if (listener < 0)
		return listener;
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0)
		return -errno;
	setsockopt(client, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(client, &address.sa, size))
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	size = sizeof(info);
	if (getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &size))
		return -errno;
	/* The client has sent nothing, so its send window still is what the SYN-ACK offered, which is never scaled. */
	*window = info.tcpi_snd_wnd;
	return 0;
}

static uint32_t get(const struct sysctls *sysctls, enum sysctl which, int index, uint32_t otherwise)
{
	int value = sysctls_get(sysctls, which, index, (int)otherwise);

	return value < 0 ? 0 : (uint32_t)value;
}

void profile_learn(const struct sysctls *sysctls)
{
	uint32_t buffer, window, learnt = RATIO_USUAL;
	int error = ask(&buffer, &window);

	/* The kernel would round a larger window to whole segments, or cut it: sysctl tcp_workaround_signed_windows. */
	if (!error && buffer && window < ASK_MSS - SHAKEOFF_TIMESTAMP_BYTES)
		learnt = (window * RATIO_ALL + buffer / 2) / buffer;
	if (error)
		log_debug("a handshake over lo, to learn what part of a buffer is window, failed: %s; taken for half",
			  strerror(-error));
	ratio = learnt;
	usual_buffer = get(sysctls, SYSCTL_TCP_RMEM, 1, TCP_RMEM_USUAL);
}

uint32_t profile_full_space(uint32_t receive_buffer)
{
	uint64_t buffer = receive_buffer ? receive_buffer : usual_buffer;

	return (uint32_t)(buffer * ratio / RATIO_ALL);
}

/* -------------------------------------------------------------------------------------------------------- profiles */

/* Fills in the device's values. RTAX_MTU and others belong to routes: routes.h. */
static void fill_route(const struct device *device, const struct sysctls *sysctls, struct shakeoff_interface *profile)
{
	profile->mss[0] = advmss4(device->mtu, get(sysctls, SYSCTL_MIN_ADV_MSS4, 0, ADVMSS_MIN4_DEFAULT));
	profile->mss[1] = advmss6(device->mtu6, get(sysctls, SYSCTL_MIN_ADV_MSS6, 0, ADVMSS_MIN6_DEFAULT));
	profile->hop_limit[0] = (uint8_t)get(sysctls, SYSCTL_TTL, 0, 64);
	profile->hop_limit[1] = (uint8_t)device->hop_limit;
}

static void fill_sysctls(const struct sysctls *sysctls, struct shakeoff_interface *profile)
{
	uint32_t rmem = get(sysctls, SYSCTL_TCP_RMEM, 2, TCP_RMEM_MOST);
	uint32_t rmem_max = get(sysctls, SYSCTL_RMEM_MAX, 0, RMEM_MAX_DEFAULT);

	profile->sack = get(sysctls, SYSCTL_TCP_SACK, 0, 1) != 0;
	profile->timestamps = get(sysctls, SYSCTL_TCP_TIMESTAMPS, 0, 1) != 0;
	profile->ecn = get(sysctls, SYSCTL_TCP_ECN, 0, 2) != 0;
	profile->window_scaling = get(sysctls, SYSCTL_TCP_WINDOW_SCALING, 0, 1) != 0;
	profile->signed_windows = get(sysctls, SYSCTL_SIGNED_WINDOWS, 0, 0) != 0;
	profile->reflect_tos = get(sysctls, SYSCTL_REFLECT_TOS, 0, 0) != 0;
	profile->window_space = rmem > rmem_max ? rmem : rmem_max;
}

void profile_fill(const struct device *device, const struct sysctls *sysctls, struct shakeoff_interface *profile)
{
	*profile = (struct shakeoff_interface){ 0 };
	fill_route(device, sysctls, profile);
	fill_sysctls(sysctls, profile);
}

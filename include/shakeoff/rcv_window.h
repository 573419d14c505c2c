/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The window and the window scale of a SYN-ACK, computed as the kernel does. Pure: compiles for BPF and for the host.
 *
 * Sources, checked with Linux 5.10 to 6.18: tcp_select_initial_window() in net/ipv4/tcp_output.c, and its caller for a
 * SYN, tcp_openreq_init_rwin() in net/ipv4/tcp_minisocks.c. Kernels before 6.11 cut the window to 65535 elsewhere; the
 * SYN-ACK on the wire is the same.
 */
#ifndef SHAKEOFF_RCV_WINDOW_H
#define SHAKEOFF_RCV_WINDOW_H

#include <shakeoff/types.h>

#define SHAKEOFF_WINDOW_INLINE static inline __attribute__((always_inline))

#define SHAKEOFF_WINDOW_MAX 65535u        /* a SYN-ACK's window is never scaled (RFC 7323, section 2.2) */
#define SHAKEOFF_WINDOW_SIGNED_MAX 32767u /* MAX_TCP_WINDOW, include/net/tcp.h */
#define SHAKEOFF_WSCALE_MAX 14u           /* TCP_MAX_WSCALE */

/* Bytes of each segment for timestamps: TCPOLEN_TSTAMP_ALIGNED. */
#define SHAKEOFF_TIMESTAMP_BYTES 12u

struct shakeoff_window_input {
	__u32 space;         /* tcp_full_space() of the listening socket */
	__u32 mss;           /* of the SYN-ACK, less SHAKEOFF_TIMESTAMP_BYTES if timestamps are negotiated */
	__u32 clamp;         /* shakeoff_window_clamp(); 0: none */
	__u32 window_space;  /* the greater of tcp_rmem[2] and net.core.rmem_max */
	__u32 initrwnd;      /* RTAX_INITRWND of the route, in segments; 0: no bound */
	__u8 wscale_ok;      /* window scaling is negotiated */
	__u8 signed_windows; /* sysctl tcp_workaround_signed_windows */
};

struct shakeoff_window {
	__u16 window; /* as on the wire */
	__u8 wscale;  /* 0 also without window scaling */
};

/*
 * Returns the bound of the window; 0: no bound. socket_clamp: tp->window_clamp of the listening socket
 * (TCP_WINDOW_CLAMP), 0: not set; route_window: RTAX_WINDOW, 0: not set; locked: the socket's owner has set SO_RCVBUF
 * (SOCK_RCVBUF_LOCK).
 */
SHAKEOFF_WINDOW_INLINE __u32 shakeoff_window_clamp(__u32 socket_clamp, __u32 route_window, __u32 space, __u32 locked)
{
	__u32 clamp = socket_clamp ? socket_clamp : route_window;

	if (locked && (clamp > space || !clamp))
		clamp = space;
	return clamp;
}

/*
 * Returns the number of significant bits above the lowest 16, at most SHAKEOFF_WSCALE_MAX: ilog2(space) - 15 where that
 * is positive. It has no branches, because they would multiply the verifier's states.
 */
SHAKEOFF_WINDOW_INLINE __u32 shakeoff_window_scale(__u32 space)
{
	__u32 bits = space >> 16;

	bits |= bits >> 1;
	bits |= bits >> 2;
	bits |= bits >> 4;
	bits |= bits >> 8;
	/* Now all bits below the highest are set: count them. */
	bits -= (bits >> 1) & 0x5555;
	bits = (bits & 0x3333) + ((bits >> 2) & 0x3333);
	bits = (bits + (bits >> 4)) & 0x0f0f;
	bits = (bits + (bits >> 8)) & 0x1f;
	return bits > SHAKEOFF_WSCALE_MAX ? SHAKEOFF_WSCALE_MAX : bits;
}

/* Returns the window that tcp_select_initial_window() would choose. */
SHAKEOFF_WINDOW_INLINE struct shakeoff_window shakeoff_window_select(const struct shakeoff_window_input *input)
{
	__u32 clamp = input->clamp ? input->clamp : SHAKEOFF_WINDOW_MAX << SHAKEOFF_WSCALE_MAX;
	__u32 space = input->space < clamp ? input->space : clamp;
	struct shakeoff_window result = { 0 };
	__u32 window;

	/* Whole segments, if there is room for more than one. */
	if (input->mss && space > input->mss)
		space -= space % input->mss;
	window = space;
	if (input->signed_windows && window > SHAKEOFF_WINDOW_SIGNED_MAX)
		window = SHAKEOFF_WINDOW_SIGNED_MAX;
	if (input->initrwnd && window > input->initrwnd * input->mss)
		window = input->initrwnd * input->mss;
	result.window = (__u16)(window > SHAKEOFF_WINDOW_MAX ? SHAKEOFF_WINDOW_MAX : window);

	/* The scale is chosen for the size to which the window may grow. */
	if (input->wscale_ok) {
		if (space < input->window_space)
			space = input->window_space;
		if (space > clamp)
			space = clamp;
		result.wscale = (__u8)shakeoff_window_scale(space);
	}
	return result;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's settings that decide what a SYN-ACK offers, how often it is sent, and whether cookies are accepted. The
 * kernel sends no message when they change.
 */
#ifndef SHAKEOFFD_SYS_SYSCTLS_H
#define SHAKEOFFD_SYS_SYSCTLS_H

#include <stdbool.h>

/* X(CONSTANT, name below /proc/sys/net) */
#define SYSCTLS(X)                                                                                                     \
	X(TCP_SYNCOOKIES, "ipv4/tcp_syncookies")                                                                       \
	X(TCP_SYNACK_RETRIES, "ipv4/tcp_synack_retries")                                                               \
	X(TCP_WINDOW_SCALING, "ipv4/tcp_window_scaling")                                                               \
	X(TCP_SACK, "ipv4/tcp_sack")                                                                                   \
	X(TCP_TIMESTAMPS, "ipv4/tcp_timestamps")                                                                       \
	X(TCP_ECN, "ipv4/tcp_ecn")                                                                                     \
	X(TCP_RMEM, "ipv4/tcp_rmem")                                                                                   \
	X(SIGNED_WINDOWS, "ipv4/tcp_workaround_signed_windows")                                                        \
	X(REFLECT_TOS, "ipv4/tcp_reflect_tos")                                                                         \
	X(ADV_WIN_SCALE, "ipv4/tcp_adv_win_scale")                                                                     \
	X(TTL, "ipv4/ip_default_ttl")                                                                                  \
	X(RP_FILTER, "ipv4/conf/all/rp_filter") /* the greater value of this and the interface's applies */            \
	X(MIN_ADV_MSS4, "ipv4/route/min_adv_mss")                                                                      \
	X(MIN_ADV_MSS6, "ipv6/route/min_adv_mss")                                                                      \
	X(RMEM_MAX, "core/rmem_max")                                                                                   \
	X(UNPRIVILEGED_PORT, "ipv4/ip_unprivileged_port_start")

enum sysctl {
#define X(constant, name) SYSCTL_##constant,
	SYSCTLS(X)
#undef X
		SYSCTL_COUNT
};

#define SYSCTL_TEXT 64

/* Files are kept open, so that reading one costs one system call. */
struct sysctls {
	int fds[SYSCTL_COUNT]; /* -1: this kernel lacks the setting */
	char texts[SYSCTL_COUNT][SYSCTL_TEXT];
};

void sysctls_open(struct sysctls *sysctls);
void sysctls_close(struct sysctls *sysctls);

/* Reads them again. Returns whether one has changed. */
bool sysctls_changed(struct sysctls *sysctls);

/* Returns number `index` of a setting's value, as last read; `otherwise` if there is none. */
int sysctls_get(const struct sysctls *sysctls, enum sysctl which, int index, int otherwise);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Cookies of two flows, one for each family, and the hook's check of the echoes to them.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_COOKIES_H
#define SHAKEOFF_TESTS_COOKIES_H

#include "lib/cookie.h"
#include "lib/tcpopt.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CLIENT_ISN 0xcafe1234u
#define EPOCH 1000u
#define CLOCK 123456789u /* our clock in ms, with the offset of the pair of addresses */

#define PLAIN_MAC ((1u << COOKIE_EPOCH_SHIFT) - 1)
#define TIMESTAMPS_MAC ((1u << COOKIE_PARITY_SHIFT) - 1)

extern const struct shakeoff_key keys[SHAKEOFF_KEY_SLOTS];
extern const struct cookie_flow flows[2]; /* IPv4, IPv6 */

/* What a client sends back. */
struct echo {
	__u32 cookie, tsecr;
	bool timestamps;
};

__u32 isn_of(const struct cookie_flow *flow, __u32 client_isn, __u32 epoch, __u32 bits);
struct echo make_echo(const struct cookie_flow *flow, __u32 epoch, const struct cookie_options *options);

/* Returns the option bits of a cookie of that epoch that comes back without timestamps, or -1. */
int read_plain(const struct cookie_flow *flow, __u32 client_isn, __u32 epoch, __u32 cookie);

/* Returns whether the echo is good in the epoch `now`; its option bits are in *bits. */
bool validates(const struct cookie_flow *flow, const struct echo *echo, __u32 now, bool accept_next, __u32 *bits);

#endif

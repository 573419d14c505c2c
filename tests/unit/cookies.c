/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cookies.h"

const struct shakeoff_key keys[SHAKEOFF_KEY_SLOTS] = {
	{ 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull },
	{ 0x1716151413121110ull, 0x1f1e1d1c1b1a1918ull },
	{ 0x2726252423222120ull, 0x2f2e2d2c2b2a2928ull },
	{ 0x3736353433323130ull, 0x3f3e3d3c3b3a3938ull },
};

const struct cookie_flow flows[2] = {
	{ .client = { 0x01020304 }, .server = { 0x0a090001 }, .client_port = 0x409c, .server_port = 0x5000 },
	{ .client = { 0x20010db8, 1, 2, 3 },
	  .server = { 0x20010db8, 0, 0, 0x80 },
	  .client_port = 0x409c,
	  .server_port = 0x5000,
	  .ipv6 = 1 },
};

__u32 isn_of(const struct cookie_flow *flow, __u32 client_isn, __u32 epoch, __u32 bits)
{
	return cookie_isn(&keys[epoch % SHAKEOFF_KEY_SLOTS], flow, client_isn, epoch, bits);
}

struct echo make_echo(const struct cookie_flow *flow, __u32 epoch, const struct cookie_options *options)
{
	__u32 bits = cookie_encode(options, flow->ipv6);

	return (struct echo){ .cookie = isn_of(flow, CLIENT_ISN, epoch, bits),
			      .tsecr = CLOCK + cookie_ts_add(bits),
			      .timestamps = options->timestamps };
}

int read_plain(const struct cookie_flow *flow, __u32 client_isn, __u32 epoch, __u32 cookie)
{
	struct siphash hash;
	__u32 unseen = 0;
	int bits;

	cookie_init(&hash, &keys[epoch % SHAKEOFF_KEY_SLOTS], flow, epoch);
	bits = cookie_read_plain(&hash, flow, client_isn, epoch, cookie, &unseen);
	if (bits >= 0)
		assert_int_equal(unseen,
				 cookie_isn(&keys[epoch % SHAKEOFF_KEY_SLOTS], flow, client_isn, epoch, bits) >> 32);
	return bits;
}

static bool validates_plain(const struct cookie_flow *flow, __u32 cookie, __u32 now, bool accept_next, __u32 *bits)
{
	for (int attempt = 0; attempt < COOKIE_PLAIN_ATTEMPTS; attempt++) {
		__u32 epoch;
		int read;

		if (!cookie_epoch_plain(now, accept_next, attempt, &epoch))
			continue;
		read = read_plain(flow, CLIENT_ISN, epoch, cookie);
		if (read < 0)
			continue;
		*bits = read;
		return 1;
	}
	return 0;
}

bool validates(const struct cookie_flow *flow, const struct echo *echo, __u32 now, bool accept_next, __u32 *bits)
{
	if (!echo->timestamps)
		return validates_plain(flow, echo->cookie, now, accept_next, bits);
	*bits = cookie_bits(echo->tsecr, CLOCK);
	for (int attempt = 0; attempt < 2; attempt++) {
		__u32 epoch;

		if (cookie_epoch(echo->cookie, now, accept_next, attempt, &epoch) &&
		    isn_of(flow, CLIENT_ISN, epoch, COOKIE_TIMESTAMPS) == echo->cookie)
			return 1;
	}
	return 0;
}

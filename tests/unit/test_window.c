/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The window and the scale of a SYN-ACK: computed, and as the kernel offers them in handshakes over lo.
 *
 * link: user/shakeoffd/sys/sysctls.c
 */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/rcv_window.h>
#include "shakeoffd/sys/sysctls.h"

/* ---------------------------------------------------------------------------------------------------------- by hand */

static const struct shakeoff_window_input usual = {
	.space = 65536,
	.mss = 1448,
	.window_space = 6291456,
	.wscale_ok = 1,
};

static void is_window(struct shakeoff_window_input input, unsigned int window, unsigned int wscale)
{
	struct shakeoff_window result = shakeoff_window_select(&input);

	assert_int_equal(result.window, window);
	assert_int_equal(result.wscale, wscale);
}

static void a_window_is_whole_segments_of_the_buffer(void **state)
{
	struct shakeoff_window_input input = usual;

	(void)state;
	is_window(input, 65160, 7); /* 45 segments: the value of a default host in any capture */
	input.mss = 65483;
	is_window(input, 65483, 7);
	input.mss = 100000;
	is_window(input, 65535, 7);
	input.space = 1000;
	input.mss = 1448;
	is_window(input, 1000, 7);
	input.mss = 0;
	is_window(input, 1000, 7);
}

static void the_scale_is_chosen_for_the_greatest_window(void **state)
{
	struct shakeoff_window_input input = usual;

	(void)state;
	for (unsigned int bits = 0; bits < 32; bits++) {
		unsigned int scale = bits < 16 ? 0 : bits - 15 > 14 ? 14 : bits - 15;

		assert_int_equal(shakeoff_window_scale(1u << bits), scale);
		assert_int_equal(shakeoff_window_scale((1u << bits) + ((1u << bits) - 1)), scale);
	}
	input.wscale_ok = 0;
	is_window(input, 65160, 0);
	input.wscale_ok = 1;
	input.window_space = 0;
	input.space = 10000;
	is_window(input, 8688, 0);
}

static void a_limit_applies_to_window_and_scale(void **state)
{
	struct shakeoff_window_input input = usual;

	(void)state;
	input.clamp = 5000;
	is_window(input, 4344, 0);
	input.clamp = 131072;
	is_window(input, 65160, 2);
}

static void the_first_window_may_be_limited_in_segments(void **state)
{
	struct shakeoff_window_input input = usual;

	(void)state;
	input.initrwnd = 20;
	is_window(input, 28960, 7);
	input.initrwnd = 100;
	is_window(input, 65160, 7);
}

static void a_signed_window_stays_below_half(void **state)
{
	struct shakeoff_window_input input = usual;

	(void)state;
	input.signed_windows = 1;
	is_window(input, 32767, 7);
	input.initrwnd = 20;
	is_window(input, 28960, 7);
}

static void the_socket_has_precedence_over_the_route_and_a_locked_buffer_over_both(void **state)
{
	(void)state;
	assert_int_equal(shakeoff_window_clamp(0, 0, 65536, 0), 0);
	assert_int_equal(shakeoff_window_clamp(0, 5000, 65536, 0), 5000);
	assert_int_equal(shakeoff_window_clamp(7000, 5000, 65536, 0), 7000);
	assert_int_equal(shakeoff_window_clamp(0, 0, 65536, 1), 65536);
	assert_int_equal(shakeoff_window_clamp(0, 5000, 65536, 1), 5000);
	assert_int_equal(shakeoff_window_clamp(70000, 0, 65536, 1), 65536);
}

/* ---------------------------------------------------------------------------------------------------- by the kernel */

struct offer {
	unsigned int window, wscale;
	int buffer; /* SO_RCVBUF, as getsockopt() returns it */
};

/* half: for setsockopt(SO_RCVBUF); 0: the usual buffer. mss: TCP_MAXSEG; clamp: TCP_WINDOW_CLAMP; 0: not set */
static struct offer handshake(int family, int half, int mss, int clamp)
{
	struct linger abort = { .l_onoff = 1, .l_linger = 0 };
	struct sockaddr_in6 address6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in address4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&address4 : (struct sockaddr *)&address6;
	socklen_t size = family == AF_INET ? sizeof(address4) : sizeof(address6), length = sizeof(int);
	int listener = socket(family, SOCK_STREAM, 0), client = socket(family, SOCK_STREAM, 0);
	struct tcp_info info = { 0 };
	struct offer offer = { 0 };

	assert_true(listener >= 0 && client >= 0);
	if (half)
		assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half)), 0);
	if (mss)
		assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)), 0);
	if (clamp)
		assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp, sizeof(clamp)), 0);
	assert_int_equal(bind(listener, address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, address, &size), 0);
	assert_int_equal(getsockopt(listener, SOL_SOCKET, SO_RCVBUF, &offer.buffer, &length), 0);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	assert_int_equal(connect(client, address, size), 0);
	length = sizeof(info);
	assert_int_equal(getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	/* The client has sent nothing: its send window is the SYN-ACK's. */
	offer.window = info.tcpi_snd_wnd;
	offer.wscale = info.tcpi_options & TCPI_OPT_WSCALE ? info.tcpi_snd_wscale : 0;
	close(client);
	close(listener);
	return offer;
}

/* The kernel's window for a buffer, in 256ths: half of it, unless a sysctl or a kernel differs. */
static unsigned int ratio(void)
{
	struct offer offer = handshake(AF_INET, 8192, 32767, 0);

	return (offer.window * 256 + (unsigned int)offer.buffer / 2) / (unsigned int)offer.buffer;
}

static void the_kernel_offers_the_same(void **state)
{
	static const int halves[] = { 0,     1152,  2048,  4096,   5000,   10000,  16384,   32767,   32768,  40000,
				      65535, 65536, 65537, 100000, 131072, 200000, 1000000, 2000000, 8000000 };
	static const int segments[] = { 100, 536, 1000, 1220, 1440, 1460, 8960, 20000, 32767 };
	static const int clamps[] = { 0, 3000, 40000, 300000 };
	unsigned int share = ratio(), compared = 0;
	struct sysctls sysctls;
	struct shakeoff_window_input input = { 0 };

	(void)state;
	sysctls_open(&sysctls);
	input.window_space = (unsigned int)sysctls_get(&sysctls, SYSCTL_TCP_RMEM, 2, 0);
	if (input.window_space < (unsigned int)sysctls_get(&sysctls, SYSCTL_RMEM_MAX, 0, 0))
		input.window_space = (unsigned int)sysctls_get(&sysctls, SYSCTL_RMEM_MAX, 0, 0);
	input.wscale_ok = sysctls_get(&sysctls, SYSCTL_TCP_WINDOW_SCALING, 0, 1) != 0;
	for (size_t h = 0; h < sizeof(halves) / sizeof(halves[0]); h++) {
		for (size_t s = 0; s < sizeof(segments) / sizeof(segments[0]); s++) {
			for (size_t c = 0; c < 2 * sizeof(clamps) / sizeof(clamps[0]); c++) {
				struct offer offer = handshake(c % 2 ? AF_INET6 : AF_INET, halves[h], segments[s],
							       clamps[c / 2]);
				struct shakeoff_window mine;

				input.space = (unsigned int)((uint64_t)offer.buffer * share / 256);
				input.mss = (unsigned int)segments[s];
				if (sysctls_get(&sysctls, SYSCTL_TCP_TIMESTAMPS, 0, 1))
					input.mss -= SHAKEOFF_TIMESTAMP_BYTES;
				input.clamp = shakeoff_window_clamp((unsigned int)clamps[c / 2], 0, input.space,
								    halves[h] != 0);
				mine = shakeoff_window_select(&input);
				if (mine.window != offer.window || mine.wscale != offer.wscale)
					fail_msg(
						"SO_RCVBUF %d, MSS %d, clamp %d, IPv%c: %u scale %u, the kernel %u scale %u",
						halves[h], segments[s], clamps[c / 2], c % 2 ? '6' : '4', mine.window,
						mine.wscale, offer.window, offer.wscale);
				compared++;
			}
		}
	}
	sysctls_close(&sysctls);
	assert_int_equal(compared, 19 * 9 * 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_is_whole_segments_of_the_buffer),
		cmocka_unit_test(the_scale_is_chosen_for_the_greatest_window),
		cmocka_unit_test(a_limit_applies_to_window_and_scale),
		cmocka_unit_test(the_first_window_may_be_limited_in_segments),
		cmocka_unit_test(a_signed_window_stays_below_half),
		cmocka_unit_test(the_socket_has_precedence_over_the_route_and_a_locked_buffer_over_both),
		cmocka_unit_test(the_kernel_offers_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

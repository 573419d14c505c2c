/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/prog/harness.c tests/prog/sockets.c */
/*
 * SYN-ACKs to SYNs at random, each compared byte for byte with one that is made here from the rules: whatever the last answer
 * left behind, and whatever has changed since on the interface and the service.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "sockets.h"

#define SYNS 20000
#define NO_SCALE (-1)

struct offer {
	struct segment syn;
	char from[INET6_ADDRSTRLEN];
	uint8_t options[40], payload[600], ip_options[40];
	bool ipv6, sack, timestamps, ecn;
	int mss, scale; /* mss: 0: none */
	uint32_t tsval;
};

static struct shakeoff_interface profile;
static int listener, maxseg; /* its TCP_MAXSEG; 0: none */

static uint32_t below(uint32_t bound)
{
	return (uint32_t)random() % bound;
}

static bool once_in(uint32_t times)
{
	return !below(times);
}

static uint32_t random32(void)
{
	static const uint32_t corners[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffff0000, 0xfffffffe, 0xffffffff };

	return once_in(8) ? corners[below(COUNT(corners))] : (uint32_t)random() << 16 ^ (uint32_t)random();
}

/* ------------------------------------------------------------------------------------------------------------ SYNs */

static size_t put_option(struct offer *offer, size_t at, int kind)
{
	uint8_t *to = offer->options + at;

	switch (kind) {
	case 2:
		offer->mss = 1 + (int)below(once_in(2) ? 1600 : 65535);
		to[0] = 2, to[1] = 4;
		put16(to + 2, offer->mss);
		return 4;
	case 3:
		offer->scale = (int)below(16);
		to[0] = 3, to[1] = 3, to[2] = offer->scale;
		if (offer->scale > 14)
			offer->scale = 14;
		return 3;
	case 4:
		offer->sack = true;
		to[0] = 4, to[1] = 2;
		return 2;
	case 8:
		offer->timestamps = true;
		offer->tsval = random32();
		to[0] = 8, to[1] = 10;
		put32(to + 2, offer->tsval);
		put32(to + 6, random32());
		return 10;
	default: /* one that nobody knows */
		to[0] = 253, to[1] = 4;
		put16(to + 2, random());
		return 4;
	}
}

static void linux_options(struct offer *offer)
{
	size_t at = put_option(offer, 0, 2);

	at += put_option(offer, at, 4);
	at += put_option(offer, at, 8);
	offer->options[at++] = 1;
	at += put_option(offer, at, 3);
	offer->syn.options.len = at;
}

static void any_options(struct offer *offer)
{
	int kinds[] = { 2, 3, 4, 8, 253 };
	size_t at = 0;

	for (size_t left = COUNT(kinds); left; left--) {
		size_t chosen = below(left);
		int kind = kinds[chosen];

		kinds[chosen] = kinds[left - 1];
		if (once_in(3))
			continue;
		while (once_in(3))
			offer->options[at++] = 1;
		if (at > 28)
			break;
		at += put_option(offer, at, kind);
	}
	while (at % 4)
		offer->options[at++] = once_in(2); /* an end of the list, or nothing, before the end of the header */
	offer->syn.options.len = at;
}

static void set_source(struct offer *offer)
{
	uint8_t address[16];

	for (size_t i = 0; i < sizeof(address); i++)
		address[i] = random();
	address[0] = offer->ipv6 ? 0x20 | (address[0] & 0xf) : 1 + below(126);
	if (once_in(10))
		memset(address + 2, once_in(2) ? 0xff : 0, offer->ipv6 ? 14 : 2);
	inet_ntop(offer->ipv6 ? AF_INET6 : AF_INET, address, offer->from, sizeof(offer->from));
	offer->syn.from = offer->from;
}

static void make_offer(struct offer *offer)
{
	memset(offer, 0, sizeof(*offer));
	offer->ipv6 = once_in(2);
	offer->scale = NO_SCALE;
	offer->ecn = once_in(2);
	if (once_in(3))
		linux_options(offer);
	else
		any_options(offer);
	offer->syn.options.data = offer->options;
	set_source(offer);
	offer->syn.sport = 1 + below(65535);
	offer->syn.seq = random32();
	offer->syn.flags = SYN | (offer->ecn ? ECE | CWR : 0) | (once_in(8) ? PSH : 0);
	offer->syn.tos = once_in(4) ? random() : 0;
	/* Behind two tags a listening socket is left to the kernel. */
	offer->syn.tags = below(harness.service->handoff == SHAKEOFF_HANDOFF_LISTENER ? 2 : 3);
	if (once_in(4))
		offer->syn.payload = (struct bytes){ offer->payload, below(sizeof(offer->payload)) };
	if (once_in(6))
		offer->syn.padding = below(20);
	if (!offer->ipv6 && once_in(8)) {
		memset(offer->ip_options, 1, sizeof(offer->ip_options));
		offer->syn.ip_options = (struct bytes){ offer->ip_options, 4 * (1 + below(10)) };
	}
	for (size_t i = 0; i < sizeof(offer->payload); i++)
		offer->payload[i] = random();
}

/* ---------------------------------------------------------------------------------------------- what is to be answered */

/* A client without timestamps gets what the cookie can bring back: see "Limits" in README.md. */
static void give_up(const struct offer *offer, bool *sack, bool *scale)
{
	static const int least[] = { 1300, 1340 }; /* IPv4, IPv6: an MSS below is of the smallest class */

	if (offer->mss < least[offer->ipv6])
		*sack = false;
	if (!*sack)
		*scale = false;
}

static size_t expected_options(const struct offer *offer, uint32_t tsval, uint8_t *options)
{
	bool timestamps = offer->timestamps && profile.timestamps, sack = offer->sack && profile.sack;
	bool scale = offer->scale != NO_SCALE && profile.wscale != SHAKEOFF_NO_WSCALE;
	uint8_t our_scale = harness.service->wscale == SHAKEOFF_NO_WSCALE ? profile.wscale : harness.service->wscale;
	uint8_t *at = options;

	if (!timestamps)
		give_up(offer, &sack, &scale);
	*at++ = 2, *at++ = 4;
	put16(at, maxseg && maxseg < profile.mss[offer->ipv6] ? maxseg : profile.mss[offer->ipv6]);
	at += 2;
	if (timestamps || sack) {
		*at++ = timestamps && sack ? 4 : 1;
		*at++ = timestamps && sack ? 2 : 1;
		*at++ = timestamps ? 8 : 4;
		*at++ = timestamps ? 10 : 2;
	}
	if (timestamps) {
		put32(at, tsval);
		put32(at + 4, offer->tsval);
		at += 8;
	}
	if (scale && our_scale != SHAKEOFF_NO_WSCALE)
		*at++ = 1, *at++ = 3, *at++ = 3, *at++ = our_scale;
	return at - options;
}

/* The SYN-ACK is to be no longer than its SYN, or than Ethernet's shortest frame: then the MSS has to stay away. */
static size_t shortened(const struct offer *offer, size_t len, uint8_t *options)
{
	size_t room = (offer->syn.options.len + 3) & ~3u;

	if (!room && !offer->ipv6 && !offer->syn.tags)
		room = 4;
	if (len <= room)
		return len;
	memmove(options, options + 4, len - 4);
	return len - 4;
}

static void expected_answer(const struct offer *offer, const struct reading *reading, struct frame *frame)
{
	bool timestamps = offer->timestamps && profile.timestamps;
	bool ecn = offer->ecn && timestamps && profile.ecn && harness.service->handoff == SHAKEOFF_HANDOFF_LISTENER;
	uint16_t window = profile.window[offer->ipv6][timestamps];
	uint8_t options[40];
	struct segment answer = {
		.from = offer->ipv6 ? "2001:db8::1" : "10.9.0.1",
		.to = offer->from,
		.sport = 80,
		.dport = offer->syn.sport,
		.seq = reading->seq,
		.ack = offer->syn.seq + 1,
		.flags = SYN | ACK | (ecn ? ECE : 0),
		.window = window < harness.service->window_max ? window : harness.service->window_max,
		.options = { options, shortened(offer, expected_options(offer, reading->tsval, options), options) },
		.fragment = FRAGMENT_DF,
		.reply = true,
		.ttl = profile.ttl,
		.tags = offer->syn.tags,
	};

	frame_make(frame, &answer);
	if (frame->len < 60) {
		memset(frame->bytes + frame->len, 0, 60 - frame->len);
		frame->len = 60;
	}
}

static void assert_answered(const struct offer *offer)
{
	static struct frame out, expected;
	struct reading reading;

	assert_string_equal(verdict_name(run_segment(&offer->syn, &out)), "synack_sent");
	assert_null(frame_read(out.bytes, out.len, &reading));
	expected_answer(offer, &reading, &expected);
	assert_int_equal(out.len, expected.len);
	assert_memory_equal(out.bytes, expected.bytes, expected.len);
}

/* ------------------------------------------------------------------------------------------------------------ tests */

static void change_interface(void)
{
	profile = interface_default();
	profile.admits = 1;
	profile.ecn = once_in(2);
	profile.sack = !once_in(3);
	profile.timestamps = !once_in(3);
	profile.wscale = once_in(4) ? SHAKEOFF_NO_WSCALE : below(15);
	profile.ttl = 1 + below(255);
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		profile.mss[ipv6] = random();
		profile.window[ipv6][0] = 1 + below(65535);
		profile.window[ipv6][1] = 1 + below(65535);
	}
	interface_set(&profile);
}

/*
 * The service's own settings, and its socket's, raise no generation: they hold from the next tick on, at 100 a second the
 * slowest.
 */
static void change_service(void)
{
	harness.service->wscale = once_in(2) ? SHAKEOFF_NO_WSCALE : below(15);
	harness.service->window_max = once_in(2) ? 65535 : 1 + below(65535);
	if (listener >= 0) {
		maxseg = once_in(2) ? 0 : 88 + (int)below(32680);
		assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &maxseg, sizeof(maxseg)), 0);
	}
	usleep(11000);
}

static void are_answered(uint32_t changes)
{
	static struct offer offer;

	srandom(7);
	for (uint32_t i = 0; i < SYNS; i++) {
		if (changes && once_in(changes))
			change_interface();
		if (changes && once_in(100 * changes))
			change_service();
		harness.control->heartbeat_ns = monotonic_ns();
		make_offer(&offer);
		assert_answered(&offer);
	}
}

static int setup(void **state)
{
	int error = harness_reset(state);

	profile = interface_default();
	profile.admits = 1;
	interface_set(&profile);
	listener = -1;
	maxseg = 0;
	harness.service->engage = SHAKEOFF_ENGAGE_ALWAYS;
	harness.service->engage_rate = UINT32_MAX;
	return error;
}

static void every_syn_gets_its_own_answer(void **state)
{
	(void)state;
	are_answered(0);
}

static void so_it_does_while_the_interface_and_the_service_change(void **state)
{
	(void)state;
	are_answered(3);
}

static void so_it_does_in_front_of_a_listening_socket(void **state)
{
	(void)state;
	listener = listening_socket(&ipv6, "::", 10);
	harness.service->handoff = SHAKEOFF_HANDOFF_LISTENER;
	are_answered(3);
	close(listener);
}

#define TEST(function) cmocka_unit_test_setup(function, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_syn_gets_its_own_answer),
		TEST(so_it_does_while_the_interface_and_the_service_change),
		TEST(so_it_does_in_front_of_a_listening_socket),
	};

	return cmocka_run_group_tests_name("answers", tests, harness_start, harness_stop);
}

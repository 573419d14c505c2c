/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c */
/*
 * SYN-ACKs to random SYNs, each compared byte for byte with one that is made here from the rules, independent of the
 * state that the last SYN-ACK left, and of changes since to the interface and the service.
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

/* What the routes to the first and to the second half of the clients set; 0: nothing. */
static struct shakeoff_route routes[2][2];

static struct shakeoff_interface profile;

/* Of the listening socket; 0, or -1 for hop limits: not set. */
static struct {
	int fd, maxseg, rcvbuf, clamp;
	int ttl, hop_limit, tos, traffic_class;
} listener;

static bool kernel_takes_small; /* the service's budget of SYNs for the kernel is not used up */

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

/* ------------------------------------------------------------------------------------------------------------- SYNs */

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
	default: /* an unknown option */
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

	for (size_t remaining = COUNT(kinds); remaining; remaining--) {
		size_t chosen = below(remaining);
		int kind = kinds[chosen];

		kinds[chosen] = kinds[remaining - 1];
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
	offer->syn.reserved = once_in(4) ? below(16) : 0;
	offer->syn.tags = below(2); /* a SYN with two of them passes to the kernel */
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

/* ------------------------------------------------------------------------------------------- what is to be answered */

/* A client without timestamps gets only what the cookie can bring back: see shakeoff-limits(7). */
static void give_up(const struct offer *offer, bool *sack, bool *scale)
{
	static const int least[] = { 1300, 1340 }; /* IPv4, IPv6: an MSS below is of the smallest class */

	if (offer->mss < least[offer->ipv6])
		*sack = false;
	if (!*sack)
		*scale = false;
}

static bool by_listener(void)
{
	return harness.service->handoff == SHAKEOFF_HANDOFF_LISTENER;
}

static const struct shakeoff_route *route_to(const struct offer *offer)
{
	uint8_t address[16];

	inet_pton(offer->ipv6 ? AF_INET6 : AF_INET, offer->from, address);
	return &routes[offer->ipv6][offer->ipv6 ? address[0] >= 0x28 : address[0] >= 64];
}

static uint32_t offered_mss(const struct offer *offer)
{
	uint32_t mss = route_to(offer)->mss ? route_to(offer)->mss : profile.mss[offer->ipv6];

	return by_listener() && listener.maxseg && (uint32_t)listener.maxseg < mss ? (uint32_t)listener.maxseg : mss;
}

/* Computes the window: tcp_openreq_init_rwin(). Returns it; *space is the space in the buffer. */
static uint32_t bound_of(const struct offer *offer, uint32_t *space)
{
	bool locked = by_listener() ? listener.rcvbuf != 0 : harness.service->offer.rcv_locked != 0;
	uint32_t bound = by_listener() && listener.clamp ? (uint32_t)listener.clamp : route_to(offer)->window;
	socklen_t len = sizeof(int);
	int buffer = 0;

	*space = harness.service->offer.rcv_space;
	if (by_listener()) {
		assert_int_equal(getsockopt(listener.fd, SOL_SOCKET, SO_RCVBUF, &buffer, &len), 0);
		*space = buffer / 2;
	}
	if (locked && (!bound || bound > *space))
		bound = *space;
	return bound ? bound : 65535u << 14;
}

/* tcp_select_initial_window() */
static uint16_t offered_window(const struct offer *offer, bool timestamps, uint8_t *scale)
{
	uint32_t segment = offered_mss(offer) - (timestamps ? 12 : 0), space, window, bound = bound_of(offer, &space);
	uint32_t initrwnd = route_to(offer)->initrwnd;

	space = space < bound ? space : bound;
	if (space > segment)
		space = space / segment * segment;
	window = space;
	if (profile.signed_windows && window > 32767)
		window = 32767;
	if (initrwnd && window > initrwnd * segment)
		window = initrwnd * segment;
	if (profile.window_space > space)
		space = profile.window_space;
	if (space > bound)
		space = bound;
	for (*scale = 0; space > 65535 && *scale < 14; space >>= 1)
		++*scale;
	return window < 65535 ? window : 65535;
}

static size_t expected_options(const struct offer *offer, uint32_t tsval, uint8_t *options)
{
	bool timestamps = offer->timestamps && profile.timestamps, sack = offer->sack && profile.sack;
	bool scale = offer->scale != NO_SCALE && profile.window_scaling;
	uint8_t *at = options, our_scale;

	offered_window(offer, timestamps, &our_scale);
	if (!timestamps)
		give_up(offer, &sack, &scale);
	*at++ = 2, *at++ = 4;
	put16(at, offered_mss(offer));
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
	if (scale)
		*at++ = 1, *at++ = 3, *at++ = 3, *at++ = our_scale;
	return at - options;
}

/* Returns whether ECN is accepted. A marked SYN that requests ECN does not mean it, unless the client speaks AccECN. */
static bool takes_ecn(const struct offer *offer)
{
	return offer->ecn && by_listener() && (!(offer->syn.tos & 3) || offer->syn.reserved) &&
	       (profile.ecn || route_to(offer)->ecn);
}

static uint8_t expected_ttl(const struct offer *offer)
{
	int own = by_listener() ? (offer->ipv6 ? listener.hop_limit : listener.ttl) : -1;

	if (own >= 0)
		return own;
	return route_to(offer)->hop_limit ? route_to(offer)->hop_limit : profile.hop_limit[offer->ipv6];
}

static uint8_t expected_tos(const struct offer *offer)
{
	uint8_t own = by_listener() ? (offer->ipv6 ? listener.traffic_class : listener.tos) : 0;

	return profile.reflect_tos ? (offer->syn.tos & 0xfc) | (own & 3) : own;
}

/* Returns the verdict on a client that takes smaller segments than every path carries. */
static enum shakeoff_verdict expected_verdict(const struct offer *offer)
{
	if (!offer->mss || offer->mss >= (offer->ipv6 ? 1220 : 536))
		return SHAKEOFF_SYNACK_SENT;
	if (by_listener())
		return kernel_takes_small ? SHAKEOFF_SYN_SMALL_MSS : SHAKEOFF_SYNACK_SENT;
	return offer->timestamps && profile.timestamps && offer->mss >= 88 ? SHAKEOFF_SYNACK_SENT :
									     SHAKEOFF_SYN_MSS_DROP;
}

/*
 * Returns whether the MSS option is omitted: a SYN-ACK must not be longer than its SYN, or than Ethernet's shortest
 * frame.
 */
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
	uint8_t options[40], scale;
	struct segment answer = {
		.from = offer->ipv6 ? "2001:db8::1" : "10.9.0.1",
		.to = offer->from,
		.sport = 80,
		.dport = offer->syn.sport,
		.seq = reading->seq,
		.ack = offer->syn.seq + 1,
		.flags = SYN | ACK | (timestamps && takes_ecn(offer) ? ECE : 0),
		.window = offered_window(offer, timestamps, &scale),
		.options = { options, shortened(offer, expected_options(offer, reading->tsval, options), options) },
		.fragment = FRAGMENT_DF,
		.reply = true,
		.ttl = expected_ttl(offer),
		.tos = expected_tos(offer),
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
	enum shakeoff_verdict verdict = expected_verdict(offer);
	static struct frame out, expected;
	struct reading reading;

	assert_string_equal(verdict_name(run_segment(&offer->syn, &out)), verdict_name(verdict));
	if (verdict != SHAKEOFF_SYNACK_SENT)
		return;
	assert_null(frame_read(out.bytes, out.len, &reading));
	expected_answer(offer, &reading, &expected);
	assert_int_equal(out.len, expected.len);
	assert_memory_equal(out.bytes, expected.bytes, expected.len);
}

/* ------------------------------------------------------------------------------------------------------------ tests */

static void change_routes(void)
{
	static const char *const prefixes[2][2] = { { "0.0.0.0/2", "64.0.0.0/2" }, { "2000::/4", "2800::/5" } };

	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		for (int half = 0; half < 2; half++) {
			struct shakeoff_route *route = &routes[ipv6][half];

			*route = (struct shakeoff_route){ .id = 1 + 2 * ipv6 + half };
			route->mss = once_in(2) ? 0 : 88 + below(9000);
			route->window = once_in(2) ? 0 : 1 + below(200000);
			route->initrwnd = once_in(2) ? 0 : 1 + below(100);
			route->hop_limit = once_in(2) ? 0 : 1 + below(255);
			route->ecn = once_in(2);
			route_set(prefixes[ipv6][half], route);
		}
	}
}

static void change_interface(void)
{
	profile = interface_default();
	profile.admits = 1;
	profile.ecn = once_in(2);
	profile.sack = !once_in(3);
	profile.timestamps = !once_in(3);
	profile.window_scaling = !once_in(4);
	profile.signed_windows = once_in(4);
	profile.reflect_tos = once_in(3);
	profile.window_space = 1 + below(1u << (1 + below(30)));
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		profile.mss[ipv6] = 88 + below(65448);
		profile.hop_limit[ipv6] = 1 + below(255);
	}
	interface_set(&profile);
}

static void socket_set(int level, int option, int *value, int chosen)
{
	*value = chosen;
	assert_int_equal(setsockopt(listener.fd, level, option, value, sizeof(*value)), 0);
}

static void change_socket(void)
{
	socket_set(IPPROTO_TCP, TCP_MAXSEG, &listener.maxseg, once_in(2) ? 0 : 88 + (int)below(32680));
	/* These two cannot be reset. */
	if (once_in(4))
		socket_set(IPPROTO_TCP, TCP_WINDOW_CLAMP, &listener.clamp, 5000 + (int)below(200000));
	if (once_in(4))
		socket_set(SOL_SOCKET, SO_RCVBUF, &listener.rcvbuf, 1 + (int)below(200000));
	socket_set(IPPROTO_IP, IP_TTL, &listener.ttl, once_in(2) ? -1 : 1 + (int)below(255));
	socket_set(IPPROTO_IPV6, IPV6_UNICAST_HOPS, &listener.hop_limit, once_in(2) ? -1 : 1 + (int)below(255));
	socket_set(IPPROTO_IP, IP_TOS, &listener.tos, (int)below(64) << 2);
	socket_set(IPPROTO_IPV6, IPV6_TCLASS, &listener.traffic_class, (int)below(64) << 2);
}

/*
 * The settings of the service and of its socket raise no generation: they hold from the next tick on, at 100 a second
 * the slowest.
 */
static void change_service(void)
{
	harness.service->offer.rcv_space = 1 + below(200000);
	harness.service->offer.rcv_locked = once_in(2);
	kernel_takes_small = once_in(2);
	budget_spend(!kernel_takes_small);
	if (listener.fd >= 0)
		change_socket();
	usleep(11000);
}

static void are_answered(uint32_t changes)
{
	static struct offer offer;

	srandom(7);
	for (uint32_t i = 0; i < SYNS; i++) {
		if (changes && once_in(changes))
			change_interface();
		if (changes && once_in(10 * changes))
			change_routes();
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
	memset(routes, 0, sizeof(routes));
	memset(&listener, 0, sizeof(listener));
	listener.fd = listener.ttl = listener.hop_limit = -1;
	kernel_takes_small = false;
	budget_spend(true);
	harness.service->syncookies = SHAKEOFF_SYNCOOKIES_ALWAYS;
	harness.service->flood_rate = UINT32_MAX;
	return error;
}

static void every_syn_gets_its_own_synack(void **state)
{
	(void)state;
	are_answered(0);
}

static void every_syn_gets_its_own_synack_while_settings_change(void **state)
{
	(void)state;
	are_answered(3);
}

static void every_syn_to_a_listening_socket_gets_its_own_synack(void **state)
{
	(void)state;
	listener.fd = listening_socket(&ipv6, "::", 10);
	harness.service->handoff = SHAKEOFF_HANDOFF_LISTENER;
	are_answered(3);
	close(listener.fd);
}

#define TEST(function) cmocka_unit_test_setup(function, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_syn_gets_its_own_synack),
		TEST(every_syn_gets_its_own_synack_while_settings_change),
		TEST(every_syn_to_a_listening_socket_gets_its_own_synack),
	};

	return cmocka_run_group_tests_name("random SYN-ACKs", tests, harness_start, harness_stop);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c */
/*
 * What a SYN-ACK offers and its IP fields, compared with the kernel's: both answer the same SYN, for the same listening
 * socket, on the same route. The kernel's SYN-ACK comes over lo, and is read there.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness.h"
#include "sockets.h"

static int wire = -1; /* a packet socket at lo */
static int listener = -1;
static bool has_routes; /* the kernel's, to the clients */

/* ----------------------------------------------------------------------------------------------------------- set-up */

static void shell(const char *command)
{
	if (system(command))
		fail_msg("failed: %s", command);
}

#define SHELL(...)                                                                                                     \
	do {                                                                                                           \
		char command_[512];                                                                                    \
                                                                                                                       \
		snprintf(command_, sizeof(command_), __VA_ARGS__);                                                     \
		shell(command_);                                                                                       \
	} while (0)

/* Sets the kernel's routes to the clients. */
static void routes_of_clients(const char *metrics)
{
	SHELL("ip route replace local %s dev lo table local %s", ipv4.client, metrics);
	SHELL("ip -6 route flush %s table local && ip -6 route add local %s dev lo table local %s", ipv6.client,
	      ipv6.client, metrics);
}

static int open_wire(void)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = harness.ifindex };
	struct timeval patience = { .tv_sec = 10 };

	wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (wire < 0 || bind(wire, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	return setsockopt(wire, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* The sysctls that a test changes, with their values from before. */
#define SYSCTLS                                                                                                        \
	"sysctl -qw net.ipv4.tcp_ecn=1 net.ipv4.tcp_reflect_tos=0 net.ipv4.tcp_window_scaling=1 "                      \
	"net.ipv4.tcp_workaround_signed_windows=0"

/* Makes the host what the harness tells the hook about it. */
static int start(void **state)
{
	char command[512];

	if (harness_start(state) || open_wire())
		return -1;
	snprintf(command, sizeof(command),
		 "ip link set lo mtu 1500 && sysctl -qw net.ipv4.tcp_rmem='4096 131072 %d' net.ipv4.ip_default_ttl=%d "
		 "net.ipv6.conf.lo.hop_limit=%d && " SYSCTLS,
		 WINDOW_SPACE, OUR_TTL, OUR_HOP_LIMIT);
	return system(command);
}

static int stop(void **state)
{
	close(wire);
	return harness_stop(state);
}

static int setup(void **state)
{
	int error = harness_reset(state);
	struct shakeoff_interface profile = interface_default();

	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	profile.admits = profile.ecn = 1;
	interface_set(&profile);
	listener = listening_socket(&ipv6, "::", 100);
	return error;
}

static int teardown(void **state)
{
	(void)state;
	close(listener);
	if (has_routes)
		routes_of_clients("");
	has_routes = false;
	shell(SYSCTLS);
	return 0;
}

/* ---------------------------------------------------------------------------------------------------- both SYN-ACKs */

/* Reads a segment of the kernel: over lo it has no checksum, and in IPv6 it has a flow label. */
static bool wire_read(const uint8_t *frame, size_t len, struct reading *reading)
{
	const uint8_t *ip = frame + ETH_HLEN;

	*reading = (struct reading){ .ipv6 = get16(ip - 2) == ETH_P_IPV6 };
	len -= ETH_HLEN;
	if (reading->ipv6) {
		reading->ttl = ip[7];
		reading->tos = get16(ip) >> 4;
		return ip[6] == IPPROTO_TCP && !frame_read_tcp(ip + 40, len - 40, reading);
	}
	reading->ttl = ip[8];
	reading->tos = ip[1];
	return get16(ip - 2) == ETH_P_IP && ip[9] == IPPROTO_TCP && !frame_read_tcp(ip + 20, len - 20, reading);
}

static void kernel_answers(const struct segment *syn, struct reading *reading)
{
	static uint8_t frame[FRAME_MAX];
	ssize_t len;

	kernel_receives(syn);
	do {
		len = recv(wire, frame, sizeof(frame), 0);
		if (len < 54)
			fail_msg("the kernel did not answer a SYN");
	} while (!wire_read(frame, len, reading) || (reading->flags & (SYN | ACK)) != (SYN | ACK) ||
		 reading->ack != syn->seq + 1 || reading->dport != syn->sport);
}

/* Only their clocks and the cookie may differ. */
static void assert_as_the_kernel(const struct segment *syn, struct reading *hook)
{
	struct reading kernel;

	run_answered(syn, SHAKEOFF_SYNACK_SENT, hook);
	kernel_answers(syn, &kernel);
	assert_int_equal(hook->flags, kernel.flags);
	assert_int_equal(hook->tos, kernel.tos);
	assert_int_equal(hook->ttl, kernel.ttl);
	assert_int_equal(hook->window, kernel.window);
	assert_int_equal(hook->timestamps, kernel.timestamps);
	assert_int_equal(hook->tsecr, kernel.tsecr);
	if (hook->timestamps) {
		memset(hook->options + 8, 0, 4);
		memset(kernel.options + 8, 0, 4);
	}
	assert_int_equal(hook->options_len, kernel.options_len);
	assert_memory_equal(hook->options, kernel.options, kernel.options_len);
}

/* SYN options that make a difference here. */
static const struct segment likes[] = {
	LINUX_SYN,
	WINDOWS_SYN,
	{ .seq = CLIENT_ISN, .flags = SYN, .options = BYTES(2, 4, 0x05, 0xb4) },
	{ .seq = CLIENT_ISN, .flags = SYN | ECE | CWR, .options = LINUX_OPTIONS },
	{ .seq = CLIENT_ISN, .flags = SYN | ECE | CWR, .tos = 2, .options = LINUX_OPTIONS },
	{ .seq = CLIENT_ISN, .flags = SYN, .tos = 0xb8, .options = LINUX_OPTIONS },
};

/* Compares both for all options of both families. Returns the SYN-ACKs of the first options. */
static void both_answer_alike(struct reading *answer4, struct reading *answer6)
{
	static uint16_t port = 20000;
	const struct family *const families[] = { &ipv4, &ipv6 };

	generation_raise(); /* the socket has changed */
	for (size_t i = 0; i < COUNT(likes); i++) {
		for (size_t k = 0; k < COUNT(families); k++) {
			struct segment syn = likes[i];
			struct reading answer;

			syn.from = families[k]->client;
			syn.to = families[k]->server;
			syn.sport = ++port;
			assert_as_the_kernel(&syn, &answer);
			if (!i)
				*(k ? answer6 : answer4) = answer;
		}
	}
}

static void socket_set(int level, int option, int value)
{
	assert_int_equal(setsockopt(listener, level, option, &value, sizeof(value)), 0);
}

/* Sets a route as iproute2 does, and publishes it as the daemon would. */
static void clients_have_route(const char *metrics, const struct shakeoff_route *route)
{
	has_routes = true;
	routes_of_clients(metrics);
	route_set(ipv4.client, route);
	route_set(ipv6.client, route);
}

/* ------------------------------------------------------------------------------------------------------------ tests */

static void a_plain_socket(void **state)
{
	struct reading answer4, answer6;

	(void)state;
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(answer4.ttl, OUR_TTL);
	assert_int_equal(answer6.ttl, OUR_HOP_LIMIT);
	assert_int_equal(answer4.tos | answer6.tos, 0);
	assert_int_equal(get16(answer4.options + 2), MSS4);
	assert_int_equal(get16(answer6.options + 2), MSS6);
	assert_int_equal(answer4.options[19], OUR_WSCALE);
}

static void tos_and_traffic_class_of_the_socket(void **state)
{
	struct reading answer4, answer6;

	(void)state;
	socket_set(IPPROTO_IP, IP_TOS, 0x48);
	socket_set(IPPROTO_IPV6, IPV6_TCLASS, 0x88);
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(answer4.tos, 0x48);
	assert_int_equal(answer6.tos, 0x88);
}

static void ttl_and_hop_limit_of_the_socket(void **state)
{
	struct reading answer4, answer6;

	(void)state;
	socket_set(IPPROTO_IP, IP_TTL, 17);
	socket_set(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 18);
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(answer4.ttl, 17);
	assert_int_equal(answer6.ttl, 18);
}

static void the_hop_limit_of_a_route(void **state)
{
	const struct shakeoff_route route = { .hop_limit = 33, .id = 1 };
	struct reading answer4, answer6;

	(void)state;
	clients_have_route("hoplimit 33", &route);
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(answer4.ttl, 33);
	assert_int_equal(answer6.ttl, 33);
	socket_set(IPPROTO_IP, IP_TTL, 17); /* comes before it */
	socket_set(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 18);
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(answer4.ttl, 17);
	assert_int_equal(answer6.ttl, 18);
}

static void the_advmss_of_a_route(void **state)
{
	const struct shakeoff_route route = { .mss = 1300, .id = 1 };
	struct reading answer4, answer6;

	(void)state;
	clients_have_route("advmss 1300", &route);
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(get16(answer4.options + 2), 1300);
	assert_int_equal(get16(answer6.options + 2), 1300);
	socket_set(IPPROTO_TCP, TCP_MAXSEG, 1000);
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(get16(answer4.options + 2), 1000);
}

static void the_window_of_a_route(void **state)
{
	static const int windows[] = { 5000, 30000, 100000 };
	struct shakeoff_route route = { .id = 1 };
	struct reading answer4, answer6;
	char metrics[64];

	(void)state;
	for (size_t i = 0; i < COUNT(windows); i++, route.id++) {
		route.window = windows[i];
		snprintf(metrics, sizeof(metrics), "window %d", windows[i]);
		clients_have_route(metrics, &route);
		both_answer_alike(&answer4, &answer6);
		assert_true(answer4.window <= windows[i]);
	}
}

static void the_initrwnd_of_a_route(void **state)
{
	const struct shakeoff_route route = { .initrwnd = 3, .id = 1 };
	struct reading answer4, answer6;

	(void)state;
	clients_have_route("initrwnd 3", &route);
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(answer4.window, 3 * SEGMENT(0, 1));
	assert_int_equal(answer6.window, 3 * SEGMENT(1, 1));
}

static void ecn_of_a_route(void **state)
{
	const struct shakeoff_route with = { .ecn = 1, .id = 1 };
	struct shakeoff_interface profile = interface_default();
	struct reading answer4, answer6;

	(void)state;
	shell("sysctl -qw net.ipv4.tcp_ecn=0");
	profile.admits = 1;
	interface_set(&profile);
	both_answer_alike(&answer4, &answer6);
	clients_have_route("features ecn", &with);
	both_answer_alike(&answer4, &answer6);
}

static void a_receive_buffer(void **state)
{
	static const int buffers[] = { 2000, 5000, 20000, 40000, 100000 };
	struct reading answer4, answer6;

	(void)state;
	for (size_t i = 0; i < COUNT(buffers); i++) {
		socket_set(SOL_SOCKET, SO_RCVBUF, buffers[i]);
		both_answer_alike(&answer4, &answer6);
	}
}

static void a_window_clamp(void **state)
{
	static const int clamps[] = { 3000, 10000, 70000, 200000 };
	const struct shakeoff_route route = { .window = 5000, .id = 1 };
	struct reading answer4, answer6;

	(void)state;
	for (size_t i = 0; i < COUNT(clamps); i++) {
		socket_set(IPPROTO_TCP, TCP_WINDOW_CLAMP, clamps[i]);
		both_answer_alike(&answer4, &answer6);
		assert_true(answer4.window <= clamps[i]);
	}
	clients_have_route("window 5000", &route); /* the socket's value has precedence */
	both_answer_alike(&answer4, &answer6);
	assert_true(answer4.window > 5000);
}

static void reflected_tos(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct reading answer4, answer6;

	(void)state;
	shell("sysctl -qw net.ipv4.tcp_reflect_tos=1");
	profile.admits = profile.ecn = profile.reflect_tos = 1;
	interface_set(&profile);
	socket_set(IPPROTO_IP, IP_TOS, 0x48);
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(answer4.tos, 0);
}

static void window_scaling_switched_off(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct reading answer4, answer6;

	(void)state;
	shell("sysctl -qw net.ipv4.tcp_window_scaling=0");
	profile.admits = profile.ecn = 1;
	profile.window_scaling = 0;
	interface_set(&profile);
	both_answer_alike(&answer4, &answer6);
}

static void signed_windows(void **state)
{
	struct shakeoff_interface profile = interface_default();
	struct reading answer4, answer6;

	(void)state;
	shell("sysctl -qw net.ipv4.tcp_workaround_signed_windows=1");
	profile.admits = profile.ecn = profile.signed_windows = 1;
	interface_set(&profile);
	both_answer_alike(&answer4, &answer6);
	assert_int_equal(answer4.window, 32767);
}

/* ----------------------------------------------------------------------------------------------------------- routes */

static uint8_t ttl_towards(const char *client)
{
	struct segment syn = LINUX_SYN;
	struct reading answer;

	syn.from = client;
	run_answered(&syn, SHAKEOFF_SYNACK_SENT, &answer);
	return answer.ttl;
}

static void the_longest_prefix_counts(void **state)
{
	const struct shakeoff_route wide = { .hop_limit = 10, .id = 1 }, narrow = { .hop_limit = 20, .id = 2 },
				    as_ever = { .id = 3 };

	(void)state;
	route_set("198.0.0.0/8", &wide);
	route_set("198.51.100.0/24", &narrow);
	route_set("198.51.100.9", &as_ever);
	route_set("2001::/16", &wide);
	route_set("2001:db8:7::/48", &narrow);
	route_set("2001:db8:7::9", &as_ever);
	assert_int_equal(ttl_towards("198.52.100.7"), 10);
	assert_int_equal(ttl_towards("198.51.100.7"), 20);
	assert_int_equal(ttl_towards("198.51.100.9"), OUR_TTL);
	assert_int_equal(ttl_towards("199.51.100.7"), OUR_TTL);
	assert_int_equal(ttl_towards("2001:db8:8::7"), 10);
	assert_int_equal(ttl_towards("2001:db8:7::7"), 20);
	assert_int_equal(ttl_towards("2001:db8:7::9"), OUR_HOP_LIMIT);
	assert_int_equal(ttl_towards("2002:db8:7::7"), OUR_HOP_LIMIT);
}

/* The route that is kept for one client must not be used for another: within a tick, in turn. */
static void clients_of_two_routes_get_different_offers(void **state)
{
	const struct shakeoff_route one = { .hop_limit = 10, .id = 1 }, other = { .hop_limit = 20, .id = 2 };

	(void)state;
	route_set("198.51.100.7", &one);
	route_set("198.51.100.8", &other);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(ttl_towards("198.51.100.7"), 10);
		assert_int_equal(ttl_towards("198.51.100.8"), 20);
		assert_int_equal(ttl_towards("198.51.100.9"), OUR_TTL);
		assert_int_equal(ttl_towards("2001:db8:7::7"), OUR_HOP_LIMIT);
	}
}

static void without_the_flag_routes_are_not_looked_up(void **state)
{
	const struct shakeoff_route route = { .hop_limit = 10, .id = 1 };

	(void)state;
	route_set("0.0.0.0/0", &route);
	route_set("::/0", &route);
	assert_int_equal(ttl_towards("198.51.100.7"), 10);
	assert_int_equal(ttl_towards("2001:db8:7::7"), 10);
	harness.control->flags &= ~SHAKEOFF_ROUTES4;
	assert_int_equal(ttl_towards("198.51.100.7"), OUR_TTL);
	assert_int_equal(ttl_towards("2001:db8:7::7"), 10);
	harness.control->flags ^= SHAKEOFF_ROUTES4 | SHAKEOFF_ROUTES6;
	assert_int_equal(ttl_towards("198.51.100.7"), 10);
	assert_int_equal(ttl_towards("2001:db8:7::7"), OUR_HOP_LIMIT);
}

/*
 * A client's route also applies to its connection: the window scale of the SYN-ACK is computed from it again when the
 * ACK comes.
 */
static void with_the_queue_handoff_the_route_counts_as_well(void **state)
{
	const struct shakeoff_route route = { .window = 100000, .mss = 1000, .hop_limit = 10, .id = 1 };
	const struct segment syn = LINUX_SYN;
	const struct shakeoff_event *event;
	struct client client;

	(void)state;
	harness.service->handoff = SHAKEOFF_HANDOFF_QUEUE;
	route_set("198.51.100.0/24", &route);
	client_connect(&client, &syn);
	assert_int_equal(client.synack.ttl, 10);
	assert_int_equal(get16(client.synack.options + 2), 1000);
	assert_int_equal(client.synack.options[19], 1); /* 100000 is more than 2^16 */
	assert_int_equal(client.synack.window, RCV_SPACE / 988 * 988);
	assert_verdict(&client.ack, SHAKEOFF_ACK_VALID);
	event = expect_event(SHAKEOFF_EVENT_OPEN);
	assert_int_equal(event->rcv_wscale, 1);
	assert_int_equal(event->rcv_wnd, client.synack.window);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_socket),
		TEST(tos_and_traffic_class_of_the_socket),
		TEST(ttl_and_hop_limit_of_the_socket),
		TEST(the_hop_limit_of_a_route),
		TEST(the_advmss_of_a_route),
		TEST(the_window_of_a_route),
		TEST(the_initrwnd_of_a_route),
		TEST(ecn_of_a_route),
		TEST(a_receive_buffer),
		TEST(a_window_clamp),
		TEST(reflected_tos),
		TEST(window_scaling_switched_off),
		TEST(signed_windows),
		TEST(the_longest_prefix_counts),
		TEST(clients_of_two_routes_get_different_offers),
		TEST(without_the_flag_routes_are_not_looked_up),
		TEST(with_the_queue_handoff_the_route_counts_as_well),
	};

	return cmocka_run_group_tests_name("offers", tests, start, stop);
}

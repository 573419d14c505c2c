/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness*.c tests/bpf/sockets.c tests/bpf/wire.c */
/*
 * The tc program makes connections from validated ACKs: their options, numbers and clock, and the listening socket that
 * gets them.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "wire.h"

#define TCX_FIRST (1u << 3) /* BPF_F_BEFORE, likewise */

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

/* ------------------------------------------------------------------------------------------------------ connections */

struct row {
	const char *name;
	struct segment syn;
	uint32_t options; /* TCPI_OPT_* */
	uint32_t mss;     /* without room for timestamps */
	uint8_t snd_wscale, rcv_wscale;
	int maxseg; /* TCP_MAXSEG of the listening socket; 0: none */
};

#define OPTIONS_LINUX (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE)

static const struct row rows[] = {
	{ "Linux's options", LINUX_SYN, OPTIONS_LINUX, 1448, 7, OUR_WSCALE, 0 },
	{ "Linux's options, IPv6", LINUX_SYN6, OPTIONS_LINUX, 1428, 7, OUR_WSCALE, 0 },
	{ "Windows' options", WINDOWS_SYN, TCPI_OPT_SACK | TCPI_OPT_WSCALE, 1460, 8, OUR_WSCALE, 0 },
	{ "Windows' options, IPv6", WINDOWS_SYN6, TCPI_OPT_SACK | TCPI_OPT_WSCALE, 1440, 8, OUR_WSCALE, 0 },
	{ "no options", { .seq = CLIENT_ISN, .flags = SYN }, 0, 536, 0, 0, 0 },
	{ "ECN",
	  { .seq = CLIENT_ISN, .flags = SYN | ECE | CWR, .options = LINUX_OPTIONS },
	  OPTIONS_LINUX | TCPI_OPT_ECN,
	  1448,
	  7,
	  OUR_WSCALE,
	  0 },
	{ "TCP_MAXSEG", LINUX_SYN, OPTIONS_LINUX, 988, 7, OUR_WSCALE, 1000 },
	{ "TCP_MAXSEG, IPv6", LINUX_SYN6, OPTIONS_LINUX, 1288, 7, OUR_WSCALE, 1300 },
	{ "TCP_MAXSEG, more than the client's MSS", LINUX_SYN, OPTIONS_LINUX, 1448, 7, OUR_WSCALE, 1461 },
	{ "TCP_MAXSEG, less than the kernel takes", LINUX_SYN, OPTIONS_LINUX, 524, 7, OUR_WSCALE, 535 },
	{ "TCP_MAXSEG, less than the kernel takes, IPv6", LINUX_SYN6, OPTIONS_LINUX, 1208, 7, OUR_WSCALE, 1219 },
};

static void the_connection_has_what_was_negotiated(void **state)
{
	const struct row *row = *state;
	const struct family *family = segment_is_ipv6(&row->syn) ? &ipv6 : &ipv4;
	struct shakeoff_interface profile = interface_default();
	socklen_t len = sizeof(struct tcp_info);
	struct tcp_info info;
	struct client client;

	wire_listens(family, family->server);
	assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &row->maxseg, sizeof(row->maxseg)), 0);
	profile.admits = profile.ecn = 1;
	interface_set(&profile);
	client_asks(&client, &row->syn);
	client.ack.window = 64240; /* a small one would bound the MSS */
	wire_send(&client.ack);
	accepts();
	assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(info.tcpi_state, 1 /* ESTABLISHED */);
	assert_int_equal(info.tcpi_options & (OPTIONS_LINUX | TCPI_OPT_ECN), row->options);
	assert_int_equal(info.tcpi_snd_mss, row->mss);
	assert_int_equal(info.tcpi_snd_wscale, row->snd_wscale);
	assert_int_equal(info.tcpi_rcv_wscale, row->rcv_wscale);
}

static void the_connection_has_the_clients_address_and_is_counted(void **state)
{
	struct shakeoff_service_counters before, after;
	struct shakeoff_validated entry;
	union address peer = { 0 };
	socklen_t len = sizeof(peer);
	struct client client;
	char text[64];

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	before = counters();
	connects(&client, &linux_syn);
	assert_int_equal(getpeername(accepted, &peer.any, &len), 0);
	assert_string_equal(inet_ntop(AF_INET, &peer.in.sin_addr, text, sizeof(text)), "198.51.100.7");
	assert_int_equal(ntohs(peer.in.sin_port), 40000);
	after = counters();
	assert_int_equal(after.admitted - before.admitted, 1);
	assert_int_equal(after.unadmitted - before.unadmitted, 0);
	assert_int_equal(harness.service->enqueued, 1);
	assert_int_equal(harness.service->dequeued, 1);
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.flags & SHAKEOFF_VALIDATED_ADMITTED, SHAKEOFF_VALIDATED_ADMITTED);
}

static struct shakeoff_admissions admissions(void)
{
	struct bpf_map *map = bpf_object__find_map_by_name(harness.object, "admissions");
	struct shakeoff_admissions counted = { 0 };

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &harness.ifindex, &counted), 0);
	return counted;
}

static void admissions_begin(void)
{
	struct bpf_map *map = bpf_object__find_map_by_name(harness.object, "admissions");
	const struct shakeoff_admissions none = { 0 };

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &harness.ifindex, &none, BPF_ANY), 0);
}

static void both_programs_count_an_ack_at_its_interface(void **state)
{
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	admissions_begin();
	connects(&client, &linux_syn);
	assert_int_equal(admissions().claimed, 1);
	assert_int_equal(admissions().reached, 1);
}

/* Attaches a program before ours that lets packets pass to the stack. */
static void an_ack_that_misses_the_tc_program_is_counted_as_missed(void **state)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_link_create_opts, first, .flags = TCX_FIRST);
	struct client client;
	int program, link;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	admissions_begin();
	client_asks(&client, &linux_syn);
	program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "pass", "GPL", pass, 2, NULL);
	assert_true(program >= 0);
	link = bpf_link_create(program, harness.ifindex, TCX_INGRESS, &first);
	assert_true(link >= 0);
	wire_send(&client.ack);
	accepts_nothing();
	close(link);
	close(program);
	assert_int_equal(admissions().claimed, 1);
	assert_int_equal(admissions().reached, 0);
}

/* While it moves to the front it is attached twice, and both see a packet. */
static void the_tc_program_attached_twice_makes_one_connection(void **state)
{
	LIBBPF_OPTS(bpf_link_create_opts, first, .flags = TCX_FIRST);
	struct admit *before;
	struct client client;
	int link;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	admissions_begin();
	before = admit;
	assert_int_equal(load_admit(), 0);
	link = bpf_link_create(bpf_program__fd(admit->progs.shakeoff_admit), harness.ifindex, TCX_INGRESS, &first);
	assert_true(link >= 0);
	client_asks(&client, &linux_syn);
	client.ack.flags |= PSH;
	client.ack.payload = (struct bytes)BYTES('G', 'E', 'T');
	wire_send(&client.ack);
	accepts();
	reads("GET");
	close(link);
	admit__destroy(admit);
	admit = before;
	assert_int_equal(admissions().claimed, 1);
	assert_int_equal(admissions().reached, 1);
	assert_int_equal(counters().unadmitted, 0);
	assert_int_equal(harness.service->dequeued, 1);
}

static void the_servers_numbers_and_clock_continue_from_the_syn_ack(void **state)
{
	static struct frame frame;
	struct reading reading;
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	connects(&client, &linux_syn);
	assert_int_equal(write(accepted, "hello", 5), 5);
	wire_receive(40000, &frame, &reading);
	assert_int_equal(reading.seq, client.synack.seq + 1);
	assert_int_equal(reading.payload_len, 5);
	/* In a segment with data the timestamps are first. */
	assert_true((int32_t)(get32(reading.options + 4) - client.synack.tsval) >= 0);
	assert_true((int32_t)(get32(reading.options + 4) - client.synack.tsval) < 60000);
}

static void data_with_the_final_ack_is_there_at_once(void **state)
{
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	client_asks(&client, &linux_syn);
	client.ack.flags |= PSH;
	client.ack.payload = (struct bytes)BYTES('G', 'E', 'T');
	wire_send(&client.ack);
	accepts();
	reads("GET");
}

static void data_right_after_the_final_ack_is_there_too(void **state)
{
	struct client client;
	struct segment data;
	char byte;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	client_asks(&client, &linux_syn);
	data = client.ack;
	data.flags |= PSH;
	data.payload = (struct bytes)BYTES('G', 'E', 'T');
	wire_send(&client.ack);
	wire_send(&data);
	data.seq += 3;
	data.flags |= FIN;
	wire_send(&data);
	accepts();
	reads("GETGET");
	assert_int_equal(recv(accepted, &byte, 1, 0), 0);
}

static void a_duplicate_of_the_ack_opens_nothing(void **state)
{
	struct shakeoff_service_counters before;
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	before = counters();
	client_asks(&client, &linux_syn);
	for (int i = 0; i < 3; i++)
		wire_send(&client.ack);
	accepts();
	accepts_nothing();
	assert_int_equal(counters().admitted - before.admitted, 1);
}

static void a_segment_that_meets_the_socket_confirms_the_connection(void **state)
{
	struct shakeoff_validated entry = { 0 };
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	connects(&client, &linux_syn);
	for (int i = 0; i < 10000 && !(entry.flags & SHAKEOFF_VALIDATED_CONFIRMED); i++) {
		wire_send(&client.ack);
		usleep(1000);
		assert_true(validated_get(&client.ack, &entry));
	}
	assert_int_equal(entry.flags, SHAKEOFF_VALIDATED_ADMITTED | SHAKEOFF_VALIDATED_CONFIRMED);
}

/* Without the hint its later segments are not looked up. */
static void an_ack_that_arrives_with_its_metadata_has_no_hint_any_more(void **state)
{
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	connects(&client, &linux_syn);
	assert_int_equal(filter_get(&client.ack, 0), SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED);
}

/* ------------------------------------------------------------------------------------------------ listening sockets */

static void a_dual_stack_socket_gets_both_families(void **state)
{
	struct client client;

	(void)state;
	wire_listens(&ipv6, "::");
	connects(&client, &linux_syn);
	reset_socket(&accepted);
	connects(&client, &linux_syn6);
}

static void a_socket_bound_to_the_device_gets_its_connections(void **state)
{
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "s0", 3), 0);
	connects(&client, &linux_syn);
}

static void a_client_behind_a_vlan_tag_gets_its_connection(void **state)
{
	struct segment syn = LINUX_SYN;
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	syn.tags = 1;
	syn.priority_tag = true;
	connects(&client, &syn);
}

static void sockets_that_share_the_port_share_the_connections(void **state)
{
	struct segment syn = LINUX_SYN;
	int of_one = 0, of_other = 0, one = 1;

	(void)state;
	need_admit();
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	other_listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	for (int i = 0; i < 2; i++) {
		union address address = make_address(&ipv4, ipv4.server, 80);
		int fd = i ? other_listener : listener;

		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
		assert_int_equal(bind(fd, &address.any, sizeof(address.in)), 0);
		assert_int_equal(listen(fd, 64), 0);
	}
	for (int i = 0; i < 32; i++) {
		struct client client;

		syn.sport = 43000 + i;
		client_asks(&client, &syn);
		wire_send(&client.ack);
	}
	for (int i = 0; i < 10000 && of_one + of_other < 32; i++) {
		usleep(1000);
		while ((accepted = accept(listener, NULL, NULL)) >= 0) {
			of_one++;
			reset_socket(&accepted);
		}
		while ((accepted = accept(other_listener, NULL, NULL)) >= 0) {
			of_other++;
			reset_socket(&accepted);
		}
	}
	assert_int_equal(of_one + of_other, 32);
	assert_true(of_one && of_other); /* the probability that this is chance is 2^-31 */
}

/* ------------------------------------------------------------------------------------------------------ round trips */

static struct tcp_info connects_after(struct client *client, const struct segment *syn, unsigned int delay_us)
{
	socklen_t len = sizeof(struct tcp_info);
	struct tcp_info info;

	client_asks(client, syn);
	usleep(delay_us);
	wire_send(&client->ack);
	accepts();
	assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info;
}

static void the_first_round_trip_sample_is_the_handshake(void **state)
{
	const unsigned int delays[] = { 30000, 300000 };
	struct segment syn = LINUX_SYN;
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	for (size_t i = 0; i < COUNT(delays); i++) {
		syn.sport = 44000 + i;
		/* A tick of a coarse clock, and a millisecond for rounding; a slow machine makes it longer. */
		assert_in_range(connects_after(&client, &syn, delays[i]).tcpi_rtt, delays[i] - 10000,
				delays[i] + 60000);
		reset_socket(&accepted);
	}
}

static void in_a_fleet_the_echo_gives_no_round_trip_sample(void **state)
{
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	harness.control->flags |= SHAKEOFF_ACCEPT_NEXT_EPOCH;
	assert_int_equal(connects_after(&client, &linux_syn, 100000).tcpi_rtt, 0);
}

static void a_client_that_leaves_its_timestamps_out_is_served_without_options(void **state)
{
	socklen_t len = sizeof(struct tcp_info);
	struct tcp_info info;
	struct client client;

	(void)state;
	wire_listens(&ipv4, ipv4.server);
	client_asks(&client, &linux_syn);
	client.ack.options.len = 0;
	client.ack.window = 64240; /* a small one would bound the MSS */
	client.ack.payload = (struct bytes)BYTES('G', 'E', 'T');
	wire_send(&client.ack);
	accepts();
	reads("GET");
	assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(info.tcpi_options & OPTIONS_LINUX, 0);
	assert_int_equal(info.tcpi_snd_mss, 536);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, wire_setup, wire_teardown)

int main(void)
{
	const struct CMUnitTest others[] = {
		TEST(the_connection_has_the_clients_address_and_is_counted),
		TEST(both_programs_count_an_ack_at_its_interface),
		TEST(an_ack_that_misses_the_tc_program_is_counted_as_missed),
		TEST(the_tc_program_attached_twice_makes_one_connection),
		TEST(the_servers_numbers_and_clock_continue_from_the_syn_ack),
		TEST(data_with_the_final_ack_is_there_at_once),
		TEST(data_right_after_the_final_ack_is_there_too),
		TEST(a_duplicate_of_the_ack_opens_nothing),
		TEST(a_segment_that_meets_the_socket_confirms_the_connection),
		TEST(an_ack_that_arrives_with_its_metadata_has_no_hint_any_more),
		TEST(a_dual_stack_socket_gets_both_families),
		TEST(a_socket_bound_to_the_device_gets_its_connections),
		TEST(a_client_behind_a_vlan_tag_gets_its_connection),
		TEST(sockets_that_share_the_port_share_the_connections),
		TEST(the_first_round_trip_sample_is_the_handshake),
		TEST(in_a_fleet_the_echo_gives_no_round_trip_sample),
		TEST(a_client_that_leaves_its_timestamps_out_is_served_without_options),
	};
	struct CMUnitTest tests[COUNT(rows) + COUNT(others)], *test = tests;

	for (size_t i = 0; i < COUNT(rows); i++)
		*test++ = (struct CMUnitTest){ rows[i].name, the_connection_has_what_was_negotiated, wire_setup,
					       wire_teardown, (void *)&rows[i] };
	memcpy(test, others, sizeof(others));
	return cmocka_run_group_tests_name("connections of the tc program", tests, wire_start, wire_stop);
}

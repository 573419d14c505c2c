/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* link: tests/bpf/harness.c tests/bpf/sockets.c */
/*
 * The tc program, behind the XDP program, in front of real listening sockets: a client made of frames stands at c0, the
 * other end of a veth pair; at s0 hang the programs. Its connections come out of accept(). Skipped before kernel 6.9.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "harness.h"
#include "sockets.h"
#include "metadata.h"

#include "admit.skel.h"

#define TCX_INGRESS 46      /* BPF_TCX_INGRESS, kernel 6.6 */
#define TCX_FIRST (1u << 3) /* BPF_F_BEFORE, likewise */
#define TCX_NEXT (-1)
#define TCX_DROP 2
#define TCX_REDIRECT 7

#define SECOND 1000000000ull
#define WAIT_NS 15000000ll /* so long a segment waits for its connection's socket */

static const struct segment linux_syn = LINUX_SYN, linux_syn6 = LINUX_SYN6;

static struct admit *admit;
static int wire = -1; /* a packet socket at c0 */
static int listener = -1, other_listener = -1, accepted = -1;

/* ---------------------------------------------------------------------------------------------------------- set-up */

static bool kernel_can(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool can = btf && btf__find_by_name_kind(btf, "bpf_sk_assign_tcp_reqsk", BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return can;
}

static int make_network(void)
{
	static const char *const commands[] = {
		"ip link add s0 address 02:00:00:00:00:01 type veth peer name c0 address 02:00:00:00:00:02",
		"for i in s0 c0; do sysctl -qw net.ipv6.conf.$i.accept_dad=0 && ip link set $i up; done",
		"ip route add 198.51.100.0/24 dev s0",
		"ip neigh add 198.51.100.7 lladdr 02:00:00:00:00:02 dev s0",
		"ip -6 route add 2001:db8:7::/64 dev s0",
		"ip -6 neigh add 2001:db8:7::7 lladdr 02:00:00:00:00:02 dev s0",
	};

	for (size_t i = 0; i < COUNT(commands); i++)
		if (system(commands[i]))
			return -1;
	return 0;
}

static int load_admit(void)
{
	admit = admit__open();
	if (!admit)
		return -1;
	return harness_share_maps(admit->obj) || admit__load(admit) ? -1 : 0;
}

/* A veth gives back what XDP sends only to a peer that has an XDP program, too. */
static int attach_pass(const char *ifname)
{
	static const struct bpf_insn instructions[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", instructions, 2, NULL), err;

	err = fd < 0 ? fd : bpf_xdp_attach(if_nametoindex(ifname), fd, XDP_FLAGS_DRV_MODE, NULL);
	close(fd);
	return err;
}

static int open_wire(void)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = if_nametoindex("c0") };
	struct timeval patience = { .tv_sec = 10 };

	wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (wire < 0 || bind(wire, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	return setsockopt(wire, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static int start(void **state)
{
	if (!kernel_can())
		return 0;
	if (harness_start(state) || make_network() || load_admit() || attach_pass("c0") || open_wire())
		return -1;
	harness.ifindex = if_nametoindex("s0");
	return bpf_link_create(bpf_program__fd(admit->progs.shakeoff_admit), harness.ifindex, TCX_INGRESS, NULL) < 0;
}

static int stop(void **state)
{
	if (!admit)
		return 0;
	close(wire);
	admit__destroy(admit);
	return harness_stop(state);
}

static int setup(void **state)
{
	if (!admit)
		return 0;
	bpf_xdp_attach(harness.ifindex, harness.plain_program, XDP_FLAGS_DRV_MODE, NULL);
	return harness_reset(state);
}

static int teardown(void **state)
{
	(void)state;
	reset_socket(&accepted);
	reset_socket(&other_listener);
	reset_socket(&listener);
	return 0;
}

static void need_admit(void)
{
	if (!admit)
		skip(); /* no bpf_sk_assign_tcp_reqsk */
}

static void listens(const struct family *family, const char *text)
{
	need_admit();
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(family, text, 32);
}

/* --------------------------------------------------------------------------------------------------------- the client */

static void wire_send(const struct segment *segment)
{
	static struct frame frame;

	frame_make(&frame, segment);
	validated_note(segment);
	assert_int_equal(send(wire, frame.bytes, frame.len, 0), frame.len);
}

/* Reads a TCP segment, be it the hook's or the kernel's own: those leave their checksum to the card. */
static bool segment_read(const struct frame *frame, struct reading *reading)
{
	const uint8_t *ip = frame->bytes + ETH_HLEN;
	size_t len = frame->len - ETH_HLEN;

	*reading = (struct reading){ .ipv6 = get16(ip - 2) == ETH_P_IPV6 };
	if (!reading->ipv6 && get16(ip - 2) == ETH_P_IP && ip[9] == IPPROTO_TCP && get16(ip + 2) <= len)
		return !frame_read_tcp(ip + 20, get16(ip + 2) - 20, reading);
	return reading->ipv6 && ip[6] == IPPROTO_TCP && 40u + get16(ip + 4) <= len &&
	       !frame_read_tcp(ip + 40, get16(ip + 4), reading);
}

/* The next segment that comes back to the port. */
static void wire_receive(uint16_t port, struct frame *frame, struct reading *reading)
{
	ssize_t len;

	do {
		len = recv(wire, frame->bytes, sizeof(frame->bytes), 0);
		if (len < 0)
			fail_msg("nothing came back: %s", strerror(errno));
		frame->len = len;
	} while (memcmp(frame->bytes, frame_client_mac, 6) || !segment_read(frame, reading) || reading->dport != port);
}

static void wire_empty(void)
{
	static uint8_t bytes[FRAME_MAX];

	while (recv(wire, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		continue;
}

static void client_asks(struct client *client, const struct segment *syn)
{
	static struct frame frame;

	wire_empty();
	client->syn = *syn;
	wire_send(syn);
	wire_receive(syn->sport ? syn->sport : 40000, &frame, &client->synack);
	assert_int_equal(client->synack.flags & ~ECE, SYN | ACK);
	assert_null(frame_read(frame.bytes, frame.len, &client->synack));
	client_make_ack(client);
}

static void accepts(void)
{
	struct timeval patience = { .tv_sec = 10 };

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	accepted = accept(listener, NULL, NULL);
	if (accepted < 0)
		fail_msg("no connection came: %s", strerror(errno));
}

static void accepts_nothing(void)
{
	usleep(20000);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
}

static void connects(struct client *client, const struct segment *syn)
{
	client_asks(client, syn);
	wire_send(&client->ack);
	accepts();
}

static struct shakeoff_service_counters counters(void)
{
	struct shakeoff_service_counters sum = { 0 }, each[libbpf_num_possible_cpus()];
	struct bpf_map *map = bpf_object__find_map_by_name(harness.object, "service_counts");
	uint32_t id = SERVICE;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &id, each), 0);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
		sum.admitted += each[cpu].admitted;
		sum.unadmitted += each[cpu].unadmitted;
	}
	return sum;
}

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

	listens(family, family->server);
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

static void the_connection_is_the_clients_and_is_counted(void **state)
{
	struct shakeoff_service_counters before, after;
	struct shakeoff_validated entry;
	union address peer = { 0 };
	socklen_t len = sizeof(peer);
	struct client client;
	char text[64];

	(void)state;
	listens(&ipv4, ipv4.server);
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

static void reads(const char *expected)
{
	char text[64] = { 0 };
	struct timeval patience = { .tv_sec = 10 };

	setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(recv(accepted, text, strlen(expected), MSG_WAITALL), strlen(expected));
	assert_string_equal(text, expected);
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
	listens(&ipv4, ipv4.server);
	admissions_begin();
	connects(&client, &linux_syn);
	assert_int_equal(admissions().claimed, 1);
	assert_int_equal(admissions().reached, 1);
}

/* A program that lets packets pass to the stack, before ours. */
static void an_ack_that_is_hidden_from_the_tc_program_is_missed(void **state)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_link_create_opts, first, .flags = TCX_FIRST);
	struct client client;
	int program, link;

	(void)state;
	listens(&ipv4, ipv4.server);
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

/* While it goes to the front there are two of it, and both see a packet. */
static void two_of_the_tc_program_make_one_connection(void **state)
{
	LIBBPF_OPTS(bpf_link_create_opts, first, .flags = TCX_FIRST);
	struct admit *before;
	struct client client;
	int link;

	(void)state;
	listens(&ipv4, ipv4.server);
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

static void the_servers_numbers_and_clock_go_on_from_the_syn_ack(void **state)
{
	static struct frame frame;
	struct reading reading;
	struct client client;

	(void)state;
	listens(&ipv4, ipv4.server);
	connects(&client, &linux_syn);
	assert_int_equal(write(accepted, "hello", 5), 5);
	wire_receive(40000, &frame, &reading);
	assert_int_equal(reading.seq, client.synack.seq + 1);
	assert_int_equal(reading.payload_len, 5);
	/* In a segment with data the timestamps come first. */
	assert_true((int32_t)(get32(reading.options + 4) - client.synack.tsval) >= 0);
	assert_true((int32_t)(get32(reading.options + 4) - client.synack.tsval) < 60000);
}

static void data_with_the_final_ack_is_there_at_once(void **state)
{
	struct client client;

	(void)state;
	listens(&ipv4, ipv4.server);
	client_asks(&client, &linux_syn);
	client.ack.flags |= PSH;
	client.ack.payload = (struct bytes)BYTES('G', 'E', 'T');
	wire_send(&client.ack);
	accepts();
	reads("GET");
}

static void data_right_behind_the_final_ack_is_there_too(void **state)
{
	struct client client;
	struct segment data;
	char byte;

	(void)state;
	listens(&ipv4, ipv4.server);
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
	listens(&ipv4, ipv4.server);
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
	listens(&ipv4, ipv4.server);
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
	listens(&ipv4, ipv4.server);
	connects(&client, &linux_syn);
	assert_int_equal(filter_get(&client.ack, 0), SHAKEOFF_FILTER_SOCKET | SHAKEOFF_FILTER_UNCONFIRMED);
}

/* ---------------------------------------------------------------------------------------------- listening sockets */

static void a_dual_stack_socket_gets_both_families(void **state)
{
	struct client client;

	(void)state;
	listens(&ipv6, "::");
	connects(&client, &linux_syn);
	reset_socket(&accepted);
	connects(&client, &linux_syn6);
}

static void a_socket_bound_to_the_device_gets_its_connections(void **state)
{
	struct client client;

	(void)state;
	listens(&ipv4, ipv4.server);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "s0", 3), 0);
	connects(&client, &linux_syn);
}

static void behind_a_vlan_tag_it_is_the_same(void **state)
{
	struct segment syn = LINUX_SYN;
	struct client client;

	(void)state;
	listens(&ipv4, ipv4.server);
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
	assert_true(of_one && of_other); /* 2^-31 that it is chance */
}

/* ------------------------------------------------------------------------------------- metadata lost, and refusals */

/* An ACK that the XDP program has validated, in a test run: it is on its way to the tc program, without metadata. */
static void client_validated(struct client *client, const struct segment *syn)
{
	listens(&ipv4, ipv4.server);
	bpf_xdp_detach(harness.ifindex, XDP_FLAGS_DRV_MODE, NULL);
	client_connect(client, syn);
	assert_verdict(&client->ack, SHAKEOFF_ACK_ADMITTED);
}

static void without_metadata_the_cookie_is_read_again(void **state)
{
	socklen_t len = sizeof(struct tcp_info);
	struct tcp_info info;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	wire_send(&client.ack);
	accepts();
	assert_true(filter_get(&client.ack, 0) & SHAKEOFF_FILTER_PENDING);
	assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(info.tcpi_options & OPTIONS_LINUX, OPTIONS_LINUX);
	assert_int_equal(info.tcpi_snd_wscale, 7);
	assert_int_equal(info.tcpi_snd_mss, 1448);
}

static void without_metadata_only_the_very_ack_that_was_validated_counts(void **state)
{
	struct shakeoff_service_counters before;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	before = counters();
	client.ack.ack++;
	wire_send(&client.ack);
	client.ack.ack--;
	client.ack.seq++;
	wire_send(&client.ack);
	accepts_nothing();
	assert_int_equal(counters().admitted - before.admitted, 0);
	assert_int_equal(counters().unadmitted - before.unadmitted, 0);
	assert_int_equal(harness.service->dequeued, 0);
}

static void an_ack_that_was_not_validated_opens_nothing(void **state)
{
	struct shakeoff_service_counters before;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	before = counters();
	client.syn.sport = 40009;
	client_connect(&client, &client.syn);
	wire_send(&client.ack);
	accepts_nothing();
	assert_int_equal(counters().admitted - before.admitted, 0);
	assert_int_equal(counters().unadmitted - before.unadmitted, 0);
}

static void a_socket_that_is_gone_is_counted(void **state)
{
	struct shakeoff_service_counters before;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	before = counters();
	reset_socket(&listener);
	wire_send(&client.ack);
	for (int i = 0; i < 10000 && counters().unadmitted == before.unadmitted; i++)
		usleep(1000);
	assert_int_equal(counters().unadmitted - before.unadmitted, 1);
	assert_int_equal(harness.service->dequeued, 1);
}

/* mark: what that the packet has: 0: none. */
static int repeats = 1; /* what counts is the last of so many runs */

static int run_admit_marked(const struct segment *segment, uint32_t mark)
{
	static struct frame frame, after;
	struct __sk_buff context = { .ifindex = harness.ifindex, .cb[0] = mark }, context_out = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .data_out = after.bytes,
		    .data_size_out = sizeof(after.bytes), .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .ctx_out = &context_out, .ctx_size_out = sizeof(context_out), .repeat = repeats);

	frame_make(&frame, segment);
	options.data_size_in = frame.len;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(admit->progs.shakeoff_admit), &options), 0);
	assert_int_equal(options.data_size_out, frame.len);
	assert_memory_equal(after.bytes, frame.bytes, frame.len);
	/* What goes round is known again. */
	assert_int_equal(context_out.cb[0], options.retval == TCX_REDIRECT ? METADATA_WAITS : mark);
	return (int)options.retval;
}

static int run_admit(const struct segment *segment)
{
	return run_admit_marked(segment, 0);
}

/* A test run is not at ingress, so that the kernel takes no request. */
static void what_the_kernel_refuses_is_counted_and_goes_on(void **state)
{
	struct shakeoff_service_counters before;
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	before = counters();
	assert_int_equal(run_admit(&client.ack), TCX_NEXT);
	assert_int_equal(counters().admitted - before.admitted, 0);
	assert_int_equal(counters().unadmitted - before.unadmitted, 1);
}

static void everything_goes_on_unchanged_to_the_next_program(void **state)
{
	const struct segment segments[] = {
		LINUX_SYN,
		LINUX_SYN6,
		{ .flags = ACK },
		{ .flags = RST },
		{ .flags = ACK, .dport = 81 },
		{ .flags = ACK, .to = "192.0.2.1" },
		{ .flags = ACK, .fragment = 100 },
		{ .flags = ACK, .tags = 2 },
		{ .flags = ACK, .no_doff = true },
		{ .flags = ACK, .protocol = IPPROTO_UDP },
		{ .flags = ACK, .ethertype = ETH_P_ARP },
		{ .flags = ACK, .ip_header_words = 15 },
	};
	struct client client;

	(void)state;
	need_admit();
	client_validated(&client, &linux_syn);
	validated_age(&client.ack, 2 * WAIT_NS); /* one of them is of the same tuple */
	for (size_t i = 0; i < COUNT(segments); i++)
		assert_int_equal(run_admit(&segments[i]), TCX_NEXT);
}

/* ---------------------------------------------------------------------------------- segments before their connection */

/* A segment further on in the connection, whose ACK was validated `age_ns` ago. */
static struct segment later_segment(struct client *client, int64_t age_ns)
{
	struct segment later;

	need_admit();
	client_validated(client, &linux_syn);
	validated_age(&client->ack, age_ns);
	later = client->ack;
	later.seq += 1000;
	later.flags |= PSH;
	later.payload = (struct bytes)BYTES('G', 'E', 'T');
	return later;
}

static void a_segment_before_its_connection_goes_round(void **state)
{
	struct client client;
	struct segment later = later_segment(&client, -(int64_t)SECOND), reset;

	(void)state;
	reset = later;
	reset.flags = RST;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_REDIRECT);
		assert_int_equal(run_admit_marked(&reset, METADATA_WAITS), TCX_REDIRECT);
		assert_int_equal(run_admit(&later),
				 TCX_REDIRECT); /* the hint tells, where metadata does not get here */
	}
	assert_int_equal(harness.service->dequeued, 0);
}

static void after_its_time_it_is_dropped(void **state)
{
	struct client client;
	struct segment later = later_segment(&client, WAIT_NS + 1);

	(void)state;
	assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_DROP);
	assert_int_equal(run_admit(&later), TCX_NEXT);
}

/* Or whoever sends ACKs that the hook takes and TCP drops would keep a CPU busy. A tick may begin on the way: tried again. */
static void all_that_wait_make_a_bounded_number_of_rounds_in_a_tick(void **state)
{
	struct client client;
	struct segment later = later_segment(&client, -(int64_t)SECOND);
	int bounded = 0;

	(void)state;
	for (int i = 0; i < 20 && !bounded; i++) {
		usleep(11000); /* the next tick */
		repeats = 100;
		assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_REDIRECT);
		repeats = 1000;
		bounded = run_admit_marked(&later, METADATA_WAITS) == TCX_DROP;
		repeats = 1;
	}
	assert_true(bounded);
}

static void without_the_entry_it_does_not_wait(void **state)
{
	static const struct shakeoff_validated nothing;
	struct client client;
	struct segment later = later_segment(&client, -(int64_t)SECOND);

	(void)state;
	validated_set(&client.ack, &nothing);
	assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_DROP);
	assert_int_equal(run_admit(&later), TCX_NEXT);
}

static void once_its_socket_is_there_it_goes_on(void **state)
{
	static const struct shakeoff_validated nothing;
	struct client client;

	(void)state;
	listens(&ipv4, ipv4.server);
	connects(&client, &linux_syn);
	for (int age = -1; age <= 1; age += 2) {
		validated_age(&client.ack, age * (int64_t)SECOND);
		assert_int_equal(run_admit_marked(&client.ack, METADATA_WAITS), TCX_NEXT);
		assert_int_equal(run_admit(&client.ack), TCX_NEXT);
	}
	validated_set(&client.ack, &nothing);
	assert_int_equal(run_admit_marked(&client.ack, METADATA_WAITS), TCX_NEXT);
}

/* In order behind its ACK it is spared the look-up; behind another CPU's it waits. */
static void behind_its_ack_on_the_same_cpu_a_segment_goes_on(void **state)
{
	struct shakeoff_validated entry;
	struct client client;
	struct segment later = later_segment(&client, -(int64_t)SECOND);

	(void)state;
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(SHAKEOFF_VALIDATED_HOOK_CPU(&entry), sched_getcpu());
	assert_int_equal(SHAKEOFF_VALIDATED_TC_CPU(&entry), 0);
	entry.flags = SHAKEOFF_VALIDATED_ADMITTED;
	entry.replaced |= (__u32)(sched_getcpu() + 1) << 16;
	validated_set(&client.ack, &entry);
	assert_int_equal(run_admit(&later), TCX_NEXT);
	assert_int_equal(run_admit_marked(&later, METADATA_WAITS), TCX_REDIRECT);
	entry.replaced += 1u << 16;
	validated_set(&client.ack, &entry);
	assert_int_equal(run_admit(&later), TCX_REDIRECT);
}

/* A segment that brings the cookie back itself opens the connection, and the ACK then waits for it; its CPU is told. */
static void what_waits_with_the_cookie_opens_the_connection(void **state)
{
	struct shakeoff_service_counters before;
	struct shakeoff_validated entry;
	struct client client;

	(void)state;
	later_segment(&client, -(int64_t)SECOND);
	before = counters();
	assert_int_equal(run_admit_marked(&client.ack, METADATA_WAITS), TCX_NEXT);
	assert_int_equal(counters().unadmitted - before.unadmitted, 1); /* no request in a test run */
	assert_true(validated_get(&client.ack, &entry));
	assert_int_equal(entry.flags, SHAKEOFF_VALIDATED_ADMITTED);
	assert_int_equal(SHAKEOFF_VALIDATED_HOOK_CPU(&entry), sched_getcpu());
	assert_int_equal(SHAKEOFF_VALIDATED_TC_CPU(&entry), sched_getcpu() + 1);
	assert_int_equal(run_admit_marked(&client.ack, METADATA_WAITS), TCX_REDIRECT);
	assert_int_equal(counters().unadmitted - before.unadmitted, 1);
	assert_int_equal(harness.service->dequeued, 1);
}

/* A frame, and the CPU that it is sent by: that one works on it, too. */
struct elsewhere {
	struct frame frame;
	int cpu;
	atomic_int begun;
};

static void *send_elsewhere(void *argument)
{
	struct elsewhere *elsewhere = argument;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(elsewhere->cpu, &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	atomic_store(&elsewhere->begun, 1);
	send(wire, elsewhere->frame.bytes, elsewhere->frame.len, 0);
	return NULL;
}

/* The later segment is there first, by another CPU, goes round, and its data comes in order. Refused, it would end the connection. */
static void data_that_overtakes_its_ack_is_not_lost(void **state)
{
	const struct segment *const syns[] = { &linux_syn, &linux_syn6 };
	const struct family *const families[] = { &ipv4, &ipv6 };
	struct elsewhere elsewhere = { .cpu = sched_getcpu() ? 0 : 1 };
	static struct frame frame;

	(void)state;
	need_admit();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip();
	for (size_t i = 0; i < COUNT(syns); i++) {
		struct reading reading;
		struct segment later;
		struct client client;
		pthread_t thread;

		bpf_xdp_detach(harness.ifindex, XDP_FLAGS_DRV_MODE, NULL);
		listens(families[i], families[i]->server);
		client_connect(&client, syns[i]);
		assert_verdict(&client.ack, SHAKEOFF_ACK_ADMITTED);
		validated_age(&client.ack, -(int64_t)SECOND); /* patience for a slow machine */
		client.ack.flags |= PSH;
		client.ack.payload = (struct bytes)BYTES('G', 'E', 'T');
		later = client.ack;
		later.seq += 3;
		wire_empty();
		frame_make(&elsewhere.frame, &later);
		validated_note(&later);
		atomic_store(&elsewhere.begun, 0);
		assert_int_equal(pthread_create(&thread, NULL, send_elsewhere, &elsewhere), 0);
		while (!atomic_load(&elsewhere.begun))
			;
		wire_send(&client.ack);
		pthread_join(thread, NULL);
		accepts();
		reads("GETGET");
		do {
			wire_receive(40000, &frame, &reading);
			assert_int_equal(reading.flags & RST, 0);
		} while (reading.ack != later.seq + 3);
		reset_socket(&accepted);
		reset_socket(&listener);
	}
}

/* ------------------------------------------------------------------------------------------------------- round trips */

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

static void the_first_round_trip_is_the_handshakes(void **state)
{
	const unsigned int delays[] = { 30000, 300000 };
	struct segment syn = LINUX_SYN;
	struct client client;

	(void)state;
	listens(&ipv4, ipv4.server);
	for (size_t i = 0; i < COUNT(delays); i++) {
		syn.sport = 44000 + i;
		/* A tick of a coarse clock, and a millisecond for rounding; a machine that is late makes it longer. */
		assert_in_range(connects_after(&client, &syn, delays[i]).tcpi_rtt, delays[i] - 10000,
				delays[i] + 60000);
		reset_socket(&accepted);
	}
}

static void in_a_fleet_no_round_trip_is_taken_from_the_echo(void **state)
{
	struct client client;

	(void)state;
	listens(&ipv4, ipv4.server);
	harness.control->flags |= SHAKEOFF_ACCEPT_NEXT_EPOCH;
	assert_int_equal(connects_after(&client, &linux_syn, 100000).tcpi_rtt, 0);
}

static void a_client_that_leaves_its_timestamps_out_is_served_without_options(void **state)
{
	socklen_t len = sizeof(struct tcp_info);
	struct tcp_info info;
	struct client client;

	(void)state;
	listens(&ipv4, ipv4.server);
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

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static const struct CMUnitTest others[] = {
	TEST(the_connection_is_the_clients_and_is_counted),
	TEST(both_programs_count_an_ack_at_its_interface),
	TEST(an_ack_that_is_hidden_from_the_tc_program_is_missed),
	TEST(two_of_the_tc_program_make_one_connection),
	TEST(the_servers_numbers_and_clock_go_on_from_the_syn_ack),
	TEST(data_with_the_final_ack_is_there_at_once),
	TEST(data_right_behind_the_final_ack_is_there_too),
	TEST(a_duplicate_of_the_ack_opens_nothing),
	TEST(a_segment_that_meets_the_socket_confirms_the_connection),
	TEST(an_ack_that_arrives_with_its_metadata_has_no_hint_any_more),
	TEST(a_dual_stack_socket_gets_both_families),
	TEST(a_socket_bound_to_the_device_gets_its_connections),
	TEST(behind_a_vlan_tag_it_is_the_same),
	TEST(sockets_that_share_the_port_share_the_connections),
	TEST(without_metadata_the_cookie_is_read_again),
	TEST(without_metadata_only_the_very_ack_that_was_validated_counts),
	TEST(an_ack_that_was_not_validated_opens_nothing),
	TEST(a_socket_that_is_gone_is_counted),
	TEST(what_the_kernel_refuses_is_counted_and_goes_on),
	TEST(everything_goes_on_unchanged_to_the_next_program),
	TEST(a_segment_before_its_connection_goes_round),
	TEST(after_its_time_it_is_dropped),
	TEST(all_that_wait_make_a_bounded_number_of_rounds_in_a_tick),
	TEST(without_the_entry_it_does_not_wait),
	TEST(once_its_socket_is_there_it_goes_on),
	TEST(behind_its_ack_on_the_same_cpu_a_segment_goes_on),
	TEST(what_waits_with_the_cookie_opens_the_connection),
	TEST(data_that_overtakes_its_ack_is_not_lost),
	TEST(the_first_round_trip_is_the_handshakes),
	TEST(in_a_fleet_no_round_trip_is_taken_from_the_echo),
	TEST(a_client_that_leaves_its_timestamps_out_is_served_without_options),
};

int main(void)
{
	struct CMUnitTest tests[COUNT(rows) + COUNT(others)];

	for (size_t i = 0; i < COUNT(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, the_connection_has_what_was_negotiated, setup, teardown,
						(void *)&rows[i] };
	memcpy(tests + COUNT(rows), others, sizeof(others));
	return cmocka_run_group_tests_name("metadata", tests, start, stop);
}

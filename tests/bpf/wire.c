/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "metadata.h"

#include "wire.h"

struct admit *admit;
int wire = -1; /* a packet socket at c0 */
int listener = -1, other_listener = -1, accepted = -1;

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

int load_admit(void)
{
	admit = admit__open();
	if (!admit)
		return -1;
	return harness_share_maps(admit->obj) || admit__load(admit) ? -1 : 0;
}

/* A veth delivers a reply of XDP only to a peer that has an XDP program, too. */
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

int wire_start(void **state)
{
	if (!kernel_can())
		return 0;
	if (harness_start(state) || make_network() || load_admit() || attach_pass("c0") || open_wire())
		return -1;
	harness.ifindex = if_nametoindex("s0");
	return bpf_link_create(bpf_program__fd(admit->progs.shakeoff_admit), harness.ifindex, TCX_INGRESS, NULL) < 0;
}

int wire_stop(void **state)
{
	if (!admit)
		return 0;
	close(wire);
	admit__destroy(admit);
	return harness_stop(state);
}

int wire_setup(void **state)
{
	if (!admit)
		return 0;
	bpf_xdp_attach(harness.ifindex, harness.plain_program, XDP_FLAGS_DRV_MODE, NULL);
	return harness_reset(state);
}

int wire_teardown(void **state)
{
	(void)state;
	reset_socket(&accepted);
	reset_socket(&other_listener);
	reset_socket(&listener);
	return 0;
}

void need_admit(void)
{
	if (!admit)
		skip(); /* no bpf_sk_assign_tcp_reqsk */
}

void wire_listens(const struct family *family, const char *text)
{
	need_admit();
	service_listens(SHAKEOFF_SYNCOOKIES_ALWAYS);
	listener = listening_socket(family, text, 32);
}

void wire_send(const struct segment *segment)
{
	static struct frame frame;

	frame_make(&frame, segment);
	validated_note(segment);
	assert_int_equal(send(wire, frame.bytes, frame.len, 0), frame.len);
}

/* Reads a TCP segment of the hook or of the kernel: the kernel leaves the checksum to the card. */
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

void wire_receive(uint16_t port, struct frame *frame, struct reading *reading)
{
	ssize_t len;

	do {
		len = recv(wire, frame->bytes, sizeof(frame->bytes), 0);
		if (len < 0)
			fail_msg("nothing came back: %s", strerror(errno));
		frame->len = len;
	} while (memcmp(frame->bytes, frame_client_mac, 6) || !segment_read(frame, reading) || reading->dport != port);
}

void wire_empty(void)
{
	static uint8_t bytes[FRAME_MAX];

	while (recv(wire, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		continue;
}

void client_asks(struct client *client, const struct segment *syn)
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

void accepts(void)
{
	struct timeval patience = { .tv_sec = 10 };

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	accepted = accept(listener, NULL, NULL);
	if (accepted < 0)
		fail_msg("no connection came: %s", strerror(errno));
}

void accepts_nothing(void)
{
	usleep(20000);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
}

void connects(struct client *client, const struct segment *syn)
{
	client_asks(client, syn);
	wire_send(&client->ack);
	accepts();
}

struct shakeoff_service_counters counters(void)
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

void reads(const char *expected)
{
	char text[64] = { 0 };
	struct timeval patience = { .tv_sec = 10 };

	setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(recv(accepted, text, strlen(expected), MSG_WAITALL), strlen(expected));
	assert_string_equal(text, expected);
}

void client_validated(struct client *client, const struct segment *syn)
{
	wire_listens(&ipv4, ipv4.server);
	bpf_xdp_detach(harness.ifindex, XDP_FLAGS_DRV_MODE, NULL);
	client_connect(client, syn);
	assert_verdict(&client->ack, SHAKEOFF_ACK_ADMITTED);
}

int repeats = 1; /* the result is that of the last run */

int run_admit_marked(const struct segment *segment, uint32_t told)
{
	static struct frame frame, after;
	struct __sk_buff context = { .ifindex = harness.ifindex, .cb[0] = told }, context_out = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .data_out = after.bytes,
		    .data_size_out = sizeof(after.bytes), .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .ctx_out = &context_out, .ctx_size_out = sizeof(context_out), .repeat = repeats);

	frame_make(&frame, segment);
	options.data_size_in = frame.len;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(admit->progs.shakeoff_admit), &options), 0);
	assert_int_equal(options.data_size_out, frame.len);
	assert_memory_equal(after.bytes, frame.bytes, frame.len);
	/* A segment that waits is recognised when it comes again. */
	assert_int_equal(context_out.cb[0], options.retval == TCX_REDIRECT ? METADATA_WAITS : told);
	return (int)options.retval;
}

int run_admit(const struct segment *segment)
{
	return run_admit_marked(segment, 0);
}

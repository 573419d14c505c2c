/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A SYN flood out of one end of a veth pair, for tests and benchmarks: millions of SYNs a second from one CPU, every one from
 * another made-up source, without any hardware (BPF_PROG_TEST_RUN with live frames).
 *
 * It floods nothing but a veth, and always ends by itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>

#include "flood.h"
#include "tests/bench/flood.skel.h"

#define MAX_SECONDS 600
#define RUNS_A_CALL (1u << 26) /* a call costs about 20 ms of set-up; the timer's signal ends it early */

struct options {
	const char *ifname;
	int family;
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} dst;
	const char *dst_text;
	unsigned int port;
	unsigned char dst_mac[ETH_ALEN];
	bool have_dst_mac;
	unsigned long rate;
	double seconds;
	bool full_options;
	int cpu;
	bool json;
};

struct frame {
	union {
		unsigned char bytes[FLOOD_FRAME_MAX];
		__u64 words[FLOOD_FRAME_MAX / 8];
	};
	__u32 len;
	__u32 ip_sum, tcp_sum;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void usage(FILE *out)
{
	fputs("flood --dev IFACE --dst ADDRESS --port N [options]: a SYN flood out of one end of a veth pair\n"
	      "  --rate PPS       SYNs a second; 0: as fast as one CPU can (default)\n"
	      "  --seconds S      how long (default 10)\n"
	      "  --options full|none  TCP options as Linux sends them (MSS, SACK, timestamps, window scale: default), or none\n"
	      "  --dst-mac MAC    default: the neighbour's of --dst\n"
	      "  --cpu N          the CPU to flood from\n"
	      "  --json           print the result as JSON; start_ns: of the first SYN, on CLOCK_MONOTONIC\n",
	      out);
}

static void die(const char *what, const char *on, const char *why)
{
	fprintf(stderr, "flood: %s %s: %s\n", what, on, why);
	exit(1);
}

/* ------------------------------------------------------------------------------------------------------ netlink */

static int ask(int type, int flags, void (*prepare)(struct nlmsghdr *nlh, const void *context), mnl_cb_t callback,
	       void *context)
{
	char buffer[32768];
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	int n;

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = 1;
	prepare(nlh, context);
	n = mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0 ? -1 : 1;
	while (n > 0) {
		n = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));
		if (n > 0)
			n = mnl_cb_run(buffer, n, 1, mnl_socket_get_portid(nl), callback, context);
		if (!(flags & NLM_F_DUMP))
			break;
	}
	mnl_socket_close(nl);
	return n < 0 ? -errno : 0;
}

struct link_question {
	int ifindex;
	bool veth;
};

static void ask_link(struct nlmsghdr *nlh, const void *context)
{
	const struct link_question *question = context;
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

	info->ifi_index = question->ifindex;
}

static int answer_link(const struct nlmsghdr *nlh, void *context)
{
	struct link_question *question = context;
	const struct nlattr *attr, *nested;

	mnl_attr_for_each(attr, nlh, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(attr) != IFLA_LINKINFO)
			continue;
		mnl_attr_for_each_nested(nested, attr)
			if (mnl_attr_get_type(nested) == IFLA_INFO_KIND)
				question->veth = !strcmp(mnl_attr_get_str(nested), "veth");
	}
	return MNL_CB_OK;
}

static bool is_veth(int ifindex)
{
	struct link_question question = { .ifindex = ifindex };

	return !ask(RTM_GETLINK, 0, ask_link, answer_link, &question) && question.veth;
}

struct neighbour_question {
	struct options *options;
	int ifindex;
};

static void ask_neighbours(struct nlmsghdr *nlh, const void *context)
{
	const struct neighbour_question *question = context;
	struct ndmsg *ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));

	ndm->ndm_family = question->options->family;
}

static int answer_neighbours(const struct nlmsghdr *nlh, void *context)
{
	struct neighbour_question *question = context;
	struct options *options = question->options;
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	size_t size = options->family == AF_INET ? 4 : 16;
	const struct nlattr *attr;
	const void *mac = NULL;
	bool wanted = false;

	if (ndm->ndm_ifindex != question->ifindex)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*ndm)) {
		if (mnl_attr_get_type(attr) == NDA_DST)
			wanted = !memcmp(mnl_attr_get_payload(attr), &options->dst, size);
		if (mnl_attr_get_type(attr) == NDA_LLADDR && mnl_attr_get_payload_len(attr) == ETH_ALEN)
			mac = mnl_attr_get_payload(attr);
	}
	if (wanted && mac) {
		memcpy(options->dst_mac, mac, ETH_ALEN);
		options->have_dst_mac = true;
	}
	return MNL_CB_OK;
}

/* ------------------------------------------------------------------------------------------------------ the frame */

static __u32 sum16(const void *data, size_t len)
{
	const unsigned char *bytes = data;
	__u32 sum = 0;
	__u16 word;
	size_t i;

	for (i = 0; i + 1 < len; i += 2) {
		memcpy(&word, bytes + i, 2);
		sum += word;
	}
	return sum;
}

/* As Linux writes them in a SYN: MSS, SACK permitted, timestamps, NOP, window scale 7. */
static size_t put_options(unsigned char *to, bool full, unsigned int mss)
{
	const unsigned char options[20] = {
		2, 4, mss >> 8, mss & 255, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7
	};

	if (!full)
		return 0;
	memcpy(to, options, sizeof(options));
	return sizeof(options);
}

static void make_frame(struct frame *frame, const struct options *options, const unsigned char *src_mac)
{
	bool v6 = options->family == AF_INET6;
	struct ethhdr *eth = (void *)frame->bytes;
	struct iphdr *ip = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct tcphdr *tcp = v6 ? (void *)(ip6 + 1) : (void *)(ip + 1);
	size_t tcp_len = sizeof(*tcp) +
			 put_options((unsigned char *)(tcp + 1), options->full_options, v6 ? 1440 : 1460);

	memcpy(eth->h_dest, options->dst_mac, ETH_ALEN);
	memcpy(eth->h_source, src_mac, ETH_ALEN);
	eth->h_proto = htons(v6 ? ETH_P_IPV6 : ETH_P_IP);

	tcp->dest = htons(options->port);
	tcp->doff = tcp_len / 4;
	tcp->syn = 1;
	tcp->window = htons(64240);

	if (v6) {
		ip6->version = 6;
		ip6->payload_len = htons(tcp_len);
		ip6->nexthdr = IPPROTO_TCP;
		ip6->hop_limit = 64;
		ip6->saddr.s6_addr32[0] = htonl(FLOOD_PREFIX6_0);
		ip6->saddr.s6_addr32[1] = htonl(FLOOD_PREFIX6_1);
		ip6->daddr = options->dst.v6;
		frame->tcp_sum = sum16(&ip6->saddr, 32);
	} else {
		ip->version = 4;
		ip->ihl = 5;
		ip->tot_len = htons(sizeof(*ip) + tcp_len);
		ip->frag_off = htons(IP_DF);
		ip->ttl = 64;
		ip->protocol = IPPROTO_TCP;
		ip->daddr = options->dst.v4.s_addr;
		frame->ip_sum = sum16(ip, sizeof(*ip));
		frame->tcp_sum = sum16(&ip->daddr, 4);
	}
	frame->tcp_sum += sum16(tcp, tcp_len) + htons(tcp_len) + htons(IPPROTO_TCP);
	frame->len = (unsigned char *)tcp + tcp_len - frame->bytes;
	if (frame->len < ETH_ZLEN)
		frame->len = ETH_ZLEN;
}

/* ------------------------------------------------------------------------------------------------------- counting */

/* The map of the program on our end of the pair that counts replies to flood sources (peer.bpf.c), or a negative errno. */
static int open_replies(int ifindex)
{
	struct bpf_map_info map = {};
	struct bpf_prog_info info = {};
	__u32 prog_id, size = sizeof(info), ids[16], i;
	int fd, err;

	err = bpf_xdp_query_id(ifindex, 0, &prog_id);
	if (err || !prog_id)
		return err ? err : -ENOENT;
	fd = bpf_prog_get_fd_by_id(prog_id);
	if (fd < 0)
		return fd;
	info.nr_map_ids = 16;
	info.map_ids = (__u64)(unsigned long)ids;
	err = bpf_obj_get_info_by_fd(fd, &info, &size);
	close(fd);
	if (err)
		return err;
	for (i = 0; i < info.nr_map_ids && i < 16; i++) {
		fd = bpf_map_get_fd_by_id(ids[i]);
		size = sizeof(map);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &map, &size) && !strcmp(map.name, FLOOD_REPLIES_MAP))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ENOENT;
}

static void read_replies(int map, __u64 totals[FLOOD_REPLY_COUNT])
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	__u64 values[cpus > 0 ? cpus : 1];
	__u32 kind;

	for (kind = 0; kind < FLOOD_REPLY_COUNT; kind++) {
		totals[kind] = 0;
		if (!bpf_map_lookup_elem(map, &kind, values))
			for (cpu = 0; cpu < cpus; cpu++)
				totals[kind] += values[cpu];
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------------------------------------------- options */

static void parse_mac(struct options *options, const char *text)
{
	unsigned char *mac = options->dst_mac;

	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6)
		die("cannot read the MAC address", text, "want six bytes such as 02:00:00:00:00:01");
	options->have_dst_mac = true;
}

static unsigned long parse_number(const char *name, const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!*text || *end || *text == '-' || value > max)
		die("wrong number for", name, text);
	return value;
}

static void parse_options(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{ "dev", required_argument, NULL, 'i' },
		{ "dst", required_argument, NULL, 'd' },
		{ "port", required_argument, NULL, 'p' },
		{ "rate", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "options", required_argument, NULL, 'o' },
		{ "dst-mac", required_argument, NULL, 'm' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case 'i': options->ifname = optarg; break;
		case 'd': options->dst_text = optarg; break;
		case 'p': options->port = parse_number("--port", optarg, 65535); break;
		case 'r': options->rate = parse_number("--rate", optarg, 1000000000); break;
		case 's': options->seconds = strtod(optarg, NULL); break;
		case 'm': parse_mac(options, optarg); break;
		case 'c': options->cpu = parse_number("--cpu", optarg, CPU_SETSIZE - 1); break;
		case 'j': options->json = true; break;
		case 'o':
			options->full_options = !strcmp(optarg, "full");
			if (!options->full_options && strcmp(optarg, "none"))
				die("unknown --options", optarg, "full or none");
			break;
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); exit(2);
		}
	}
	if (!options->ifname || !options->dst_text || !options->port || optind != argc) {
		usage(stderr);
		exit(2);
	}
	if (!(options->seconds > 0 && options->seconds <= MAX_SECONDS))
		die("wrong time for", "--seconds", "want more than 0 and at most 600");
	options->family = strchr(options->dst_text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(options->family, options->dst_text, &options->dst) != 1)
		die("not an address:", options->dst_text, "want an IPv4 or IPv6 address");
}

/* ---------------------------------------------------------------------------------------------------------- main */

static void own_mac(const char *ifname, unsigned char *mac)
{
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(ifr.ifr_name, ifname, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &ifr))
		die("cannot read the MAC address of", ifname, strerror(errno));
	memcpy(mac, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	close(fd);
}

static struct flood *load(const struct options *options, const struct frame *frame, int ifindex)
{
	struct flood *skel = flood__open();

	if (!skel)
		die("cannot open", "flood.bpf.o", strerror(errno));
	memcpy((void *)skel->rodata->frame_words, frame->words, sizeof(frame->words));
	skel->rodata->frame_len = frame->len;
	skel->rodata->out_ifindex = ifindex;
	skel->rodata->ipv6 = options->family == AF_INET6;
	skel->rodata->timestamps = options->full_options;
	skel->rodata->rate = options->rate;
	skel->rodata->ip_sum = frame->ip_sum;
	skel->rodata->tcp_sum = frame->tcp_sum;
	if (getrandom(&skel->bss->random_state, sizeof(skel->bss->random_state), 0) < 0 || !skel->bss->random_state)
		skel->bss->random_state = 1;
	if (flood__load(skel))
		die("cannot load", "flood.bpf.o", "are you root, with CAP_BPF and CAP_NET_ADMIN?");
	return skel;
}

static void arm(double seconds)
{
	struct sigaction action = { .sa_handler = stop };
	/* It goes on ticking, so that a signal that falls between two calls is not the only one. */
	struct itimerval timer = { .it_value = { .tv_sec = seconds, .tv_usec = (seconds - (long)seconds) * 1e6 },
				   .it_interval = { .tv_usec = 10000 } };

	if (!timer.it_value.tv_sec && !timer.it_value.tv_usec)
		timer.it_value.tv_usec = 1;
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void run(struct flood *skel, const struct frame *frame)
{
	unsigned char data[FLOOD_FRAME_MAX];

	memcpy(data, frame->bytes, sizeof(data));
	while (!stopped) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = frame->len, .repeat = RUNS_A_CALL,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
		int err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.flood), &opts);

		if (err && err != -EINTR && errno != EINTR)
			die("cannot send live frames", "(BPF_PROG_TEST_RUN)", strerror(errno));
	}
}

static void report(const struct options *options, const struct flood__bss *flood,
		   const __u64 replies[FLOOD_REPLY_COUNT], double seconds)
{
	__u64 sent = flood->sent;

	if (options->json) {
		printf("{\"start_ns\": %llu, \"seconds\": %.3f, \"sent\": %llu, \"sent_per_second\": %.0f, \"synacks\": %llu, "
		       "\"synacks_per_second\": %.0f, \"rsts\": %llu, \"other\": %llu}\n",
		       (unsigned long long)flood->start_ns, seconds, (unsigned long long)sent, sent / seconds,
		       (unsigned long long)replies[FLOOD_REPLY_SYNACK], replies[FLOOD_REPLY_SYNACK] / seconds,
		       (unsigned long long)replies[FLOOD_REPLY_RST], (unsigned long long)replies[FLOOD_REPLY_OTHER]);
		return;
	}
	printf("%.1f s: %llu SYNs sent (%.3f Mpps), %llu SYN-ACKs came back (%.3f Mpps), %llu RSTs, %llu others\n",
	       seconds, (unsigned long long)sent, sent / seconds / 1e6, (unsigned long long)replies[FLOOD_REPLY_SYNACK],
	       replies[FLOOD_REPLY_SYNACK] / seconds / 1e6, (unsigned long long)replies[FLOOD_REPLY_RST],
	       (unsigned long long)replies[FLOOD_REPLY_OTHER]);
}

int main(int argc, char **argv)
{
	struct options options = { .seconds = 10, .full_options = true, .cpu = -1 };
	__u64 before[FLOOD_REPLY_COUNT], after[FLOOD_REPLY_COUNT];
	unsigned char src_mac[ETH_ALEN];
	struct frame frame = {};
	struct flood *skel;
	int ifindex, map, kind;
	double begin, seconds;

	parse_options(&options, argc, argv);
	ifindex = if_nametoindex(options.ifname);
	if (!ifindex)
		die("no such interface:", options.ifname, strerror(errno));
	if (!is_veth(ifindex))
		die("refuse to flood", options.ifname, "it is not one end of a veth pair");
	if (!options.have_dst_mac) {
		struct neighbour_question question = { &options, ifindex };

		ask(RTM_GETNEIGH, NLM_F_DUMP, ask_neighbours, answer_neighbours, &question);
	}
	if (!options.have_dst_mac)
		die("no neighbour entry for", options.dst_text, "give --dst-mac, or ping it first");
	own_mac(options.ifname, src_mac);
	make_frame(&frame, &options, src_mac);

	map = open_replies(ifindex);
	if (map < 0)
		die("nothing counts replies on", options.ifname, "attach peer.bpf.o to it, as scripts/lab.sh does");
	if (options.cpu >= 0) {
		cpu_set_t cpus;

		CPU_ZERO(&cpus);
		CPU_SET(options.cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus))
			die("cannot run on the CPU of", "--cpu", strerror(errno));
	}

	skel = load(&options, &frame, ifindex);
	read_replies(map, before);
	arm(options.seconds);
	begin = now();
	run(skel, &frame);
	seconds = now() - begin;
	usleep(100000); /* the last replies are on their way */
	read_replies(map, after);
	for (kind = 0; kind < FLOOD_REPLY_COUNT; kind++)
		after[kind] -= before[kind];
	report(&options, skel->bss, after, seconds);
	flood__destroy(skel);
	return 0;
}

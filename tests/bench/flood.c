/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A flood out of one end of a veth pair, for tests and benchmarks: millions of SYNs a second, or of other segments, from one
 * CPU, every one from another made-up source, without any hardware (BPF_PROG_TEST_RUN with live frames).
 *
 * It floods nothing but a veth, and always ends by itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
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

#include "flood_frame.h"
#include "tests/bench/flood.skel.h"

#define MAX_SECONDS 600
#define RUNS_A_CALL (1u << 26) /* a call costs about 20 ms of set-up; the timer's signal ends it early */

struct options {
	const char *ifname;
	struct flood_ends ends;
	const char *dst_text;
	bool have_dst_mac;
	enum flood_kind kind;
	bool no_options;
	bool narrow;
	unsigned long rate;
	double seconds;
	int cpu;
	bool json;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void usage(FILE *out)
{
	fputs("flood --dev IFACE --dst ADDRESS --port N [options]: a flood out of one end of a veth pair\n"
	      "  --kind KIND      what to flood with, see below (default syn)\n"
	      "  --rate PPS       frames a second; 0: as fast as one CPU can (default)\n"
	      "  --seconds S      how long (default 10)\n"
	      "  --options full|none  TCP options of --kind syn: as Linux sends them (MSS, SACK, timestamps, window scale:\n"
	      "                   default), or none\n"
	      "  --narrow         sources of one /24, or one /48, instead of thousands\n"
	      "  --dst-mac MAC    default: the neighbour's of --dst\n"
	      "  --cpu N          the CPU to flood from\n"
	      "  --json           print the result as JSON; start_ns: of the first frame, on CLOCK_MONOTONIC\n"
	      "\n"
	      "Sources, ports and numbers are random, checksums right, unless the kind says otherwise. Kinds:\n",
	      out);
	for (int kind = 0; kind < FLOOD_KIND_COUNT; kind++)
		fprintf(out, "  %-16s %s\n", flood_shapes[kind].name, flood_shapes[kind].help);
}

static void die(const char *what, const char *on, const char *why)
{
	fprintf(stderr, "flood: %s %s: %s\n", what, on, why);
	exit(1);
}

/* ---------------------------------------------------------------------------------------------------------- netlink */

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

	ndm->ndm_family = question->options->ends.ipv6 ? AF_INET6 : AF_INET;
}

static int answer_neighbours(const struct nlmsghdr *nlh, void *context)
{
	struct neighbour_question *question = context;
	struct options *options = question->options;
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	size_t size = options->ends.ipv6 ? 16 : 4;
	const struct nlattr *attr;
	const void *mac = NULL;
	bool wanted = false;

	if (ndm->ndm_ifindex != question->ifindex)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*ndm)) {
		if (mnl_attr_get_type(attr) == NDA_DST)
			wanted = !memcmp(mnl_attr_get_payload(attr), &options->ends.dst, size);
		if (mnl_attr_get_type(attr) == NDA_LLADDR && mnl_attr_get_payload_len(attr) == ETH_ALEN)
			mac = mnl_attr_get_payload(attr);
	}
	if (wanted && mac) {
		memcpy(options->ends.dst_mac, mac, ETH_ALEN);
		options->have_dst_mac = true;
	}
	return MNL_CB_OK;
}

/* --------------------------------------------------------------------------------------------------------- counting */

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

/* ---------------------------------------------------------------------------------------------------------- options */

static void parse_mac(struct options *options, const char *text)
{
	unsigned char *mac = options->ends.dst_mac;

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

static enum flood_kind parse_kind(const char *text)
{
	enum flood_kind kind = flood_kind_named(text);

	if (kind == FLOOD_KIND_COUNT)
		die("unknown --kind", text, "--help lists them");
	return kind;
}

static bool parse_no_options(const char *text)
{
	bool none = !strcmp(text, "none");

	if (!none && strcmp(text, "full"))
		die("unknown --options", text, "full or none");
	return none;
}

static void parse_options(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{ "dev", required_argument, NULL, 'i' },
		{ "kind", required_argument, NULL, 'k' },
		{ "dst", required_argument, NULL, 'd' },
		{ "port", required_argument, NULL, 'p' },
		{ "rate", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "options", required_argument, NULL, 'o' },
		{ "dst-mac", required_argument, NULL, 'm' },
		{ "narrow", no_argument, NULL, 'n' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long port = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case 'i': options->ifname = optarg; break;
		case 'd': options->dst_text = optarg; break;
		case 'k': options->kind = parse_kind(optarg); break;
		case 'p': port = parse_number("--port", optarg, 65535); break;
		case 'r': options->rate = parse_number("--rate", optarg, 1000000000); break;
		case 's': options->seconds = strtod(optarg, NULL); break;
		case 'm': parse_mac(options, optarg); break;
		case 'c': options->cpu = parse_number("--cpu", optarg, CPU_SETSIZE - 1); break;
		case 'j': options->json = true; break;
		case 'n': options->narrow = true; break;
		case 'o': options->no_options = parse_no_options(optarg); break;
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); exit(2);
		}
	}
	if (!options->ifname || !options->dst_text || !port || optind != argc) {
		usage(stderr);
		exit(2);
	}
	if (!(options->seconds > 0 && options->seconds <= MAX_SECONDS))
		die("wrong time for", "--seconds", "want more than 0 and at most 600");
	if (options->no_options && options->kind != FLOOD_SYN)
		die("wrong kind for", "--options", "it is for --kind syn");
	options->ends.port = htons(port);
	options->ends.ipv6 = strchr(options->dst_text, ':');
	if (inet_pton(options->ends.ipv6 ? AF_INET6 : AF_INET, options->dst_text, &options->ends.dst) != 1)
		die("not an address:", options->dst_text, "want an IPv4 or IPv6 address");
}

/* ------------------------------------------------------------------------------------------------------------- main */

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

static void plan_make(struct flood_plan *plan, const struct options *options)
{
	const struct flood_shape *shape = &flood_shapes[options->kind];

	if (flood_plan_make(plan, options->kind, options->no_options ? FLOOD_OPTIONS_NONE : shape->options,
			    &options->ends))
		die("cannot make frames of kind", shape->name, "it is for IPv6 alone");
}

static struct flood *load(const struct options *options, const struct flood_plan *plan, int ifindex)
{
	struct flood *skel = flood__open();

	if (!skel)
		die("cannot open", "flood.bpf.o", strerror(errno));
	memcpy((void *)skel->rodata->frames, plan->frames, sizeof(plan->frames));
	skel->rodata->pairs = plan->pairs;
	skel->rodata->narrow = options->narrow;
	skel->rodata->out_ifindex = ifindex;
	skel->rodata->ipv6 = options->ends.ipv6;
	skel->rodata->rate = options->rate;
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

static void run(struct flood *skel, const struct flood_frame *frame)
{
	unsigned char data[FLOOD_FRAME_MAX];

	memcpy(data, frame->words, sizeof(data));
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
		printf("{\"kind\": \"%s\", \"start_ns\": %llu, \"seconds\": %.3f, \"sent\": %llu, \"sent_per_second\": %.0f, \"synacks\": %llu, "
		       "\"synacks_per_second\": %.0f, \"rsts\": %llu, \"other\": %llu}\n",
		       flood_shapes[options->kind].name, (unsigned long long)flood->start_ns, seconds,
		       (unsigned long long)sent, sent / seconds, (unsigned long long)replies[FLOOD_REPLY_SYNACK],
		       replies[FLOOD_REPLY_SYNACK] / seconds, (unsigned long long)replies[FLOOD_REPLY_RST],
		       (unsigned long long)replies[FLOOD_REPLY_OTHER]);
		return;
	}
	printf("%.1f s: %llu frames sent (%.3f Mpps), %llu SYN-ACKs came back (%.3f Mpps), %llu RSTs, %llu others\n",
	       seconds, (unsigned long long)sent, sent / seconds / 1e6, (unsigned long long)replies[FLOOD_REPLY_SYNACK],
	       replies[FLOOD_REPLY_SYNACK] / seconds / 1e6, (unsigned long long)replies[FLOOD_REPLY_RST],
	       (unsigned long long)replies[FLOOD_REPLY_OTHER]);
}

int main(int argc, char **argv)
{
	struct options options = { .seconds = 10, .cpu = -1 };
	__u64 before[FLOOD_REPLY_COUNT], after[FLOOD_REPLY_COUNT];
	struct flood_plan plan;
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
	own_mac(options.ifname, options.ends.src_mac);
	plan_make(&plan, &options);

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

	skel = load(&options, &plan, ifindex);
	read_replies(map, before);
	arm(options.seconds);
	begin = now();
	run(skel, &plan.frames[0]);
	seconds = now() - begin;
	usleep(100000); /* the last replies are on their way */
	read_replies(map, after);
	for (kind = 0; kind < FLOOD_REPLY_COUNT; kind++)
		after[kind] -= before[kind];
	report(&options, skel->bss, after, seconds);
	flood__destroy(skel);
	return 0;
}

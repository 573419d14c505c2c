/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client whose final ACK and first data leave at the same time, each from a separate CPU, and so come in by two
 * receive queues: one connection after the other, by hand, from an address that the kernel does not know.
 *
 *	two_cpus DEVICE SOURCE DESTINATION PORT COUNT
 *
 * The server echoes a line (server.py line). Every second connection has timestamps. The order and the distance of the
 * two go through all values of some microseconds to either side. A client without a reply sends both again after 200
 * ms, as a real client would. The result is one line of JSON: how many were served, reset, or not served in 5 s; how
 * many waited more than 150 ms; how long the longest took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull
#define START_NS 100000
#define APART_NS 3000 /* at most, to either side */
#define REPEAT_NS (200 * NS_PER_MS)
#define GIVE_UP_NS (5000 * NS_PER_MS)
#define WAIT_NS (150 * NS_PER_MS)
#define LINE "hello\n"
#define LINE_LEN (sizeof(LINE) - 1)
#define FRAME_ROOM 256

struct frame {
	uint8_t bytes[FRAME_ROOM];
	size_t len;
};

struct connection {
	uint16_t port;
	bool timestamps;
	uint32_t isn, seq, ack; /* the fields of the next frame */
	uint32_t tsecr;
};

static const uint8_t server_mac[ETH_ALEN] = { 2, 0, 0, 9, 0, 1 }, client_mac[ETH_ALEN] = { 2, 0, 0, 9, 0, 2 };
static bool ipv6;
static uint8_t source[16], destination[16];
static uint16_t server_port;
static int ifindex;

static struct frame pair[2];  /* what each of the two senders sends */
static uint64_t leaves_ns[2]; /* when */
static sem_t turns[2], done;
static atomic_bool over;

static void die(const char *what)
{
	fprintf(stderr, "two_cpus: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* ----------------------------------------------------------------------------------------------------------- frames */

static uint32_t sum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint32_t total = 0;

	for (size_t i = 0; i < len; i++)
		total += i & 1 ? bytes[i] : bytes[i] << 8;
	return total;
}

static uint16_t folded(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons(~total & 0xffff);
}

static size_t address_len(void)
{
	return ipv6 ? 16 : 4;
}

static size_t put_ip(uint8_t *at, size_t tcp_len)
{
	if (ipv6) {
		struct ip6_hdr ip = {
			.ip6_flow = htonl(6u << 28),
			.ip6_plen = htons(tcp_len),
			.ip6_nxt = IPPROTO_TCP,
			.ip6_hops = 64,
		};

		memcpy(&ip.ip6_src, source, 16);
		memcpy(&ip.ip6_dst, destination, 16);
		memcpy(at, &ip, sizeof(ip));
		return sizeof(ip);
	}
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(20 + tcp_len),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
	};

	memcpy(&ip.saddr, source, 4);
	memcpy(&ip.daddr, destination, 4);
	ip.check = folded(sum(&ip, sizeof(ip)));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

static size_t put_options(uint8_t *at, const struct connection *connection, bool syn)
{
	static const uint8_t mss[] = { TCPOPT_MAXSEG, TCPOLEN_MAXSEG, 1400 >> 8, 1400 & 0xff };
	size_t len = 0;

	if (syn) {
		memcpy(at, mss, sizeof(mss));
		len = sizeof(mss);
	}
	if (connection->timestamps) {
		uint32_t values[2] = { htonl(now() / NS_PER_MS), htonl(connection->tsecr) };

		at[len] = at[len + 1] = TCPOPT_NOP;
		at[len + 2] = TCPOPT_TIMESTAMP;
		at[len + 3] = TCPOLEN_TIMESTAMP;
		memcpy(at + len + 4, values, sizeof(values));
		len += 12;
	}
	return len;
}

static void make(struct frame *frame, const struct connection *connection, uint8_t flags, const void *data,
		 size_t data_len)
{
	uint8_t options[40], segment[FRAME_ROOM];
	size_t option_len = put_options(options, connection, flags & TH_SYN);
	size_t len = sizeof(struct tcphdr) + option_len + data_len, at;
	struct tcphdr tcp = {
		.th_sport = htons(connection->port),
		.th_dport = htons(server_port),
		.th_seq = htonl(connection->seq),
		.th_ack = htonl(connection->ack),
		.th_off = (sizeof(tcp) + option_len) / 4,
		.th_flags = flags,
		.th_win = htons(64240),
	};

	memcpy(segment, &tcp, sizeof(tcp));
	memcpy(segment + sizeof(tcp), options, option_len);
	memcpy(segment + sizeof(tcp) + option_len, data, data_len);
	tcp.th_sum = folded(sum(segment, len) + sum(source, address_len()) + sum(destination, address_len()) +
			    IPPROTO_TCP + len);
	memcpy(segment, &tcp, sizeof(tcp));

	memcpy(frame->bytes, server_mac, ETH_ALEN);
	memcpy(frame->bytes + ETH_ALEN, client_mac, ETH_ALEN);
	frame->bytes[12] = ipv6 ? 0x86 : 0x08;
	frame->bytes[13] = ipv6 ? 0xdd : 0x00;
	at = ETH_HLEN;
	at += put_ip(frame->bytes + at, len);
	memcpy(frame->bytes + at, segment, len);
	frame->len = at + len;
}

/* A segment of the server for the connection. */
struct segment {
	struct tcphdr tcp;
	uint32_t tsval;
	size_t data_len;
};

static uint32_t find_tsval(const uint8_t *options, size_t len)
{
	uint32_t tsval;

	for (size_t i = 0; i < len; i += options[i] == TCPOPT_NOP ? 1 : options[i + 1]) {
		if (options[i] == TCPOPT_EOL || (options[i] != TCPOPT_NOP && (i + 1 >= len || options[i + 1] < 2)))
			break;
		if (options[i] == TCPOPT_TIMESTAMP && i + TCPOLEN_TIMESTAMP <= len) {
			memcpy(&tsval, options + i + 2, sizeof(tsval));
			return ntohl(tsval);
		}
	}
	return 0;
}

static bool parse(const uint8_t *bytes, size_t len, const struct connection *connection, struct segment *segment)
{
	size_t at = ETH_HLEN + (ipv6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr)), end, head;
	uint16_t total;

	if (len < at + sizeof(segment->tcp) || bytes[12] != (ipv6 ? 0x86 : 0x08) || bytes[13] != (ipv6 ? 0xdd : 0x00) ||
	    bytes[ETH_HLEN + (ipv6 ? 6 : 9)] != IPPROTO_TCP)
		return false;
	memcpy(&total, bytes + ETH_HLEN + (ipv6 ? 4 : 2), sizeof(total));
	end = ETH_HLEN + (ipv6 ? sizeof(struct ip6_hdr) : 0) + ntohs(total);
	memcpy(&segment->tcp, bytes + at, sizeof(segment->tcp));
	head = segment->tcp.th_off * 4u;
	if (end > len || at + head > end || segment->tcp.th_sport != htons(server_port) ||
	    segment->tcp.th_dport != htons(connection->port))
		return false;
	segment->tsval = find_tsval(bytes + at + sizeof(segment->tcp), head - sizeof(segment->tcp));
	segment->data_len = end - at - head;
	return true;
}

/* ---------------------------------------------------------------------------------------------------------- senders */

static int packet_socket(uint16_t protocol)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("packet socket");
	return fd;
}

static void transmit(int fd, const struct frame *frame)
{
	if (send(fd, frame->bytes, frame->len, 0) != (ssize_t)frame->len)
		die("send");
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem))
		;
}

static void *sender(void *which)
{
	long me = (long)which;
	int fd = packet_socket(0);
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(me, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		die("two CPUs are needed");
	for (;;) {
		wait_for(&turns[me]);
		if (atomic_load(&over)) {
			close(fd);
			return NULL;
		}
		while (now() < leaves_ns[me])
			;
		transmit(fd, &pair[me]);
		sem_post(&done);
	}
}

/* Sends both by the clock: until then both threads have woken up. apart_ns: how much later the second one is. */
static void send_pair(int apart_ns)
{
	leaves_ns[0] = leaves_ns[1] = now() + START_NS;
	leaves_ns[1] += apart_ns;
	for (int i = 0; i < 2; i++)
		sem_post(&turns[i]);
	for (int i = 0; i < 2; i++)
		wait_for(&done);
}

/* ------------------------------------------------------------------------------------------------------ connections */

struct totals {
	unsigned int served, reset, failed, waited, repeated;
	uint64_t longest_ns;
};

/* Returns the next segment of the connection until then. */
static bool hear(int fd, const struct connection *connection, uint64_t until_ns, struct segment *segment)
{
	uint8_t bytes[2048];

	for (;;) {
		uint64_t now_ns = now();
		struct pollfd poller = { fd, POLLIN, 0 };
		ssize_t len;

		if (now_ns >= until_ns)
			return false;
		if (poll(&poller, 1, (until_ns - now_ns) / NS_PER_MS + 1) <= 0)
			continue;
		len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (len > 0 && parse(bytes, len, connection, segment))
			return true;
	}
}

static bool begin(int fd, struct connection *connection)
{
	struct frame syn;
	struct segment segment;

	for (int try = 0; try < 5; try++) {
		uint64_t until_ns = now() + REPEAT_NS;

		make(&syn, connection, TH_SYN, "", 0);
		transmit(fd, &syn);
		while (hear(fd, connection, until_ns, &segment)) {
			if ((segment.tcp.th_flags & (TH_SYN | TH_ACK)) != (TH_SYN | TH_ACK))
				continue;
			connection->seq = connection->isn + 1;
			connection->ack = ntohl(segment.tcp.th_seq) + 1;
			connection->tsecr = segment.tsval;
			return true;
		}
	}
	return false;
}

/* Ends it with or without a reply: no segment remains to be sent again. */
static void end(int fd, struct connection *connection)
{
	struct frame rst;

	for (int i = 0; i < 2; i++) {
		make(&rst, connection, TH_RST, "", 0);
		transmit(fd, &rst);
		connection->seq += LINE_LEN;
	}
}

/* Sends both, again and again, until the echo comes. */
static void finish(int fd, struct connection *connection, unsigned int number, struct totals *totals)
{
	uint64_t begun_ns = now(), took_ns;
	int apart_ns = (int)(number / 4 * 20 % (2 * APART_NS)) - APART_NS;
	struct segment segment;

	make(&pair[number & 1], connection, TH_ACK, "", 0);
	make(&pair[!(number & 1)], connection, TH_ACK | TH_PUSH, LINE, LINE_LEN);
	for (uint64_t repeat_ns = begun_ns; repeat_ns < begun_ns + GIVE_UP_NS; repeat_ns += REPEAT_NS) {
		totals->repeated += repeat_ns != begun_ns;
		send_pair(apart_ns);
		while (hear(fd, connection, repeat_ns + REPEAT_NS, &segment)) {
			if (segment.tcp.th_flags & TH_RST) {
				totals->reset++;
				end(fd, connection);
				return;
			}
			if (!segment.data_len)
				continue;
			took_ns = now() - begun_ns;
			totals->served++;
			totals->waited += took_ns > WAIT_NS;
			if (took_ns > totals->longest_ns)
				totals->longest_ns = took_ns;
			end(fd, connection);
			return;
		}
	}
	totals->failed++;
	end(fd, connection);
}

int main(int argc, char **argv)
{
	struct totals totals = { 0 };
	struct sched_param first = { .sched_priority = 1 };
	pthread_t threads[2];
	unsigned int count;
	int fd;

	if (argc != 6) {
		fputs("two_cpus DEVICE SOURCE DESTINATION PORT COUNT\n", stderr);
		return 2;
	}
	ifindex = if_nametoindex(argv[1]);
	ipv6 = !!strchr(argv[3], ':');
	server_port = atoi(argv[4]);
	count = atoi(argv[5]);
	if (inet_pton(ipv6 ? AF_INET6 : AF_INET, argv[2], source) != 1 ||
	    inet_pton(ipv6 ? AF_INET6 : AF_INET, argv[3], destination) != 1 || !ifindex)
		die("a device and two addresses are needed");
	fd = packet_socket(ETH_P_ALL);
	/* With SCHED_FIFO both threads are ready in time under any load. */
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		die("SCHED_FIFO");
	sem_init(&done, 0, 0);
	for (long i = 0; i < 2; i++) {
		sem_init(&turns[i], 0, 0);
		if (pthread_create(&threads[i], NULL, sender, (void *)i))
			die("thread");
	}
	for (unsigned int i = 0; i < count; i++) {
		struct connection connection = {
			.port = 10000 + i % 50000,
			.timestamps = i / 2 % 2,
			.isn = 1000003u * i,
			.seq = 1000003u * i,
		};
		if (begin(fd, &connection))
			finish(fd, &connection, i, &totals);
		else
			totals.failed++;
	}
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++) {
		sem_post(&turns[i]);
		pthread_join(threads[i], NULL);
	}
	printf("{\"served\": %u, \"reset\": %u, \"failed\": %u, \"waited\": %u, \"repeated\": %u, \"longest_ms\": %.1f}\n",
	       totals.served, totals.reset, totals.failed, totals.waited, totals.repeated,
	       (double)totals.longest_ns / NS_PER_MS);
	return 0;
}

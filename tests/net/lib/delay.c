/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A long wire: carries every frame between two interfaces, each after the same time. For kernels without netem, and
 * because its frames can be counted.
 *
 *	delay [--background] FIRST SECOND MILLISECONDS
 *
 * The time is one way, a fraction is allowed; it counts from when the kernel received the frame, so that waiting for a
 * CPU makes no frame late on a busy machine, and none early. Frames keep their order; tags of VLANs stay. SIGTERM ends
 * it, SIGUSR1 does not; at either it prints as one line of JSON how many frames of each direction it has carried, lost
 * (no room, or the interface did not take it) and how many are on their way, and the largest frame. Exit status 0.
 *
 * Both interfaces must deliver frames as they are on a wire: no segmentation or checksums left to the card, no merged
 * frames (GRO). A frame without a complete checksum is counted as unfinished. scripts/lab.sh far makes a lab with such
 * a wire.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ll
#define TAG_LEN 4
#define FRAME_ROOM 2048 /* a frame, and the tag before it */
/* Frames on their way in one direction; a power of two. 100 ms of 1.9 Gbit/s in full frames. */
#define SLOTS 16384u
#define BATCH 64
#define SOCKET_BUFFER (64 << 20)

struct slot {
	int64_t due_ns; /* CLOCK_MONOTONIC */
	unsigned int offset, len;
	unsigned char bytes[FRAME_ROOM];
};

/* One direction. Slots from head to tail are on their way, oldest first. */
struct way {
	const char *name;
	int in, out;
	unsigned int head, tail;
	struct slot *slots;
	unsigned long carried, lost, unfinished;
	unsigned int largest;
};

static int64_t delay_ns;
static struct way ways[2];
static volatile sig_atomic_t ended, asked;

static void on_signal(int signal)
{
	if (signal == SIGUSR1)
		asked = 1;
	else
		ended = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ---------------------------------------------------------------------------------------------------------- sockets */

static void set(int fd, int level, int option, int value, const char *what)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		die(what);
}

/* Opens a packet socket. It is bound before it gets a protocol: no frame of another interface gets in. */
static int packet_socket(const char *device)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(device),
	};
	struct packet_mreq all = { .mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("packet socket");
	if (!at.sll_ifindex)
		die(device);
	set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER, "SO_RCVBUFFORCE");
	set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER, "SO_SNDBUFFORCE");
	set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
	set(fd, SOL_PACKET, PACKET_AUXDATA, 1, "PACKET_AUXDATA");
	set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
	set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS");
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)))
		die("PACKET_ADD_MEMBERSHIP");
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die(device);
	return fd;
}

/* Returns the number of frames that the socket had no room for. The kernel counts since the last call. */
static unsigned long overrun(int fd)
{
	struct tpacket_stats stats = { 0 };
	socklen_t len = sizeof(stats);

	return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) ? 0 : stats.tp_drops;
}

/* ----------------------------------------------------------------------------------------------------------- frames */

/* Inserts the outer tag again: the kernel removes it from a frame and reports it in ancillary data. */
static void put_tag_back(struct slot *slot, const struct tpacket_auxdata *aux)
{
	uint16_t tag[2] = { htons(aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : ETHERTYPE_VLAN),
			    htons(aux->tp_vlan_tci) };

	memmove(slot->bytes, slot->bytes + TAG_LEN, 2 * ETH_ALEN);
	memcpy(slot->bytes + 2 * ETH_ALEN, tag, sizeof(tag));
	slot->offset -= TAG_LEN;
	slot->len += TAG_LEN;
}

static void take(struct way *way, struct slot *slot, struct msghdr *message, unsigned int len)
{
	int64_t now_ns = clock_ns(CLOCK_REALTIME), age_ns = 0;
	struct cmsghdr *control;

	slot->offset = TAG_LEN;
	slot->len = len;
	for (control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
		if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec at;

			memcpy(&at, CMSG_DATA(control), sizeof(at));
			age_ns = now_ns - (at.tv_sec * NS_PER_S + at.tv_nsec);
		} else if (control->cmsg_level == SOL_PACKET && control->cmsg_type == PACKET_AUXDATA) {
			struct tpacket_auxdata aux;

			memcpy(&aux, CMSG_DATA(control), sizeof(aux));
			if (aux.tp_status & TP_STATUS_VLAN_VALID)
				put_tag_back(slot, &aux);
			way->unfinished += !!(aux.tp_status & TP_STATUS_CSUMNOTREADY);
		}
	}
	/* the wall clock may be set meanwhile */
	if (age_ns < 0 || age_ns > delay_ns)
		age_ns = age_ns < 0 ? 0 : delay_ns;
	slot->due_ns = clock_ns(CLOCK_MONOTONIC) - age_ns + delay_ns;
	if (slot->len > way->largest)
		way->largest = slot->len;
}

/* Reads the frames that have come in; returns whether there may be more. */
static bool receive(struct way *way)
{
	static union {
		char room[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct cmsghdr align;
	} controls[BATCH];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec parts[BATCH];
	unsigned int room = SLOTS - (way->tail - way->head);
	int count, i;

	if (room > BATCH)
		room = BATCH;
	for (i = 0; i < (int)room; i++) {
		struct slot *slot = &way->slots[(way->tail + i) % SLOTS];

		parts[i] = (struct iovec){ slot->bytes + TAG_LEN, FRAME_ROOM - TAG_LEN };
		messages[i].msg_hdr = (struct msghdr){
			.msg_iov = &parts[i],
			.msg_iovlen = 1,
			.msg_control = &controls[i],
			.msg_controllen = sizeof(controls[i]),
		};
	}
	count = recvmmsg(way->in, messages, room, MSG_DONTWAIT, NULL);
	for (i = 0; i < count; i++) {
		struct slot *slot = &way->slots[way->tail % SLOTS];

		/* Larger than any wire's frame: segmentation was left to the card. */
		if (messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
			way->lost++;
			slot->due_ns = 0;
			slot->len = 0;
		} else {
			take(way, slot, &messages[i].msg_hdr, messages[i].msg_len);
		}
		way->tail++;
	}
	return room && count == (int)room;
}

/* Sends frames that are due; returns when the next one is due, or INT64_MAX. */
static int64_t send_due(struct way *way)
{
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec parts[BATCH];

	while (way->head != way->tail) {
		int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
		unsigned int count = 0;
		int sent;

		while (count < BATCH && way->head + count != way->tail) {
			struct slot *slot = &way->slots[(way->head + count) % SLOTS];

			if (slot->due_ns > now_ns || !slot->len)
				break;
			parts[count] = (struct iovec){ slot->bytes + slot->offset, slot->len };
			messages[count].msg_hdr = (struct msghdr){ .msg_iov = &parts[count], .msg_iovlen = 1 };
			count++;
		}
		if (!count) {
			struct slot *next = &way->slots[way->head % SLOTS];

			if (next->len)
				return next->due_ns;
			way->head++; /* it was lost */
			continue;
		}
		sent = sendmmsg(way->out, messages, count, 0);
		/* The first one was not accepted: the wire loses it. */
		if (sent <= 0) {
			way->lost++;
			way->head++;
			continue;
		}
		way->carried += sent;
		way->head += sent;
	}
	return INT64_MAX;
}

/* ------------------------------------------------------------------------------------------------------------- main */

static void report(void)
{
	for (int i = 0; i < 2; i++) {
		struct way *way = &ways[i];

		way->lost += overrun(way->in);
		printf("%s\"%s\": {\"carried\": %lu, \"lost\": %lu, \"under_way\": %u, \"unfinished\": %lu, \"largest\": %u}",
		       i ? ", " : "{", way->name, way->carried, way->lost, way->tail - way->head, way->unfinished,
		       way->largest);
	}
	puts("}");
	fflush(stdout);
}

static void carry(void)
{
	struct pollfd polls[3];

	polls[2] = (struct pollfd){ timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), POLLIN, 0 };
	if (polls[2].fd < 0)
		die("timer");
	while (!ended) {
		struct itimerspec timer = { 0 };
		int64_t next_ns = INT64_MAX;
		uint64_t expired;
		bool more = false;

		for (int i = 0; i < 2; i++) {
			int64_t way_ns;

			more |= receive(&ways[i]);
			way_ns = send_due(&ways[i]);
			if (way_ns < next_ns)
				next_ns = way_ns;
			/* A direction that is full does not poll its socket: it could not take a frame. */
			polls[i] = (struct pollfd){ ways[i].tail - ways[i].head < SLOTS ? ways[i].in : -1, POLLIN, 0 };
		}
		if (asked) {
			asked = 0;
			report();
		}
		if (more)
			continue;
		if (next_ns != INT64_MAX)
			timer.it_value = (struct timespec){ next_ns / NS_PER_S, next_ns % NS_PER_S };
		timerfd_settime(polls[2].fd, TFD_TIMER_ABSTIME, &timer, NULL);
		if (poll(polls, 3, 1000) > 0 && polls[2].revents && read(polls[2].fd, &expired, sizeof(expired)) < 0)
			continue;
	}
	close(polls[2].fd);
}

static void open_way(struct way *way, const char *name, int in, int out)
{
	size_t size = SLOTS * sizeof(*way->slots);

	*way = (struct way){ .name = name, .in = in, .out = out };
	way->slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (way->slots == MAP_FAILED)
		die("no memory");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	bool background = argc > 1 && !strcmp(argv[1], "--background");
	int first, second;
	char *end;
	double ms;

	argc -= background;
	argv += background;
	ms = argc == 4 ? strtod(argv[3], &end) : -1;
	if (argc != 4 || end == argv[3] || *end || !(ms >= 0 && ms <= 10000)) {
		fputs("delay [--background] FIRST SECOND MILLISECONDS: carries frames between two interfaces, each after so long\n",
		      stderr);
		return 2;
	}
	delay_ns = (int64_t)(ms * 1e6);
	first = packet_socket(argv[1]);
	second = packet_socket(argv[2]);
	open_way(&ways[0], "first_to_second", first, second);
	open_way(&ways[1], "second_to_first", second, first);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	/* Frames are read from now on: the caller may send. */
	if (background && daemon(1, 1))
		die("background");
	carry();
	report();
	return 0;
}

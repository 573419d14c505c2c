/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The real program under BPF_PROG_TEST_RUN, in a network namespace of the test, with one service on 10.9.0.1:80 and
 * [2001:db8::1]:80. Every frame that is run is checked for what always holds: one verdict is counted once, the
 * service's counters change with it, the XDP action is the verdict's, a passed frame is unchanged (and has metadata
 * only if it is a validated ACK), a sent frame is well-formed and goes back to where the frame came from.
 *
 * Include cmocka.h and the headers it needs before this one.
 */
#ifndef SHAKEOFF_TESTS_HARNESS_H
#define SHAKEOFF_TESTS_HARNESS_H

#include <shakeoff/abi.h>

#include "frame.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define SERVICE 7 /* id of the service */
#define EPOCH 1000u
#define RINGS 2

/* Of the interface's profile: values that occur nowhere else. */
#define MSS4 1460
#define MSS6 1440
#define OUR_WSCALE 9
#define OUR_TTL 61
#define OUR_HOP_LIMIT 62

/* The server's receive space, and the whole segments of it that a SYN-ACK offers: timestamps take 12 bytes of each. */
#define RCV_SPACE 50000
#define SEGMENT(ipv6, timestamps) (((ipv6) ? MSS6 : MSS4) - ((timestamps) ? 12 : 0))
#define WINDOW(ipv6, timestamps) (RCV_SPACE / SEGMENT(ipv6, timestamps) * SEGMENT(ipv6, timestamps))
#define WINDOW_SPACE (20u << 20) /* between 2^24 and 2^25: OUR_WSCALE */

struct bpf_object;

struct harness {
	struct bpf_object *object;        /* the program's */
	struct shakeoff_control *control; /* shared with the program */
	struct shakeoff_service *service; /* likewise; of the one service */
	int program, plain_program, frags_program;
	int addresses4, addresses6, keys, interfaces, validated, rings, filter; /* maps */
	int routes4, routes6, own4, own6, vlans, neighbours;                    /* likewise */
	int sources, syn_sources, replies;                                      /* likewise */
	unsigned int ifindex;                                                   /* where frames come in */
	__u32 service_id;                                                       /* whose counters a frame must change */
	size_t linear;         /* bytes in a frame's first buffer; 0: as many as fit */
	size_t metadata_len;   /* metadata in front of the last frame */
	uint8_t metadata[256]; /* likewise */
};

extern struct harness harness;

int harness_start(void **state); /* for a group */
int harness_stop(void **state);
int harness_reset(void **state); /* before each test: everything as described above, no event, nothing validated */

/* Runs a frame. *out, if not NULL, is the frame afterwards. Returns its verdict. */
enum shakeoff_verdict run_frame(const struct frame *in, struct frame *out);
enum shakeoff_verdict run_segment(const struct segment *segment, struct frame *out);
const char *verdict_name(enum shakeoff_verdict verdict);
void assert_verdict(const struct segment *segment, enum shakeoff_verdict expected);

/* Runs a segment that must get a reply with this verdict, and reads the reply. */
void run_answered(const struct segment *segment, enum shakeoff_verdict expected, struct reading *reading);

/* The next event of the rings, or NULL; valid until the test's end. */
const struct shakeoff_event *next_event(void);
const struct shakeoff_event *expect_event(enum shakeoff_event_type type);
void expect_no_event(void);
void events_forget(void); /* harness_reset() does it */

/* A client in the middle of its handshake. */
struct client {
	struct segment syn, ack;
	struct reading synack;
	uint8_t ack_options[12];
};

/* Sends a SYN, and prepares the ACK to the SYN-ACK. Timestamps follow if the SYN-ACK has them. */
void client_connect(struct client *client, const struct segment *syn);
void client_make_ack(struct client *client);                         /* from its SYN and the SYN-ACK */
void client_opens(struct client *client, const struct segment *syn); /* and sends the ACK: ack_valid; takes its event */

/* SYN options. */
#define LINUX_OPTIONS BYTES(2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 1, 3, 3, 7)
#define LINUX_TSVAL 0x11223344u
#define WINDOWS_OPTIONS BYTES(2, 4, 0x05, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2)

#define CLIENT_ISN 0xfffffff0u
#define LINUX_SYN                                                                                                      \
	{                                                                                                              \
		.seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS                                              \
	}
#define LINUX_SYN6                                                                                                     \
	{                                                                                                              \
		.from = "2001:db8:7::7", .seq = CLIENT_ISN, .flags = SYN, .options = LINUX_OPTIONS                     \
	}
#define WINDOWS_SYN                                                                                                    \
	{                                                                                                              \
		.seq = CLIENT_ISN, .flags = SYN, .options = WINDOWS_OPTIONS                                            \
	}
#define WINDOWS_SYN6                                                                                                   \
	{                                                                                                              \
		.from = "2001:db8:7::7", .seq = CLIENT_ISN, .flags = SYN, .options = WINDOWS_OPTIONS                   \
	}

uint64_t monotonic_ns(void);

/*
 * For SYNs that pass to the kernel: uses up the service's budget for this window and many later windows, or refills it.
 */
void budget_spend(bool spent);
struct shakeoff_tuple tuple_of_segment(const struct segment *segment);
void validated_note(
	const struct segment
		*segment); /* run_segment() calls it: the entry that a segment creates is cleared after the test */
bool validated_get(const struct segment *segment, struct shakeoff_validated *entry);
void validated_set(const struct segment *segment, const struct shakeoff_validated *entry);
void validated_age(const struct segment *segment, int64_t age_ns); /* as if its ACK had been accepted this long ago */
uint8_t filter_get(const struct segment *segment,
		   __u32 which); /* the byte of its filter slot: 0 if it can have no socket */
void filter_fill(uint8_t byte);  /* every slot of both filters */
void generation_raise(void);
void key_set(__u32 slot, uint64_t change);                    /* the usual key of the slot, exclusive or `change` */
void interface_set(const struct shakeoff_interface *profile); /* NULL: none */
struct shakeoff_interface interface_default(void);
void own_set(const char *prefix, bool own); /* adds an address or prefix of the host; `own` false: removes it */
void route_set(const char *prefix,
	       const struct shakeoff_route *route); /* address/length; removed before the next test */

/* Makes it a service with the listener handoff, on an interface that has the tc program. */
void service_listens(enum shakeoff_syncookies syncookies);
void rings_set(unsigned int bytes); /* new rings of this size; 0: none */

/*
 * Makes an object that is not loaded yet use the maps of the harness, except its own working memory. Returns 0 or -1.
 */
int harness_share_maps(struct bpf_object *object);

#endif

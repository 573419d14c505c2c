/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of selftest.h share:
 *
 *	selftest.c           open and close, which endpoints are tried, and what came of it
 *	selftest_schedule.c  when they are tried
 *	selftest_round.c     one round: the endpoints that are due
 *	selftest_run.c       one run of the probe program
 */
#ifndef SHAKEOFFD_SELFTEST_SELFTEST_INTERNAL_H
#define SHAKEOFFD_SELFTEST_SELFTEST_INTERNAL_H

#include <sys/socket.h>

#include <shakeoff/probe.h>
#include "shakeoffd/selftest/probe_frame.h"
#include "shakeoffd/selftest/probe_source.h"
#include "shakeoffd/selftest/selftest.h"

#define TRIES 3 /* in vain, of one kind of probe */

/*
 * ACKs that have to arrive at an endpoint. One is not enough beside NAT: whether nf_nat_ipv4_local_in() takes the
 * request from a packet depends on two fields of it that bpf_sk_assign_tcp_reqsk() does not set, so on what its memory
 * was used for before.
 */
#define ARRIVALS 3

#define TRIES_OF_ALL (ARRIVALS - 1 + 2 * TRIES) /* ACKs and SYNs */

enum { IPV4, IPV6, FAMILIES };

/* Returns the AF_* of an index. */
static inline int selftest_address_family(int family)
{
	return family == IPV4 ? AF_INET : AF_INET6;
}

/* An endpoint that is tried, and what is known of it. */
struct probe_target {
	struct endpoint what; /* first: endpoint_compare() */
	bool due;
	uint8_t result;    /* enum selftest_result: the published one */
	uint8_t found;     /* of this round */
	bool outside;      /* of this round: some other than a neighbour can send to it, */
	bool arrived;      /* and did */
	bool tried;        /* of this round: by anybody */
	uint8_t failures;  /* in vain, one round after the other */
	uint64_t again_ns; /* when it is tried again because it was not reached; 0: it was, or with all others */
};

/* An interface on which endpoints are tried. */
struct link {
	unsigned int ifindex;
	int map;                /* of its tc program; -1: it cannot be tried there */
	struct probe_port port; /* these two as they were at the beginning of the round */
	struct probe_sources sources[FAMILIES];
};

/* An endpoint that is tried on a link, in the name of sources of a class. */
struct trial {
	struct probe_target *target;
	size_t link;
	enum probe_class class;
	unsigned int wanted;    /* ACKs that have to arrive */
	enum probe_kind kind;   /* what is to arrive next */
	unsigned int tries;     /* of that kind, in vain */
	unsigned int arrivals;  /* of ACKs */
	struct in6_addr source; /* of the last ACK */
	bool over;              /* its result is in the target */
};

/* The endpoints that are tried at the same time. */
struct round {
	struct trial trials[SHAKEOFF_PROBE_MAX];
	size_t count;
	unsigned int attempt; /* what is to be run next: this attempt on this link; TRIES_OF_ALL: nothing */
	size_t link;
};

/* What the last run has sent: frame i is the probe of trials[i]. */
struct run {
	struct trial *trials[SHAKEOFF_PROBE_MAX];
	size_t count; /* 0: none is under way */
	size_t link;
};

struct selftest {
	struct event_source timer;
	struct datapath_probe *probe;
	int listeners[FAMILIES]; /* -1: none */
	__be16 listener_ports[FAMILIES];

	struct link *links;
	size_t link_count;
	struct probe_target *targets; /* sorted, each once */
	size_t target_count;
	struct probe_hosts hosts;
	struct probe_neighbours neighbours;
	bool changed;

	size_t next_due; /* no target before it is due */
	uint64_t all_due_ns;
	uint64_t all_begun_ns;
	uint64_t rules_ns; /* up to here tests because of changes are accounted for, as RULES_REST_NS each */
	struct round round;
	struct run run;
};

/* Returns which family of addresses an endpoint has: an index. */
static inline int family_of(const struct probe_target *target)
{
	return IN6_IS_ADDR_V4MAPPED(&target->what.address) ? IPV4 : IPV6;
}

/* Sends what is still unanswered on a link. Returns whether something was sent. */
bool selftest_run_begin(struct selftest *selftest, size_t index);

/* Takes what has arrived of the run that is under way, if there is one. */
void selftest_run_end(struct selftest *selftest);

/* Takes as many endpoints that are due as one run has room for. Returns whether there were any. */
bool selftest_round_begin(struct selftest *selftest);

/* Runs what is next of the round. Returns whether something is under way. */
bool selftest_round_step(struct selftest *selftest);

/* Publishes what is known at the end of a round. */
void selftest_round_end(struct selftest *selftest);

/* Gives up the round that is under way. Its endpoints stay due. */
void selftest_round_abandon(struct selftest *selftest);

/* Makes all endpoints due. */
void selftest_all_due(struct selftest *selftest, uint64_t now);

/* Sets the timer, so that what is due begins at once. */
void selftest_begin_soon(struct selftest *selftest);

/* Goes on with the self-test: the event loop calls it when the timer has expired. */
void selftest_step(struct event_source *source, uint32_t events);

#endif

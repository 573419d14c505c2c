/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by the parts of selftest.h:
 *
 *	selftest.c           open and close, which endpoints are tried, and their results
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

#define TRIES 3 /* maximum of failed tries with a kind of probe */

/*
 * ACKs that have to arrive at an endpoint. One ACK is not enough beside NAT: nf_nat_ipv4_local_in() may take the
 * request from a packet depending on two of its fields that bpf_sk_assign_tcp_reqsk() does not set, so the result
 * depends on the earlier use of its memory.
 */
#define ARRIVALS 3

#define TRIES_OF_ALL (ARRIVALS - 1 + 2 * TRIES) /* of ACKs and SYNs together */

enum { IPV4, IPV6, FAMILIES };

/* Returns the AF_* of an index. */
static inline int selftest_address_family(int family)
{
	return family == IPV4 ? AF_INET : AF_INET6;
}

/* An endpoint that is tried, and its results. */
struct probe_target {
	struct endpoint what; /* must be first: endpoint_compare() */
	bool due;
	uint8_t result;    /* enum selftest_result: the published one */
	uint8_t found;     /* in this round */
	bool outside;      /* in this round: sources other than neighbours can send to it, */
	bool arrived;      /* and their probes arrived */
	bool tried;        /* in this round: by any source */
	uint8_t failures;  /* consecutive rounds that failed */
	uint64_t again_ns; /* when it is tried again because it was not reached; 0: only with all others */
};

/* An interface on which endpoints are tried. */
struct link {
	unsigned int ifindex;
	int map;                /* of its tc program; -1: no test is possible there */
	struct probe_port port; /* these two as they were at the beginning of the round */
	struct probe_sources sources[FAMILIES];
};

/* A test of an endpoint on a link, from sources of a class. */
struct trial {
	struct probe_target *target;
	size_t link;
	enum probe_class class;
	unsigned int wanted;    /* ACKs that have to arrive */
	enum probe_kind kind;   /* the kind of probe that has to arrive next */
	unsigned int tries;     /* failed tries of that kind */
	unsigned int arrivals;  /* of ACKs */
	struct in6_addr source; /* of the last ACK */
	bool over;              /* the target has its result */
};

/* The endpoints that are tried at the same time. */
struct round {
	struct trial trials[SHAKEOFF_PROBE_MAX];
	size_t count;
	unsigned int attempt; /* the next run: this attempt on this link; TRIES_OF_ALL: none */
	size_t link;
};

/* The last run: frame i was the probe of trials[i]. */
struct run {
	struct trial *trials[SHAKEOFF_PROBE_MAX];
	size_t count; /* 0: no run is under way */
	size_t link;
};

struct selftest {
	struct event_source timer;
	struct datapath_probe *probe;
	int listeners[FAMILIES]; /* -1: none */
	__be16 listener_ports[FAMILIES];

	struct link *links;
	size_t link_count;
	struct probe_target *targets; /* sorted, unique */
	size_t target_count;
	struct probe_hosts hosts;
	struct probe_neighbours neighbours;
	bool changed;

	size_t next_due; /* no earlier target is due */
	uint64_t all_due_ns;
	uint64_t all_begun_ns;
	uint64_t rules_ns; /* tests because of changes are accounted for up to this time, RULES_REST_NS for each */
	struct round round;
	struct run run;
};

/* Returns the index of an endpoint's address family. */
static inline int family_of(const struct probe_target *target)
{
	return IN6_IS_ADDR_V4MAPPED(&target->what.address) ? IPV4 : IPV6;
}

/* Sends the probes that are still needed on a link. Returns whether it sent any. */
bool selftest_run_begin(struct selftest *selftest, size_t index);

/* Takes the results of the run that is under way, if there is one. */
void selftest_run_end(struct selftest *selftest);

/* Takes as many due endpoints as one run has room for. Returns whether there were any. */
bool selftest_round_begin(struct selftest *selftest);

/* Makes the next run of the round. Returns whether one is under way. */
bool selftest_round_step(struct selftest *selftest);

/* Publishes the results at the end of a round. */
void selftest_round_end(struct selftest *selftest);

/* Gives up the round that is under way. Its endpoints stay due. */
void selftest_round_abandon(struct selftest *selftest);

/* Makes all endpoints due. */
void selftest_all_due(struct selftest *selftest, uint64_t now);

/* Sets the timer so that due work begins at once. */
void selftest_begin_soon(struct selftest *selftest);

/* Continues the self-test: the event loop calls it when the timer has expired. */
void selftest_step(struct event_source *source, uint32_t events);

#endif

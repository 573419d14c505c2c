/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Places that are due are tried in rounds: each place on each interface that counts for it is a trial for each class of sources that is
 * routed over it. A trial sends an ACK until ARRIVALS of them have arrived, and then a SYN from the very source that the last one
 * came from, until one has; TRIES may go astray of each. Where no ACK arrives a SYN is tried all the same: rules that refuse both
 * make no difference between them. One run of the probe program an interface and try takes all trials that are not
 * over; its results are published when all is known.
 *
 * The SYN comes second: where the ACK arrives, the kernel keeps what the tc program has given a packet to, so that the
 * SYN does not get to the server instead. And it comes from the same source: where the one gets through and the other
 * does not, rules make a difference between them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <common/cleanup.h>
#include "datapath/datapath.h"
#include "datapath/datapath_probe.h"
#include <common/log.h>
#include "shakeoffd/selftest/probe_frame.h"
#include "shakeoffd/selftest/probe_source.h"
#include "shakeoffd/selftest/selftest.h"
#include "common/tuple.h"

#define TRIES 3 /* in vain, of one kind of probe */

/*
 * ACKs of a place that have to arrive. Beside NAT one is not enough: whether nf_nat_ipv4_local_in() takes the request
 * from a packet depends on two fields of it that bpf_sk_assign_tcp_reqsk() does not set, so on who had its memory before.
 */
#define ARRIVALS 3

#define TRIES_OF_ALL (ARRIVALS - 1 + 2 * TRIES) /* ACKs and SYNs */
#define STEP_NS (20 * NS_PER_MS) /* between two runs: for what still is on its way, and for the rest of the daemon */

/* Rules come in bursts, and some hosts change theirs all the time. */
#define RULES_SETTLE_NS (100 * NS_PER_MS)
#define RULES_PERIOD_NS NS_PER_S
/*
 * While that goes on, so many tests at once and then one in so long: with PROBE_NEIGHBOURS no source sends more than five packets to a port
 * in half a minute, so that rules which count what a source opens (the usual one allows six) do not take the probes for many.
 */
#define RULES_BURST 8
#define RULES_REST_NS (4 * NS_PER_S)
/* What was not reached is tried again in the name of others, less and less often. */
#define AGAIN_NS (10 * NS_PER_S)
#define AGAIN_MAX_NS (80 * NS_PER_S)
#define ELEMENTS_PERIOD_NS (30 * NS_PER_S)

#define PORT_MIN 32768 /* of probes: as clients choose them */

enum { IPV4, IPV6, FAMILIES };
static const int families[FAMILIES] = { AF_INET, AF_INET6 };

struct place {
	struct spot what; /* first: spot_compare() */
	bool due;
	uint8_t result;    /* enum selftest_result: the published one */
	uint8_t found;     /* of this round */
	bool outside;      /* of this round: some other than a neighbour can send to it, */
	bool arrived;      /* and did */
	bool tried;        /* of this round: by anybody */
	uint8_t failures;  /* in vain, one round after the other */
	uint64_t again_ns; /* when it is tried again because it was not reached; 0: it was, or with all others */
};

/* An interface on which is tried. */
struct link {
	unsigned int ifindex;
	int map;                /* of its tc program; -1: it cannot be tried there */
	struct probe_port port; /* these two as they were at the beginning of the round */
	struct probe_sources sources[FAMILIES];
};

struct trial {
	struct place *place;
	size_t link;
	enum probe_class class;
	unsigned int wanted;    /* ACKs that have to arrive */
	enum probe_kind kind;   /* what is to arrive next */
	unsigned int tries;     /* of that kind, in vain */
	unsigned int arrivals;  /* of ACKs */
	struct in6_addr source; /* of the last ACK */
	bool over;              /* its result is in the place */
};

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
	struct place *places; /* sorted, each once */
	size_t place_count;
	struct probe_hosts hosts;
	struct probe_neighbours neighbours;
	bool changed;

	size_t next_due; /* no place before it is due */
	uint64_t all_due_ns;
	uint64_t all_begun_ns;
	uint64_t rules_ns; /* up to here tests because of changes are accounted for, as RULES_REST_NS each */
	struct round round;
	struct run run;
};

static void set_timer(struct selftest *selftest, uint64_t at_ns)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S) },
	};

	timerfd_settime(selftest->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* --------------------------------------------------------------------------------------------------------- one run */

static int family_of(const struct place *place)
{
	return IN6_IS_ADDR_V4MAPPED(&place->what.address) ? IPV4 : IPV6;
}

/* Whether probes to addresses of a family can be sent there at all. */
static bool can_try(const struct selftest *selftest, const struct link *link, int family)
{
	return link->map >= 0 && selftest->listeners[family] >= 0 &&
	       (link->sources[family].counts[PROBE_OUTSIDE] || link->sources[family].counts[PROBE_NEIGHBOUR]);
}

/* Everything that is random is new for each run: a probe of an earlier one is none. */
static int begin_common(const struct selftest *selftest, const struct link *link, struct shakeoff_probe *common)
{
	struct {
		uint32_t seq, ack;
		uint16_t port;
		uint8_t group[6];
	} random;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return -EAGAIN;
	*common = (struct shakeoff_probe){
		.seq = random.seq,
		.ack = random.ack,
		.source_port = htons(PORT_MIN | random.port),
		.listener4 = selftest->listener_ports[IPV4],
		.listener6 = selftest->listener_ports[IPV6],
	};
	memcpy(common->group, random.group, sizeof(common->group));
	common->group[0] |= 0x03; /* a group address, locally administered (IEEE 802, section 8.2) */
	memcpy(common->mac, link->port.mac, sizeof(common->mac));
	return 0;
}

/*
 * Each ACK has a source of its own, as far as there are: rules that count the SYNs or connections of one (hashlimit, connlimit, recent)
 * are not to take many probes for many connections of one client.
 */
static struct probe_flow flow_of(struct link *link, struct trial *trial)
{
	const struct place *place = trial->place;
	struct probe_flow flow = { .address = place->what.address, .port = place->what.port, .kind = trial->kind };

	if (trial->kind == PROBE_ACK)
		trial->source = probe_sources_pick(&link->sources[family_of(place)], trial->class, trial->tries);
	flow.source = trial->source;
	return flow;
}

static void collect_trials(struct selftest *selftest, size_t link)
{
	struct round *round = &selftest->round;
	struct run *run = &selftest->run;

	run->count = 0;
	run->link = link;
	for (size_t i = 0; i < round->count; i++)
		if (!round->trials[i].over && round->trials[i].link == link)
			run->trials[run->count++] = &round->trials[i];
}

/* Sends what is still unanswered on a link. Returns whether something was sent. */
static bool run_begin(struct selftest *selftest, size_t index)
{
	struct link *link = &selftest->links[index];
	struct run *run = &selftest->run;
	struct shakeoff_probe common;
	int error;

	collect_trials(selftest, index);
	if (!run->count)
		return false;
	error = begin_common(selftest, link, &common);
	if (!error) {
		common.count = (uint32_t)run->count;
		for (size_t i = 0; i < run->count; i++) {
			struct probe_flow flow = flow_of(link, run->trials[i]);

			probe_frame_fill(&datapath_probe_frames(selftest->probe)[i], &common, (uint32_t)i, &flow);
		}
		error = datapath_probe_run(selftest->probe, link->map, link->ifindex, &common);
	}
	if (!error)
		return true;
	log_debug("no probes could be sent on interface %u: %s %s", link->ifindex, strerror(-error), datapath_detail());
	for (size_t i = 0; i < run->count; i++)
		run->trials[i]->over = true; /* untested */
	run->count = 0;
	return false;
}

/*
 * A place is reached if it is on every interface where it could be tried, and no class of sources is let in by one kind of packet alone.
 * Of a class that is let in by neither nothing is known but that: it may be these addresses alone that are refused.
 */
static void trial_end(struct trial *trial, enum selftest_result result)
{
	struct place *place = trial->place;

	trial->over = place->tried = true;
	if (place->found != SELFTEST_NOT_REACHED && result != SELFTEST_UNTESTED)
		place->found = (uint8_t)result;
	place->arrived |= trial->class == PROBE_OUTSIDE && result == SELFTEST_REACHED;
}

static void trial_tried(struct trial *trial, bool arrived)
{
	bool without_ack = trial->kind == PROBE_SYN && !trial->arrivals;

	if (arrived && trial->kind == PROBE_ACK) {
		if (++trial->arrivals < trial->wanted)
			return;
		trial->kind = PROBE_SYN;
		trial->tries = 0;
	} else if (arrived) {
		trial_end(trial, without_ack ? SELFTEST_NOT_REACHED : SELFTEST_REACHED);
	} else if (without_ack) {
		trial_end(trial, SELFTEST_UNTESTED);
	} else if (++trial->tries == TRIES && trial->kind == PROBE_ACK && !trial->arrivals) {
		trial->kind = PROBE_SYN; /* once: from where the last ACK came */
	} else if (trial->tries == TRIES) {
		trial_end(trial, SELFTEST_NOT_REACHED);
	}
}

static void run_end(struct selftest *selftest)
{
	const struct shakeoff_probe_frame *frames = datapath_probe_frames(selftest->probe);
	struct run *run = &selftest->run;

	if (!run->count)
		return;
	for (size_t i = 0; i < run->count; i++)
		trial_tried(run->trials[i], __atomic_load_n(&frames[i].arrived, __ATOMIC_RELAXED));
	datapath_probe_end(selftest->links[run->link].map);
	run->count = 0;
}

/* -------------------------------------------------------------------------------------------------------- one round */

static void read_link(struct selftest *selftest, struct link *link)
{
	int error = probe_port_read(link->ifindex, &link->port);

	for (int family = 0; family < FAMILIES; family++) {
		struct probe_sources *sources = &link->sources[family];

		if (error)
			*sources = (struct probe_sources){ 0 };
		if (!error && probe_sources_choose(&link->port, &selftest->hosts, &selftest->neighbours,
						   families[family], sources))
			*sources = (struct probe_sources){ 0 };
	}
}

/* Of a place that is let in from outside too, one ACK of a neighbour is enough. */
static void add_classes(struct selftest *selftest, struct place *place, size_t link)
{
	const size_t *counts = selftest->links[link].sources[family_of(place)].counts;
	struct round *round = &selftest->round;

	for (int class = 0; class < PROBE_CLASSES; class ++) {
		if (!counts[class])
			continue;
		round->trials[round->count++] = (struct trial){
			.place = place,
			.link = link,
			.class = (enum probe_class) class,
			.wanted = class == PROBE_NEIGHBOUR && counts[PROBE_OUTSIDE] ? 1 : ARRIVALS,
		};
	}
	place->outside |= counts[PROBE_OUTSIDE] != 0;
}

/* On the interfaces of ours that have its address, or else on all of them: packets to it may come in anywhere. */
static void add_trials(struct selftest *selftest, struct place *place)
{
	const struct in6_addr *address = &place->what.address;
	bool has_own = false;

	place->found = SELFTEST_UNTESTED;
	place->outside = place->arrived = place->tried = false;
	for (size_t i = 0; i < selftest->link_count; i++)
		has_own |= probe_port_has(&selftest->links[i].port, &selftest->hosts, address);
	for (size_t i = 0; i < selftest->link_count; i++) {
		const struct link *link = &selftest->links[i];

		if (has_own && !probe_port_has(&link->port, &selftest->hosts, address))
			continue;
		if (can_try(selftest, link, family_of(place)))
			add_classes(selftest, place, i);
	}
}

/* Takes as many places that are due as one run has room for. Returns whether there were any. */
static bool round_begin(struct selftest *selftest)
{
	struct round *round = &selftest->round;
	bool found = false;
	int error;

	round->count = round->attempt = round->link = 0;
	if (!selftest->links) /* nobody has said yet which there are */
		return false;
	while (selftest->next_due < selftest->place_count && !selftest->places[selftest->next_due].due)
		selftest->next_due++;
	if (selftest->next_due == selftest->place_count)
		return false;
	error = probe_hosts_read(&selftest->hosts);
	if (error)
		log_debug("the host's addresses could not be read: %s", strerror(-error));
	for (size_t i = 0; i < selftest->link_count; i++)
		read_link(selftest, &selftest->links[i]);
	for (; selftest->next_due < selftest->place_count; selftest->next_due++) {
		struct place *place = &selftest->places[selftest->next_due];

		if (!place->due)
			continue;
		if (round->count + selftest->link_count * PROBE_CLASSES > SHAKEOFF_PROBE_MAX)
			break;
		add_trials(selftest, place);
		found = true;
	}
	return found;
}

/* Runs what is next of the round. Returns whether something is under way. */
static bool round_step(struct selftest *selftest)
{
	struct round *round = &selftest->round;

	for (; round->attempt < TRIES_OF_ALL; round->attempt++, round->link = 0)
		while (round->link < selftest->link_count)
			if (run_begin(selftest, round->link++))
				return true;
	return false;
}

/* What is known of a place at the end of its round. */
static void place_end(struct selftest *selftest, struct place *place, uint64_t now)
{
	uint64_t rest = AGAIN_NS << place->failures;

	if (place->tried && place->found == SELFTEST_UNTESTED)
		place->found = SELFTEST_NOT_REACHED; /* by anybody */
	else if (place->found == SELFTEST_REACHED && place->outside && !place->arrived)
		place->found = SELFTEST_UNTESTED; /* a neighbour does not speak for the world */
	place->due = false;
	selftest->changed |= place->result != place->found;
	place->result = place->found;
	if (place->found != SELFTEST_NOT_REACHED) {
		place->failures = 0;
		place->again_ns = 0;
		return;
	}
	place->again_ns = now + (rest < AGAIN_MAX_NS ? rest : AGAIN_MAX_NS);
	if (rest < AGAIN_MAX_NS)
		place->failures++;
}

/* The places before next_due that are still due are those of the round. */
static void round_end(struct selftest *selftest)
{
	struct round *round = &selftest->round;

	round->count = 0;
	for (size_t i = 0; i < selftest->next_due; i++) {
		struct place *place = &selftest->places[i];

		if (place->due)
			place_end(selftest, place, clock_ns());
	}
}

static void all_due(struct selftest *selftest, uint64_t now)
{
	for (size_t i = 0; i < selftest->place_count; i++)
		selftest->places[i].due = true;
	selftest->next_due = 0;
	selftest->all_begun_ns = now;
	selftest->all_due_ns = now + SELFTEST_PERIOD_NS;
}

/* Those that were not reached, when their time has come. Returns when the next one's comes, or all are due. */
static uint64_t some_due(struct selftest *selftest, uint64_t now)
{
	uint64_t next = selftest->all_due_ns;

	for (size_t i = 0; i < selftest->place_count; i++) {
		struct place *place = &selftest->places[i];

		if (!place->again_ns)
			continue;
		if (now >= place->again_ns) {
			place->due = true;
			place->again_ns = 0;
			selftest->next_due = 0;
		} else if (place->again_ns < next) {
			next = place->again_ns;
		}
	}
	return next;
}

/* What is under way is given up, and begins anew. */
static void abandon_round(struct selftest *selftest)
{
	run_end(selftest);
	selftest->round.count = 0;
	selftest->round.attempt = TRIES_OF_ALL;
	selftest->next_due = 0;
}

static void step(struct event_source *source, uint32_t events)
{
	struct selftest *selftest = (struct selftest *)((char *)source - offsetof(struct selftest, timer));
	uint64_t now = clock_ns(), expirations, next;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) < 0)
		return;
	run_end(selftest);
	if (!round_step(selftest)) {
		round_end(selftest);
		if (now >= selftest->all_due_ns)
			all_due(selftest, now);
		next = some_due(selftest, now);
		if (!round_begin(selftest)) {
			set_timer(selftest, next);
			return;
		}
		round_step(selftest);
	}
	set_timer(selftest, clock_ns() + STEP_NS);
}

/* ------------------------------------------------------------------------------------------------- changes of rules */

/* When a test because of a change may begin: the generic cell rate algorithm. */
static uint64_t rules_allowed(const struct selftest *selftest)
{
	const uint64_t burst = (RULES_BURST - 1) * RULES_REST_NS;

	return selftest->rules_ns > burst ? selftest->rules_ns - burst : 0;
}

/* Whatever it is that changes, a chain, a rule, an element of a set, may decide over a probe. */
void selftest_rules_changed(struct selftest *selftest, bool rules)
{
	uint64_t now = clock_ns(), rest = rules ? RULES_PERIOD_NS : ELEMENTS_PERIOD_NS, soon = now + RULES_SETTLE_NS;

	if (!selftest)
		return;
	if (soon < selftest->all_begun_ns + rest)
		soon = selftest->all_begun_ns + rest;
	if (soon < rules_allowed(selftest))
		soon = rules_allowed(selftest);
	if (soon >= selftest->all_due_ns)
		return;
	/* One test for all changes until it begins. */
	if (selftest->all_due_ns >= selftest->all_begun_ns + SELFTEST_PERIOD_NS)
		selftest->rules_ns = (selftest->rules_ns > now ? selftest->rules_ns : now) + RULES_REST_NS;
	selftest->all_due_ns = soon;
	if (!selftest->round.count)
		set_timer(selftest, soon);
}

/* ------------------------------------------------------------------------------------------------- open and close */

/*
 * Bound even where lo is down: packets get to it by the tc program alone. Transparent, so that where there is NAT a SYN
 * stays with it: nf_nat_ipv4_local_in() takes from a packet every other socket that its addresses would not lead to,
 * and the server would get it. A request is none the more transparent for it, and shares the lot of those of a server's
 * socket.
 */
static int open_listener(struct selftest *selftest, int family)
{
	union socket_address address = { .sa.sa_family = (sa_family_t)families[family] };
	cleanup_fd int fd = socket(families[family], SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t size = family == IPV4 ? sizeof(address.in) : sizeof(address.in6);
	int on = 1, error;

	if (fd < 0)
		return -errno;
	if (family == IPV4)
		address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		address.in6.sin6_addr = in6addr_loopback;
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on));
	error = datapath_probe_catch(selftest->probe, fd);
	if (error)
		return error;
	if (bind(fd, &address.sa, size) || listen(fd, 1) || getsockname(fd, &address.sa, &size))
		return -errno;
	selftest->listener_ports[family] = family == IPV4 ? address.in.sin_port : address.in6.sin6_port;
	selftest->listeners[family] = take_fd(&fd);
	return 0;
}

static int open_parts(struct selftest *selftest, struct event_loop *loop)
{
	int error, fd;

	error = datapath_probe_open(&selftest->probe);
	if (!error)
		error = open_listener(selftest, IPV4);
	if (error)
		return error;
	/* A host without IPv6 needs no socket for it. */
	error = open_listener(selftest, IPV6);
	if (error)
		log_debug("no self-test of IPv6: %s", strerror(-error));
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return fd < 0 ? -errno : event_loop_add(loop, &selftest->timer, fd, EPOLLIN, step);
}

int selftest_open(struct selftest **opened, struct event_loop *loop)
{
	struct selftest *selftest = calloc(1, sizeof(*selftest));
	int error;

	if (!selftest)
		return -ENOMEM;
	selftest->timer.fd = -1;
	for (int family = 0; family < FAMILIES; family++)
		selftest->listeners[family] = -1;
	selftest->round.attempt = TRIES_OF_ALL;
	error = open_parts(selftest, loop);
	if (error) {
		selftest_close(selftest);
		return error;
	}
	*opened = selftest;
	return 0;
}

static void close_links(struct selftest *selftest)
{
	for (size_t i = 0; i < selftest->link_count; i++)
		cleanup_fd_function(&selftest->links[i].map);
	free(selftest->links);
	selftest->links = NULL;
	selftest->link_count = 0;
}

void selftest_close(struct selftest *selftest)
{
	if (!selftest)
		return;
	if (selftest->probe)
		run_end(selftest);
	close_links(selftest);
	for (int family = 0; family < FAMILIES; family++)
		cleanup_fd_function(&selftest->listeners[family]);
	cleanup_fd_function(&selftest->timer.fd);
	datapath_probe_close(selftest->probe);
	probe_hosts_free(&selftest->hosts);
	probe_neighbours_free(&selftest->neighbours);
	free(selftest->places);
	free(selftest);
}

/* ---------------------------------------------------------------------------------------------------- what is tried */

static void begin_soon(struct selftest *selftest)
{
	set_timer(selftest, clock_ns());
}

int selftest_interfaces(struct selftest *selftest, const unsigned int *ifindexes, size_t count)
{
	struct link *links;

	if (!selftest)
		return 0;
	links = calloc(count + 1, sizeof(*links));
	if (!links)
		return -ENOMEM;
	abandon_round(selftest);
	close_links(selftest);
	for (size_t i = 0; i < count; i++) {
		int error;

		links[i].ifindex = ifindexes[i];
		links[i].map = -1;
		error = datapath_probe_map(ifindexes[i], &links[i].map);
		if (error)
			log_debug("no self-test on interface %u: %s", ifindexes[i], strerror(-error));
	}
	selftest->links = links;
	selftest->link_count = count;
	all_due(selftest, clock_ns());
	begin_soon(selftest);
	return 0;
}

static struct place *find(const struct selftest *selftest, const struct spot *what)
{
	return selftest->place_count ?
		       bsearch(what, selftest->places, selftest->place_count, sizeof(*selftest->places), spot_compare) :
		       NULL;
}

int selftest_places(struct selftest *selftest, const struct spot *wanted, size_t count)
{
	struct place *places;
	size_t distinct = 0;

	if (!selftest)
		return 0;
	places = calloc(count + 1, sizeof(*places));
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct place *known = find(selftest, &wanted[i]);

		places[i] = known ? *known : (struct place){ .what = wanted[i], .due = true };
	}
	qsort(places, count, sizeof(*places), spot_compare);
	for (size_t i = 0; i < count; i++)
		if (!distinct || spot_compare(&places[distinct - 1], &places[i]))
			places[distinct++] = places[i];
	abandon_round(selftest);
	free(selftest->places);
	selftest->places = places;
	selftest->place_count = distinct;
	begin_soon(selftest);
	return 0;
}

enum selftest_result selftest_result(const struct selftest *selftest, const struct in6_addr *address, uint16_t port)
{
	struct spot what = { .address = *address, .port = port };
	const struct place *place = selftest ? find(selftest, &what) : NULL;

	return place ? (enum selftest_result)place->result : SELFTEST_UNTESTED;
}

bool selftest_awaits(const struct selftest *selftest, const struct in6_addr *address, uint16_t port)
{
	struct spot what = { .address = *address, .port = port };
	const struct place *place = selftest ? find(selftest, &what) : NULL;

	return selftest && (!place || place->result == SELFTEST_PENDING);
}

bool selftest_cannot_try(const struct selftest *selftest, const struct in6_addr *address, uint16_t port)
{
	struct spot what = { .address = *address, .port = port };
	const struct place *place = selftest ? find(selftest, &what) : NULL;

	return place && place->result == SELFTEST_UNTESTED;
}

bool selftest_take_change(struct selftest *selftest)
{
	bool changed = selftest && selftest->changed;

	if (changed)
		selftest->changed = false;
	return changed;
}

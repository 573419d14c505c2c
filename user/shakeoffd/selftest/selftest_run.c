/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One run of the probe program: sends the probes of the unfinished trials on an interface, and takes their results.
 *
 * A trial sends ACKs until ARRIVALS of them have arrived, and then SYNs from the source of the last ACK until one has
 * arrived. At most TRIES of each kind may get lost. If no ACK arrives, a SYN is tried all the same: rules that refuse
 * both do not distinguish them.
 *
 * The SYN comes second: if the ACK arrives, the kernel keeps the socket that the tc program gives a packet, so the SYN
 * cannot get to the server instead. It comes from the same source: if one kind arrives and the other does not, rules
 * distinguish them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>

#include "common/log.h"
#include "datapath/datapath.h"
#include "datapath/datapath_probe.h"
#include "shakeoffd/selftest/selftest_internal.h"

#define PORT_MIN 32768 /* source ports of probes, as clients choose them */

/*
 * Fills in what the probes of a run share. The random parts are new for each run, so that late probes of an earlier run
 * do not count.
 */
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
 * Returns the addresses of a trial's next probe. Each ACK has its own source as far as there are enough: rules that
 * count the SYNs or connections of a source (hashlimit, connlimit, recent) must not see many probes as many connections
 * of one client.
 */
static struct probe_flow flow_of(struct link *link, struct trial *trial)
{
	const struct probe_target *target = trial->target;
	struct probe_flow flow = { .address = target->what.address, .port = target->what.port, .kind = trial->kind };

	if (trial->kind == PROBE_ACK)
		trial->source = probe_sources_pick(&link->sources[family_of(target)], trial->class, trial->tries);
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

bool selftest_run_begin(struct selftest *selftest, size_t index)
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
 * Ends a trial and notes its result. An endpoint is reached if it is reached on every interface where it could be
 * tried, and no class of sources gets through with only one kind of packet. If a class gets through with neither kind,
 * its result stays unknown: perhaps only these addresses are refused.
 */
static void trial_end(struct trial *trial, enum selftest_result result)
{
	struct probe_target *target = trial->target;

	trial->over = target->tried = true;
	if (target->found != SELFTEST_NOT_REACHED && result != SELFTEST_UNTESTED)
		target->found = (uint8_t)result;
	target->arrived |= trial->class == PROBE_OUTSIDE && result == SELFTEST_REACHED;
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
		trial->kind = PROBE_SYN; /* once, from the source of the last ACK */
	} else if (trial->tries == TRIES) {
		trial_end(trial, SELFTEST_NOT_REACHED);
	}
}

void selftest_run_end(struct selftest *selftest)
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

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Would a handshake of the hook's be one that netfilter allows at an address and port? With the listener handoff the
 * kernel never sees the SYN. What remembers SYNs or sends packets elsewhere is then in the way of the ACK: connection
 * tracking rules, NAT to another port or host. And what looks at SYNs alone would be got around, so that a flood opened
 * a port that the firewall closes. Nobody can tell either from the rules in general, so it is tried out: an ACK without
 * a SYN and then a SYN are put into the receive path of the interface, as if they had come from the network, and either
 * arrive at a socket of the daemon's own or do not. It takes both.
 *
 * Nothing is sent, but for a RST where an ACK gets to TCP without the daemon's socket (orphaned by NAT or a bridge), or
 * where a rule answers. No server notices anything, unless a rule gives the SYN to one in spite of the daemon's socket
 * (TPROXY, IPVS): a RST follows it. Connection tracking sees connections that are reset at once, and forgets them.
 * Firewall rules count the packets, and log them if they log what they refuse.
 *
 * Rules that allow so many SYNs a second, or connections a client, allow those of the self-test and are not noticed,
 * unless it exceeds them; the reader of rules (ruleset_reader.h) finds those. Hence few packets: what has been reached
 * is not tried again until rules change or SELFTEST_PERIOD_NS is over, what was refused less and less often, each time
 * in the name of others (probe_source.h).
 *
 * What is tried are addresses outside and neighbours, if there are routes to them. A target is reached if all of them
 * that get there at all do so with an ACK and with a SYN. If none from outside does, a neighbour does not speak for the
 * world: the target is untested.
 *
 * Runs in the event loop's own thread, which one step holds up for some 20 ms.
 */
#ifndef SHAKEOFFD_SELFTEST_SELFTEST_H
#define SHAKEOFFD_SELFTEST_SELFTEST_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "shakeoffd/sys/event_loop.h"
#include "shakeoffd/hook/endpoint.h"

#define SELFTEST_PERIOD_NS (300 * NS_PER_S)

enum selftest_result {
	SELFTEST_PENDING, /* not known yet: a second for a few thousand targets */
	SELFTEST_REACHED,
	SELFTEST_NOT_REACHED, /* on one of the interfaces at least */
	SELFTEST_UNTESTED, /* it cannot be tried: no route leads over an interface, the kernel does not let us, or no probe
				 from outside arrives, but a neighbour's does */
};

struct selftest;

/*
 * Opens the self-test. Needs CAP_BPF and CAP_NET_ADMIN. The other functions take NULL for a self-test that could not be
 * opened: all is untested.
 */
int selftest_open(struct selftest **selftest, struct event_loop *loop);
void selftest_close(struct selftest *selftest);

/*
 * Says on which interfaces to try: those where the tc program hangs. To be called after it came, went or was replaced
 * anywhere. Needs CAP_SYS_ADMIN, to look up a map by its id. Nothing is tried before the first call, and everything is
 * tried anew after each.
 */
int selftest_interfaces(struct selftest *selftest, const unsigned int *ifindexes, size_t count);

/*
 * Says which addresses and ports to try, instead of those before. What is known of one that was among them stays. An
 * address is tried without VLAN tags: on the interface that has it (or whose bridge or bond has it) if the daemon
 * protects that one, otherwise on all.
 */
int selftest_targets(struct selftest *selftest, const struct endpoint *targets, size_t count);

/*
 * Has everything tried again soon, because the firewall has changed. rules: chains or rules have changed; otherwise
 * elements of sets have. Some hosts add such an element every few seconds, so it takes up to half a minute then.
 */
void selftest_rules_changed(struct selftest *selftest, bool rules);

/*
 * Returns the result for an address and port. What is not among those to try is untested. While something is tried
 * again, its last result stands.
 */
enum selftest_result selftest_result(const struct selftest *selftest, const struct in6_addr *address, uint16_t port);

/* Returns whether nothing is known yet: it is being tried for the first time, or is not among those to try. */
bool selftest_awaits(const struct selftest *selftest, const struct in6_addr *address, uint16_t port);

/* Returns whether it was among those to try, and could not be tried. */
bool selftest_cannot_try(const struct selftest *selftest, const struct in6_addr *address, uint16_t port);

/* Returns whether a result has changed since the last call. To be called after every round of the event loop. */
bool selftest_take_change(struct selftest *selftest);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tests whether netfilter allows a handshake by the hook at an address and port. With the listener handoff the kernel
 * never sees the SYN. Rules that remember SYNs or redirect packets then block the ACK: connection tracking rules, NAT
 * to another port or host. Rules that match only SYNs would be bypassed, so that a flood could open a port that the
 * firewall closes. The rules in general do not show this, so it is tried: an ACK without a SYN and then a SYN are put
 * into the receive path of the interface, as if they had come from the network. The target is reached if both arrive at
 * a socket of the daemon.
 *
 * Probes cause no packets, except an RST where an ACK gets to TCP without the daemon's socket (orphaned by NAT or a
 * bridge), and replies of rules. No server notices anything, unless a rule gives the SYN to a server in spite of the
 * daemon's socket (TPROXY, IPVS): an RST follows it. Connection tracking sees connections that are reset at once, and
 * forgets them. Firewall rules count the packets, and log them if they log what they refuse.
 *
 * Rules with a maximum of SYNs a second, or of connections per client, stay unnoticed unless the self-test exceeds
 * them; the reader of rules (ruleset_reader.h) finds those. Therefore the self-test sends few packets. A target that
 * was reached is tried again only when rules change or after SELFTEST_PERIOD_NS. A target that was not reached is tried
 * less and less often, each time from other addresses (probe_source.h).
 *
 * Source addresses are addresses outside and neighbours, if there are routes to them. A target is reached if each class
 * of sources that gets there at all does so with both an ACK and a SYN. If no source outside gets there, the target is
 * untested, because a neighbour's success does not prove that others succeed.
 *
 * Runs in the event loop's own thread, which a step holds up for about 20 ms.
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
	SELFTEST_PENDING, /* not known yet: takes a second for a few thousand targets */
	SELFTEST_REACHED,
	SELFTEST_NOT_REACHED, /* not on one interface or more */
	SELFTEST_UNTESTED,    /* no route over an interface, not permitted, or only a neighbour's probes arrive */
};

struct selftest;

/*
 * Opens the self-test. Needs CAP_BPF and CAP_NET_ADMIN. The other functions take NULL for a self-test that could not be
 * opened: all targets are untested then.
 */
int selftest_open(struct selftest **selftest, struct event_loop *loop);
void selftest_close(struct selftest *selftest);

/*
 * Sets the interfaces to try: those where the tc program is attached. Call it after the program was attached, detached
 * or replaced anywhere. Needs CAP_SYS_ADMIN, to look up a map by its id. Nothing is tried before the first call, and
 * everything is tried again after each.
 */
int selftest_interfaces(struct selftest *selftest, const unsigned int *ifindexes, size_t count);

/*
 * Replaces the list of addresses and ports to try. Results of targets that stay are kept. An address is tried without
 * VLAN tags: on the interface that has it (or whose bridge or bond has it) if the daemon protects that interface,
 * otherwise on all interfaces.
 */
int selftest_targets(struct selftest *selftest, const struct endpoint *targets, size_t count);

/*
 * Has everything tried again soon, because the firewall has changed. rules: chains or rules have changed; otherwise
 * elements of sets have. Some hosts add such an element every few seconds, so it takes up to half a minute then.
 */
void selftest_rules_changed(struct selftest *selftest, bool rules);

/*
 * Returns the result for an address and port. Endpoints that are not targets are untested. While a target is tried
 * again, its last result stands.
 */
enum selftest_result selftest_result(const struct selftest *selftest, const struct in6_addr *address, uint16_t port);

/* Returns whether there is no result yet: it is being tried for the first time, or is not a target. */
bool selftest_awaits(const struct selftest *selftest, const struct in6_addr *address, uint16_t port);

/* Returns whether it was a target and could not be tried. */
bool selftest_cannot_try(const struct selftest *selftest, const struct in6_addr *address, uint16_t port);

/* Returns whether a result has changed since the last call. Call it after every round of the event loop. */
bool selftest_take_change(struct selftest *selftest);

#endif

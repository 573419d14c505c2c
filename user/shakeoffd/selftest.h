/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Would an ACK without a SYN reach TCP at an address and port? With the listener handoff the kernel never sees the SYN,
 * so what remembers SYNs or sends packets elsewhere is in its way: connection tracking rules, NAT to another port or
 * host. Nobody can tell that from the rules in general, so it is tried out: such an ACK is put into the receive path of
 * the interface, as if it had come from the network, and either arrives at a socket of the daemon's own or does not.
 *
 * Nothing is sent, but for a RST where a probe gets to TCP without the daemon's socket (turned to another port, or
 * orphaned by a bridge) or a rule answers with one. No server notices anything. Connection tracking sees a connection
 * that is picked up and reset at once. Firewall rules count the packets, and log them if they log what they refuse.
 *
 * Everything is tried when it is new, when nftables have changed, and every SELFTEST_PERIOD_NS (iptables-legacy and
 * sysctls change without a message). Runs in the event loop's own thread, which one step holds up for some 20 ms.
 */
#ifndef SHAKEOFF_SELFTEST_H
#define SHAKEOFF_SELFTEST_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shakeoffd/clock.h>
#include <shakeoffd/event_loop.h>

#define SELFTEST_PERIOD_NS (60 * NS_PER_S)

enum selftest_result {
	SELFTEST_PENDING, /* not known yet: half a second for a few thousand places */
	SELFTEST_REACHED,
	SELFTEST_NOT_REACHED, /* on one of the interfaces at least */
	SELFTEST_UNTESTED,    /* it cannot be tried: no route leads over an interface, or the kernel does not let us */
};

struct selftest_place {
	struct in6_addr address; /* IPv4 mapped */
	uint16_t port;           /* host byte order */
};

struct selftest;

/*
 * Needs CAP_BPF and CAP_NET_ADMIN. The other functions take NULL for a self-test that could not be opened: all is
 * untested.
 */
int selftest_open(struct selftest **selftest, struct event_loop *loop);
void selftest_close(struct selftest *selftest);

/*
 * The interfaces to try on: those where the tc program hangs. To be called after it came, went or was replaced
 * anywhere. Looking up a map by its id needs CAP_SYS_ADMIN while this runs. Nothing is tried before the first call;
 * everything anew after each.
 */
int selftest_interfaces(struct selftest *selftest, const unsigned int *ifindexes, size_t count);

/*
 * The addresses and ports to try, instead of those before; what is known of one that was among them stays. An address
 * is tried on the interface that has it (or whose bridge or bond has it), if it is one of ours, otherwise on all,
 * without VLAN tags.
 */
int selftest_places(struct selftest *selftest, const struct selftest_place *places, size_t count);

/* What is not among the places is untested. While something is tried again, its last result stands. */
enum selftest_result selftest_result(const struct selftest *selftest, const struct in6_addr *address, uint16_t port);

/* Whether a result has changed since this was last asked. To be asked after every round of the event loop. */
bool selftest_take_change(struct selftest *selftest);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Notices changes of a firewall's rules. nftables sends messages. iptables-legacy, IPVS and the sysctls of netfilter do
 * not, so they are polled, which costs nothing if there are none.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_WATCH_H
#define SHAKEOFFD_FIREWALL_RULESET_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct mnl_socket;

struct ruleset_watch {
	struct mnl_socket *netfilter; /* NULL: this kernel has no nftables */
	uint64_t seen;                /* a sum over everything that sends no messages */
};

/* What has changed: bits. */
#define RULESET_CHANGED_RULES 1u    /* tables, chains, rules, sets */
#define RULESET_CHANGED_ELEMENTS 2u /* only elements of sets: who is refused, but not what a rule matches on */

/* Opens the watch. Needs CAP_NET_ADMIN, and CAP_NET_RAW to read iptables-legacy. */
void ruleset_watch_open(struct ruleset_watch *watch);

/* Returns a descriptor to poll for reading; -1: there is nothing to wait for. */
int ruleset_watch_fd(const struct ruleset_watch *watch);

/* Reads all messages that have come. Returns RULESET_CHANGED_* bits. */
unsigned int ruleset_watch_read(struct ruleset_watch *watch);

/* Returns RULESET_CHANGED_* bits if anything without messages has changed since the last call. */
unsigned int ruleset_watch_look(struct ruleset_watch *watch);

/* Returns whether this kernel has nftables at all. */
bool ruleset_watch_has_nft(void);

/* Returns whether iptables-legacy has a table (ipv6: ip6tables-legacy). */
bool ruleset_watch_has_legacy(bool ipv6);

#endif

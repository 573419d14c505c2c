/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Notices that a firewall's rules have changed. nftables sends messages; iptables-legacy, IPVS and the sysctls of netfilter
 * do not, and are looked at instead: it costs nothing where there are none.
 */
#ifndef SHAKEOFFD_FIREWALL_RULESET_WATCH_H
#define SHAKEOFFD_FIREWALL_RULESET_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct mnl_socket;

struct ruleset_watch {
	struct mnl_socket *netfilter; /* NULL: this kernel has no nftables */
	uint64_t seen;                /* a sum over what sends no messages */
};

/* What has changed: bits. */
#define RULESET_CHANGED_RULES 1u    /* tables, chains, rules, sets */
#define RULESET_CHANGED_ELEMENTS 2u /* elements of sets alone: who is refused, but not what a rule looks at */

/* Needs CAP_NET_ADMIN, and CAP_NET_RAW to look at iptables-legacy. */
void ruleset_watch_open(struct ruleset_watch *watch);
void ruleset_watch_close(struct ruleset_watch *watch);

/* To be polled for reading; -1: there is nothing to wait for. */
int ruleset_watch_fd(const struct ruleset_watch *watch);

/* Takes all messages that have come. */
unsigned int ruleset_watch_read(struct ruleset_watch *watch);

/* Looks whether what sends no messages has changed since it was last looked at. */
unsigned int ruleset_watch_look(struct ruleset_watch *watch);

/* Whether this kernel has nftables at all. */
bool ruleset_watch_has_nft(void);

/* Whether iptables-legacy has a table (ipv6: ip6tables-legacy). */
bool ruleset_watch_has_legacy(bool ipv6);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <linux/fib_rules.h>
#include <netinet/in.h>
#include <string.h>

#include "shakeoffd/route/route_rules.h"

struct rule {
	uint32_t table, priority;
	int suppressed;
	bool selective; /* applies to some SYN-ACKs, or it is unknown to which */
	bool never;     /* applies to none */
};

/* Takes FRA_IIFNAME. The host's own packets come in by lo (ip-rule(8), iif). */
static void take_iif(struct rule *rule, const struct nlattr *attribute)
{
	const char *name = mnl_attr_get_payload(attribute);
	size_t size = mnl_attr_get_payload_len(attribute);

	rule->never |= size < 3 || memcmp(name, "lo", 3) != 0;
}

static void take_attribute(struct rule *rule, const struct nlattr *attribute)
{
	switch (mnl_attr_get_type(attribute)) {
	case FRA_PRIORITY: rule->priority = mnl_attr_get_u32(attribute); break;
	case FRA_TABLE: rule->table = mnl_attr_get_u32(attribute); break;
	case FRA_SUPPRESS_PREFIXLEN: rule->suppressed = (int)mnl_attr_get_u32(attribute); break;
	case FRA_IIFNAME: take_iif(rule, attribute); break;
	case FRA_IP_PROTO: rule->never |= mnl_attr_get_u8(attribute) != IPPROTO_TCP; break;
	/* The rule of a VRF does not apply to the sockets that the hook answers for. */
	case FRA_L3MDEV: rule->never = true; break;
	case FRA_PROTOCOL:
	case FRA_FLOW:
	case FRA_PAD: break;
	/* FRA_SRC, FRA_DST, FRA_FWMARK, FRA_OIFNAME, FRA_UID_RANGE, ports, DSCP, and attributes of future kernels. */
	default: rule->selective = true;
	}
}

static bool add_lookup(struct route_rules *rules, const struct rule *rule)
{
	if (rules->lookup_count == ROUTE_LOOKUPS_MAX)
		return false;
	rules->lookups[rules->lookup_count].table = rule->table;
	rules->lookups[rules->lookup_count++].suppressed = rule->suppressed;
	return true;
}

static bool add_other(struct route_rules *rules, const struct rule *rule)
{
	if (rules->other_count == ROUTE_OTHERS_MAX)
		return false;
	rules->others[rules->other_count].table = rule->table;
	rules->others[rules->other_count++].priority = rule->priority;
	return true;
}

static bool refuses(uint8_t action)
{
	return action == FR_ACT_BLACKHOLE || action == FR_ACT_UNREACHABLE || action == FR_ACT_PROHIBIT;
}

/*
 * Notes a rule that refuses packets, except for a VRF. It counts for any packets: those that come in by an interface
 * are looked up, too (fib_validate_source()).
 */
static void add_refusal(struct route_rules *rules, const struct nlmsghdr *header, const struct fib_rule_hdr *message)
{
	struct rule rule = { 0 };
	const struct nlattr *attribute;
	bool vrf = false;

	mnl_attr_for_each(attribute, header, sizeof(*message)) {
		take_attribute(&rule, attribute);
		vrf |= mnl_attr_get_type(attribute) == FRA_L3MDEV;
	}
	if (vrf || rules->refuse)
		return;
	rules->refuse = true;
	rules->refuse_priority = rule.priority;
}

void route_rules_add(struct route_rules *rules, const struct nlmsghdr *header)
{
	const struct fib_rule_hdr *message = mnl_nlmsg_get_payload(header);
	const struct nlattr *attribute;
	struct rule rule;

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*message))
		return;
	if (refuses(message->action))
		add_refusal(rules, header, message);
	/* A jump is rare, and mostly keeps the order. */
	if (message->action != FR_ACT_TO_TBL)
		return;
	rule = (struct rule){
		.table = message->table,
		.suppressed = -1,
		.selective = message->dst_len || message->src_len || message->tos,
	};
	mnl_attr_for_each(attribute, header, sizeof(*message))
		take_attribute(&rule, attribute);
	if (message->flags & FIB_RULE_INVERT) {
		rule.selective = true;
		rule.never = false;
	}
	if (!rule.never && !(rule.selective ? add_other(rules, &rule) : add_lookup(rules, &rule)))
		rules->overflow = true;
}

int route_rules_rank(const struct route_rules *rules, uint32_t table, unsigned int prefix_len)
{
	for (size_t i = 0; i < rules->lookup_count; i++)
		if (rules->lookups[i].table == table && (int)prefix_len > rules->lookups[i].suppressed)
			return (int)i;
	return ROUTE_NOT_LOOKED_UP;
}

bool route_rules_have_other(const struct route_rules *rules, uint32_t table, uint32_t *priority)
{
	for (size_t i = 0; i < rules->other_count; i++) {
		if (rules->others[i].table != table)
			continue;
		*priority = rules->others[i].priority;
		return true;
	}
	return false;
}

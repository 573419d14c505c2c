/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Matches and targets of iptables by name. */
#include "shakeoffd/firewall/ruleset_word.h"
#include "shakeoffd/firewall/ruleset_xt.h"

enum rule_answer ruleset_xt_match(const char *name, struct rule *rule)
{
	static const char *const of_sender[] = {
		"addrtype", "ah",       "cluster", "connbytes", "connlabel", "connlimit", "connmark", "conntrack",
		"cpu",      "devgroup", "dscp",    "esp",       "geoip",     "hashlimit", "helper",   "hl",
		"iface",    "iprange",  "limit",   "mac",       "mark",      "multiport", "nfacct",   "owner",
		"physdev",  "pkttype",  "policy",  "quota",     "realm",     "recent",    "rpfilter", "set",
		"socket",   "state",    "time",    "ttl",       "asn",       "udp",       NULL,
	};

	static const char *const counting[] = { "recent",    "hashlimit", "limit",  "connlimit",
						"connbytes", "quota",     "nfacct", NULL };

	if (word_is(name, "comment"))
		return ANSWER_YES;
	if (word_is(name, "recent"))
		rule->remembers = true;
	rule->counts |= word_is_one_of(name, counting);
	if (word_is(name, "icmp") || word_is(name, "icmp6") || word_is(name, "udp") || word_is(name, "sctp") ||
	    word_is(name, "dccp"))
		return ANSWER_NO;
	/* Others are tcp, whose flags are not shown; length, string, u32, bpf, osf, statistic, ... */
	return word_is_one_of(name, of_sender) ? ANSWER_SENDER : ANSWER_PACKET;
}

void ruleset_xt_target(const char *name, struct rule *rule)
{
	static const char *const harmless[] = {
		"AUDIT", "CHECKSUM", "CLASSIFY", "DSCP",        "ECN",        "HL",     "IDLETIMER",   "LED",
		"LOG",   "NFLOG",    "SECMARK",  "CONNSECMARK", "RATEEST",    "SNAT",   "TCPMSS",      "TOS",
		"TRACE", "TTL",      "ULOG",     "TEE",         "MASQUERADE", "NFACCT", "TCPOPTSTRIP", NULL,
	};

	if (word_is(name, "REJECT")) {
		rule->verdict = VERDICT_DROP;
		return;
	}
	if (word_is(name, "MARK") || word_is(name, "CONNMARK")) {
		rule->remembers = rule->marks = true;
		return;
	}
	if (word_is(name, "SET")) {
		rule->remembers = true;
		return;
	}
	if (word_is(name, "NOTRACK") || word_is(name, "CT")) {
		rule->untracks = true;
		return;
	}
	if (!word_is_one_of(name, harmless))
		rule->verdict = VERDICT_ELSEWHERE; /* DNAT, REDIRECT, TPROXY, NFQUEUE, SYNPROXY, TARPIT, ... */
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The left side of a comparison in nftables' rules: what of a packet is compared. */
#include "shakeoffd/firewall/ruleset_nft_internal.h"

static struct nft_key fixed(enum rule_answer answer)
{
	return (struct nft_key){ .kind = KEY_FIXED, .answer = answer };
}

static struct nft_key payload_tcp(const char *field)
{
	if (word_is(field, "dport"))
		return (struct nft_key){ .kind = KEY_PORT };
	if (word_is(field, "flags"))
		return (struct nft_key){ .kind = KEY_FLAGS, .mask = 0xff };
	return word_is(field, "sport") ? (struct nft_key){ .kind = KEY_SOURCE_PORT } : fixed(ANSWER_PACKET);
}

static struct nft_key payload_ip(const char *field, uint8_t family)
{
	struct nft_key key = fixed(ANSWER_PACKET);

	if (word_is(field, "daddr"))
		key.kind = KEY_ADDRESS;
	else if (word_is(field, "protocol") || word_is(field, "nexthdr"))
		key.kind = KEY_PROTOCOL;
	else if (word_is(field, "saddr") || word_is(field, "ttl") || word_is(field, "hoplimit") ||
		 word_is(field, "dscp") || word_is(field, "version") || word_is(field, "hdrlength"))
		key.answer = ANSWER_SENDER;
	key.families = family;
	return key;
}

static struct nft_key payload(json_t *of)
{
	static const char *const other_transports[] = { "udp",  "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp",
							"comp", "esp",     "ah",   "gre",  "arp",  NULL };
	const char *protocol = nft_string(of, "protocol"), *field = nft_string(of, "field");

	if (word_is(protocol, "tcp") || word_is(protocol, "th"))
		return payload_tcp(field);
	if (word_is(protocol, "ip"))
		return payload_ip(field, RULES_IPV4);
	if (word_is(protocol, "ip6"))
		return payload_ip(field, RULES_IPV6);
	if (word_is(protocol, "ether"))
		return word_is(field, "type") ? (struct nft_key){ .kind = KEY_ETHER } : fixed(ANSWER_SENDER);
	if (word_is(protocol, "vlan"))
		return fixed(ANSWER_SENDER);
	return fixed(word_is_one_of(protocol, other_transports) ? ANSWER_NO : ANSWER_PACKET);
}

static struct nft_key meta(const char *key)
{
	if (word_is(key, "iif") || word_is(key, "iifname"))
		return (struct nft_key){ .kind = KEY_INTERFACE };
	if (word_is(key, "nfproto"))
		return (struct nft_key){ .kind = KEY_FAMILY };
	if (word_is(key, "l4proto"))
		return (struct nft_key){ .kind = KEY_PROTOCOL };
	if (word_is(key, "protocol"))
		return (struct nft_key){ .kind = KEY_ETHER };
	if (word_is(key, "mark"))
		return (struct nft_key){ .kind = KEY_MARK };
	if (word_is(key, "length") || word_is(key, "random") || word_is(key, "priority"))
		return fixed(ANSWER_PACKET);
	return fixed(ANSWER_SENDER);
}

static struct nft_key conntrack(const char *key)
{
	if (word_is(key, "state"))
		return (struct nft_key){ .kind = KEY_STATE };
	return word_is(key, "mark") ? (struct nft_key){ .kind = KEY_MARK } : fixed(ANSWER_SENDER);
}

static struct nft_key fib(json_t *of)
{
	json_t *flags = json_object_get(of, "flags");

	if (word_is(nft_string(of, "result"), "type") && json_array_size(flags) == 1 &&
	    word_is(json_string_value(json_array_get(flags, 0)) ?: "", "daddr"))
		return (struct nft_key){ .kind = KEY_TYPE };
	return fixed(ANSWER_SENDER);
}

static struct nft_key masked(json_t *operands)
{
	struct nft_key key = nft_key_of(json_array_get(operands, 0));

	if (key.kind == KEY_FLAGS && nft_read_flags(json_array_get(operands, 1), &key.mask)) {
		key.masked = true;
		return key;
	}
	if (key.kind == KEY_STATE || key.kind == KEY_FIXED)
		return key;
	return fixed(key.kind == KEY_FLAGS || key.kind == KEY_MARK ? ANSWER_PACKET : ANSWER_SENDER);
}

/* Returns the key for a concatenation: the least known of its parts. */
static struct nft_key concatenated(json_t *parts)
{
	enum rule_answer answer = ANSWER_SENDER;
	json_t *part;
	size_t i;

	json_array_foreach(parts, i, part) {
		struct nft_key key = nft_key_of(part);

		if (key.kind == KEY_FLAGS || key.kind == KEY_MARK ||
		    (key.kind == KEY_FIXED && key.answer == ANSWER_PACKET))
			answer = ANSWER_PACKET;
		if (key.kind == KEY_FIXED && key.answer == ANSWER_NO)
			return key;
	}
	return fixed(answer);
}

struct nft_key nft_key_of(json_t *left)
{
	static const char *const of_sender[] = { "rt", "socket", "ipsec", "tunnel", "jhash", "symhash", NULL };
	const char *kind = json_object_iter_key(json_object_iter(left));
	json_t *of = json_object_iter_value(json_object_iter(left));

	if (!kind)
		return fixed(ANSWER_PACKET);
	if (word_is(kind, "payload"))
		return payload(of);
	if (word_is(kind, "meta"))
		return meta(nft_string(of, "key"));
	if (word_is(kind, "ct"))
		return conntrack(nft_string(of, "key"));
	if (word_is(kind, "fib"))
		return fib(of);
	if (word_is(kind, "&"))
		return masked(of);
	if (word_is(kind, "concat"))
		return concatenated(of);
	/* Others are options, passive fingerprints, random numbers. */
	return fixed(word_is_one_of(kind, of_sender) ? ANSWER_SENDER : ANSWER_PACKET);
}

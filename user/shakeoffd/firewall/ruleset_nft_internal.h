/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files ruleset_nft*.c. */
#ifndef SHAKEOFFD_FIREWALL_RULESET_NFT_INTERNAL_H
#define SHAKEOFFD_FIREWALL_RULESET_NFT_INTERNAL_H

#include "shakeoffd/firewall/ruleset_nft.h"
#include "shakeoffd/firewall/ruleset_word.h"

struct nft_reader {
	struct ruleset *ruleset;
	const struct ruleset_nft_source *source;
	const char *family, *table; /* of the rule that is being read */
	struct rule_chain *chain;
	int error;
};

static inline const char *nft_string(json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

/* ---------------------------------------------------------------------------------------------- ruleset_nft_value.c */

/*
 * Returns the list in a value that may be a list, a set or a single value: {"set": [...]}, [...], x. The caller owns
 * it.
 */
json_t *nft_list_of(json_t *right);

/* Returns an element of a set without the object that may surround it (timeout, counter or comment). */
json_t *nft_bare(json_t *element);

/* Return false if the value is unknown. */
bool nft_read_flags(json_t *value, uint8_t *flags);
bool nft_read_port(json_t *value, uint16_t *port);
bool nft_read_ports(json_t *value, struct rule_ports *ports);
bool nft_read_addresses(json_t *value, struct rule_addresses *addresses);

/* Return whether a value, or a value in a list, is this name or this number. */
bool nft_is(json_t *value, const char *name, json_int_t number);
bool nft_has(json_t *list, const char *name, json_int_t number);

/* ------------------------------------------------------------------------------------------------ ruleset_nft_key.c */

enum key_kind {
	KEY_FIXED,
	KEY_PORT,
	KEY_SOURCE_PORT,
	KEY_ADDRESS,
	KEY_FLAGS,
	KEY_INTERFACE,
	KEY_FAMILY,   /* nfproto */
	KEY_PROTOCOL, /* of layer 4 */
	KEY_ETHER,    /* protocol of layer 3 */
	KEY_STATE,
	KEY_MARK,
	KEY_TYPE, /* fib's type of the destination, which is local at every endpoint */
};

struct nft_key {
	enum key_kind kind;
	enum rule_answer answer; /* KEY_FIXED */
	uint8_t families;        /* only packets of these families have it; 0: all */
	uint8_t mask;            /* KEY_FLAGS */
	bool masked;
};

struct nft_key nft_key_of(json_t *left);

/* ---------------------------------------------------------------------------------------------- ruleset_nft_match.c */

/* These do nothing after an error of the reader. */
void nft_add_match(struct nft_reader *reader, struct rule *rule, const struct rule_match *match);
void nft_add_fixed(struct nft_reader *reader, struct rule *rule, enum rule_answer answer);

/* Returns whether the right side is the name of a set or map: "@name". */
bool nft_is_name(json_t *right);

/* Returns what a named set or map has. NULL: not known. */
json_t *nft_elements_of(struct nft_reader *reader, json_t *name, bool map);

/* Returns what a value that is not understood may be: anything that the key can be. */
enum rule_answer nft_unknown(const struct nft_key *key);

/* Adds a comparison to the rule. */
void nft_compare(struct nft_reader *reader, struct rule *rule, const struct nft_key *key, const char *op,
		 json_t *right);

#endif

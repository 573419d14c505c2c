/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of keys: where a key may be used, its type, the field for its value, its default, and its help. A new key
 * is a row here, and a field in config.h. The order is that of the texts.
 */
#include <string.h>

#include "config/keys.h"

#define RATE_MAX 100000000
#define LIMIT_MAX 1000000

/* The field for a value: in the section's structure, or in the policy that [discovered] and services share. */
#define DAEMON(field) .sections = SECTION_DAEMON, .offset = offsetof(struct config, field)
#define SERVICE(field) .sections = SECTION_SERVICE, .offset = offsetof(struct config_service, field)
#define DISCOVERED(field) .sections = SECTION_DISCOVERED, .offset = offsetof(struct config_policy, field)
#define POLICY(field) .sections = SECTION_DISCOVERED | SECTION_SERVICE, .offset = offsetof(struct config_policy, field)

/* A number as written in a file. */
#define WRITTEN(number) #number
#define DEFAULT(number) WRITTEN(number)

#define WORDS(...)                                                                                                     \
	.type = &config_type_words, .words = (const struct config_word[])                                              \
	{                                                                                                              \
		__VA_ARGS__,                                                                                           \
		{                                                                                                      \
			NULL, 0                                                                                        \
		}                                                                                                      \
	}
#define NUMBER(low, high, what) .type = &config_type_number, .least = low, .greatest = high, .unit = what
#define LIMIT(what) .type = &config_type_limit, .least = 1, .greatest = LIMIT_MAX, .unit = what

const struct config_key config_keys[] = {
	{
		"interface",
		DAEMON(interfaces),
		.type = &config_type_interface,
		.unset = "every interface to which shakeoff is attached",
		.help = "A network interface to protect. It is attached when the daemon starts.",
		.example = "eth0",
	},
	{
		"discover",
		DAEMON(discover),
		.type = &config_type_switch,
		.initial = "yes",
		.help = "Whether listening sockets that no service of this file names are protected, too.",
	},
	{
		"exclude",
		DAEMON(excludes),
		.type = &config_type_exclude,
		.unset = "none",
		.help = "Listening sockets that are left alone: 22, *:22 or 10.9.0.1:80.",
		.example = "22",
	},
	{
		"key-file",
		DAEMON(key_file),
		.type = &config_type_path,
		.unset = "keys are random",
		.help = "The key that the hosts of a fleet share. `shakeoff key generate` makes it.",
		.example = "/etc/shakeoff.key",
	},
	{
		"reply-budget",
		DAEMON(reply_budget),
		NUMBER(SHAKEOFF_REPLY_BUDGET_MIN, RATE_MAX, "replies a second"),
		.zero = "no budget",
		.initial = DEFAULT(SHAKEOFF_REPLY_BUDGET_DEFAULT),
		.help = "The maximum of SYN-ACKs and RSTs a second to one prefix (/24, IPv6 /48), so that a flood in "
			"its name cannot be turned against it.",
	},
	{
		"answer",
		DAEMON(answer),
		WORDS({ "sender", CONFIG_ANSWER_SENDER }, { "route", CONFIG_ANSWER_ROUTE }),
		.initial = "sender",
		.help = "Where SYN-ACKs go. sender: to the MAC address that the SYN came from. route: to the next hop "
			"of the route to the client, as the kernel sends them. Where that is another interface, or a "
			"neighbour that the kernel does not know yet, the SYN is bypassed.",
	},
	{
		"syn-rules",
		DAEMON(discovered.syn_rules),
		WORDS({ "obey", CONFIG_SYN_RULES_OBEY }, { "ignore", CONFIG_SYN_RULES_IGNORE }),
		.initial = "obey",
		.help = "obey: what firewall rules on SYN flags and clients decide about is bypassed. "
			"ignore: the hook answers in spite of them.",
	},
	{
		"listen",
		SERVICE(listen),
		.type = &config_type_listen,
		.unset = "none, it must be given",
		.help = "An address of this host, or *:PORT for all of them.",
		.example = "192.0.2.10:80",
	},
	{
		"handoff",
		SERVICE(handoff),
		WORDS({ "auto", SHAKEOFF_HANDOFF_AUTO }, { "listener", SHAKEOFF_HANDOFF_LISTENER },
		      { "queue", SHAKEOFF_HANDOFF_QUEUE }),
		.initial = "auto",
		.help = "Where connections go. listener: to the listening socket. queue: to the daemon's accept "
			"queue, from which a server takes them that runs with libshakeoff-preload.so or uses "
			"libshakeoff. auto: whichever the server does.",
	},
	{
		"syncookies",
		POLICY(syncookies),
		WORDS({ "adaptive", SHAKEOFF_SYNCOOKIES_ADAPTIVE }, { "always", SHAKEOFF_SYNCOOKIES_ALWAYS }),
		.initial = "adaptive",
		.help = "When SYNs are answered with cookies: while there is a flood, or always. With the queue "
			"handoff it is always.",
	},
	{
		"flood-rate",
		POLICY(flood_rate),
		NUMBER(1, RATE_MAX, "SYNs a second"),
		.initial = DEFAULT(SHAKEOFF_FLOOD_RATE_DEFAULT),
		.help = "How many SYNs a second begin a flood.",
	},
	{
		"source-limit",
		POLICY(accept_limit),
		LIMIT("connections of one source"),
		.unset = "no limit",
		.help = "How many connections a second one source may open, and how many at once. A source is an "
			"address, or an IPv6 /64. `per /24` and `per /48` make it a larger prefix, for both limits "
			"and for fair-share.",
		.example = "20/s burst 100",
	},
	{
		"source-syn-limit",
		POLICY(syn_limit),
		LIMIT("SYNs of one source"),
		.unset = "no limit",
		.help = "The same for its SYNs.",
		.example = "100/s burst 500",
	},
	{
		"fair-share",
		POLICY(fair_share),
		.type = &config_type_switch,
		.initial = "yes",
		.help = "Once a quarter of an accept queue is taken, a source may not hold more positions of it than "
			"are free.",
	},
	{
		"overflow",
		POLICY(overflow),
		WORDS({ "drop", SHAKEOFF_OVERFLOW_DROP }, { "reset", SHAKEOFF_OVERFLOW_RESET }),
		.initial = "drop",
		.help = "What happens when the accept queue is full. drop: the client tries again. reset: the client "
			"is refused.",
	},
	{
		"backlog",
		DISCOVERED(backlog),
		NUMBER(1, 65535, "connections"),
		.unset = "what the server gives to listen()",
		.unset_number = CONFIG_BACKLOG_SOCKET,
		.help = "How many connections may wait to be accepted. What the server gives to listen() may be less.",
		.example = "4096",
	},
	{
		"backlog",
		SERVICE(policy.backlog),
		NUMBER(1, 65535, "connections"),
		.initial = "4096",
		.help = "How many connections may wait to be accepted. What the server gives to listen() may be less.",
	},
	{
		"user",
		SERVICE(user),
		.type = &config_type_user,
		.unset = "everyone who passes a socket that listens at an address of the service",
		.help = "Who may serve beside root, with the queue handoff.",
		.example = "www-data",
	},
	{
		"group",
		SERVICE(group),
		.type = &config_type_group,
		.unset = "as without user",
		.help = "The members of a group may serve, too.",
		.example = "www-data",
	},
	{
		"syn-rules",
		SERVICE(policy.syn_rules),
		WORDS({ "obey", CONFIG_SYN_RULES_OBEY }, { "ignore", CONFIG_SYN_RULES_IGNORE }),
		.unset = "as in [daemon]",
		.help = "The same for this service alone.",
		.example = "ignore",
	},
};

const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= 64, "config_reader.keys_seen has a bit for each");

const struct config_key *config_key_find(enum config_section section, const char *name)
{
	for (size_t i = 0; i < config_key_count; i++)
		if ((config_keys[i].sections & section) && !strcmp(config_keys[i].name, name))
			return &config_keys[i];
	return NULL;
}

void *config_key_base(const struct config_key *key, enum config_section section, void *base)
{
	if (section == SECTION_SERVICE && (key->sections & SECTION_DISCOVERED))
		return &((struct config_service *)base)->policy;
	return base;
}

void config_keys_default(enum config_section section, void *base)
{
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];
		void *within = config_key_base(key, section, base);

		if (!(key->sections & section))
			continue;
		if (key->initial)
			key->type->read(key, within, key->initial);
		else if (key->type == &config_type_number)
			memcpy((char *)within + key->offset, &key->unset_number, sizeof(key->unset_number));
	}
}

void config_keys_list(enum config_section section, char *text, size_t size)
{
	size_t count = 0, listed = 0, length = 0;

	for (size_t i = 0; i < config_key_count; i++)
		count += (config_keys[i].sections & section) != 0;
	for (size_t i = 0; i < config_key_count && length < size; i++) {
		if (!(config_keys[i].sections & section))
			continue;
		length += snprintf(text + length, size - length, "%s%s",
				   !listed             ? "" :
				   listed + 1 == count ? " and " :
							 ", ",
				   config_keys[i].name);
		listed++;
	}
}

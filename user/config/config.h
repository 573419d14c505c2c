/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads, checks and holds the configuration file of shakeoff. keys.c has the table of its keys. */
#ifndef SHAKEOFF_CONFIG_CONFIG_H
#define SHAKEOFF_CONFIG_CONFIG_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <shakeoff/abi.h>

/* `listen =` of a service: 10.9.0.1:80, [2001:db8::1]:443, *:22 (every unicast address of the host, both families). */
struct config_listen {
	int family;              /* AF_INET, AF_INET6; AF_UNSPEC: *, the address is unused */
	struct in6_addr address; /* IPv4 mapped */
	uint16_t port;           /* host byte order, 1..65535 */
};

/* RATE/s [burst N] [per /PREFIX]... rate 0: no limit. */
struct config_limit {
	uint32_t rate;            /* a second */
	uint32_t burst;           /* default: RATE */
	uint8_t prefix4, prefix6; /* `per`: 24 or 32, 48 or 64; 0: not given */
};

/* `syn-rules =`: whether a listening socket is bypassed because firewall rules match its SYNs. */
enum config_syn_rules {
	CONFIG_SYN_RULES_DAEMON, /* in a service: as [daemon] says */
	CONFIG_SYN_RULES_OBEY,
	CONFIG_SYN_RULES_IGNORE,
};

/* `answer =`: where SYN-ACKs go. */
enum config_answer {
	CONFIG_ANSWER_SENDER,
	CONFIG_ANSWER_ROUTE,
};

#define CONFIG_BACKLOG_SOCKET UINT32_MAX /* the listening socket's own backlog is the limit */

/* The settings that a service and [discovered] share. */
struct config_policy {
	enum shakeoff_overflow overflow;
	enum shakeoff_syncookies syncookies;
	uint32_t backlog;
	uint32_t flood_rate;              /* SYNs a second */
	struct config_limit syn_limit;    /* limit of a source's SYNs */
	struct config_limit accept_limit; /* limit of its connections */
	bool fair_share;                  /* positions of the accept queue are shared between sources */
	enum config_syn_rules syn_rules;  /* OBEY or IGNORE after the file is read */
};

struct config_service {
	char name[SHAKEOFF_NAME_LEN]; /* letters, digits, - and _ */
	struct config_listen *listen; /* at least one */
	size_t listen_count;
	enum shakeoff_handoff handoff;
	struct config_policy policy;
	/* `user =`, `group =`: who may serve beside root. If neither is set: delivery.h. */
	bool has_user, has_group;
	uid_t user;
	gid_t group;
};

struct config {
	char (*interfaces)[IFNAMSIZ]; /* no duplicates; if there are none, every interface that has the program */
	size_t interface_count;
	bool discover;                  /* listening sockets that no service names are protected, too */
	struct config_listen *excludes; /* sockets that discovery bypasses; a port alone means any address */
	size_t exclude_count;
	char *key_file;        /* the master secret of a fleet; NULL: random keys */
	uint32_t reply_budget; /* SYN-ACKs and RSTs a second to a prefix; 0: no budget */
	enum config_answer answer;
	struct config_policy discovered;
	struct config_service *services; /* may be empty; names are unique, and so are addresses with ports */
	size_t service_count;
};

/*
 * Reads a file. Returns 0 and fills *config. On failure returns a negative errno (-EINVAL for a wrong line), leaves
 * *config untouched, and `error` is one sentence without a newline: file, line, what was read and what is allowed.
 */
int config_read(const char *path, struct config *config, char *error, size_t error_size);

/* Fills in the configuration without a file: no interface, no service, discovery with its defaults. */
void config_default(struct config *config);
void config_free(struct config *config);

/*
 * Returns the length of the address prefix that counts as one source: `per` of either limit (they agree), or 32 and 64.
 */
static inline uint8_t config_prefix4(const struct config_policy *policy)
{
	uint8_t prefix = policy->accept_limit.prefix4 | policy->syn_limit.prefix4;

	return prefix ? prefix : 32;
}

static inline uint8_t config_prefix6(const struct config_policy *policy)
{
	uint8_t prefix = policy->accept_limit.prefix6 | policy->syn_limit.prefix6;

	return prefix ? prefix : 64;
}

/* Writes a listen address as in the file and the run directory: "10.9.0.1:80", "[::1]:443", "*:22". */
void config_listen_format(const struct config_listen *listen, char *text, size_t size);
#define CONFIG_LISTEN_TEXT 64

/* Forms of the table of keys: plain text, the body of shakeoff.conf(5), an example file. */
enum config_form { CONFIG_FORM_TEXT, CONFIG_FORM_MDOC, CONFIG_FORM_EXAMPLE };

/* Looks up a form by its name: "text", "mdoc", "example". */
bool config_form_find(const char *name, enum config_form *form);

/* Writes every key by section, with its range, default and help. */
void config_help(FILE *out, enum config_form form);

#endif

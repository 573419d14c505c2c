/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration file of shakeoffd: read, checked and held. */
#ifndef SHAKEOFF_CONFIG_CONFIG_H
#define SHAKEOFF_CONFIG_CONFIG_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <shakeoff/abi.h>

/* `listen =` of a service: 10.9.0.1:80, [2001:db8::1]:443, *:22 (every unicast address of the host, both families). */
struct config_listen {
	int family;              /* AF_INET, AF_INET6; AF_UNSPEC: *, the address is meaningless */
	struct in6_addr address; /* IPv4 mapped */
	uint16_t port;           /* host byte order, 1..65535 */
};

/* `source-limit = RATE[/BURST]`. rate 0: none. Burst: RATE unless given. */
struct config_limit {
	uint32_t rate; /* a second, 1..1000000 */
	uint32_t burst;
};

/* What one source may have of a service: keys of a service, and of [discovered]. */
struct config_sources {
	struct config_limit syn_limit;    /* `source-syn-limit =`, SYNs; default none */
	struct config_limit accept_limit; /* `source-limit =`, connections; default none */
	uint32_t prefix4, prefix6;        /* what is one source: 32 (default) or 24, 64 (default) or 48 */
	bool fair_share; /* `fair-share = yes | no`, default yes: places of the accept queue are shared */
};

/* `syn-rules =`: whether a place is left to the kernel because firewall rules look at its SYNs. */
enum config_syn_rules {
	CONFIG_SYN_RULES_DAEMON, /* of a service: as [daemon] says */
	CONFIG_SYN_RULES_OBEY,   /* default */
	CONFIG_SYN_RULES_IGNORE,
};

struct config_service {
	char name[SHAKEOFF_NAME_LEN]; /* letters, digits, - and _ */
	struct config_listen *listen; /* at least one */
	size_t listen_count;
	enum shakeoff_handoff handoff;   /* default auto */
	enum shakeoff_overflow overflow; /* default drop */
	enum shakeoff_engage engage;     /* auto (default) or always */
	uint32_t backlog;                /* 1..65535, default 4096 */
	uint32_t engage_rate; /* `engage-rate =`, SYNs a second, 1..100000000, default SHAKEOFF_ENGAGE_RATE_DEFAULT */
	struct config_sources sources;
	/* `user =`, `group =`: who may serve beside root; a name, or a number. Without both: delivery.h. */
	bool has_user, has_group;
	uid_t user;
	gid_t group;
	enum config_syn_rules syn_rules; /* OBEY or IGNORE, once the file is read */
};

/* [discovered]: what holds for services that discovery finds. */
struct config_discovered {
	enum shakeoff_overflow overflow;
	enum shakeoff_engage engage;
	uint32_t backlog; /* 0 (default): the listening socket's alone */
	uint32_t engage_rate;
	struct config_sources sources;
	enum config_syn_rules syn_rules; /* of [daemon] */
};

struct config {
	char (*interfaces)[IFNAMSIZ]; /* no duplicates; may be none: every interface that has the program */
	size_t interface_count;
	bool discover; /* [daemon] `discover = yes | no`, default yes: listening sockets that no service names are protected, too */
	/* [daemon] `exclude =`, may be repeated: what discovery leaves to the kernel; a port alone is any address. */
	struct config_listen *excludes;
	size_t exclude_count;
	char *key_file;           /* [daemon] `key-file =`: the master secret of a fleet; NULL: random keys */
	uint32_t reply_budget;    /* [daemon] `reply-budget =`: SYN-ACKs and RSTs a second to a prefix; 0: no budget */
	bool answer_route;        /* [daemon] `answer = sender | route`, default sender: where SYN-ACKs go */
	struct config_discovered discovered;
	struct config_service *services; /* may be none; no name twice, no address and port in two services */
	size_t service_count;
};

/*
 * Reads a file. Returns 0 and fills *config; on failure a negative errno (-EINVAL for a wrong line), *config untouched and
 * `error` one sentence without a newline: file, line, what was read and what is allowed.
 */
int config_read(const char *path, struct config *config, char *error, size_t error_size);

/* What holds without a file: no interface, no service, discovery with its defaults. */
void config_default(struct config *config);
void config_free(struct config *config);

/* Writes a listen address as the file and the run directory spell it: "10.9.0.1:80", "[::1]:443", "*:22". */
void config_listen_format(const struct config_listen *listen, char *text, size_t size);
#define CONFIG_LISTEN_TEXT 64

#endif

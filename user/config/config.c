/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The file is read as a whole and given to inih line by line: inih splits keys from values and removes comments. What it
 * does not tell (line numbers, sections without a key, what follows a section's name) is seen by the reader function that
 * feeds it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ini.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "config/config.h"
#include "common/text.h"
#include "common/trusted_file.h"

#define FILE_MAX (1u << 20)
#define DEFAULT_BACKLOG 4096
#define RATE_MAX 100000000
#define RATE_MAX_TEXT "100000000"
#define LIMIT_MAX 1000000
#define LIMIT_MAX_TEXT "1000000"
#define SERVICE_PREFIX "service"
#define SECTIONS "[daemon], [discovered] and [service NAME]"

enum section { SECTION_NONE, SECTION_DAEMON, SECTION_DISCOVERED, SECTION_SERVICE };

/* Keys that may stand once in a section: bits of parser.seen. */
#define SEEN_HANDOFF 0x1u
#define SEEN_BACKLOG 0x2u
#define SEEN_OVERFLOW 0x4u
#define SEEN_ENGAGE 0x8u
#define SEEN_ENGAGE_RATE 0x10u
#define SEEN_DISCOVER 0x40u
#define SEEN_KEY_FILE 0x100u
#define SEEN_REPLY_BUDGET 0x200u
#define SEEN_SYN_LIMIT 0x400u
#define SEEN_LIMIT 0x800u
#define SEEN_PREFIX4 0x1000u
#define SEEN_PREFIX6 0x2000u
#define SEEN_FAIR_SHARE 0x4000u
#define SEEN_ANSWER 0x4000000u
#define SEEN_USER 0x1000000u
#define SEEN_GROUP 0x2000000u
#define SEEN_SYN_RULES 0x40000u

struct parser {
	const char *path;
	const char *text;    /* the whole file, NUL-terminated */
	const char *next;    /* where the line after the present one begins */
	unsigned int number; /* of the present line: the one that inih works on */
	struct config config;
	enum section section;
	bool daemon_seen, discovered_seen;
	unsigned int seen;
	unsigned int section_line;
	int result;
	unsigned int failed_at; /* the line that was being read when the result was set */
	char *error;
	size_t error_size;
};

/* The first thing wrong is the one that is told. */
__attribute__((format(printf, 3, 4))) static int fail_at(struct parser *parser, unsigned int number, const char *format,
							 ...)
{
	va_list arguments;
	int length;

	if (parser->result)
		return parser->result;
	parser->result = -EINVAL;
	parser->failed_at = parser->number;
	length = snprintf(parser->error, parser->error_size, "%s:%u: ", parser->path, number);
	if (length < 0 || (size_t)length >= parser->error_size)
		return parser->result;
	va_start(arguments, format);
	vsnprintf(parser->error + length, parser->error_size - length, format, arguments);
	va_end(arguments);
	return parser->result;
}

static int fail_memory(struct parser *parser)
{
	fail_at(parser, parser->number, "out of memory");
	parser->result = -ENOMEM;
	return parser->result;
}

#define READ_TEXT 96

/* A wrong value: what was read, and what is allowed. */
static int fail_value(struct parser *parser, const char *key, const char *value, const char *allowed)
{
	char read[READ_TEXT];

	text_printable(value, read, sizeof(read));
	return fail_at(parser, parser->number, "read `%s = %s`, but %s", key, read, allowed);
}

/* A line as it stands in the file, without what surrounds it. */
static void line_text(const char *line, char *text, size_t size)
{
	char copy[READ_TEXT * 2];
	size_t length;

	line += strspn(line, " \t\r\v\f");
	length = strcspn(line, "\n");
	if (length > sizeof(copy) - 1)
		length = sizeof(copy) - 1;
	while (length && strchr(" \t\r\v\f", line[length - 1]))
		length--;
	memcpy(copy, line, length);
	copy[length] = '\0';
	text_printable(copy, text, size);
}

/* ------------------------------------------------------------------------------------------------------- addresses */

static bool parse_number(const char *text, uint32_t least, uint32_t greatest, uint32_t *number)
{
	uint32_t value = 0;

	if (!*text || strlen(text) > 9)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (*text - '0');
	}
	if (value < least || value > greatest)
		return false;
	*number = value;
	return true;
}

#define ADDRESS_ALLOWED "ADDRESS:PORT with a port from 1 to 65535, as 10.9.0.1:80, [2001:db8::1]:443 or *:22"
#define LISTEN_ALLOWED "listen is " ADDRESS_ALLOWED
#define EXCLUDE_ALLOWED "exclude is a port, or " ADDRESS_ALLOWED

/* NULL, or why an address cannot be served: the hook only sees what other hosts send to an address of this one. */
static const char *unusable_ipv4(struct in_addr address)
{
	uint32_t host = ntohl(address.s_addr);

	if (host == INADDR_ANY)
		return "every address of the host is written as *:PORT";
	if (host >> 24 == 127)
		return "loopback traffic never reaches the hook: give an address that other hosts use, or *:PORT";
	if (IN_MULTICAST(host) || host == INADDR_BROADCAST || host >> 24 == 0)
		return "only a unicast address can be listened on";
	return NULL;
}

static const char *unusable_ipv6(const struct in6_addr *address)
{
	if (IN6_IS_ADDR_UNSPECIFIED(address))
		return "every address of the host is written as *:PORT";
	if (IN6_IS_ADDR_LOOPBACK(address))
		return "loopback traffic never reaches the hook: give an address that other hosts use, or *:PORT";
	if (IN6_IS_ADDR_MULTICAST(address))
		return "only a unicast address can be listened on";
	if (IN6_IS_ADDR_LINKLOCAL(address))
		return "link-local addresses are not served: give a global or unique local one, or *:PORT";
	if (IN6_IS_ADDR_V4MAPPED(address))
		return "an IPv4 address is written without ::ffff:, as 10.9.0.1:80";
	return NULL;
}

/* Returns NULL and fills *listen, or what is allowed instead; for what has not even the form of an address, `allowed`. */
static const char *parse_listen(const char *value, const char *allowed, struct config_listen *listen)
{
	struct config_listen parsed = { 0 };
	char host[INET6_ADDRSTRLEN + 2];
	const char *colon = strrchr(value, ':'), *wrong;
	struct in_addr ipv4;
	uint32_t port;
	size_t length;

	if (!colon || !parse_number(colon + 1, 1, 65535, &port))
		return allowed;
	parsed.port = port;
	length = colon - value;
	if (length >= sizeof(host))
		return allowed;
	memcpy(host, value, length);
	host[length] = '\0';

	if (!strcmp(host, "*")) {
		parsed.family = AF_UNSPEC;
	} else if (host[0] == '[' && length > 2 && host[length - 1] == ']') {
		host[length - 1] = '\0';
		parsed.family = AF_INET6;
		if (inet_pton(AF_INET6, host + 1, &parsed.address) != 1)
			return allowed;
		wrong = unusable_ipv6(&parsed.address);
		if (wrong)
			return wrong;
	} else {
		parsed.family = AF_INET;
		if (inet_pton(AF_INET, host, &ipv4) != 1)
			return allowed;
		wrong = unusable_ipv4(ipv4);
		if (wrong)
			return wrong;
		parsed.address.s6_addr[10] = parsed.address.s6_addr[11] = 0xff;
		memcpy(&parsed.address.s6_addr[12], &ipv4, sizeof(ipv4));
	}
	*listen = parsed;
	return NULL;
}

void config_listen_format(const struct config_listen *listen, char *text, size_t size)
{
	if (listen->family == AF_UNSPEC)
		snprintf(text, size, "*:%u", listen->port);
	else
		text_endpoint(&listen->address, listen->port, text, size);
}

/* `*` covers every address. */
static bool listen_overlap(const struct config_listen *a, const struct config_listen *b)
{
	return a->port == b->port &&
	       (a->family == AF_UNSPEC || b->family == AF_UNSPEC || IN6_ARE_ADDR_EQUAL(&a->address, &b->address));
}

/* ------------------------------------------------------------------------------------------------------------ keys */

static int read_interface(struct parser *parser, const char *value)
{
	struct config *config = &parser->config;
	char(*interfaces)[IFNAMSIZ];

	if (!*value || strlen(value) >= IFNAMSIZ || strpbrk(value, "/: \t\"'") || !strcmp(value, ".") ||
	    !strcmp(value, ".."))
		return fail_value(parser, "interface", value,
				  "interface is the name of one network interface, as eth0, of at most 15 characters");
	for (size_t i = 0; i < config->interface_count; i++)
		if (!strcmp(config->interfaces[i], value))
			return fail_value(parser, "interface", value, "each interface may be given once");

	interfaces = array_grow(config->interfaces, config->interface_count, sizeof(*interfaces));
	if (!interfaces)
		return fail_memory(parser);
	config->interfaces = interfaces;
	strcpy(interfaces[config->interface_count++], value);
	return 0;
}

static bool parse_switch(const char *value, bool *on)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return false;
	*on = !strcmp(value, "yes");
	return true;
}

static int read_discover(struct parser *parser, const char *value)
{
	if (!parse_switch(value, &parser->config.discover))
		return fail_value(parser, "discover", value, "discover is yes or no");
	return 0;
}

static int read_answer(struct parser *parser, const char *value)
{
	parser->config.answer_route = !strcmp(value, "route");
	if (strcmp(value, "route") && strcmp(value, "sender"))
		return fail_value(parser, "answer", value, "answer is sender or route");
	return 0;
}

static int read_key_file(struct parser *parser, const char *value)
{
	if (*value != '/' || strlen(value) >= PATH_MAX)
		return fail_value(parser, "key-file", value,
				  "key-file is a file's whole path, from / on, as /etc/shakeoff.key");
	parser->config.key_file = strdup(value);
	return parser->config.key_file ? 0 : fail_memory(parser);
}

static int read_exclude(struct parser *parser, const char *value)
{
	struct config *config = &parser->config;
	struct config_listen parsed = { .family = AF_UNSPEC }, *excludes;
	const char *wrong;
	uint32_t port;

	if (parse_number(value, 1, 65535, &port)) {
		parsed.port = port;
	} else {
		wrong = parse_listen(value, EXCLUDE_ALLOWED, &parsed);
		if (wrong)
			return fail_value(parser, "exclude", value, wrong);
	}

	excludes = array_grow(config->excludes, config->exclude_count, sizeof(*excludes));
	if (!excludes)
		return fail_memory(parser);
	config->excludes = excludes;
	excludes[config->exclude_count++] = parsed;
	return 0;
}

static struct config_service *present_service(struct parser *parser)
{
	return &parser->config.services[parser->config.service_count - 1];
}

static int read_listen(struct parser *parser, const char *value)
{
	struct config_service *service = present_service(parser);
	struct config_listen parsed, *listen;
	const char *wrong = parse_listen(value, LISTEN_ALLOWED, &parsed);

	if (wrong)
		return fail_value(parser, "listen", value, wrong);

	for (size_t i = 0; i < parser->config.service_count; i++) {
		const struct config_service *other = &parser->config.services[i];

		for (size_t k = 0; k < other->listen_count; k++) {
			char text[CONFIG_LISTEN_TEXT], allowed[256];

			if (!listen_overlap(&parsed, &other->listen[k]))
				continue;
			config_listen_format(&other->listen[k], text, sizeof(text));
			snprintf(allowed, sizeof(allowed),
				 "service %s already listens on %s, and an address and port may be given once",
				 other->name, text);
			return fail_value(parser, "listen", value, allowed);
		}
	}

	listen = array_grow(service->listen, service->listen_count, sizeof(*listen));
	if (!listen)
		return fail_memory(parser);
	service->listen = listen;
	listen[service->listen_count++] = parsed;
	return 0;
}

static int read_handoff(struct parser *parser, const char *value)
{
	struct config_service *service = present_service(parser);

	if (!strcmp(value, "auto"))
		service->handoff = SHAKEOFF_HANDOFF_AUTO;
	else if (!strcmp(value, "listener"))
		service->handoff = SHAKEOFF_HANDOFF_LISTENER;
	else if (!strcmp(value, "queue"))
		service->handoff = SHAKEOFF_HANDOFF_QUEUE;
	else
		return fail_value(parser, "handoff", value, "handoff is auto, listener or queue");
	return 0;
}

/* What a key sets that both a service and [discovered] may have. */
#define SETTING(parser, field)                                                                                         \
	((parser)->section == SECTION_SERVICE ? &present_service(parser)->field : &(parser)->config.discovered.field)

static int read_backlog(struct parser *parser, const char *value)
{
	if (!parse_number(value, 1, 65535, SETTING(parser, backlog)))
		return fail_value(parser, "backlog", value, "backlog is a number from 1 to 65535");
	return 0;
}

static int read_overflow(struct parser *parser, const char *value)
{
	enum shakeoff_overflow *overflow = SETTING(parser, overflow);

	if (!strcmp(value, "drop"))
		*overflow = SHAKEOFF_OVERFLOW_DROP;
	else if (!strcmp(value, "reset"))
		*overflow = SHAKEOFF_OVERFLOW_RESET;
	else
		return fail_value(parser, "overflow", value, "overflow is drop or reset");
	return 0;
}

static int read_engage(struct parser *parser, const char *value)
{
	enum shakeoff_engage *engage = SETTING(parser, engage);

	if (!strcmp(value, "auto"))
		*engage = SHAKEOFF_ENGAGE_AUTO;
	else if (!strcmp(value, "always"))
		*engage = SHAKEOFF_ENGAGE_ALWAYS;
	else
		return fail_value(parser, "engage", value, "engage is auto or always");
	return 0;
}

static int read_engage_rate(struct parser *parser, const char *value)
{
	if (!parse_number(value, 1, RATE_MAX, SETTING(parser, engage_rate)))
		return fail_value(parser, "engage-rate", value,
				  "engage-rate is SYNs a second, from 1 to " RATE_MAX_TEXT);
	return 0;
}

static int read_reply_budget(struct parser *parser, const char *value)
{
	uint32_t budget;

	if (!parse_number(value, 0, RATE_MAX, &budget) || (budget && budget < SHAKEOFF_REPLY_BUDGET_MIN))
		return fail_value(parser, "reply-budget", value,
				  "reply-budget is replies a second, from 100 to " RATE_MAX_TEXT ", or 0 for none");
	parser->config.reply_budget = budget;
	return 0;
}

/* RATE or RATE/BURST. Returns false, *limit untouched, if it is neither. */
static bool parse_limit(const char *value, struct config_limit *limit)
{
	char rate[16];
	size_t length = strcspn(value, "/");
	struct config_limit parsed;

	if (length >= sizeof(rate))
		return false;
	memcpy(rate, value, length);
	rate[length] = '\0';
	if (!parse_number(rate, 1, LIMIT_MAX, &parsed.rate))
		return false;
	parsed.burst = parsed.rate;
	if (value[length] && !parse_number(value + length + 1, 1, LIMIT_MAX, &parsed.burst))
		return false;
	*limit = parsed;
	return true;
}

#define LIMIT_ALLOWED " a second, as 100, or with how many at once, as 100/500: numbers from 1 to " LIMIT_MAX_TEXT

static int read_source_syn_limit(struct parser *parser, const char *value)
{
	if (!parse_limit(value, SETTING(parser, sources.syn_limit)))
		return fail_value(parser, "source-syn-limit", value,
				  "source-syn-limit is SYNs of one source" LIMIT_ALLOWED);
	return 0;
}

static int read_source_limit(struct parser *parser, const char *value)
{
	if (!parse_limit(value, SETTING(parser, sources.accept_limit)))
		return fail_value(parser, "source-limit", value,
				  "source-limit is new connections of one source" LIMIT_ALLOWED);
	return 0;
}

static int read_source_prefix4(struct parser *parser, const char *value)
{
	uint32_t *prefix = SETTING(parser, sources.prefix4);

	if (!parse_number(value, 24, 32, prefix) || (*prefix != 24 && *prefix != 32))
		return fail_value(parser, "source-prefix4", value, "source-prefix4 is 32 or 24");
	return 0;
}

static int read_source_prefix6(struct parser *parser, const char *value)
{
	uint32_t *prefix = SETTING(parser, sources.prefix6);

	if (!parse_number(value, 48, 64, prefix) || (*prefix != 48 && *prefix != 64))
		return fail_value(parser, "source-prefix6", value, "source-prefix6 is 64 or 48");
	return 0;
}

static int read_fair_share(struct parser *parser, const char *value)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return fail_value(parser, "fair-share", value, "fair-share is yes or no");
	*SETTING(parser, sources.fair_share) = !strcmp(value, "yes");
	return 0;
}

#define ID_MAX 999999999 /* parse_number()'s; what NSS knows may be greater */

/* A name first: one may consist of digits. */
static int read_user(struct parser *parser, const char *value)
{
	struct config_service *service = present_service(parser);
	const struct passwd *user = *value ? getpwnam(value) : NULL;
	uint32_t number;

	if (user)
		service->user = user->pw_uid;
	else if (parse_number(value, 0, ID_MAX, &number))
		service->user = number;
	else
		return fail_value(parser, "user", value, "user is the name or the number of a user of this host");
	service->has_user = true;
	return 0;
}

static int read_group(struct parser *parser, const char *value)
{
	struct config_service *service = present_service(parser);
	const struct group *group = *value ? getgrnam(value) : NULL;
	uint32_t number;

	if (group)
		service->group = group->gr_gid;
	else if (parse_number(value, 0, ID_MAX, &number))
		service->group = number;
	else
		return fail_value(parser, "group", value, "group is the name or the number of a group of this host");
	service->has_group = true;
	return 0;
}

/* [daemon]'s holds for discovered services, too, which have no key of their own for it. */
static int read_syn_rules(struct parser *parser, const char *value)
{
	enum config_syn_rules *rules = SETTING(parser, syn_rules);

	if (!strcmp(value, "obey"))
		*rules = CONFIG_SYN_RULES_OBEY;
	else if (!strcmp(value, "ignore"))
		*rules = CONFIG_SYN_RULES_IGNORE;
	else
		return fail_value(parser, "syn-rules", value, "syn-rules is obey or ignore");
	return 0;
}

static const struct key {
	enum section section;
	const char *name;
	unsigned int once; /* SEEN_*; 0: may be repeated */
	int (*read)(struct parser *parser, const char *value);
} keys[] = {
	{ SECTION_DAEMON, "interface", 0, read_interface },
	{ SECTION_DAEMON, "discover", SEEN_DISCOVER, read_discover },
	{ SECTION_DAEMON, "exclude", 0, read_exclude },
	{ SECTION_DAEMON, "key-file", SEEN_KEY_FILE, read_key_file },
	{ SECTION_DAEMON, "reply-budget", SEEN_REPLY_BUDGET, read_reply_budget },
	{ SECTION_DAEMON, "answer", SEEN_ANSWER, read_answer },
	{ SECTION_DAEMON, "syn-rules", SEEN_SYN_RULES, read_syn_rules },
	{ SECTION_DISCOVERED, "backlog", SEEN_BACKLOG, read_backlog },
	{ SECTION_DISCOVERED, "overflow", SEEN_OVERFLOW, read_overflow },
	{ SECTION_DISCOVERED, "engage", SEEN_ENGAGE, read_engage },
	{ SECTION_DISCOVERED, "engage-rate", SEEN_ENGAGE_RATE, read_engage_rate },
	{ SECTION_DISCOVERED, "source-syn-limit", SEEN_SYN_LIMIT, read_source_syn_limit },
	{ SECTION_DISCOVERED, "source-limit", SEEN_LIMIT, read_source_limit },
	{ SECTION_DISCOVERED, "source-prefix4", SEEN_PREFIX4, read_source_prefix4 },
	{ SECTION_DISCOVERED, "source-prefix6", SEEN_PREFIX6, read_source_prefix6 },
	{ SECTION_DISCOVERED, "fair-share", SEEN_FAIR_SHARE, read_fair_share },
	{ SECTION_SERVICE, "listen", 0, read_listen },
	{ SECTION_SERVICE, "handoff", SEEN_HANDOFF, read_handoff },
	{ SECTION_SERVICE, "backlog", SEEN_BACKLOG, read_backlog },
	{ SECTION_SERVICE, "overflow", SEEN_OVERFLOW, read_overflow },
	{ SECTION_SERVICE, "engage", SEEN_ENGAGE, read_engage },
	{ SECTION_SERVICE, "engage-rate", SEEN_ENGAGE_RATE, read_engage_rate },
	{ SECTION_SERVICE, "source-syn-limit", SEEN_SYN_LIMIT, read_source_syn_limit },
	{ SECTION_SERVICE, "source-limit", SEEN_LIMIT, read_source_limit },
	{ SECTION_SERVICE, "source-prefix4", SEEN_PREFIX4, read_source_prefix4 },
	{ SECTION_SERVICE, "source-prefix6", SEEN_PREFIX6, read_source_prefix6 },
	{ SECTION_SERVICE, "fair-share", SEEN_FAIR_SHARE, read_fair_share },
	{ SECTION_SERVICE, "user", SEEN_USER, read_user },
	{ SECTION_SERVICE, "group", SEEN_GROUP, read_group },
	{ SECTION_SERVICE, "syn-rules", SEEN_SYN_RULES, read_syn_rules },
};

/* "a, b and c": the keys of a section. */
static void list_keys(enum section section, char *text, size_t size)
{
	size_t count = 0, listed = 0, length = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		count += keys[i].section == section;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && length < size; i++) {
		if (keys[i].section != section)
			continue;
		length += snprintf(text + length, size - length, "%s%s",
				   !listed             ? "" :
				   listed + 1 == count ? " and " :
							 ", ",
				   keys[i].name);
		listed++;
	}
}

static int fail_key(struct parser *parser, const char *name)
{
	static const char *const whose[] = {
		[SECTION_DAEMON] = "[daemon]",
		[SECTION_DISCOVERED] = "[discovered]",
		[SECTION_SERVICE] = "a service",
	};
	char read[READ_TEXT], allowed[256];

	text_printable(name, read, sizeof(read));
	if (parser->section == SECTION_NONE)
		return fail_at(parser, parser->number, "read the key `%s`, but a key stands in a section: " SECTIONS,
			       read);
	list_keys(parser->section, allowed, sizeof(allowed));
	return fail_at(parser, parser->number, "read the key `%s`, but the keys of %s are %s", read,
		       whose[parser->section], allowed);
}

/* inih's handler: non-zero for success. */
static int handle_key(void *context, const char *section, const char *name, const char *value)
{
	struct parser *parser = context;

	(void)section; /* inih shortens it; parser->section is what enter_section() made of it */
	if (parser->result)
		return 0;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct key *key = &keys[i];

		if (key->section != parser->section || strcmp(key->name, name))
			continue;
		if (key->once & parser->seen)
			return fail_value(parser, name, value, "this key may stand once in a section") == 0;
		parser->seen |= key->once;
		return key->read(parser, value) == 0;
	}
	return fail_key(parser, name) == 0;
}

/* -------------------------------------------------------------------------------------------------------- sections */

static void leave_section(struct parser *parser)
{
	if (parser->section == SECTION_SERVICE && !present_service(parser)->listen_count)
		fail_at(parser, parser->section_line,
			"read [service %s] without an address, but it needs at least one `listen = ADDRESS:PORT`",
			present_service(parser)->name);
}

static const struct config_sources default_sources = { .prefix4 = 32, .prefix6 = 64, .fair_share = true };

static int add_service(struct parser *parser, const char *name)
{
	struct config *config = &parser->config;
	struct config_service *services;
	char read[READ_TEXT];

	text_printable(name, read, sizeof(read));
	if (!*name || strlen(name) >= SHAKEOFF_NAME_LEN ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")])
		return fail_at(parser, parser->number,
			       "read [service %s], but a service's name is 1 to %d letters, digits, - and _", read,
			       SHAKEOFF_NAME_LEN - 1);
	for (size_t i = 0; i < config->service_count; i++)
		if (!strcmp(config->services[i].name, name))
			return fail_at(parser, parser->number,
				       "read [service %s] again, but a service's name may stand once", read);
	if (config->service_count == SHAKEOFF_MAX_SERVICES)
		return fail_at(parser, parser->number, "read [service %s], but there may be at most %d services", read,
			       SHAKEOFF_MAX_SERVICES);

	services = array_grow(config->services, config->service_count, sizeof(*services));
	if (!services)
		return fail_memory(parser);
	config->services = services;
	services += config->service_count++;
	*services = (struct config_service){
		.handoff = SHAKEOFF_HANDOFF_AUTO,
		.overflow = SHAKEOFF_OVERFLOW_DROP,
		.engage = SHAKEOFF_ENGAGE_AUTO,
		.backlog = DEFAULT_BACKLOG,
		.engage_rate = SHAKEOFF_ENGAGE_RATE_DEFAULT,
		.sources = default_sources,
	};
	strcpy(services->name, name);
	parser->section = SECTION_SERVICE;
	return 0;
}

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " \t");
	end = text + strlen(text);
	while (end > text && strchr(" \t\r\v\f", end[-1]))
		end--;
	*end = '\0';
	return text;
}

static void enter_once(struct parser *parser, enum section section, const char *name, bool *seen)
{
	if (*seen)
		fail_at(parser, parser->number, "read [%s] again, but this section may stand once", name);
	*seen = true;
	parser->section = section;
}

/* A line that begins with [. `line` is a copy without its newline, and is cut up. */
static void enter_section(struct parser *parser, char *line)
{
	char read[READ_TEXT], *name, *after, *end = strchr(line, ']');

	line_text(line, read, sizeof(read));
	after = end ? end + 1 + strspn(end + 1, " \t\r\v\f") : NULL;
	if (!end || (*after && *after != ';' && *after != '#')) {
		fail_at(parser, parser->number, "read `%s`, but a section is " SECTIONS " on a line of its own", read);
		return;
	}
	*end = '\0';
	name = trim(line + 1);

	leave_section(parser);
	parser->section = SECTION_NONE;
	parser->section_line = parser->number;
	parser->seen = 0;
	if (!strcmp(name, "daemon")) {
		enter_once(parser, SECTION_DAEMON, name, &parser->daemon_seen);
	} else if (!strcmp(name, "discovered")) {
		enter_once(parser, SECTION_DISCOVERED, name, &parser->discovered_seen);
	} else if (!strcmp(name, SERVICE_PREFIX) || (!strncmp(name, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) &&
						     strchr(" \t", name[strlen(SERVICE_PREFIX)]))) {
		add_service(parser, trim(name + strlen(SERVICE_PREFIX)));
	} else {
		fail_at(parser, parser->number, "read the section `%s`, but the sections are " SECTIONS, read);
	}
}

/* ------------------------------------------------------------------------------------------------------------ file */

/*
 * inih's reader: one line as fgets() gives it. White space at the beginning is left out, or inih would take the line for a
 * continuation of the value before; so are comments, however long.
 */
static char *read_line(char *buffer, int size, void *context)
{
	struct parser *parser = context;
	const char *text = parser->next;
	size_t length;

	if (parser->result || !*text)
		return NULL;
	parser->number++;
	parser->next += strcspn(text, "\n");
	text += strspn(text, " \t\r\v\f");
	length = parser->next - text;
	if (*parser->next)
		parser->next++;
	if (*text == ';' || *text == '#')
		length = 0;
	if (length + 2 > (size_t)size) {
		fail_at(parser, parser->number, "read a line of %zu characters, but a line may have at most %d", length,
			size - 2);
		return NULL;
	}
	memcpy(buffer, text, length);
	buffer[length] = '\0';
	if (*buffer == '[') {
		char copy[256];

		snprintf(copy, sizeof(copy), "%s", buffer);
		enter_section(parser, copy);
	}
	buffer[length] = '\n';
	buffer[length + 1] = '\0';
	return buffer;
}

struct file_error {
	int result;
	char *text;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static char *fail_file(struct file_error *error, int result, const char *format,
							     ...)
{
	va_list arguments;

	error->result = result;
	va_start(arguments, format);
	vsnprintf(error->text, error->size, format, arguments);
	va_end(arguments);
	return NULL;
}

/* Reads a whole file, NUL-terminated; *length counts no NUL of ours. NULL: see `error`. */
static char *slurp(const char *path, size_t *length, struct file_error *error)
{
	/* Not blocking: a pipe in its place must not hold up the start. */
	cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup_free char *buffer = NULL;
	struct stat st;
	size_t used = 0;

	if (fd < 0 || fstat(fd, &st))
		return fail_file(error, -errno, "%s: cannot open the configuration file: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fail_file(error, -EISDIR, "%s: is a directory, not a configuration file", path);
	if (!S_ISREG(st.st_mode))
		return fail_file(error, -EINVAL, "%s: is not a regular file, which a configuration file is", path);
	if (untrusted_because(&st))
		return fail_file(error, -EPERM, "%s: the configuration file %s", path, untrusted_because(&st));
	buffer = malloc(FILE_MAX + 1);
	if (!buffer)
		return fail_file(error, -ENOMEM, "%s: out of memory", path);

	while (used <= FILE_MAX) {
		ssize_t got = read(fd, buffer + used, FILE_MAX + 1 - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_file(error, -errno, "%s: cannot read the configuration file: %s", path,
					 strerror(errno));
		if (!got)
			break;
		used += got;
	}
	if (used > FILE_MAX)
		return fail_file(error, -EFBIG, "%s: is longer than %u bytes, which no configuration file is", path,
				 FILE_MAX);
	buffer[used] = '\0';
	*length = used;
	return take_pointer(buffer);
}

static unsigned int line_of(const char *text, size_t offset)
{
	unsigned int line = 1;

	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

/* A line that inih cannot split. It goes on after one, so that the parser is further on by now. */
static void fail_line(struct parser *parser, unsigned int number)
{
	const char *line = parser->text;
	char read[READ_TEXT];

	if (parser->result && parser->failed_at <= number)
		return;
	for (unsigned int i = 1; i < number; i++)
		line = strchr(line, '\n') + 1;
	line_text(line, read, sizeof(read));
	parser->result = 0;
	fail_at(parser, number, "read `%s`, but a line is `key = value`, a section or a comment", read);
}

static void parse(struct parser *parser)
{
	int wrong;

	if (!strncmp(parser->text, "\xef\xbb\xbf", 3))
		parser->text += 3;
	parser->next = parser->text;
	wrong = ini_parse_stream(read_line, parser, handle_key, parser);
	if (wrong < 0)
		fail_memory(parser);
	else if (wrong > 0)
		fail_line(parser, wrong);
	if (!parser->result)
		leave_section(parser);
}

void config_default(struct config *config)
{
	*config = (struct config){
		.discover = true,
		.reply_budget = SHAKEOFF_REPLY_BUDGET_DEFAULT,
		.discovered = {
			.overflow = SHAKEOFF_OVERFLOW_DROP,
			.engage = SHAKEOFF_ENGAGE_AUTO,
			.engage_rate = SHAKEOFF_ENGAGE_RATE_DEFAULT,
			.sources = default_sources,
			.syn_rules = CONFIG_SYN_RULES_OBEY,
		},
	};
}

/* Sections come in any order: what [daemon] says of services is known at the end. */
static void inherit(struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].syn_rules == CONFIG_SYN_RULES_DAEMON)
			config->services[i].syn_rules = config->discovered.syn_rules;
}

int config_read(const char *path, struct config *config, char *error, size_t error_size)
{
	struct parser parser = { .path = path, .error_size = error_size };
	struct file_error file_error = { .size = error_size };
	cleanup_free char *text = NULL;
	size_t length = 0;

	config_default(&parser.config);
	parser.error = file_error.text = error;
	text = slurp(path, &length, &file_error);
	if (!text)
		return file_error.result;
	parser.text = text;
	if (strlen(text) != length)
		fail_at(&parser, line_of(text, strlen(text)), "read a NUL byte, but the file is plain text");
	else
		parse(&parser);
	if (parser.result) {
		config_free(&parser.config);
		return parser.result;
	}
	inherit(&parser.config);
	*config = parser.config;
	return 0;
}

void config_free(struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++)
		free(config->services[i].listen);
	free(config->services);
	free(config->excludes);
	free(config->key_file);
	free(config->interfaces);
	*config = (struct config){ 0 };
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Checks what only the whole file shows: overlapping addresses, contradictory limits, inherited values of services. */
#include <string.h>

#include "config/reader.h"

static struct config_service *last_service(struct config *config)
{
	return &config->services[config->service_count - 1];
}

/* Returns whether two addresses overlap: `*` covers every address. */
static bool listen_overlap(const struct config_listen *a, const struct config_listen *b)
{
	return a->port == b->port &&
	       (a->family == AF_UNSPEC || b->family == AF_UNSPEC || IN6_ARE_ADDR_EQUAL(&a->address, &b->address));
}

/* Checks the last address of the last service against earlier addresses. */
static int check_listen(struct config_reader *reader, const char *value)
{
	struct config_service *service = last_service(&reader->config);
	const struct config_listen *last = &service->listen[service->listen_count - 1];

	for (const struct config_service *other = reader->config.services; other <= service; other++) {
		for (size_t i = 0; i < other->listen_count; i++) {
			char text[CONFIG_LISTEN_TEXT], allowed[CONFIG_ALLOWED_TEXT];

			if (&other->listen[i] == last || !listen_overlap(last, &other->listen[i]))
				continue;
			config_listen_format(&other->listen[i], text, sizeof(text));
			snprintf(allowed, sizeof(allowed),
				 "service %s already listens on %s, and an address and port may be given once",
				 other->name, text);
			return config_fail_value(reader, "listen", value, allowed);
		}
	}
	return 0;
}

static bool differ(uint8_t a, uint8_t b)
{
	return a && b && a != b;
}

/* Checks that both limits use the same prefix for a source. */
static int check_limits(struct config_reader *reader, const struct config_key *key, const char *value,
			const struct config_policy *policy)
{
	const struct config_limit *limit = &policy->accept_limit, *other = &policy->syn_limit;
	bool differ4 = differ(limit->prefix4, other->prefix4);
	char allowed[CONFIG_ALLOWED_TEXT];

	if (!differ4 && !differ(limit->prefix6, other->prefix6))
		return 0;
	if (key->offset == offsetof(struct config_policy, syn_limit))
		other = limit;
	snprintf(allowed, sizeof(allowed),
		 "the other limit has per /%u, and a source is the same prefix for both limits: write the same prefix",
		 differ4 ? other->prefix4 : other->prefix6);
	return config_fail_value(reader, key->name, value, allowed);
}

int config_check_value(struct config_reader *reader, const struct config_key *key, const char *value)
{
	if (key->type == &config_type_listen)
		return check_listen(reader, value);
	if (key->type == &config_type_limit)
		return check_limits(reader, key, value,
				    config_key_base(key, reader->section, config_section_base(reader)));
	return 0;
}

void config_check_section(struct config_reader *reader)
{
	if (reader->section == SECTION_SERVICE && !last_service(&reader->config)->listen_count)
		config_fail_at(
			reader, reader->section_line,
			"read [service %s] without an address, but it needs at least one `listen = ADDRESS:PORT`",
			last_service(&reader->config)->name);
}

void config_inherit(struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].policy.syn_rules == CONFIG_SYN_RULES_DAEMON)
			config->services[i].policy.syn_rules = config->discovered.syn_rules;
}

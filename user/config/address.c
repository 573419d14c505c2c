/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads values that are an address and a port. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/text.h"
#include "config/keys.h"

#define ENDPOINT_ALLOWED "ADDRESS:PORT with a port from 1 to 65535, as 10.9.0.1:80, [2001:db8::1]:443 or *:22"

/*
 * Returns NULL, or why an address cannot be served: the hook only sees packets that other hosts send to an address of
 * this host.
 */
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

/* Reads an address without its port. Returns the same as config_type.read(). */
static const char *address_parse(const char *value, size_t length, struct config_listen *listen)
{
	char host[INET6_ADDRSTRLEN + 2];
	struct in_addr ipv4;

	if (length >= sizeof(host))
		return CONFIG_NOT_ALLOWED;
	memcpy(host, value, length);
	host[length] = '\0';
	if (!strcmp(host, "*")) {
		listen->family = AF_UNSPEC;
		return NULL;
	}
	if (host[0] == '[' && length > 2 && host[length - 1] == ']') {
		host[length - 1] = '\0';
		listen->family = AF_INET6;
		if (inet_pton(AF_INET6, host + 1, &listen->address) != 1)
			return CONFIG_NOT_ALLOWED;
		return unusable_ipv6(&listen->address);
	}
	listen->family = AF_INET;
	if (inet_pton(AF_INET, host, &ipv4) != 1)
		return CONFIG_NOT_ALLOWED;
	listen->address.s6_addr[10] = listen->address.s6_addr[11] = 0xff;
	memcpy(&listen->address.s6_addr[12], &ipv4, sizeof(ipv4));
	return unusable_ipv4(ipv4);
}

/* Reads ADDRESS:PORT. Returns the same as config_type.read(). */
static const char *endpoint_parse(const char *value, struct config_listen *listen)
{
	const char *colon = strrchr(value, ':');
	uint32_t port;

	if (!colon || !config_read_number(colon + 1, 1, 65535, &port))
		return CONFIG_NOT_ALLOWED;
	listen->port = (uint16_t)port;
	return address_parse(value, colon - value, listen);
}

static const char *append(struct config_listen **list, size_t *count, const struct config_listen *listen)
{
	struct config_listen *larger = array_grow(*list, *count, sizeof(**list));

	if (!larger)
		return CONFIG_NO_MEMORY;
	*list = larger;
	larger[(*count)++] = *listen;
	return NULL;
}

static const char *listen_read(const struct config_key *key, void *base, const char *value)
{
	struct config_service *service = base;
	struct config_listen parsed = { 0 };
	const char *wrong = endpoint_parse(value, &parsed);

	(void)key;
	return wrong ? wrong : append(&service->listen, &service->listen_count, &parsed);
}

static void listen_allowed(const struct config_key *key, char *text, size_t size)
{
	(void)key;
	snprintf(text, size, ENDPOINT_ALLOWED);
}

const struct config_type config_type_listen = { listen_read, listen_allowed, "ADDRESS:PORT", true };

static const char *exclude_read(const struct config_key *key, void *base, const char *value)
{
	struct config *config = base;
	struct config_listen parsed = { .family = AF_UNSPEC };
	const char *wrong = NULL;
	uint32_t port;

	(void)key;
	if (config_read_number(value, 1, 65535, &port))
		parsed.port = (uint16_t)port;
	else
		wrong = endpoint_parse(value, &parsed);
	return wrong ? wrong : append(&config->excludes, &config->exclude_count, &parsed);
}

static void exclude_allowed(const struct config_key *key, char *text, size_t size)
{
	(void)key;
	snprintf(text, size, "a port, or " ENDPOINT_ALLOWED);
}

const struct config_type config_type_exclude = { exclude_read, exclude_allowed, "PORT or ADDRESS:PORT", true };

void config_listen_format(const struct config_listen *listen, char *text, size_t size)
{
	if (listen->family == AF_UNSPEC)
		snprintf(text, size, "*:%u", listen->port);
	else
		text_endpoint(&listen->address, listen->port, text, size);
}

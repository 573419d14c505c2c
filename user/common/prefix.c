/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/prefix.h"
#include "common/text.h"

#define READ_TEXT 64
#define ALLOWED "a prefix is written as 192.0.2.0/24, 192.0.2.1 or 2001:db8::/32"

static bool read_len(const char *text, unsigned int max, uint8_t *len)
{
	unsigned int value = 0;

	if (!*text || strlen(text) > 3 || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (*text - '0');
	}
	*len = value;
	return value <= max;
}

static bool read_address(const char *text, struct prefix *prefix)
{
	prefix->ipv6 = strchr(text, ':');
	return inet_pton(prefix->ipv6 ? AF_INET6 : AF_INET, text, prefix->address) == 1;
}

/* Clears the bits behind the length. */
static void cut(struct prefix *prefix)
{
	uint8_t *bytes = (uint8_t *)prefix->address;
	size_t size = PREFIX_LEN_MAX(prefix->ipv6) / 8, whole = prefix->len / 8;

	if (whole < size) {
		bytes[whole] &= 0xff00 >> prefix->len % 8;
		memset(bytes + whole + 1, 0, size - whole - 1);
	}
}

__attribute__((format(printf, 4, 5))) static int refuse(const char *text, char *error, size_t size, const char *format,
							...)
{
	char read[READ_TEXT];
	va_list arguments;
	int length;

	text_printable(text, read, sizeof(read));
	length = snprintf(error, size, "`%s`: ", read);
	if (length < 0 || (size_t)length >= size)
		return -EINVAL;
	va_start(arguments, format);
	vsnprintf(error + length, size - length, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

int prefix_read(const char *text, struct prefix *prefix, char *error, size_t error_size)
{
	char address[INET6_ADDRSTRLEN], meant[PREFIX_TEXT];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	struct prefix parsed = { 0 }, network;

	if (length >= sizeof(address))
		return refuse(text, error, error_size, ALLOWED);
	memcpy(address, text, length);
	address[length] = '\0';
	if (!read_address(address, &parsed))
		return refuse(text, error, error_size, ALLOWED);
	parsed.len = PREFIX_LEN_MAX(parsed.ipv6);
	if (slash && !read_len(slash + 1, PREFIX_LEN_MAX(parsed.ipv6), &parsed.len))
		return refuse(text, error, error_size, ALLOWED);
	if (parsed.ipv6 && parsed.len >= 96 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)parsed.address))
		return refuse(text, error, error_size, "an IPv4 prefix is written without ::ffff:, as 192.0.2.0/24");
	network = parsed;
	cut(&network);
	if (memcmp(network.address, parsed.address, sizeof(parsed.address))) {
		prefix_write(&network, meant, sizeof(meant));
		return refuse(text, error, error_size, "there are bits behind the length: is it %s, or %s?", address,
			      meant);
	}
	*prefix = parsed;
	return 0;
}

void prefix_write(const struct prefix *prefix, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN] = "?";

	inet_ntop(prefix->ipv6 ? AF_INET6 : AF_INET, prefix->address, address, sizeof(address));
	if (prefix->len == PREFIX_LEN_MAX(prefix->ipv6))
		snprintf(text, size, "%s", address);
	else
		snprintf(text, size, "%s/%u", address, prefix->len);
}

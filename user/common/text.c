/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

void text_endpoint(const struct in6_addr *address, uint16_t port, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (IN6_IS_ADDR_V4MAPPED(address)) {
		inet_ntop(AF_INET, &address->s6_addr[12], host, sizeof(host));
		snprintf(text, size, "%s:%u", host, port);
	} else {
		inet_ntop(AF_INET6, address, host, sizeof(host));
		snprintf(text, size, "[%s]:%u", host, port);
	}
}

void text_duration(uint64_t nanoseconds, char *text, size_t size)
{
	uint64_t seconds = nanoseconds / 1000000000u;

	if (!seconds)
		snprintf(text, size, "%" PRIu64 " ms", nanoseconds / 1000000u);
	else if (seconds < 60)
		snprintf(text, size, "%" PRIu64 " s", seconds);
	else if (seconds < 3600)
		snprintf(text, size, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(text, size, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds % 3600 / 60);
	else
		snprintf(text, size, "%" PRIu64 " d %" PRIu64 " h", seconds / 86400, seconds % 86400 / 3600);
}

void text_printable(const char *from, char *text, size_t size)
{
	size_t i;

	for (i = 0; from[i] && i + 1 < size; i++) {
		unsigned char c = from[i];

		text[i] = c < 0x20 || c >= 0x7f ? '?' : c;
	}
	text[i] = '\0';
	if (from[i] && size > 3)
		memcpy(text + size - 4, "...", 4);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
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
	uint64_t seconds = nanoseconds / NS_PER_S;

	if (!seconds)
		snprintf(text, size, "%" PRIu64 " ms", nanoseconds / NS_PER_MS);
	else if (seconds < 60)
		snprintf(text, size, "%" PRIu64 " s", seconds);
	else if (seconds < 3600)
		snprintf(text, size, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(text, size, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds % 3600 / 60);
	else
		snprintf(text, size, "%" PRIu64 " d %" PRIu64 " h", seconds / 86400, seconds % 86400 / 3600);
}

#define DURATION_MAX (10 * 366 * 86400ull)

static const struct {
	char letter;
	uint32_t seconds;
} units[] = { { 'w', 7 * 86400 }, { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

/* Reads a number of at most nine digits. Returns the text behind it, or NULL. */
static const char *read_digits(const char *text, uint64_t *number)
{
	size_t length = strspn(text, "0123456789");

	if (!length || length > 9)
		return NULL;
	*number = 0;
	while (length--)
		*number = *number * 10 + (*text++ - '0');
	return text;
}

/* Reads numbers with their units, each smaller than the last. */
static bool read_units(const char *text, uint64_t *seconds)
{
	size_t unit = 0;
	uint64_t number;

	for (*seconds = 0; *text; text++, unit++) {
		text = read_digits(text, &number);
		if (!text)
			return false;
		while (unit < UNIT_COUNT && units[unit].letter != *text)
			unit++;
		if (unit == UNIT_COUNT)
			return false;
		*seconds += number * units[unit].seconds;
	}
	return true;
}

bool text_read_duration(const char *text, uint64_t *nanoseconds)
{
	uint64_t seconds;
	const char *end = read_digits(text, &seconds);

	if ((!end || *end) && !read_units(text, &seconds))
		return false;
	if (!seconds || seconds > DURATION_MAX)
		return false;
	*nanoseconds = seconds * NS_PER_S;
	return true;
}

void text_write_duration(uint64_t nanoseconds, char *text, size_t size)
{
	uint64_t seconds = nanoseconds / NS_PER_S + !!(nanoseconds % NS_PER_S);
	size_t used = 0;

	snprintf(text, size, "0s");
	for (size_t i = 0; i < UNIT_COUNT && used < size; i++) {
		if (seconds < units[i].seconds)
			continue;
		used += snprintf(text + used, size - used, "%" PRIu64 "%c", seconds / units[i].seconds,
				 units[i].letter);
		seconds %= units[i].seconds;
	}
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

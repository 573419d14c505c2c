/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The only place with words of earlier versions. */
#include <string.h>

#include "config/retired.h"

const struct retired_key retired_keys[] = {
	{ "engage", "auto", "this key is now `syncookies`, and this value `adaptive`: write `syncookies = adaptive`" },
	{ "engage", NULL, "this key is now `syncookies`: write `syncookies = always` or `syncookies = adaptive`" },
	{ "syncookies", "auto", "this value is now `adaptive`: write `syncookies = adaptive`" },
	{ "engage-rate", NULL, "this key is now `flood-rate`, with the same value" },
	{ "source-prefix4", NULL, "the prefix is now a part of the limits: write `source-limit = 20/s per /24`" },
	{ "source-prefix6", NULL, "the prefix is now a part of the limits: write `source-limit = 20/s per /48`" },
	{ "verify-checksums", NULL, "this key is gone: network cards verify checksums, and the kernel does so again" },
	{ "fragment-budget", NULL, "this key is gone: 10000 fragments of TCP a second pass" },
	{ "synack-retries", NULL, "this key is gone: sysctl net.ipv4.tcp_synack_retries decides, up to 6" },
	{ "syn-budget", NULL, "this key is gone: packets that only the kernel can serve pass without a limit" },
};

const size_t retired_key_count = sizeof(retired_keys) / sizeof(retired_keys[0]);

const char *retired_value(const char *name, const char *value)
{
	for (size_t i = 0; i < retired_key_count; i++) {
		const struct retired_key *key = &retired_keys[i];

		if (key->value && !strcmp(key->value, value) && !strcmp(key->name, name))
			return key->instead;
	}
	return NULL;
}

const char *retired_key(const char *name, const char *value)
{
	const char *instead = retired_value(name, value);

	for (size_t i = 0; i < retired_key_count && !instead; i++)
		if (!retired_keys[i].value && !strcmp(retired_keys[i].name, name))
			instead = retired_keys[i].instead;
	return instead;
}

const char *retired_limit(const char *value)
{
	size_t rate = strspn(value, "0123456789");

	if (rate && !value[rate])
		return "a limit now has a unit: write RATE/s, as 20/s";
	if (rate && value[rate] == '/' && value[rate + 1] && !value[rate + 1 + strspn(value + rate + 1, "0123456789")])
		return "a limit is now written in words: write RATE/s burst BURST, as 20/s burst 100";
	return NULL;
}

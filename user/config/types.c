/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values of keys other than addresses: reads them, and describes what is allowed. */
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "config/keys.h"
#include "config/retired.h"

const char CONFIG_NOT_ALLOWED[] = "it is not allowed", CONFIG_NO_MEMORY[] = "out of memory";

static void *field_of(const struct config_key *key, void *base)
{
	return (char *)base + key->offset;
}

/* --------------------------------------------------------------------------------------------------------- numbers */

bool config_read_number(const char *text, uint32_t least, uint32_t greatest, uint32_t *number)
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

static const char *number_read(const struct config_key *key, void *base, const char *value)
{
	uint32_t *number = field_of(key, base);

	if (config_read_number(value, key->least, key->greatest, number) ||
	    (key->zero && config_read_number(value, 0, 0, number)))
		return NULL;
	return CONFIG_NOT_ALLOWED;
}

static void number_allowed(const struct config_key *key, char *text, size_t size)
{
	int length = snprintf(text, size, "a number of %s, from %u to %u", key->unit, key->least, key->greatest);

	if (key->zero && length > 0 && (size_t)length < size)
		snprintf(text + length, size - length, ", or 0 for %s", key->zero);
}

const struct config_type config_type_number = { number_read, number_allowed, "NUMBER", false };

/* ----------------------------------------------------------------------------------------------------------- words */

static const char *switch_read(const struct config_key *key, void *base, const char *value)
{
	bool *on = field_of(key, base);

	if (strcmp(value, "yes") && strcmp(value, "no"))
		return CONFIG_NOT_ALLOWED;
	*on = !strcmp(value, "yes");
	return NULL;
}

static void switch_allowed(const struct config_key *key, char *text, size_t size)
{
	(void)key;
	snprintf(text, size, "yes or no");
}

const struct config_type config_type_switch = { switch_read, switch_allowed, NULL, false };

/* Reads a word. The field is an enum, which is an unsigned int with the supported compilers. */
static const char *words_read(const struct config_key *key, void *base, const char *value)
{
	for (const struct config_word *word = key->words; word->text; word++) {
		if (strcmp(word->text, value))
			continue;
		memcpy(field_of(key, base), &word->number, sizeof(word->number));
		return NULL;
	}
	return CONFIG_NOT_ALLOWED;
}

static void words_allowed(const struct config_key *key, char *text, size_t size)
{
	size_t length = 0;

	for (const struct config_word *word = key->words; word->text && length < size; word++)
		length += snprintf(text + length, size - length, "%s%s",
				   word == key->words ? "" :
				   word[1].text       ? ", " :
							" or ",
				   word->text);
}

const struct config_type config_type_words = { words_read, words_allowed, NULL, false };

/* ---------------------------------------------------------------------------------------------------------- limits */

/* Reads the number of RATE/s. */
static bool rate_read(const struct config_key *key, const char *word, uint32_t *rate)
{
	char number[16];
	size_t length = strcspn(word, "/");

	if (length >= sizeof(number) || strcmp(word + length, "/s"))
		return false;
	memcpy(number, word, length);
	number[length] = '\0';
	return config_read_number(number, key->least, key->greatest, rate);
}

/* Reads the prefix after `per`, each family's once. */
static bool prefix_read(const char *word, struct config_limit *limit)
{
	uint8_t *prefix;
	uint32_t length;

	if (*word != '/' || !config_read_number(word + 1, 24, 64, &length))
		return false;
	if (length == 24 || length == 32)
		prefix = &limit->prefix4;
	else if (length == 48 || length == 64)
		prefix = &limit->prefix6;
	else
		return false;
	if (*prefix)
		return false;
	*prefix = (uint8_t)length;
	return true;
}

static const char *limit_read(const struct config_key *key, void *base, const char *value)
{
	struct config_limit limit = { 0 };
	char words[80], *rest = words, *word;

	if (retired_limit(value))
		return retired_limit(value);
	if (strlen(value) >= sizeof(words))
		return CONFIG_NOT_ALLOWED;
	strcpy(words, value);
	word = strtok_r(words, " \t", &rest);
	if (!word || !rate_read(key, word, &limit.rate))
		return CONFIG_NOT_ALLOWED;
	while ((word = strtok_r(NULL, " \t", &rest))) {
		const char *after = strtok_r(NULL, " \t", &rest);
		bool known;

		if (!after)
			return CONFIG_NOT_ALLOWED;
		if (!strcmp(word, "burst"))
			known = !limit.burst && config_read_number(after, key->least, key->greatest, &limit.burst);
		else
			known = !strcmp(word, "per") && prefix_read(after, &limit);
		if (!known)
			return CONFIG_NOT_ALLOWED;
	}
	if (!limit.burst)
		limit.burst = limit.rate;
	*(struct config_limit *)field_of(key, base) = limit;
	return NULL;
}

static void limit_allowed(const struct config_key *key, char *text, size_t size)
{
	snprintf(text, size,
		 "%s a second, as 20/s or 20/s burst 100, then per /24 or /32 and per /48 or /64 if need be; numbers "
		 "from %u to %u",
		 key->unit, key->least, key->greatest);
}

const struct config_type config_type_limit = { limit_read, limit_allowed, "RATE/s [burst NUMBER] [per /PREFIX]...",
					       false };

/* ----------------------------------------------------------------------------------------------------------- names */

static const char *path_read(const struct config_key *key, void *base, const char *value)
{
	char **path = field_of(key, base);

	if (*value != '/' || strlen(value) >= PATH_MAX)
		return CONFIG_NOT_ALLOWED;
	*path = strdup(value);
	return *path ? NULL : CONFIG_NO_MEMORY;
}

static void path_allowed(const struct config_key *key, char *text, size_t size)
{
	snprintf(text, size, "a file's whole path, as %s", key->example);
}

const struct config_type config_type_path = { path_read, path_allowed, "FILE", false };

static const char *interface_read(const struct config_key *key, void *base, const char *value)
{
	struct config *config = base;
	char(*interfaces)[IFNAMSIZ];

	(void)key;
	if (!*value || strlen(value) >= IFNAMSIZ || strpbrk(value, "/: \t\"'") || !strcmp(value, ".") ||
	    !strcmp(value, ".."))
		return CONFIG_NOT_ALLOWED;
	for (size_t i = 0; i < config->interface_count; i++)
		if (!strcmp(config->interfaces[i], value))
			return "each interface may be given once";

	interfaces = array_grow(config->interfaces, config->interface_count, sizeof(*interfaces));
	if (!interfaces)
		return CONFIG_NO_MEMORY;
	config->interfaces = interfaces;
	strcpy(interfaces[config->interface_count++], value);
	return NULL;
}

static void interface_allowed(const struct config_key *key, char *text, size_t size)
{
	snprintf(text, size, "the name of one network interface, as %s, of at most %d characters", key->example,
		 IFNAMSIZ - 1);
}

const struct config_type config_type_interface = { interface_read, interface_allowed, "INTERFACE", true };

#define ID_MAX 999999999 /* the limit of config_read_number(); NSS may know greater ones */

/* Reads a user. Tries the name first: a name may consist of digits. */
static const char *user_read(const struct config_key *key, void *base, const char *value)
{
	struct config_service *service = base;
	const struct passwd *user = *value ? getpwnam(value) : NULL;
	uint32_t number;

	(void)key;
	if (user)
		service->user = user->pw_uid;
	else if (config_read_number(value, 0, ID_MAX, &number))
		service->user = number;
	else
		return CONFIG_NOT_ALLOWED;
	service->has_user = true;
	return NULL;
}

static const char *group_read(const struct config_key *key, void *base, const char *value)
{
	struct config_service *service = base;
	const struct group *group = *value ? getgrnam(value) : NULL;
	uint32_t number;

	(void)key;
	if (group)
		service->group = group->gr_gid;
	else if (config_read_number(value, 0, ID_MAX, &number))
		service->group = number;
	else
		return CONFIG_NOT_ALLOWED;
	service->has_group = true;
	return NULL;
}

static void account_allowed(const struct config_key *key, char *text, size_t size)
{
	snprintf(text, size, "the name or the number of a %s of this host", key->name);
}

const struct config_type config_type_user = { user_read, account_allowed, "USER", false };
const struct config_type config_type_group = { group_read, account_allowed, "GROUP", false };

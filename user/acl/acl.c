/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "acl/acl.h"
#include "common/text.h"

#define BLANKS " \t\r\n"
#define LINE_ALLOWED "a line is `[block|allow] PREFIX [for DURATION] [service NAME]`"
#define LINE_SIZE 1024 /* without its comment, which may have any length */

int acl_add(struct acl *list, const struct acl_entry *entry)
{
	return array_append(list->entries, list->count, *entry);
}

void acl_free(struct acl *list)
{
	free(list->entries);
	free(list->names);
	*list = (struct acl){ 0 };
}

const char *acl_name_of(const struct acl *list, uint32_t scope)
{
	for (size_t i = 0; i < list->name_count; i++)
		if (list->names[i].scope == scope)
			return list->names[i].name;
	return NULL;
}

int acl_add_name(struct acl *list, const char *name, uint32_t *result)
{
	uint32_t scope = shakeoff_acl_scope(name);
	const char *present = acl_name_of(list, scope);

	if (strlen(name) >= SHAKEOFF_NAME_LEN)
		return -ENAMETOOLONG;
	if (present && strcmp(present, name))
		return -EEXIST;
	if (!present) {
		struct acl_name added = { .scope = scope };

		strcpy(added.name, name);
		if (array_append(list->names, list->name_count, added))
			return -ENOMEM;
	}
	*result = scope;
	return 0;
}

bool acl_entry_is_live(const struct acl_entry *entry, uint64_t now_ns)
{
	return !entry->expires_ns || entry->expires_ns > now_ns;
}

/* ---------------------------------------------------------------------------------------------------------- reading */

struct reader {
	const char *path;
	unsigned int number; /* of the line */
	uint64_t now_ns;
	struct acl list;
	char *error;
	size_t error_size;
};

__attribute__((format(printf, 2, 3))) static int fail(struct reader *reader, const char *format, ...)
{
	int length = snprintf(reader->error, reader->error_size, "%s:%u: ", reader->path, reader->number);
	va_list arguments;

	if (length < 0 || (size_t)length >= reader->error_size)
		return -EINVAL;
	va_start(arguments, format);
	vsnprintf(reader->error + length, reader->error_size - length, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int fail_value(struct reader *reader, const char *what, const char *value, const char *allowed)
{
	char read[64];

	text_printable(value, read, sizeof(read));
	return fail(reader, "read `%s%s%s`, but %s", what, *what ? " " : "", read, allowed);
}

static int read_service(struct reader *reader, const char *name, struct acl_entry *entry)
{
	switch (acl_add_name(&reader->list, name, &entry->scope)) {
	case 0:
		/* Refuse more names before the search through them takes noticeable time. */
		if (reader->list.name_count <= SHAKEOFF_MAX_ACL_NAMES)
			return 0;
		return fail(reader, "the maximum is %u names of services", SHAKEOFF_MAX_ACL_NAMES);
	case -ENOMEM: return -ENOMEM;
	case -EEXIST: return fail_value(reader, "service", name, "the name of another service has the same hash");
	default: return fail_value(reader, "service", name, "the name is too long for a service");
	}
}

/* Reads the rest of the line after the prefix: pairs of a word and a value. */
static int read_rest(struct reader *reader, char **rest, struct acl_entry *entry)
{
	const char *word, *value;
	uint64_t duration;
	int result = 0;

	while (!result && (word = strtok_r(NULL, BLANKS, rest))) {
		value = strtok_r(NULL, BLANKS, rest);
		if (!value) {
			result = fail_value(reader, "", word, LINE_ALLOWED);
		} else if (entry->scope && !strcmp(word, "service")) {
			result = fail_value(reader, word, value,
					    "a service is named before it; write a line for each service");
		} else if (entry->expires_ns && !strcmp(word, "for")) {
			result = fail_value(reader, word, value, "a duration is named before it");
		} else if (!strcmp(word, "service")) {
			result = read_service(reader, value, entry);
		} else if (strcmp(word, "for")) {
			result = fail_value(reader, "", word, LINE_ALLOWED);
		} else if (!text_read_duration(value, &duration)) {
			result = fail_value(reader, word, value, "a duration is written as 30s, 10m, 1h30m or 7d");
		} else {
			entry->expires_ns = reader->now_ns + duration;
		}
	}
	return result;
}

static int read_line(struct reader *reader, char *line)
{
	struct acl_entry entry = { .action = SHAKEOFF_ACL_BLOCK };
	char *rest, *word;
	char wrong[256];
	int result;

	word = strtok_r(line, BLANKS, &rest);
	if (!word)
		return 0;
	if (!strcmp(word, "block") || !strcmp(word, "allow")) {
		entry.action = *word == 'a' ? SHAKEOFF_ACL_ALLOW : SHAKEOFF_ACL_BLOCK;
		word = strtok_r(NULL, BLANKS, &rest);
		if (!word)
			return fail(reader, "there is no prefix: " LINE_ALLOWED);
	}
	if (prefix_read(word, &entry.prefix, wrong, sizeof(wrong)))
		return fail(reader, "%s", wrong);
	result = read_rest(reader, &rest, &entry);
	return result ? result : acl_add(&reader->list, &entry);
}

/*
 * Reads the next line without its comment. Returns 1, or 0 at the end of the file. It refuses a zero byte, so that a
 * file of zero bytes, which a crash can leave of a file just written, is not taken for an empty list. It refuses a long
 * line, so that a device without line ends does not fill the memory.
 */
static int next_line(struct reader *reader, FILE *file, char line[LINE_SIZE])
{
	bool in_comment = false;
	size_t length = 0;
	int c;

	reader->number++;
	while ((c = getc_unlocked(file)) != EOF && c != '\n') {
		in_comment |= c == '#' || c == ';';
		if (!c)
			return fail(reader, "there is a zero byte: this is not text");
		if (in_comment)
			continue;
		if (length + 1 == LINE_SIZE)
			return fail(reader, "the line is longer than %d characters: " LINE_ALLOWED, LINE_SIZE - 1);
		line[length++] = (char)c;
	}
	line[length] = '\0';
	if (c == EOF && ferror(file))
		return -errno;
	return c != EOF || length || in_comment;
}

int acl_read(FILE *file, const char *path, uint64_t now_ns, struct acl *list, char *error, size_t error_size)
{
	struct reader reader = { .path = path, .now_ns = now_ns, .error = error, .error_size = error_size };
	char line[LINE_SIZE];
	int result;

	*error = '\0';
	while ((result = next_line(&reader, file, line)) > 0) {
		result = read_line(&reader, line);
		if (result)
			break;
	}
	if (result) {
		if (!*error)
			snprintf(error, error_size, "%s: %s", path, strerror(-result));
		acl_free(&reader.list);
		return result;
	}
	*list = reader.list;
	return 0;
}

/* ---------------------------------------------------------------------------------------------------------- writing */

const char *acl_action_name(uint8_t action)
{
	return action == SHAKEOFF_ACL_ALLOW ? "allow" : "block";
}

void acl_entry_write(const struct acl_entry *entry, const char *name, uint64_t now_ns, char *text, size_t size)
{
	char prefix[PREFIX_TEXT], duration[TEXT_DURATION] = "";

	prefix_write(&entry->prefix, prefix, sizeof(prefix));
	if (entry->expires_ns > now_ns)
		text_write_duration(entry->expires_ns - now_ns, duration, sizeof(duration));
	snprintf(text, size, "%s %s%s%s%s%s", acl_action_name(entry->action), prefix, *duration ? " for " : "",
		 duration, name ? " service " : "", name ? name : "");
}

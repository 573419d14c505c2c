/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handles lines and sections. The file is read as a whole and given to inih line by line: inih splits keys from values
 * and removes comments. The reader function that feeds inih finds what inih does not report: line numbers, sections
 * without a key, text after a section's name.
 */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "common/text.h"
#include "config/reader.h"
#include "config/retired.h"

#define SERVICE_PREFIX "service"

/* ---------------------------------------------------------------------------------------------------------- errors */

int config_fail_at(struct config_reader *reader, unsigned int number, const char *format, ...)
{
	va_list arguments;
	int length;

	if (reader->result)
		return reader->result;
	reader->result = -EINVAL;
	reader->failed_at = reader->number;
	length = snprintf(reader->error, reader->error_size, "%s:%u: ", reader->path, number);
	if (length < 0 || (size_t)length >= reader->error_size)
		return reader->result;
	va_start(arguments, format);
	vsnprintf(reader->error + length, reader->error_size - length, format, arguments);
	va_end(arguments);
	return reader->result;
}

static int fail_memory(struct config_reader *reader)
{
	config_fail_at(reader, reader->number, "out of memory");
	reader->result = -ENOMEM;
	return reader->result;
}

int config_fail_value(struct config_reader *reader, const char *key, const char *value, const char *allowed)
{
	char read[READ_TEXT];

	text_printable(value, read, sizeof(read));
	return config_fail_at(reader, reader->number, "read `%s = %s`, but %s", key, read, allowed);
}

/* Copies a line of the file without white space around it. */
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

/* ------------------------------------------------------------------------------------------------------------ keys */

void *config_section_base(struct config_reader *reader)
{
	struct config *config = &reader->config;

	return reader->section == SECTION_SERVICE    ? (void *)&config->services[config->service_count - 1] :
	       reader->section == SECTION_DISCOVERED ? (void *)&config->discovered :
						       (void *)config;
}

static int fail_key(struct config_reader *reader, const char *name, const char *value)
{
	char read[READ_TEXT], keys[CONFIG_ALLOWED_TEXT];

	text_printable(name, read, sizeof(read));
	if (reader->section == SECTION_NONE)
		return config_fail_at(
			reader, reader->number,
			"read the key `%s` outside a section, but a key belongs to a section: " SECTIONS_TEXT, read);
	if (retired_key(name, value))
		return config_fail_value(reader, name, value, retired_key(name, value));
	config_keys_list(reader->section, keys, sizeof(keys));
	return config_fail_at(reader, reader->number, "read the key `%s`, but the keys of %s are %s", read,
			      reader->section == SECTION_DAEMON     ? "[daemon]" :
			      reader->section == SECTION_DISCOVERED ? "[discovered]" :
								      "a service",
			      keys);
}

static int fail_not_allowed(struct config_reader *reader, const struct config_key *key, const char *value)
{
	char allowed[CONFIG_ALLOWED_TEXT];
	int length;

	if (retired_value(key->name, value))
		return config_fail_value(reader, key->name, value, retired_value(key->name, value));
	length = snprintf(allowed, sizeof(allowed), "%s is ", key->name);
	key->type->allowed(key, allowed + length, sizeof(allowed) - length);
	return config_fail_value(reader, key->name, value, allowed);
}

static int read_value(struct config_reader *reader, const struct config_key *key, const char *value)
{
	uint64_t seen = 1ull << (key - config_keys);
	const char *wrong;

	if (!key->type->repeats && (reader->keys_seen & seen))
		return config_fail_value(reader, key->name, value, "this key may be given once in a section");
	reader->keys_seen |= seen;
	wrong = key->type->read(key, config_key_base(key, reader->section, config_section_base(reader)), value);
	if (wrong == CONFIG_NO_MEMORY)
		return fail_memory(reader);
	if (wrong == CONFIG_NOT_ALLOWED)
		return fail_not_allowed(reader, key, value);
	return wrong ? config_fail_value(reader, key->name, value, wrong) : config_check_value(reader, key, value);
}

/* Handles a key for inih: returns non-zero for success. */
static int handle_key(void *context, const char *section, const char *name, const char *value)
{
	struct config_reader *reader = context;
	const struct config_key *key;

	(void)section; /* inih shortens it; reader->section is the result of enter_section() */
	if (reader->result)
		return 0;
	key = config_key_find(reader->section, name);
	return (key ? read_value(reader, key, value) : fail_key(reader, name, value)) == 0;
}

/* -------------------------------------------------------------------------------------------------------- sections */

static void add_service(struct config_reader *reader, const char *name)
{
	struct config *config = &reader->config;
	struct config_service *services;
	char read[READ_TEXT];

	text_printable(name, read, sizeof(read));
	if (!*name || strlen(name) >= SHAKEOFF_NAME_LEN ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")]) {
		config_fail_at(reader, reader->number,
			       "read [service %s], but a service's name is 1 to %d letters, digits, - and _", read,
			       SHAKEOFF_NAME_LEN - 1);
		return;
	}
	for (size_t i = 0; i < config->service_count; i++)
		if (!strcmp(config->services[i].name, name))
			config_fail_at(reader, reader->number,
				       "read [service %s] again, but a service's name may be used once", read);
	if (config->service_count == SHAKEOFF_MAX_SERVICES)
		config_fail_at(reader, reader->number, "read [service %s], but there may be at most %d services", read,
			       SHAKEOFF_MAX_SERVICES);
	if (reader->result)
		return;

	services = array_grow(config->services, config->service_count, sizeof(*services));
	if (!services) {
		fail_memory(reader);
		return;
	}
	config->services = services;
	services += config->service_count++;
	*services = (struct config_service){ 0 };
	strcpy(services->name, name);
	config_keys_default(SECTION_SERVICE, services);
	reader->section = SECTION_SERVICE;
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

static void enter_once(struct config_reader *reader, enum config_section section, const char *name)
{
	if (reader->sections_seen & section)
		config_fail_at(reader, reader->number, "read [%s] again, but this section may be used once", name);
	reader->sections_seen |= section;
	reader->section = section;
}

/* Handles a line that begins with [. `line` is a copy without its newline, which this cuts up. */
static void enter_section(struct config_reader *reader, char *line)
{
	char read[READ_TEXT], *name, *after, *end = strchr(line, ']');

	line_text(line, read, sizeof(read));
	after = end ? end + 1 + strspn(end + 1, " \t\r\v\f") : NULL;
	if (!end || (*after && *after != ';' && *after != '#')) {
		config_fail_at(reader, reader->number,
			       "read `%s`, but a section is " SECTIONS_TEXT " on a line of its own", read);
		return;
	}
	*end = '\0';
	name = trim(line + 1);

	config_check_section(reader);
	reader->section = SECTION_NONE;
	reader->section_line = reader->number;
	reader->keys_seen = 0;
	if (!strcmp(name, "daemon")) {
		enter_once(reader, SECTION_DAEMON, name);
	} else if (!strcmp(name, "discovered")) {
		enter_once(reader, SECTION_DISCOVERED, name);
	} else if (!strcmp(name, SERVICE_PREFIX) || (!strncmp(name, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) &&
						     strchr(" \t", name[strlen(SERVICE_PREFIX)]))) {
		add_service(reader, trim(name + strlen(SERVICE_PREFIX)));
	} else {
		config_fail_at(reader, reader->number, "read the section `%s`, but the sections are " SECTIONS_TEXT,
			       read);
	}
}

/* ----------------------------------------------------------------------------------------------------------- lines */

/*
 * Returns one line to inih, as fgets() does. Leaves out leading white space, which would make the line a continuation
 * of the value before for inih, and comments of any length.
 */
static char *read_line(char *buffer, int size, void *context)
{
	struct config_reader *reader = context;
	const char *text = reader->next;
	size_t length;

	if (reader->result || !*text)
		return NULL;
	reader->number++;
	reader->next += strcspn(text, "\n");
	text += strspn(text, " \t\r\v\f");
	length = reader->next - text;
	if (*reader->next)
		reader->next++;
	if (*text == ';' || *text == '#')
		length = 0;
	if (length + 2 > (size_t)size) {
		config_fail_at(reader, reader->number, "read a line of %zu characters, but a line may have at most %d",
			       length, size - 2);
		return NULL;
	}
	memcpy(buffer, text, length);
	buffer[length] = '\0';
	if (*buffer == '[') {
		char copy[256];

		snprintf(copy, sizeof(copy), "%s", buffer);
		enter_section(reader, copy);
	}
	buffer[length] = '\n';
	buffer[length + 1] = '\0';
	return buffer;
}

static unsigned int line_of(const char *text, size_t offset)
{
	unsigned int line = 1;

	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

/* Fails for a line that inih cannot split. inih continues after such a line, so the reader is further on by now. */
static void fail_line(struct config_reader *reader, unsigned int number)
{
	const char *line = reader->text;
	char read[READ_TEXT];

	if (reader->result && reader->failed_at <= number)
		return;
	for (unsigned int i = 1; i < number; i++)
		line = strchr(line, '\n') + 1;
	line_text(line, read, sizeof(read));
	reader->result = 0;
	config_fail_at(reader, number, "read `%s`, but a line is `key = value`, a section or a comment", read);
}

static void parse(struct config_reader *reader)
{
	int wrong;

	if (!strncmp(reader->text, "\xef\xbb\xbf", 3))
		reader->text += 3;
	reader->next = reader->text;
	wrong = ini_parse_stream(read_line, reader, handle_key, reader);
	if (wrong < 0)
		fail_memory(reader);
	else if (wrong > 0)
		fail_line(reader, wrong);
	if (!reader->result)
		config_check_section(reader);
}

/* ---------------------------------------------------------------------------------------------------- whole files */

void config_default(struct config *config)
{
	*config = (struct config){ 0 };
	config_keys_default(SECTION_DAEMON, config);
	config_keys_default(SECTION_DISCOVERED, &config->discovered);
}

int config_read(const char *path, struct config *config, char *error, size_t error_size)
{
	struct config_reader reader = { .path = path, .error_size = error_size };
	cleanup_free char *text = NULL;
	size_t length = 0;

	reader.error = error;
	text = config_file_read(&reader, &length);
	if (!text)
		return reader.result;
	config_default(&reader.config);
	reader.text = text;
	if (strlen(text) != length)
		config_fail_at(&reader, line_of(text, strlen(text)), "read a NUL byte, but the file is plain text");
	else
		parse(&reader);
	if (reader.result) {
		config_free(&reader.config);
		return reader.result;
	}
	config_inherit(&reader.config);
	*config = reader.config;
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

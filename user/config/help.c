/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes the table of keys as plain text, as the body of shakeoff.conf(5), and as an example file. */
#include <string.h>

#include "config/keys.h"

#define COLUMNS 98

static const struct section_text {
	enum config_section section;
	const char *name;
	const char *help;
} sections[] = {
	{ SECTION_DAEMON, "[daemon]", "The daemon itself. This section may stand once." },
	{ SECTION_DISCOVERED, "[discovered]",
	  "All listening sockets that no service of this file names. This section may stand once." },
	{ SECTION_SERVICE, "[service NAME]",
	  "A service with settings of its own. It has the keys of [discovered], too, and those below. Its name is of "
	  "letters, digits, - and _." },
};

/* Returns whether a section describes a key. Keys that [discovered] and services share are described once. */
static bool is_listed(const struct config_key *key, enum config_section section)
{
	return (key->sections & section) && !(section == SECTION_SERVICE && (key->sections & SECTION_DISCOVERED));
}

/* Writes the placeholder of the value: "NUMBER", "drop | reset". */
static void value_text(const struct config_key *key, char *text, size_t size)
{
	size_t length = 0;

	if (key->type->value) {
		snprintf(text, size, "%s", key->type->value);
		return;
	}
	if (!key->words) {
		snprintf(text, size, "yes | no");
		return;
	}
	for (const struct config_word *word = key->words; word->text && length < size; word++)
		length += snprintf(text + length, size - length, "%s%s", length ? " | " : "", word->text);
}

typedef void write_text(FILE *out, const char *text);

/* Writes help, range and default, each as whole sentences. */
static void describe(FILE *out, const struct config_key *key, write_text *write)
{
	char allowed[CONFIG_ALLOWED_TEXT], text[2 * CONFIG_ALLOWED_TEXT];

	write(out, key->help);
	key->type->allowed(key, allowed, sizeof(allowed));
	snprintf(text, sizeof(text), "Allowed: %s.%s", allowed, key->type->repeats ? " May stand several times." : "");
	if (key->type->value)
		write(out, text);
	snprintf(text, sizeof(text), "Default: %s.", key->initial ? key->initial : key->unset);
	write(out, text);
}

/* Writes words, as many per line as fit, each line after `margin`. */
static void wrap(FILE *out, const char *margin, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column && column + 1 + length > COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		column += fprintf(out, "%s%.*s", column ? " " : margin, (int)length, text);
		text += length + strspn(text + length, " ");
	}
	fputc('\n', out);
}

/* ------------------------------------------------------------------------------------------------------- plain text */

static void text_section(FILE *out, const struct section_text *section)
{
	fprintf(out, "%s\n", section->name);
	wrap(out, "  ", section->help);
}

static void text_write(FILE *out, const char *text)
{
	wrap(out, "      ", text);
}

static void text_key(FILE *out, const struct config_key *key)
{
	char value[CONFIG_ALLOWED_TEXT];

	value_text(key, value, sizeof(value));
	fprintf(out, "\n  %s = %s\n", key->name, value);
	describe(out, key, text_write);
}

static void text_end(FILE *out)
{
	fputc('\n', out);
}

/* ----------------------------------------------------------------------------------------------- shakeoff.conf(5) */

/* Writes each sentence on its own line, as mdoc(7) wants it. */
static void mdoc_sentences(FILE *out, const char *text)
{
	for (; *text; text++) {
		fputc(*text, out);
		if (*text == '.' && text[1] == ' ') {
			fputc('\n', out);
			text++;
		}
	}
	fputc('\n', out);
}

static void mdoc_section(FILE *out, const struct section_text *section)
{
	fprintf(out, ".Ss %s\n", section->name);
	mdoc_sentences(out, section->help);
	fputs(".Bl -tag -width Ds\n", out);
}

static void mdoc_key(FILE *out, const struct config_key *key)
{
	char value[CONFIG_ALLOWED_TEXT];

	value_text(key, value, sizeof(value));
	fprintf(out, ".It Cm %s No = %s %s\n", key->name, key->type->value ? "Ar" : "Cm", value);
	describe(out, key, mdoc_sentences);
}

static void mdoc_end(FILE *out)
{
	fputs(".El\n", out);
}

/* ---------------------------------------------------------------------------------------------------- example file */

static void example_write(FILE *out, const char *text)
{
	wrap(out, "# ", text);
}

static void example_begin(FILE *out)
{
	example_write(
		out,
		"Configuration of shakeoffd; goes to /etc/shakeoff.conf. As it is, every listening socket of this host "
		"is protected, on every interface to which shakeoff is attached.");
	example_write(out, "What stands behind a semicolon is the default, or an example.");
	fputc('\n', out);
}

static void example_section(FILE *out, const struct section_text *section)
{
	example_write(out, section->help);
	fprintf(out, "%s\n", section->section == SECTION_SERVICE ? ";[service web]" : section->name);
}

static void example_key(FILE *out, const struct config_key *key)
{
	fputc('\n', out);
	describe(out, key, example_write);
	fprintf(out, ";%s = %s\n", key->name, key->initial ? key->initial : key->example);
}

/* ------------------------------------------------------------------------------------------------------- all forms */

static const struct form {
	const char *name;
	void (*begin)(FILE *out);
	void (*section)(FILE *out, const struct section_text *section);
	void (*key)(FILE *out, const struct config_key *key);
	void (*end)(FILE *out); /* of a section */
} forms[] = {
	[CONFIG_FORM_TEXT] = { "text", NULL, text_section, text_key, text_end },
	[CONFIG_FORM_MDOC] = { "mdoc", NULL, mdoc_section, mdoc_key, mdoc_end },
	[CONFIG_FORM_EXAMPLE] = { "example", example_begin, example_section, example_key, text_end },
};

bool config_form_find(const char *name, enum config_form *form)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (strcmp(forms[i].name, name) != 0)
			continue;
		*form = (enum config_form)i;
		return true;
	}
	return false;
}

void config_help(FILE *out, enum config_form which)
{
	const struct form *form = &forms[which];

	if (form->begin)
		form->begin(out);
	for (size_t s = 0; s < sizeof(sections) / sizeof(sections[0]); s++) {
		form->section(out, &sections[s]);
		for (size_t i = 0; i < config_key_count; i++)
			if (is_listed(&config_keys[i], sections[s].section))
				form->key(out, &config_keys[i]);
		form->end(out);
	}
}

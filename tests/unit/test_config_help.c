/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The texts and values made from the table of keys: texts that name every key, an example file that can be read,
 * defaults.
 *
 * link: user/config/?*.c user/common/text.c
 */
#include <grp.h>
#include <pwd.h>

#include "config/keys.h"
#include "config_file.h"

static const enum config_section all_sections[] = { SECTION_DAEMON, SECTION_DISCOVERED, SECTION_SERVICE };

#define SECTION_COUNT (sizeof(all_sections) / sizeof(all_sections[0]))

/* The example names a user of web servers, which is missing on some hosts. */
struct passwd *getpwnam(const char *name)
{
	static struct passwd user = { .pw_uid = 33 };

	(void)name;
	return &user;
}

struct group *getgrnam(const char *name)
{
	static struct group group = { .gr_gid = 33 };

	(void)name;
	return &group;
}

static char *help(enum config_form form)
{
	size_t size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_help(out, form);
	if (fclose(out) || !text)
		abort();
	return text;
}

/* Returns how often a line of the text begins like this. */
static size_t lines_with(const char *text, const char *begin)
{
	size_t count = 0;

	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		count += !strncmp(line, begin, strlen(begin));
	return count;
}

/* Keys that [discovered] and services have in common appear once. */
static size_t rows_with(const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < config_key_count; i++)
		count += !strcmp(config_keys[i].name, name);
	return count;
}

static void every_form_has_every_key(void **state)
{
	static const char *const begins[] = {
		[CONFIG_FORM_TEXT] = "  %s = ",
		[CONFIG_FORM_MDOC] = ".It Cm %s No = ",
		[CONFIG_FORM_EXAMPLE] = ";%s = ",
	};

	(void)state;
	for (size_t form = 0; form < sizeof(begins) / sizeof(begins[0]); form++) {
		char *text = help((enum config_form)form);

		for (size_t i = 0; i < config_key_count; i++) {
			char begin[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(begin, sizeof(begin), begins[form], config_keys[i].name);
#pragma GCC diagnostic pop
			assert_int_equal(lines_with(text, begin), rows_with(config_keys[i].name));
		}
		free(text);
	}
}

static void every_form_has_every_section(void **state)
{
	static const char *const names[] = { "daemon", "discovered", "service" };

	(void)state;
	for (enum config_form form = CONFIG_FORM_TEXT; form <= CONFIG_FORM_EXAMPLE; form++) {
		char *text = help(form);

		for (size_t i = 0; i < SECTION_COUNT; i++) {
			char begin[64];

			snprintf(begin, sizeof(begin), "%s[%s",
				 form == CONFIG_FORM_MDOC                                          ? ".Ss " :
				 form == CONFIG_FORM_EXAMPLE && all_sections[i] == SECTION_SERVICE ? ";" :
												     "",
				 names[i]);
			assert_int_equal(lines_with(text, begin), 1);
		}
		free(text);
	}
}

static void every_key_is_shown_with_its_range_and_its_default(void **state)
{
	char *text = help(CONFIG_FORM_TEXT), *key;

	(void)state;
	key = strstr(text, "  reply-budget = NUMBER\n");
	assert_non_null(key);
	assert_non_null(strstr(key, "from 100 to 100000000, or 0 for no budget.\n      Default: 100000.\n"));
	key = strstr(text, "  overflow = drop | reset\n");
	assert_non_null(key);
	assert_non_null(strstr(key, "Default: drop."));
	free(text);
}

/* A line is a heading, or a sentence that does not begin like one. */
static void mdoc_text_contains_no_accidental_requests(void **state)
{
	char *text = help(CONFIG_FORM_MDOC);

	(void)state;
	for (char *line = text, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end);
		assert_false(*line == '\'' || *line == '\n' || memchr(line, '\\', end - line));
		if (*line == '.' && strncmp(line, ".Ss ", 4) != 0 && strncmp(line, ".It Cm ", 7) != 0 &&
		    strncmp(line, ".Bl ", 4) != 0 && strncmp(line, ".El\n", 4) != 0)
			fail_msg("%.*s", (int)(end - line), line);
	}
	free(text);
}

static void the_unchanged_example_sets_no_key(void **state)
{
	char *text = help(CONFIG_FORM_EXAMPLE);

	(void)state;
	accepted(text);
	assert_defaults();
	config_free(&config);
	free(text);
}

static void the_example_can_be_read_with_every_key_enabled(void **state)
{
	char *text = help(CONFIG_FORM_EXAMPLE);

	(void)state;
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (*line == ';')
			*line = ' ';
	}
	accepted(text);
	assert_int_equal(config.interface_count, 1);
	assert_int_equal(config.service_count, 1);
	assert_string_equal(config.services[0].name, "web");
	assert_int_equal(config.services[0].listen_count, 1);
	assert_int_equal(config.discovered.accept_limit.burst, 100);
	assert_true(config.services[0].has_user);
	config_free(&config);
	free(text);
}

/* Otherwise config_default() would leave the field at zero. */
static void every_default_is_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];
		struct config_service service = { 0 };
		struct config all = { 0 };
		void *base = key->sections & SECTION_DAEMON     ? (void *)&all :
			     key->sections & SECTION_DISCOVERED ? (void *)&service.policy :
								  (void *)&service;

		if (key->initial)
			assert_null(key->type->read(key, base, key->initial));
		else
			assert_true(key->unset && key->example);
	}
}

static void lines_are_no_longer_than_a_page(void **state)
{
	(void)state;
	for (enum config_form form = CONFIG_FORM_TEXT; form <= CONFIG_FORM_EXAMPLE; form++) {
		char *text = help(form);

		for (char *line = text; *line; line += strcspn(line, "\n") + 1)
			if (form != CONFIG_FORM_MDOC)
				assert_in_range(strcspn(line, "\n"), 0, 100);
		free(text);
	}
}

static void forms_have_names(void **state)
{
	enum config_form form;

	(void)state;
	assert_true(config_form_find("mdoc", &form));
	assert_int_equal(form, CONFIG_FORM_MDOC);
	assert_true(config_form_find("example", &form));
	assert_int_equal(form, CONFIG_FORM_EXAMPLE);
	assert_false(config_form_find("html", &form));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_has_every_key),
		cmocka_unit_test(every_form_has_every_section),
		cmocka_unit_test(every_key_is_shown_with_its_range_and_its_default),
		cmocka_unit_test(mdoc_text_contains_no_accidental_requests),
		cmocka_unit_test(the_unchanged_example_sets_no_key),
		cmocka_unit_test(the_example_can_be_read_with_every_key_enabled),
		cmocka_unit_test(every_default_is_allowed),
		cmocka_unit_test(lines_are_no_longer_than_a_page),
		cmocka_unit_test(forms_have_names),
	};

	return cmocka_run_group_tests_name("config, texts made from the table", tests, make_file, remove_file);
}

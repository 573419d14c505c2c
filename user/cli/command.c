/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the command, or its action, that the arguments name. */
#include <string.h>

#include "common/log.h"
#include "cli/command.h"
#include "cli/suggest.h"

#define COMMANDS_MAX 16

/* Returns the word that names a command; for an action the last word. */
static const char *word_of(const struct command *command)
{
	const char *blank = strrchr(command->name, ' ');

	return blank ? blank + 1 : command->name;
}

static const struct command *find(const struct command *const *commands, const char *word)
{
	for (; *commands; commands++)
		if (!strcmp(word_of(*commands), word))
			return *commands;
	return NULL;
}

static int fail_unknown(const struct command *group, const struct command *const *commands, const char *word,
			const char *next)
{
	const char *prefix = group ? group->name : "", *blank = group ? " " : "";
	const char *now = retired_command(group, word, next), *meant;
	const char *words[COMMANDS_MAX + 1] = { group ? NULL : "help", "version" };
	size_t count = group ? 0 : 2;

	if (now) {
		log_error("the command `%s%s%s` no longer exists: use %s", prefix, blank, word, now);
		return STATUS_USAGE;
	}
	for (; *commands && count < COMMANDS_MAX; commands++)
		words[count++] = word_of(*commands);
	words[count] = NULL;
	meant = suggest(word, words);
	log_error("there is no command `%s%s%s`%s%s%s%s%s `shakeoff help%s%s` lists them all", prefix, blank, word,
		  meant ? "; did you mean `" : "", meant ? prefix : "", meant ? blank : "", meant ? meant : "",
		  meant ? "`?" : ";", blank, prefix);
	return STATUS_USAGE;
}

int command_run(const struct command *group, const struct command *const *commands, int argc, char **argv)
{
	const struct command *command = find(commands, argv[0]);
	struct options options;
	int status;

	if (!command)
		return fail_unknown(group, commands, argv[0], argc > 1 ? argv[1] : NULL);
	if (command->actions && argc > 1 && *argv[1] != '-')
		return command_run(command, command->actions, argc - 1, argv + 1);
	if (!options_read(command, argc, argv, &options, &status))
		return status;
	return command->run(&options);
}

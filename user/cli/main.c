/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line: a table of commands, one file each. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/version.h"
#include "cli/command.h"
#include "cli/suggest.h"

static const struct command *const commands[] = {
	&command_attach,      &command_detach, &command_status, &command_stats, &command_queues,
	&command_connections, &command_block,  &command_allow,  &command_list,  &command_key,
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *stream)
{
	fputs("Usage: shakeoff COMMAND [OPTION...]\n\n"
	      "Takes the TCP handshake off the kernel's hands: looks after the XDP program and shows what it does.\n\n",
	      stream);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stream, "  %-12s  %s\n", commands[i]->name, commands[i]->summary);
	fputs("  help          this text, or that of a command: shakeoff help COMMAND\n"
	      "  version       the version\n\n"
	      "Every command knows --help. Exit status: 0 success, 1 failure, 2 wrong usage.\n",
	      stream);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *names[COMMAND_COUNT + 3] = { "help", "version" };
	const char *meant;

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		names[i + 2] = commands[i]->name;
	meant = suggest(name, names);
	if (meant)
		log_error("there is no command `%s`; did you mean `%s`? `shakeoff help` lists them all", name, meant);
	else
		log_error("there is no command `%s`; `shakeoff help` lists them all", name);
	return STATUS_USAGE;
}

static int help(const char *name)
{
	const struct command *command;

	if (!name) {
		print_usage(stdout);
		return STATUS_OK;
	}
	command = find_command(name);
	if (!command)
		return unknown_command(name);
	command_print_help(command);
	return STATUS_OK;
}

static int run(int argc, char **argv)
{
	const struct command *command;
	struct options options;
	int status;

	if (argc < 2) {
		print_usage(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(argc > 2 ? argv[2] : NULL);
	if (!strcmp(argv[1], "version") || !strcmp(argv[1], "--version")) {
		printf("shakeoff %s (ABI %d)\n", SHAKEOFF_VERSION, SHAKEOFF_ABI);
		return STATUS_OK;
	}
	command = find_command(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	if (!options_read(command, argc - 1, argv + 1, &options, &status))
		return status;
	return command->run(&options);
}

int main(int argc, char **argv)
{
	int status;

	log_open("shakeoff", 0);
	status = run(argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		log_error("cannot write the output: %m");
		return STATUS_FAILURE;
	}
	return status;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line: a table of commands, with a file for each. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/version.h"
#include "cli/command.h"

static const struct command *const commands[] = {
	&command_attach,
	&command_detach,
	&command_status,
	&command_stats,
	&command_queues,
	&command_connections,
	&command_block,
	&command_unblock,
	&command_allow,
	&command_disallow,
	&command_acl,
	&command_key,
	NULL,
};

static void print_usage(FILE *stream)
{
	fputs("Usage: shakeoff COMMAND [OPTION...]\n\n"
	      "Makes TCP handshakes in XDP before the kernel does: manages the XDP program and shows what it does.\n\n",
	      stream);
	for (const struct command *const *command = commands; *command; command++)
		fprintf(stream, "  %-12s  %s\n", (*command)->name, (*command)->summary);
	fputs("  help          this text, or the help of a command: shakeoff help COMMAND\n"
	      "  version       the version\n\n"
	      "Every command knows --help. Exit status: 0 success, 1 failure, 2 wrong usage.\n",
	      stream);
}

/* Turns `shakeoff help COMMAND [ACTION]` into `shakeoff COMMAND [ACTION] --help`. */
static int help(int argc, char **argv)
{
	char option[] = "--help", *words[] = { argv[0], option, option, NULL };

	if (!argc) {
		print_usage(stdout);
		return STATUS_OK;
	}
	if (argc > 1)
		words[1] = argv[1];
	return command_run(NULL, commands, argc > 1 ? 3 : 2, words);
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(argc - 2, argv + 2);
	if (!strcmp(argv[1], "version") || !strcmp(argv[1], "--version")) {
		printf("shakeoff %s (ABI %d)\n", SHAKEOFF_VERSION, SHAKEOFF_ABI);
		return STATUS_OK;
	}
	return command_run(NULL, commands, argc - 1, argv + 1);
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

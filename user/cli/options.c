/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arguments, privileges and errors that all commands handle alike. */
#include <cap-ng.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/text.h"
#include "cli/command.h"

enum {
	LONG_HELP = 'h',
	LONG_JSON = 'j',
	LONG_WATCH = 'w',
	LONG_BPFFS = 256,
	LONG_MODE,
	LONG_REPLACE,
	LONG_ALL,
	LONG_FOR,
	LONG_SERVICE,
	LONG_FORCE
};

static const struct option long_options[] = {
	{ "all", no_argument, NULL, LONG_ALL },
	{ "help", no_argument, NULL, LONG_HELP },
	{ "json", no_argument, NULL, LONG_JSON },
	{ "watch", optional_argument, NULL, LONG_WATCH },
	{ "bpffs", required_argument, NULL, LONG_BPFFS },
	{ "mode", required_argument, NULL, LONG_MODE },
	{ "replace", no_argument, NULL, LONG_REPLACE },
	{ "for", required_argument, NULL, LONG_FOR },
	{ "service", required_argument, NULL, LONG_SERVICE },
	{ "force", no_argument, NULL, LONG_FORCE },
	{ NULL, 0, NULL, 0 },
};

static const struct {
	unsigned int option;
	int code;
	const char *help;
} option_table[] = {
	{ OPTION_MODE, LONG_MODE,
	  "  --mode MODE        native: in the driver; generic: in the kernel's receive path, slower, on any\n"
	  "                     interface; auto (default): native, or generic if the driver cannot\n" },
	{ OPTION_REPLACE, LONG_REPLACE, "  --replace          replace the present XDP program, also a foreign one\n" },
	{ OPTION_FOR, LONG_FOR, "  --for DURATION     only for this time: 30s, 10m, 1h30m, 7d\n" },
	{ OPTION_SERVICE, LONG_SERVICE,
	  "  --service NAME     for this service alone, as `shakeoff status` names it\n" },
	{ OPTION_FORCE, LONG_FORCE,
	  "  --force            also a prefix shorter than /8, or /16 of IPv6, or a block that holds an address or a\n"
	  "                     gateway of this host, or the other end of your SSH session (to block short prefixes\n"
	  "                     of multicast, reserved and non-global addresses needs no --force)\n" },
	{ OPTION_ALL, LONG_ALL, "  --all              list every service, however many there are\n" },
	{ OPTION_JSON, LONG_JSON, "  --json             print one JSON object\n" },
	{ OPTION_WATCH, LONG_WATCH,
	  "  --watch[=SECONDS]  repeat every second, or every SECONDS seconds, with rates\n" },
	{ OPTION_BPFFS, LONG_BPFFS,
	  "  --bpffs DIR        where links are pinned (default: /sys/fs/bpf/shakeoff/INODE-OF-THE-NETNS)\n" },
};
#define OPTION_COUNT (sizeof(option_table) / sizeof(option_table[0]))

/* Prints the actions of a command, one a line, without the command's own name. */
static void print_actions(const struct command *command)
{
	printf("\n");
	for (const struct command *const *action = command->actions; *action; action++) {
		char usage[64];

		snprintf(usage, sizeof(usage), "%s %s", (*action)->name + strlen(command->name) + 1,
			 (*action)->arguments);
		printf("  %-20s %s\n", usage, (*action)->summary);
	}
}

static void print_help(const struct command *command)
{
	printf("Usage: shakeoff %s%s%s\n\n%s.\n", command->name, *command->arguments ? " " : "", command->arguments,
	       command->summary);
	if (command->actions)
		print_actions(command);
	if (*command->help)
		printf("\n%s", command->help);
	printf("\n");
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (command->options & option_table[i].option)
			fputs(option_table[i].help, stdout);
	printf("  --help             this text%s\n", command->actions ? "; every action has one, too" : "");
}

__attribute__((format(printf, 2, 0))) static void report_misused(const struct command *command, const char *format,
								 va_list arguments)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, arguments);
	log_error("%s: %s; see `shakeoff %s --help`", command->name, text, command->name);
}

int command_misused(const struct command *command, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_misused(command, format, arguments);
	va_end(arguments);
	return STATUS_USAGE;
}

__attribute__((format(printf, 2, 3))) static bool usage_error(const struct command *command, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_misused(command, format, arguments);
	va_end(arguments);
	return false;
}

static bool option_known(const struct command *command, int code)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (option_table[i].code == code)
			return command->options & option_table[i].option;
	return code == LONG_HELP;
}

/*
 * Returns the option as it was given. For an option that getopt knows it returns its name, because its value may have
 * been read already.
 */
static const char *option_name(int code, const char *given)
{
	static char name[32];

	for (const struct option *option = long_options; option->name; option++)
		if (option->val == code) {
			snprintf(name, sizeof(name), "--%s", option->name);
			return name;
		}
	return given;
}

static bool read_mode(const struct command *command, const char *text, enum datapath_mode *mode)
{
	if (!strcmp(text, "auto"))
		*mode = DATAPATH_MODE_AUTO;
	else if (!strcmp(text, "native"))
		*mode = DATAPATH_MODE_NATIVE;
	else if (!strcmp(text, "generic"))
		*mode = DATAPATH_MODE_GENERIC;
	else
		return usage_error(command, "`--mode %s`: the modes are native, generic and auto", text);
	return true;
}

static bool read_watch(const struct command *command, const char *text, double *seconds)
{
	char *end;

	*seconds = 1;
	if (!text)
		return true;
	*seconds = strtod(text, &end);
	if (*end || end == text || !(*seconds >= 0.1 && *seconds <= 86400))
		return usage_error(command, "`--watch=%s`: a number of seconds from 0.1 to 86400 is allowed", text);
	return true;
}

static bool read_bpffs(const struct command *command, const char *dir)
{
	if (!datapath_set_bpffs(dir))
		return true;
	return usage_error(command, "`--bpffs %s`: the directory must be a whole path, beginning with /", dir);
}

static bool read_for(const struct command *command, const char *text, uint64_t *nanoseconds)
{
	if (text_read_duration(text, nanoseconds))
		return true;
	return usage_error(command, "`--for %s`: a duration is written as 30s, 10m, 1h30m or 7d", text);
}

/* Reads an option that the command knows. */
static bool read_option(const struct command *command, int code, struct options *options)
{
	switch (code) {
	case LONG_ALL: options->all = true; return true;
	case LONG_JSON: options->json = true; return true;
	case LONG_WATCH: return read_watch(command, optarg, &options->watch_seconds);
	case LONG_BPFFS: return read_bpffs(command, optarg);
	case LONG_MODE: return read_mode(command, optarg, &options->mode);
	case LONG_FOR: return read_for(command, optarg, &options->for_ns);
	case LONG_FORCE: options->force = true; return true;
	case LONG_SERVICE: options->service = optarg; return true;
	default: options->replace = true; return true;
	}
}

static bool read_arguments(const struct command *command, int argc, char **argv, struct options *options)
{
	int given = argc - optind, most = command->options & (OPTION_OPERAND | OPTION_INTERFACE) ? 1 : 0;

	if (command->actions)
		return usage_error(command, "an action is missing");
	if (!given && command->options & OPTION_OPERAND)
		return usage_error(command, "an argument is missing: `%s %s`", command->name, command->arguments);
	if (!given && command->options & OPTION_INTERFACE_NEEDED)
		return usage_error(command, "name an interface");
	if (given > most)
		return usage_error(command, "`%s` is one argument too many", argv[optind + most]);
	if (given && command->options & OPTION_OPERAND)
		options->operand = argv[optind];
	else if (given)
		options->ifname = argv[optind];
	return true;
}

bool options_read(const struct command *command, int argc, char **argv, struct options *options, int *status)
{
	int code;

	*options = (struct options){ .command = command };
	*status = STATUS_USAGE;
	optind = 0;
	opterr = 0;
	while ((code = getopt_long(argc, argv, ":hj", long_options, NULL)) != -1) {
		const char *given = argv[optind - 1];

		if (code == ':')
			return usage_error(command, "`%s` needs a value", given);
		if (code == '?' || !option_known(command, code))
			return usage_error(command, "there is no option `%s` here", option_name(code, given));
		if (code == LONG_HELP) {
			print_help(command);
			*status = STATUS_OK;
			return false;
		}
		if (!read_option(command, code, options))
			return false;
	}
	return read_arguments(command, argc, argv, options);
}

/* ----------------------------------------------------------------------------------------------- privileges, errors */

/* Returns the missing capabilities. To find programs and maps by id takes CAP_SYS_ADMIN, which includes CAP_BPF. */
static const char *missing_capabilities(void)
{
	static char text[128];
	bool admin, bpf, net;

	capng_get_caps_process();
	admin = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
	bpf = admin || capng_have_capability(CAPNG_EFFECTIVE, CAP_BPF);
	net = capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
	snprintf(text, sizeof(text), "%s%s%s%s%s", bpf ? "" : "CAP_BPF", bpf || net ? "" : ", ",
		 net ? "" : "CAP_NET_ADMIN", (bpf && net) || admin ? "" : " and ", admin ? "" : "CAP_SYS_ADMIN");
	return text;
}

bool privileges_suffice(const char *what)
{
	const char *missing = missing_capabilities();

	if (!*missing)
		return true;
	log_error("%s: this process lacks %s: run it as root", what, missing);
	return false;
}

int command_fail(const char *what, const char *ifname, int error)
{
	const char *detail = datapath_detail();
	char where[64] = "";

	if (ifname)
		snprintf(where, sizeof(where), "%s: ", ifname);
	switch (-error) {
	case ENODEV: log_error("%s: %sthere is no such interface in this network namespace", what, where); break;
	case EPERM:
		log_error("%s: %snot permitted: it takes CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN on the host itself, "
			  "not only in a user namespace",
			  what, where);
		break;
	case ENOSYS:
		log_error("%s: %sthis kernel is too old: shakeoff needs XDP and BPF ring buffers, Linux 5.10 or later",
			  what, where);
		break;
	case EPROTO:
		log_error("%s: %sthe attached program cannot be used: %s; `shakeoff attach --replace` attaches "
			  "this version's",
			  what, where, detail);
		break;
	default:
		log_error("%s: %s%s%s%s%s", what, where, strerror(-error), *detail ? " (" : "", detail,
			  *detail ? ")" : "");
	}
	return STATUS_FAILURE;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands of `shakeoff`, and what they share. */
#ifndef SHAKEOFF_CLI_COMMAND_H
#define SHAKEOFF_CLI_COMMAND_H

#include <stdbool.h>

#include "datapath/datapath.h"

/* Exit statuses. */
#define STATUS_OK 0
#define STATUS_FAILURE 1
#define STATUS_USAGE 2

/* Options of a command; all commands know --help. */
#define OPTION_JSON 0x01u
#define OPTION_WATCH 0x02u
#define OPTION_BPFFS 0x04u
#define OPTION_MODE 0x08u
#define OPTION_REPLACE 0x10u
#define OPTION_INTERFACE 0x20u /* accepts an interface name */
#define OPTION_INTERFACE_NEEDED 0x40u
#define OPTION_ALL 0x80u
#define OPTION_OPERAND 0x100u /* an argument that the command reads itself */
#define OPTION_FOR 0x200u
#define OPTION_SERVICE 0x400u
#define OPTION_FORCE 0x800u

struct options {
	const struct command *command; /* of these options */
	bool json;
	bool all;
	double watch_seconds; /* 0: show once */
	enum datapath_mode mode;
	bool replace;
	bool force;
	const char *ifname; /* NULL: all */
	const char *operand;
	uint64_t for_ns;     /* 0: without end */
	const char *service; /* NULL: all */
};

struct command {
	const char *name;                          /* of an action: "acl show" */
	const char *arguments;                     /* after the name, as in "attach IFACE [--replace]" */
	const char *summary;                       /* one line, for the list of commands */
	const char *help;                          /* further text, with its line ends */
	unsigned int options;                      /* OPTION_* */
	int (*run)(const struct options *options); /* returns a STATUS_* */
	/* NULL, or a list that ends with NULL: the next word names an action, which has the options and runs. */
	const struct command *const *actions;
};

extern const struct command command_attach, command_detach, command_status, command_stats, command_queues,
	command_connections, command_key, command_block, command_unblock, command_allow, command_disallow, command_acl;

/*
 * Runs the command that argv[0] names, or prints its help for --help. group: the command whose actions these are; NULL:
 * none. Returns a STATUS_*.
 */
int command_run(const struct command *group, const struct command *const *commands, int argc, char **argv);

/* Returns the present name of an older version's words, or NULL. next: the word behind `word`, or NULL. */
const char *retired_command(const struct command *group, const char *word, const char *next);

/* Reports what is wrong with the arguments, and refers to the help; returns STATUS_USAGE. */
int command_misused(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Reads the arguments after the command's name. Returns true to go on; false when the command is done, with the exit
 * status in *status.
 */
bool options_read(const struct command *command, int argc, char **argv, struct options *options, int *status);

/* Returns whether this process may use BPF; if not, reports what is missing. */
bool privileges_suffice(const char *what);

/* Reports "attach: IFACE: ..." for errors that all commands share; returns STATUS_FAILURE. */
int command_fail(const char *what, const char *ifname, int error);

#endif

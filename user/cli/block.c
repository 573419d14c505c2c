/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* shakeoff block, unblock, allow, disallow: single entries of the ACL of sources. */
#include <errno.h>

#include "common/clock.h"
#include "common/log.h"
#include "cli/acl_guard.h"
#include "cli/acl_read.h"

/* Reads the prefix argument of a command. Returns a STATUS_*. */
static int read_prefix(const struct options *options, struct prefix *prefix)
{
	char wrong[256];

	return prefix_read(options->operand, prefix, wrong, sizeof(wrong)) ?
		       command_misused(options->command, "%s", wrong) :
		       STATUS_OK;
}

/* -------------------------------------------------------------------------------------------------------------- add */

static int set(const struct options *options, struct acl_entry *entry)
{
	const char *what = options->command->name;
	struct acl_access access;
	int status = acl_access_open(&access, what), result = 0;

	if (!status && options->service) {
		if (!acl_has_service(&access, options->service))
			status = acl_fail_service(&access, what, options->service);
		entry->scope = shakeoff_acl_scope(options->service);
	}
	if (options->for_ns)
		entry->expires_ns = clock_ns() + options->for_ns;
	for (size_t i = 0; i < access.view.datapath_count && !status && !result; i++)
		result = datapath_acl_set(access.view.datapaths[i].datapath, entry, options->service);
	if (result)
		status = acl_fail(what, result);
	acl_access_close(&access);
	return status;
}

static int guard(const struct command *command, const struct acl_entry *entry)
{
	char why[256];
	int result = acl_guard_check(entry, 1, why, sizeof(why));

	if (result < 0)
		return command_fail(command->name, NULL, result);
	if (result)
		log_error("%s", why);
	return result ? STATUS_FAILURE : STATUS_OK;
}

static int add(const struct options *options, enum shakeoff_acl_action action)
{
	struct acl_entry entry = { .action = action };
	int status = read_prefix(options, &entry.prefix);

	if (!status && !options->force)
		status = guard(options->command, &entry);
	return status ? status : set(options, &entry);
}

static int block(const struct options *options)
{
	return add(options, SHAKEOFF_ACL_BLOCK);
}

static int allow(const struct options *options)
{
	return add(options, SHAKEOFF_ACL_ALLOW);
}

/* ----------------------------------------------------------------------------------------------------------- remove */

/* Removes the entry from every datapath that has it. Returns how many have, or a negative errno. */
static int remove_everywhere(const struct acl_access *access, const struct prefix *prefix, uint32_t scope,
			     enum shakeoff_acl_action action)
{
	int removed = 0;

	for (size_t i = 0; i < access->view.datapath_count; i++) {
		struct datapath *datapath = access->view.datapaths[i].datapath;
		struct acl_entry entry;
		int result = datapath_acl_get(datapath, prefix, scope, &entry);

		if (!result && entry.action != action)
			continue;
		if (!result)
			result = datapath_acl_remove(datapath, prefix, scope);
		if (result && result != -ENOENT)
			return result;
		removed += !result;
	}
	return removed;
}

static int remove_entry(const struct options *options, enum shakeoff_acl_action action)
{
	const char *what = options->command->name, *service = options->service;
	struct prefix prefix;
	struct acl_access access;
	char text[PREFIX_TEXT];
	int status = read_prefix(options, &prefix), removed;

	if (status)
		return status;
	status = acl_access_open(&access, what);
	removed = status ? 0 : remove_everywhere(&access, &prefix, service ? shakeoff_acl_scope(service) : 0, action);
	acl_access_close(&access);
	if (removed < 0)
		return acl_fail(what, removed);
	if (status || removed)
		return status;
	prefix_write(&prefix, text, sizeof(text));
	log_error("%s: there is no entry `%s %s` for %s%s; `shakeoff acl show` lists the entries", what,
		  acl_action_name(action), text, service ? "the service " : "all services", service ? service : "");
	return STATUS_FAILURE;
}

static int unblock(const struct options *options)
{
	return remove_entry(options, SHAKEOFF_ACL_BLOCK);
}

static int disallow(const struct options *options)
{
	return remove_entry(options, SHAKEOFF_ACL_ALLOW);
}

/* --------------------------------------------------------------------------------------------------------- commands */

#define ADD_ARGUMENTS "PREFIX [--for DURATION] [--service NAME] [--force]"
#define ADD_OPTIONS (OPTION_OPERAND | OPTION_FOR | OPTION_SERVICE | OPTION_FORCE)
#define ADD_HELP                                                                                                       \
	"PREFIX is 192.0.2.0/24, 192.0.2.1 or 2001:db8::/32. If several entries apply to a source, the\n"              \
	"longest prefix decides; between equal prefixes the entry of the service decides. The same prefix\n"           \
	"again changes its entry. An entry ends when its time is over, with `shakeoff unblock`,\n"                     \
	"`disallow`, `acl clear` or `detach`, or with a reboot.\n"
const struct command command_block = {
	.name = "block",
	.arguments = ADD_ARGUMENTS,
	.summary = "Drop all packets from a prefix to the services",
	.help = "The hook drops them, also those of existing connections. Traffic to other ports passes.\n"
		"\n" ADD_HELP,
	.options = ADD_OPTIONS,
	.run = block,
};

const struct command command_allow = {
	.name = "allow",
	.arguments = ADD_ARGUMENTS,
	.summary = "Exempt a prefix from the limits, and from blocks of shorter prefixes",
	.help = "An allowed source still has to return its cookie.\n"
		"\n" ADD_HELP,
	.options = ADD_OPTIONS,
	.run = allow,
};

#define REMOVE_ARGUMENTS "PREFIX [--service NAME]"
#define REMOVE_OPTIONS (OPTION_OPERAND | OPTION_SERVICE)
#define REMOVE_HELP                                                                                                    \
	"The entry may come from a command or from `shakeoff acl load`. It must have exactly this prefix;\n"           \
	"without --service it is the entry for all services.\n"
const struct command command_unblock = {
	.name = "unblock",
	.arguments = REMOVE_ARGUMENTS,
	.summary = "Remove an entry that blocks a prefix",
	.help = REMOVE_HELP,
	.options = REMOVE_OPTIONS,
	.run = unblock,
};

const struct command command_disallow = {
	.name = "disallow",
	.arguments = REMOVE_ARGUMENTS,
	.summary = "Remove an entry that allows a prefix",
	.help = REMOVE_HELP,
	.options = REMOVE_OPTIONS,
	.run = disallow,
};

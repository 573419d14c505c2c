/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* shakeoff block, shakeoff allow: one more entry in the lists. */
#include "common/log.h"
#include "cli/acl_guard.h"
#include "cli/acl_read.h"

static int set(const struct command *command, const struct options *options, struct list_entry *entry)
{
	struct lists lists;
	int status = lists_open(&lists, command->name), result = 0;

	if (!status && options->service) {
		if (!lists_has_service(&lists, options->service))
			status = lists_fail_service(&lists, command->name, options->service);
		entry->scope = shakeoff_list_scope(options->service);
	}
	if (options->for_ns)
		entry->expires_ns = view_clock_ns() + options->for_ns;
	for (size_t i = 0; i < lists.view.datapath_count && !status && !result; i++)
		result = datapath_lists_set(lists.view.datapaths[i].datapath, entry, options->service);
	if (result)
		status = lists_fail(command->name, result);
	lists_close(&lists);
	return status;
}

static int guard(const struct command *command, const struct list_entry *entry)
{
	char why[256];
	int result = list_guard_check(entry, 1, why, sizeof(why));

	if (result < 0)
		return command_fail(command->name, NULL, result);
	if (result)
		log_error("%s", why);
	return result ? STATUS_FAILURE : STATUS_OK;
}

static int add(const struct command *command, const struct options *options, enum shakeoff_list_action action)
{
	struct list_entry entry = { .action = action };
	char wrong[256];
	int status;

	if (prefix_read(options->operand, &entry.prefix, wrong, sizeof(wrong)))
		return command_misused(command, "%s", wrong);
	status = options->force ? STATUS_OK : guard(command, &entry);
	return status ? status : set(command, options, &entry);
}

static int block(const struct options *options)
{
	return add(&command_block, options, SHAKEOFF_LIST_BLOCK);
}

static int allow(const struct options *options)
{
	return add(&command_allow, options, SHAKEOFF_LIST_ALLOW);
}

#define ARGUMENTS "PREFIX [--for DURATION] [--service NAME] [--force]"
#define OPTIONS (OPTION_OPERAND | OPTION_FOR | OPTION_SERVICE | OPTION_FORCE)
#define WHICH_DECIDES                                                                                                  \
	"PREFIX is 192.0.2.0/24, 192.0.2.1 or 2001:db8::/32. Where several entries hold for a source the longest\n"    \
	"prefix decides, between equal ones that of the service itself. The same prefix again changes its entry.\n"    \
	"The entry lasts until its time is over, `shakeoff list delete PREFIX`, `shakeoff detach` or a reboot.\n"

const struct command command_block = {
	.name = "block",
	.arguments = ARGUMENTS,
	.summary = "Drop all that comes from a prefix to the services",
	.help = "At the hook, connections that exist included. Traffic to other ports is none of shakeoff's.\n"
		"\n" WHICH_DECIDES,
	.options = OPTIONS,
	.run = block,
};

const struct command command_allow = {
	.name = "allow",
	.arguments = ARGUMENTS,
	.summary = "Let a prefix pass the limits, and what blocks a shorter one",
	.help = "A source that is allowed still has to bring its cookie back.\n"
		"\n" WHICH_DECIDES,
	.options = OPTIONS,
	.run = allow,
};

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Words of older versions, which are refused with a hint to the present word. */
#include <string.h>

#include "cli/command.h"

static const struct {
	const char *group, *word, *next; /* next: the word behind it; NULL: any, or none */
	const char *now;
} retired[] = {
	{ "", "list", "show", "`acl show`" },
	{ "", "list", "load", "`acl load FILE`" },
	{ "", "list", "flush", "`acl clear`" },
	{ "", "list", "delete", "`unblock PREFIX` or `disallow PREFIX`" },
	{ "", "list", NULL, "`acl show`, `acl load FILE` or `acl clear`" },
	{ "acl", "flush", NULL, "`acl clear`" },
	{ "acl", "delete", NULL, "`unblock PREFIX` or `disallow PREFIX`" },
};

const char *retired_command(const struct command *group, const char *word, const char *next)
{
	for (size_t i = 0; i < sizeof(retired) / sizeof(retired[0]); i++)
		if (!strcmp(retired[i].group, group ? group->name : "") && !strcmp(retired[i].word, word) &&
		    (!retired[i].next || (next && !strcmp(retired[i].next, next))))
			return retired[i].now;
	return NULL;
}

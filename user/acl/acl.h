/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Entries of the lists of sources (shakeoff/list.h), in memory and as text.
 *
 *	[block|allow] PREFIX [for DURATION] [service NAME]
 *
 * A line without a word in front blocks: so the lists that others publish can be read as they are. # and ; begin a comment.
 */
#ifndef SHAKEOFF_ACL_ACL_H
#define SHAKEOFF_ACL_ACL_H

#include <stdio.h>

#include <shakeoff/acl.h>

#include "common/prefix.h"

struct list_entry {
	struct prefix prefix;
	uint8_t action;      /* enum shakeoff_list_action */
	uint8_t flags;       /* SHAKEOFF_LISTED_* */
	uint32_t scope;      /* 0: all services */
	uint64_t expires_ns; /* CLOCK_MONOTONIC; 0: never */
};

/* The service that a scope stands for. */
struct list_name {
	uint32_t scope;
	char name[SHAKEOFF_NAME_LEN];
};

struct list {
	struct list_entry *entries;
	size_t count;
	struct list_name *names; /* of all scopes that entries have */
	size_t name_count;
};

int list_add(struct list *list, const struct list_entry *entry);
void list_free(struct list *list);

/* The scope of a name, which is remembered. -EEXIST: another name has the same; -ENAMETOOLONG: it is none of a service. */
int list_add_name(struct list *list, const char *name, uint32_t *scope);

/* The name of a scope, or NULL. */
const char *list_name_of(const struct list *list, uint32_t scope);

/*
 * Reads a file, called `path` in messages. now_ns: what durations count from. On failure a negative errno (-EINVAL for a wrong
 * line), *list untouched and `error` one sentence: file, line, what was read and what is allowed.
 */
int list_read(FILE *file, const char *path, uint64_t now_ns, struct list *list, char *error, size_t error_size);

/* Writes an entry as list_read() reads it. name: of its scope. */
#define LIST_ENTRY_TEXT 160
void list_entry_write(const struct list_entry *entry, const char *name, uint64_t now_ns, char *text, size_t size);

const char *list_action_name(uint8_t action);
bool list_entry_is_live(const struct list_entry *entry, uint64_t now_ns);

#endif

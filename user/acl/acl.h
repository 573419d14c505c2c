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

struct acl_entry {
	struct prefix prefix;
	uint8_t action;      /* enum shakeoff_acl_action */
	uint8_t flags;       /* SHAKEOFF_ACL_* */
	uint32_t scope;      /* 0: all services */
	uint64_t expires_ns; /* CLOCK_MONOTONIC; 0: never */
};

/* The service that a scope stands for. */
struct acl_name {
	uint32_t scope;
	char name[SHAKEOFF_NAME_LEN];
};

struct acl {
	struct acl_entry *entries;
	size_t count;
	struct acl_name *names; /* of all scopes that entries have */
	size_t name_count;
};

int acl_add(struct acl *list, const struct acl_entry *entry);
void acl_free(struct acl *list);

/* The scope of a name, which is remembered. -EEXIST: another name has the same; -ENAMETOOLONG: it is none of a service. */
int acl_add_name(struct acl *list, const char *name, uint32_t *scope);

/* The name of a scope, or NULL. */
const char *acl_name_of(const struct acl *list, uint32_t scope);

/*
 * Reads a file, called `path` in messages. now_ns: what durations count from. On failure a negative errno (-EINVAL for a wrong
 * line), *list untouched and `error` one sentence: file, line, what was read and what is allowed.
 */
int acl_read(FILE *file, const char *path, uint64_t now_ns, struct acl *list, char *error, size_t error_size);

/* Writes an entry as acl_read() reads it. name: of its scope. */
#define ACL_ENTRY_TEXT 160
void acl_entry_write(const struct acl_entry *entry, const char *name, uint64_t now_ns, char *text, size_t size);

const char *acl_action_name(uint8_t action);
bool acl_entry_is_live(const struct acl_entry *entry, uint64_t now_ns);

#endif

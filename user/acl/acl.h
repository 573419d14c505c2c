/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Entries of the ACL of sources (shakeoff/acl.h), in memory and as text.
 *
 *	[block|allow] PREFIX [for DURATION] [service NAME]
 *
 * A line that begins with the prefix blocks, so published lists can be read unchanged. # and ; begin a comment.
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

/* The service of a scope. */
struct acl_name {
	uint32_t scope;
	char name[SHAKEOFF_NAME_LEN];
};

struct acl {
	struct acl_entry *entries;
	size_t count;
	struct acl_name *names; /* of all scopes of the entries */
	size_t name_count;
};

int acl_add(struct acl *list, const struct acl_entry *entry);
void acl_free(struct acl *list);

/*
 * Returns the scope of a name in *scope, and remembers the name. -EEXIST: another name has the same scope;
 * -ENAMETOOLONG: no service can have this name.
 */
int acl_add_name(struct acl *list, const char *name, uint32_t *scope);

/* Returns the name of a scope, or NULL. */
const char *acl_name_of(const struct acl *list, uint32_t scope);

/*
 * Reads a file, called `path` in messages. now_ns: start of durations. On failure it returns a negative errno (-EINVAL
 * for a wrong line), leaves *list unchanged and puts a sentence into `error`: file, line, what was read and what is
 * allowed.
 */
int acl_read(FILE *file, const char *path, uint64_t now_ns, struct acl *list, char *error, size_t error_size);

/* Writes an entry in the form that acl_read() reads. name: of its scope. */
#define ACL_ENTRY_TEXT 160
void acl_entry_write(const struct acl_entry *entry, const char *name, uint64_t now_ns, char *text, size_t size);

const char *acl_action_name(uint8_t action);
bool acl_entry_is_live(const struct acl_entry *entry, uint64_t now_ns);

#endif

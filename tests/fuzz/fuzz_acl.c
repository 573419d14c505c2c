/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libFuzzer: any bytes as a list of sources. An accepted list can be written, and reads back the same.
 *
 * link: user/acl/acl.c user/common/prefix.c user/common/text.c
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acl/acl.h"

#define NOW 1000000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_text(const void *text, size_t size, struct acl *list)
{
	FILE *file = fmemopen((void *)text, size, "r");
	char error[512] = "";
	int result;

	if (!file)
		abort();
	result = acl_read(file, "list", NOW, list, error, sizeof(error));
	if (result && !*error)
		abort();
	fclose(file);
	return result;
}

static void check(const struct acl *list, const struct acl_entry *entry)
{
	struct acl again = { 0 };
	char text[ACL_ENTRY_TEXT];

	acl_entry_write(entry, acl_name_of(list, entry->scope), NOW, text, sizeof(text));
	if (read_text(text, strlen(text), &again) || again.count != 1 || again.entries[0].scope != entry->scope ||
	    again.entries[0].action != entry->action || again.entries[0].prefix.len != entry->prefix.len ||
	    memcmp(again.entries[0].prefix.address, entry->prefix.address, sizeof(entry->prefix.address)) != 0)
		abort();
	acl_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct acl list = { 0 };

	if (!size || read_text(data, size, &list))
		return 0;
	for (size_t i = 0; i < list.count; i++)
		check(&list, &list.entries[i]);
	acl_free(&list);
	return 0;
}

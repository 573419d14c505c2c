/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"
#include "listed.h"

struct datapath *listed_datapath;

int listed_start(void)
{
	struct datapath_attachment attachment = { .ours = true, .abi = SHAKEOFF_ABI };
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(harness.plain_program, &info, &size))
		return -1;
	attachment.prog_id = info.id;
	return datapath_open(&attachment, &listed_datapath);
}

void listed_stop(void)
{
	datapath_close(listed_datapath);
}

void listed_reset(void)
{
	assert_int_equal(datapath_lists_flush(listed_datapath), 0);
}

static struct list list_of(const char *lines)
{
	FILE *file = fmemopen((void *)lines, strlen(lines), "r");
	struct list list;
	char wrong[256];

	assert_non_null(file);
	if (list_read(file, "lines", monotonic_ns(), &list, wrong, sizeof(wrong)))
		fail_msg("%s", wrong);
	fclose(file);
	return list;
}

static void set_all(const struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		assert_int_equal(datapath_lists_set(listed_datapath, &list->entries[i],
						    list_name_of(list, list->entries[i].scope)),
				 0);
}

void listed(const char *lines)
{
	struct list list = list_of(lines);

	set_all(&list);
	list_free(&list);
}

void listed_ago(const char *lines, unsigned int seconds)
{
	struct list list = list_of(lines);

	for (size_t i = 0; i < list.count; i++)
		list.entries[i].expires_ns = monotonic_ns() - seconds * 1000000000ull;
	set_all(&list);
	list_free(&list);
}

void listed_load(const char *lines)
{
	struct list list = list_of(lines);

	for (size_t i = 0; i < list.count; i++)
		list.entries[i].flags |= SHAKEOFF_LISTED_LOADED;
	assert_int_equal(datapath_lists_load(listed_datapath, &list), 0);
	list_free(&list);
}

const char *listed_now(void)
{
	static char text[4096];
	struct list list = { 0 };
	size_t used = 0;

	assert_int_equal(datapath_lists_read(listed_datapath, &list), 0);
	for (size_t i = 0; i < list.count; i++) {
		char line[LIST_ENTRY_TEXT];

		list_entry_write(&list.entries[i], list_name_of(&list, list.entries[i].scope), monotonic_ns(), line,
				 sizeof(line));
		used += snprintf(text + used, sizeof(text) - used, "%s%s", used ? "\n" : "", line);
		assert_true(used < sizeof(text));
	}
	text[used] = '\0';
	list_free(&list);
	return text;
}

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
#include "acl_fixture.h"

struct datapath *acl_fixture_datapath;

int acl_fixture_start(void)
{
	struct datapath_attachment attachment = { .ours = true, .abi = SHAKEOFF_ABI };
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(harness.plain_program, &info, &size))
		return -1;
	attachment.prog_id = info.id;
	return datapath_open(&attachment, &acl_fixture_datapath);
}

void acl_fixture_stop(void)
{
	datapath_close(acl_fixture_datapath);
}

void acl_fixture_reset(void)
{
	assert_int_equal(datapath_acl_clear(acl_fixture_datapath), 0);
}

static struct acl acl_of_lines(const char *lines)
{
	FILE *file = fmemopen((void *)lines, strlen(lines), "r");
	struct acl list;
	char wrong[256];

	assert_non_null(file);
	if (acl_read(file, "lines", monotonic_ns(), &list, wrong, sizeof(wrong)))
		fail_msg("%s", wrong);
	fclose(file);
	return list;
}

static void set_all(const struct acl *list)
{
	for (size_t i = 0; i < list->count; i++)
		assert_int_equal(datapath_acl_set(acl_fixture_datapath, &list->entries[i],
						  acl_name_of(list, list->entries[i].scope)),
				 0);
}

void acl_fixture_add(const char *lines)
{
	struct acl list = acl_of_lines(lines);

	set_all(&list);
	acl_free(&list);
}

void acl_fixture_expired(const char *lines, unsigned int seconds)
{
	struct acl list = acl_of_lines(lines);

	for (size_t i = 0; i < list.count; i++)
		list.entries[i].expires_ns = monotonic_ns() - seconds * 1000000000ull;
	set_all(&list);
	acl_free(&list);
}

void acl_fixture_load(const char *lines)
{
	struct acl list = acl_of_lines(lines);

	for (size_t i = 0; i < list.count; i++)
		list.entries[i].flags |= SHAKEOFF_ACL_LOADED;
	assert_int_equal(datapath_acl_load(acl_fixture_datapath, &list), 0);
	acl_free(&list);
}

const char *acl_fixture_entries(void)
{
	static char text[4096];
	struct acl list = { 0 };
	size_t used = 0;

	assert_int_equal(datapath_acl_read(acl_fixture_datapath, &list), 0);
	for (size_t i = 0; i < list.count; i++) {
		char line[ACL_ENTRY_TEXT];

		acl_entry_write(&list.entries[i], acl_name_of(&list, list.entries[i].scope), monotonic_ns(), line,
				sizeof(line));
		used += snprintf(text + used, sizeof(text) - used, "%s%s", used ? "\n" : "", line);
		assert_true(used < sizeof(text));
	}
	text[used] = '\0';
	acl_free(&list);
	return text;
}

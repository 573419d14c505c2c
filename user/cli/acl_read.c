/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "acl/lock.h"
#include "common/log.h"
#include "cli/acl_read.h"
#include "cli/suggest.h"

int acl_access_lock(const char *what, int *lock)
{
	int result;

	*lock = -1;
	if (!privileges_suffice(what))
		return STATUS_FAILURE;
	result = acl_lock(ACL_LOCK_PATIENCE_MS, lock);
	if (!result)
		return STATUS_OK;
	if (result == -EWOULDBLOCK)
		log_error("%s: another command has been changing the ACL for %d s", what, ACL_LOCK_PATIENCE_MS / 1000);
	else
		log_error("%s: the ACL cannot be locked with " ACL_LOCK_PATH ": %s", what, strerror(-result));
	return STATUS_FAILURE;
}

void acl_access_unlock(int *lock)
{
	cleanup_fd_function(lock);
	*lock = -1;
}

int acl_access_open(struct acl_access *access, const char *what)
{
	int status;

	*access = (struct acl_access){ .lock = -1 };
	/* The lock first: its holder may replace the program, and changes of the old program's ACL would be lost. */
	status = acl_access_lock(what, &access->lock);
	return status ? status : view_open(&access->view, what, NULL);
}

void acl_access_close(struct acl_access *access)
{
	view_close(&access->view);
	acl_access_unlock(&access->lock);
}

/* Calls back for the name of every service, until the callback returns true. */
static bool find_name(const struct acl_access *access, bool (*callback)(void *context, const char *name), void *context)
{
	for (size_t i = 0; i < access->view.datapath_count; i++) {
		const struct shakeoff_service *services = access->view.datapaths[i].services;

		for (uint32_t id = 0; id < SHAKEOFF_MAX_SERVICES; id++)
			if (services[id].flags & SHAKEOFF_SERVICE_USED && callback(context, services[id].name))
				return true;
	}
	return false;
}

static bool is_named(void *wanted, const char *name)
{
	return !strcmp(wanted, name);
}

bool acl_has_service(const struct acl_access *access, const char *name)
{
	return find_name(access, is_named, (char *)name);
}

struct names {
	const char **acl; /* ends with NULL */
	size_t count;
};

static bool collect(void *context, const char *name)
{
	struct names *names = context;

	names->acl[names->count++] = name;
	return false;
}

int acl_fail_service(const struct acl_access *access, const char *what, const char *name)
{
	struct names names = {
		.acl = calloc(access->view.datapath_count * SHAKEOFF_MAX_SERVICES + 1, sizeof(*names.acl)),
	};
	const char *meant;

	if (!names.acl)
		return command_fail(what, NULL, -ENOMEM);
	find_name(access, collect, &names);
	meant = suggest(name, names.acl);
	log_error("%s: there is no service `%s`%s%s%s; `shakeoff status --all` lists them", what, name,
		  meant ? "; did you mean `" : "", meant ? meant : "", meant ? "`?" : "");
	free(names.acl);
	return STATUS_FAILURE;
}

int acl_fail(const char *what, int error)
{
	switch (-error) {
	case E2BIG:
		log_error("%s: too many entries: the maximum is %u prefixes of a family, and %u names of services",
			  what, SHAKEOFF_MAX_ACL_ENTRIES, SHAKEOFF_MAX_ACL_NAMES);
		break;
	case EEXIST: log_error("%s: the name of another service in the ACL has the same hash", what); break;
	default: return command_fail(what, NULL, error);
	}
	return STATUS_FAILURE;
}

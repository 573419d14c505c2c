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
	result = list_lock(LIST_LOCK_PATIENCE_MS, lock);
	if (!result)
		return STATUS_OK;
	if (result == -EWOULDBLOCK)
		log_error("%s: another command has been busy with the lists for %d s", what,
			  LIST_LOCK_PATIENCE_MS / 1000);
	else
		log_error("%s: the lists cannot be locked with " LIST_LOCK_PATH ": %s", what, strerror(-result));
	return STATUS_FAILURE;
}

void lists_unlock(int *lock)
{
	cleanup_fd_function(lock);
	*lock = -1;
}

int lists_open(struct lists *lists, const char *what)
{
	int status;

	*lists = (struct lists){ .lock = -1 };
	/* The lock first: whoever has it may put another program there, and what is changed of the old one is lost. */
	status = acl_access_lock(what, &lists->lock);
	return status ? status : view_open(&lists->view, what, NULL);
}

void lists_close(struct lists *lists)
{
	view_close(&lists->view);
	lists_unlock(&lists->lock);
}

/* Calls back for the name of every service, until it returns true. */
static bool find_name(const struct lists *lists, bool (*callback)(void *context, const char *name), void *context)
{
	for (size_t i = 0; i < lists->view.datapath_count; i++) {
		const struct shakeoff_service *services = lists->view.datapaths[i].services;

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

bool lists_has_service(const struct lists *lists, const char *name)
{
	return find_name(lists, is_named, (char *)name);
}

struct names {
	const char **list; /* NULL at its end */
	size_t count;
};

static bool collect(void *context, const char *name)
{
	struct names *names = context;

	names->list[names->count++] = name;
	return false;
}

int lists_fail_service(const struct lists *lists, const char *what, const char *name)
{
	struct names names = {
		.list = calloc(lists->view.datapath_count * SHAKEOFF_MAX_SERVICES + 1, sizeof(*names.list)),
	};
	const char *meant;

	if (!names.list)
		return command_fail(what, NULL, -ENOMEM);
	find_name(lists, collect, &names);
	meant = suggest(name, names.list);
	log_error("%s: there is no service `%s`%s%s%s; `shakeoff status --all` lists them", what, name,
		  meant ? "; did you mean `" : "", meant ? meant : "", meant ? "`?" : "");
	free(names.list);
	return STATUS_FAILURE;
}

int lists_fail(const char *what, int error)
{
	switch (-error) {
	case E2BIG:
		log_error("%s: too many: there is room for %u prefixes of a family, and for %u names of services", what,
			  SHAKEOFF_MAX_LISTED, SHAKEOFF_MAX_LIST_NAMES);
		break;
	case EEXIST: log_error("%s: the name of another service in the lists has the same hash", what); break;
	default: return command_fail(what, NULL, error);
	}
	return STATUS_FAILURE;
}

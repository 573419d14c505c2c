/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* shakeoff acl: what block and allow have added, and lists from files. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/text.h"
#include "common/trusted_file.h"
#include "cli/acl_guard.h"
#include "cli/acl_read.h"
#include "cli/report.h"

/* -------------------------------------------------------------------------------------------------------------- show */

static int compare(const void *first, const void *second)
{
	const struct list_entry *a = first, *b = second;
	int order = a->prefix.ipv6 - b->prefix.ipv6;

	if (!order)
		order = memcmp(a->prefix.address, b->prefix.address, sizeof(a->prefix.address));
	if (!order)
		order = a->prefix.len - b->prefix.len;
	return order ? order : (a->scope > b->scope) - (a->scope < b->scope);
}

static void print_entries(const struct list *list, uint64_t now_ns)
{
	char text[LIST_ENTRY_TEXT];

	for (size_t i = 0; i < list->count; i++) {
		list_entry_write(&list->entries[i], list_name_of(list, list->entries[i].scope), now_ns, text,
				 sizeof(text));
		puts(text);
	}
}

static json_t *entry_json(const struct list_entry *entry, const char *service, uint64_t now_ns)
{
	json_t *object = json_object();
	char prefix[PREFIX_TEXT];

	prefix_write(&entry->prefix, prefix, sizeof(prefix));
	json_object_set_new(object, "action", json_string(list_action_name(entry->action)));
	json_object_set_new(object, "prefix", json_string(prefix));
	json_object_set_new(object, "service", service ? json_string(service) : json_null());
	json_object_set_new(object, "expires_in_ms",
			    entry->expires_ns ? json_integer((entry->expires_ns - now_ns) / 1000000) : json_null());
	json_object_set_new(object, "loaded", json_boolean(entry->flags & SHAKEOFF_LISTED_LOADED));
	return object;
}

static json_t *entries_json(const struct view_datapath *datapath, const struct list *list, uint64_t now_ns)
{
	json_t *entries = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(entries, entry_json(&list->entries[i], list_name_of(list, list->entries[i].scope),
							  now_ns));
	return json_pack("{s:s, s:o}", "interfaces", datapath->interfaces, "entries", entries);
}

/* What is shown: the entries of each datapath of the view. */
struct shown {
	int lock;
	uint64_t now_ns; /* before they were read */
	struct list *of;
	size_t count;
};

/* Reads everything before anything is shown: other commands and the daemon do not wait for a pager. */
static int read_entries(const struct subject *subject)
{
	struct shown *shown = subject->data;
	int error = 0;

	shown->now_ns = view_clock_ns();
	shown->of = calloc(subject->view->datapath_count, sizeof(*shown->of));
	if (!shown->of)
		return -ENOMEM;
	shown->count = subject->view->datapath_count;
	for (size_t i = 0; i < shown->count && !error; i++)
		error = datapath_lists_read(subject->view->datapaths[i].datapath, &shown->of[i]);
	lists_unlock(&shown->lock);
	for (size_t i = 0; i < shown->count; i++)
		if (shown->of[i].count)
			qsort(shown->of[i].entries, shown->of[i].count, sizeof(*shown->of[i].entries), compare);
	return error;
}

static int print_text(const struct subject *subject)
{
	const struct shown *shown = subject->data;

	for (size_t i = 0; i < shown->count; i++) {
		if (shown->count > 1)
			printf("# %s\n", subject->view->datapaths[i].interfaces);
		print_entries(&shown->of[i], shown->now_ns);
	}
	return STATUS_OK;
}

static json_t *make_json(const struct subject *subject)
{
	const struct shown *shown = subject->data;
	json_t *datapaths = json_array();

	for (size_t i = 0; i < shown->count; i++)
		json_array_append_new(datapaths,
				      entries_json(&subject->view->datapaths[i], &shown->of[i], shown->now_ns));
	return json_pack("{s:o}", "datapaths", datapaths);
}

static int show(const struct options *options)
{
	static const struct report report = { .read = read_entries, .text = print_text, .json = make_json };
	struct shown shown = { 0 };
	int status = acl_access_lock(options->command->name, &shown.lock);

	if (!status)
		status = report_run(&report, options, &shown);
	lists_unlock(&shown.lock);
	for (size_t i = 0; i < shown.count; i++)
		list_free(&shown.of[i]);
	free(shown.of);
	return status;
}

/* ------------------------------------------------------------------------------------------------------------- clear */

static int clear(const struct options *options)
{
	const char *what = options->command->name;
	struct lists lists;
	int status = lists_open(&lists, what), result = 0;

	for (size_t i = 0; i < lists.view.datapath_count && !status && !result; i++)
		result = datapath_lists_flush(lists.view.datapaths[i].datapath);
	lists_close(&lists);
	return result ? lists_fail(what, result) : status;
}

/* -------------------------------------------------------------------------------------------------------------- load */

/* Services come and go: a name that none has now may be right tomorrow. */
static void check_names(const struct list *list, const struct lists *lists)
{
	for (size_t i = 0; i < list->name_count; i++)
		if (!lists_has_service(lists, list->names[i].name))
			log_warn("acl load: at present there is no service `%s`", list->names[i].name);
}

/* A pipe of the shell is meant; one that lies in a file's place keeps whoever reads it waiting. */
static bool is_descriptor(const char *path)
{
	return !strcmp(path, "-") || !strcmp(path, "/dev/stdin") || !strncmp(path, "/dev/fd/", 8) ||
	       !strncmp(path, "/proc/self/fd/", 14);
}

/* The file as it was read: what sha256sum(1) says of it. */
struct source {
	int fd;
	crypto_hash_sha256_state hash;
};

static ssize_t source_read(void *cookie, char *buffer, size_t size)
{
	struct source *source = cookie;
	ssize_t got;

	do
		got = read(source->fd, buffer, size);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		crypto_hash_sha256_update(&source->hash, (const unsigned char *)buffer, (unsigned long long)got);
	return got;
}

static int open_source(const char *path, struct source *source)
{
	struct stat st;

	crypto_hash_sha256_init(&source->hash);
	source->fd = !strcmp(path, "-") ?
			     fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) :
			     open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC | (is_descriptor(path) ? 0 : O_NONBLOCK));
	if (source->fd < 0 || fstat(source->fd, &st)) {
		log_error("acl load: %s: %m", path);
		return STATUS_FAILURE;
	}
	if (S_ISREG(st.st_mode)) {
		if (untrusted_because(&st))
			log_warn("acl load: %s %s", path, untrusted_because(&st));
	} else if (!is_descriptor(path)) {
		log_error("acl load: %s is not a regular file; - reads standard input", path);
		return STATUS_FAILURE;
	}
	return STATUS_OK;
}

static int read_source(const char *path, struct source *source, struct list *list)
{
	const cookie_io_functions_t functions = { .read = source_read };
	cleanup_file FILE *file = fopencookie(source, "r", functions);
	char wrong[512];

	if (!file)
		return command_fail("acl load", NULL, -ENOMEM);
	if (!list_read(file, strcmp(path, "-") ? path : "standard input", view_clock_ns(), list, wrong, sizeof(wrong)))
		return STATUS_OK;
	log_error("acl load: %s; nothing is changed", wrong);
	return STATUS_FAILURE;
}

static int guard(const struct list *list)
{
	char why[256];
	int result = list_guard_check(list->entries, list->count, why, sizeof(why));

	if (result < 0)
		return command_fail("acl load", NULL, result);
	if (result)
		log_error("acl load: %s; nothing is changed", why);
	return result ? STATUS_FAILURE : STATUS_OK;
}

/* Who looks later at what happened finds it in the system's log. */
static void tell_log(const char *path, const struct list *list, struct source *source)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char digits[2 * sizeof(hash) + 1], name[256];

	crypto_hash_sha256_final(&source->hash, hash);
	sodium_bin2hex(digits, sizeof(digits), hash, sizeof(hash));
	text_printable(path, name, sizeof(name));
	openlog("shakeoff", LOG_PID, LOG_DAEMON);
	syslog(LOG_NOTICE, "acl load: %zu entries of %s, SHA-256 %s", list->count, name, digits);
	closelog();
}

static int load_list(const char *path, struct lists *lists, const struct list *list, struct source *source)
{
	int result = 0;

	check_names(list, lists);
	for (size_t i = 0; i < lists->view.datapath_count && !result; i++)
		result = datapath_lists_load(lists->view.datapaths[i].datapath, list);
	if (result)
		return lists_fail("acl load", result);
	tell_log(path, list, source);
	printf("%zu entries loaded\n", list->count);
	return STATUS_OK;
}

/* The file first: others are not to wait for whoever writes to a pipe. */
static int load(const struct options *options)
{
	const char *path = options->operand;
	struct source source = { .fd = -1 };
	struct list list = { 0 };
	struct lists lists;
	int status = open_source(path, &source);

	if (!status)
		status = read_source(path, &source, &list);
	cleanup_fd_function(&source.fd);
	if (!status && !options->force)
		status = guard(&list);
	if (status) {
		list_free(&list);
		return status;
	}
	for (size_t i = 0; i < list.count; i++)
		list.entries[i].flags |= SHAKEOFF_LISTED_LOADED;
	status = lists_open(&lists, "acl load");
	if (!status)
		status = load_list(path, &lists, &list, &source);
	lists_close(&lists);
	list_free(&list);
	return status;
}

/* ----------------------------------------------------------------------------------------------------------- actions */

static const struct command acl_show = {
	.name = "acl show",
	.arguments = "[--json]",
	.summary = "Show the entries, one a line, as `acl load` reads them",
	.help = "",
	.options = OPTION_JSON,
	.run = show,
};

static const struct command acl_load = {
	.name = "acl load",
	.arguments = "FILE [--force]",
	.summary = "Replace what was loaded before by a file (-: standard input)",
	.help = "The whole file takes effect at once. Entries that `block` and `allow` made stay, and beat those of the file.\n"
		"\n"
		"A line of a file is `[block|allow] PREFIX [for DURATION] [service NAME]`; a prefix alone is blocked, # and ;\n"
		"begin a comment. A wrong line is refused with its number, and nothing is changed.\n",
	.options = OPTION_OPERAND | OPTION_FORCE,
	.run = load,
};

static const struct command acl_clear = {
	.name = "acl clear",
	.arguments = "",
	.summary = "Remove all entries",
	.help = "",
	.run = clear,
};

static const struct command *const actions[] = { &acl_show, &acl_load, &acl_clear, NULL };

const struct command command_acl = {
	.name = "acl",
	.arguments = "show [--json] | load FILE [--force] | clear",
	.summary = "Show, load and clear the entries of blocked and allowed sources",
	.help = "`block`, `unblock`, `allow` and `disallow` add and remove single entries.\n",
	.actions = actions,
};

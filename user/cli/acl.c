/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* shakeoff acl: shows, loads and clears the entries of blocked and allowed sources. */
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
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "common/trusted_file.h"
#include "cli/acl_guard.h"
#include "cli/acl_read.h"
#include "cli/report.h"

/* ------------------------------------------------------------------------------------------------------------- show */

static int compare(const void *first, const void *second)
{
	const struct acl_entry *a = first, *b = second;
	int order = a->prefix.ipv6 - b->prefix.ipv6;

	if (!order)
		order = memcmp(a->prefix.address, b->prefix.address, sizeof(a->prefix.address));
	if (!order)
		order = a->prefix.len - b->prefix.len;
	return order ? order : (a->scope > b->scope) - (a->scope < b->scope);
}

static void print_entries(const struct acl *acl, uint64_t now_ns)
{
	char text[ACL_ENTRY_TEXT];

	for (size_t i = 0; i < acl->count; i++) {
		acl_entry_write(&acl->entries[i], acl_name_of(acl, acl->entries[i].scope), now_ns, text, sizeof(text));
		puts(text);
	}
}

static json_t *entry_json(const struct acl_entry *entry, const char *service, uint64_t now_ns)
{
	json_t *object = json_object();
	char prefix[PREFIX_TEXT];

	prefix_write(&entry->prefix, prefix, sizeof(prefix));
	json_object_set_new(object, "action", json_string(acl_action_name(entry->action)));
	json_object_set_new(object, "prefix", json_string(prefix));
	json_object_set_new(object, "service", service ? json_string(service) : json_null());
	json_object_set_new(object, "expires_in_ms",
			    entry->expires_ns ? json_integer((entry->expires_ns - now_ns) / 1000000) : json_null());
	json_object_set_new(object, "loaded", json_boolean(entry->flags & SHAKEOFF_ACL_LOADED));
	return object;
}

static json_t *entries_json(const struct view_datapath *datapath, const struct acl *acl, uint64_t now_ns)
{
	json_t *entries = json_array();

	for (size_t i = 0; i < acl->count; i++)
		json_array_append_new(entries,
				      entry_json(&acl->entries[i], acl_name_of(acl, acl->entries[i].scope), now_ns));
	return json_pack("{s:s, s:o}", "interfaces", datapath->interfaces, "entries", entries);
}

/* The entries of each datapath of the view, for display. */
struct shown {
	int lock;
	uint64_t now_ns; /* before they were read */
	struct acl *of;
	size_t count;
};

/* Reads everything before anything is shown, so that other commands and the daemon do not wait for a pager. */
static int read_entries(const struct subject *subject)
{
	struct shown *shown = subject->data;
	int error = 0;

	shown->now_ns = clock_ns();
	shown->of = calloc(subject->view->datapath_count, sizeof(*shown->of));
	if (!shown->of)
		return -ENOMEM;
	shown->count = subject->view->datapath_count;
	for (size_t i = 0; i < shown->count && !error; i++)
		error = datapath_acl_read(subject->view->datapaths[i].datapath, &shown->of[i]);
	acl_access_unlock(&shown->lock);
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
	acl_access_unlock(&shown.lock);
	for (size_t i = 0; i < shown.count; i++)
		acl_free(&shown.of[i]);
	free(shown.of);
	return status;
}

/* ------------------------------------------------------------------------------------------------------------ clear */

static int clear(const struct options *options)
{
	const char *what = options->command->name;
	struct acl_access access;
	int status = acl_access_open(&access, what), result = 0;

	for (size_t i = 0; i < access.view.datapath_count && !status && !result; i++)
		result = datapath_acl_clear(access.view.datapaths[i].datapath);
	acl_access_close(&access);
	return result ? acl_fail(what, result) : status;
}

/* ------------------------------------------------------------------------------------------------------------- load */

/* Warns of names that no service has now: services come and go, and the name may be right later. */
static void check_names(const struct acl *acl, const struct acl_access *access)
{
	for (size_t i = 0; i < acl->name_count; i++)
		if (!acl_has_service(access, acl->names[i].name))
			log_warn("acl load: there is no service `%s` at present", acl->names[i].name);
}

/*
 * Returns whether the path means a pipe of the shell. A pipe in place of a regular file would keep its reader waiting.
 */
static bool is_descriptor(const char *path)
{
	return !strcmp(path, "-") || !strcmp(path, "/dev/stdin") || !strncmp(path, "/dev/fd/", 8) ||
	       !strncmp(path, "/proc/self/fd/", 14);
}

/* The file as it was read, for the digest of sha256sum(1). */
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

static int read_source(const char *path, struct source *source, struct acl *acl)
{
	const cookie_io_functions_t functions = { .read = source_read };
	cleanup_file FILE *file = fopencookie(source, "r", functions);
	char wrong[512];

	if (!file)
		return command_fail("acl load", NULL, -ENOMEM);
	if (!acl_read(file, strcmp(path, "-") ? path : "standard input", clock_ns(), acl, wrong, sizeof(wrong)))
		return STATUS_OK;
	log_error("acl load: %s; nothing is changed", wrong);
	return STATUS_FAILURE;
}

static int guard(const struct acl *acl)
{
	char why[256];
	int result = acl_guard_check(acl->entries, acl->count, why, sizeof(why));

	if (result < 0)
		return command_fail("acl load", NULL, result);
	if (result)
		log_error("acl load: %s; nothing is changed", why);
	return result ? STATUS_FAILURE : STATUS_OK;
}

/* Logs the load to the system's log for a later investigation. */
static void log_loaded(const char *path, const struct acl *acl, struct source *source)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char digits[2 * sizeof(hash) + 1], name[256];

	crypto_hash_sha256_final(&source->hash, hash);
	sodium_bin2hex(digits, sizeof(digits), hash, sizeof(hash));
	text_printable(path, name, sizeof(name));
	openlog("shakeoff", LOG_PID, LOG_DAEMON);
	syslog(LOG_NOTICE, "acl load: %zu entries of %s, SHA-256 %s", acl->count, name, digits);
	closelog();
}

static int load_acl(const char *path, struct acl_access *access, const struct acl *acl, struct source *source)
{
	int result = 0;

	check_names(acl, access);
	for (size_t i = 0; i < access->view.datapath_count && !result; i++)
		result = datapath_acl_load(access->view.datapaths[i].datapath, acl);
	if (result)
		return acl_fail("acl load", result);
	log_loaded(path, acl, source);
	printf("%zu entries loaded\n", acl->count);
	return STATUS_OK;
}

/* Loads a file. It is read before the lock is taken, so that others do not wait for the writer of a pipe. */
static int load(const struct options *options)
{
	const char *path = options->operand;
	struct source source = { .fd = -1 };
	struct acl acl = { 0 };
	struct acl_access access;
	int status = open_source(path, &source);

	if (!status)
		status = read_source(path, &source, &acl);
	cleanup_fd_function(&source.fd);
	if (!status && !options->force)
		status = guard(&acl);
	if (status) {
		acl_free(&acl);
		return status;
	}
	for (size_t i = 0; i < acl.count; i++)
		acl.entries[i].flags |= SHAKEOFF_ACL_LOADED;
	status = acl_access_open(&access, "acl load");
	if (!status)
		status = load_acl(path, &access, &acl, &source);
	acl_access_close(&access);
	acl_free(&acl);
	return status;
}

/* ---------------------------------------------------------------------------------------------------------- actions */

static const struct command acl_show = {
	.name = "acl show",
	.arguments = "[--json]",
	.summary = "Show the entries, one a line, in the form that `acl load` reads",
	.help = "",
	.options = OPTION_JSON,
	.run = show,
};

static const struct command acl_load = {
	.name = "acl load",
	.arguments = "FILE [--force]",
	.summary = "Replace the entries loaded before by those of a file (-: standard input)",
	.help = "The whole file takes effect at once. Entries of `block` and `allow` stay, and take precedence\n"
		"over the file.\n"
		"\n"
		"A line of a file is `[block|allow] PREFIX [for DURATION] [service NAME]`; a prefix alone is\n"
		"blocked, # and ; begin a comment. A wrong line is refused with its number, and nothing is\n"
		"changed.\n",
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

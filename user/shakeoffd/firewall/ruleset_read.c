/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "shakeoffd/firewall/ruleset_iptables.h"
#include "shakeoffd/firewall/ruleset_nft.h"
#include "shakeoffd/firewall/ruleset_read.h"
#include "shakeoffd/firewall/ruleset_watch.h"

#define TOOL_OUTPUT_MAX (64u << 20)

/* ------------------------------------------------------------------------------------------------------------ tools */

static void run_tool(const char *path, int output)
{
	static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	char *const arguments[] = { (char *)path, NULL };
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execve(path, arguments, environment);
	_exit(127);
}

/* Returns everything that comes from a descriptor, with a NUL at the end. NULL: too much, or no memory. */
static char *read_all(int fd)
{
	size_t length = 0, room = 64 * 1024;
	char *text = malloc(room);

	while (text && length < TOOL_OUTPUT_MAX) {
		ssize_t got = read(fd, text + length, room - length - 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			text[length] = '\0';
			return text;
		}
		length += (size_t)got;
		if (room - length < 2) {
			char *larger = realloc(text, 2 * room);

			if (!larger)
				break;
			text = larger;
			room *= 2;
		}
	}
	free(text);
	return NULL;
}

/*
 * Returns the output of a tool, if it exits successfully: malloc()ed. The parent of this process has to end it if the
 * tool does not exit.
 */
static char *output_of(const char *path)
{
	char *text;
	int ends[2], status = 0;
	pid_t pid;

	if (access(path, X_OK) || pipe2(ends, O_CLOEXEC))
		return NULL;
	pid = fork();
	if (!pid)
		run_tool(path, ends[1]);
	close(ends[1]);
	text = pid > 0 ? read_all(ends[0]) : NULL;
	close(ends[0]);
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status)) {
		free(text);
		text = NULL;
	}
	return text;
}

/* Returns the output of iptables-save. The plain name may be either kind; its first line shows which. */
static char *save(bool ipv6, bool legacy)
{
	static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin" };
	const char *const names[] = { legacy ? "tables-legacy-save" : "tables-nft-save", "tables-save" };
	char path[64];

	for (size_t n = 0; n < 2; n++) {
		for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
			char *text;

			snprintf(path, sizeof(path), "%s/%s%s", folders[i], ipv6 ? "ip6" : "ip", names[n]);
			text = output_of(path);
			if (text && *text && n &&
			    (strcspn(text, "\n") > strlen(text) ||
			     !memmem(text, strcspn(text, "\n"), "nf_tables", 9) != legacy)) {
				free(text);
				text = NULL;
			}
			if (text)
				return text;
		}
	}
	return NULL;
}

static int read_legacy(struct ruleset *ruleset, bool ipv6, char *why, size_t size)
{
	cleanup_free char *text = NULL;

	if (!ruleset_watch_has_legacy(ipv6))
		return 0;
	text = save(ipv6, true);
	if (text)
		return ruleset_iptables_read(ruleset, text, ipv6 ? "ip6tables-legacy" : "iptables-legacy", ipv6);
	snprintf(why, size, "%s-legacy-save, which prints the rules of iptables-legacy, does not work",
		 ipv6 ? "ip6tables" : "iptables");
	return -ENOENT;
}

/* --------------------------------------------------------------------------------------------------------- nftables */

struct nft {
	struct nft_ctx *context;
	char *saved[2]; /* output of iptables-nft-save and ip6tables-nft-save; NULL: not needed */
};

static json_t *nft_list(struct nft_ctx *context, unsigned int flags, const char *command)
{
	nft_ctx_output_set_flags(context, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE | flags);
	if (nft_run_cmd_from_buffer(context, command))
		return NULL;
	return json_loads(nft_ctx_get_output_buffer(context), 0, NULL);
}

/* Returns the only set or map of a list. */
static json_t *set_of(json_t *list, bool map)
{
	json_t *object, *set = NULL;
	size_t i;

	json_array_foreach(json_object_get(list, "nftables"), i, object)
		if ((set = json_object_get(object, map ? "map" : "set")))
			break;
	return set;
}

/* Returns whether the elements are worth reading: sets of addresses may be long, those of ports are short. */
static bool is_short(json_t *list, bool map)
{
	const char *what = json_string_value(json_object_get(set_of(list, map), map ? "map" : "type"));

	return what && !strcmp(what, map ? "verdict" : "inet_service");
}

static json_t *elements_of(json_t *list, bool map)
{
	json_t *elements = json_object_get(set_of(list, map), "elem");

	/* Without elements it matches nothing. */
	return elements ? json_incref(elements) : json_array();
}

static json_t *elements(void *context, const char *family, const char *table, const char *name, bool map)
{
	struct nft *nft = context;
	char command[1024];
	json_t *list, *found = NULL;

	if ((size_t)snprintf(command, sizeof(command), "list %s %s %s %s", map ? "map" : "set", family, table, name) >=
	    sizeof(command))
		return NULL;
	list = nft_list(nft->context, NFT_CTX_OUTPUT_TERSE, command);
	if (is_short(list, map)) {
		json_t *whole = nft_list(nft->context, 0, command);

		if (whole)
			found = elements_of(whole, map);
		json_decref(whole);
	}
	json_decref(list);
	return found;
}

/* Returns whether the tool's output has a table. The tool lists only tables whose rules it has all made itself. */
static bool is_saved(void *context, const char *family, const char *table)
{
	const struct nft *nft = context;
	const char *saved = !strcmp(family, "ip") ? nft->saved[0] : !strcmp(family, "ip6") ? nft->saved[1] : NULL;

	return saved && ruleset_iptables_has_table(saved, table);
}

static int read_saved(struct ruleset *ruleset, struct nft *nft)
{
	int error = 0;

	for (int ipv6 = 0; ipv6 < 2 && !error; ipv6++)
		if (nft->saved[ipv6])
			error = ruleset_iptables_read(ruleset, nft->saved[ipv6], ipv6 ? "ip6tables" : "iptables", ipv6);
	return error;
}

static int read_nft(struct ruleset *ruleset, struct nft *nft, char *why, size_t size)
{
	const struct ruleset_nft_source source = { .context = nft, .elements = elements, .skips = is_saved };
	json_t *list = nft_list(nft->context, NFT_CTX_OUTPUT_TERSE, "list ruleset");
	int error;

	if (!list) {
		const char *said = nft_ctx_get_error_buffer(nft->context);

		snprintf(why, size, "libnftables says: %.*s", (int)strcspn(said ?: "", "\n"), said ?: "");
		return -EIO;
	}
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		if (ruleset_nft_has_xt(list, ipv6 ? "ip6" : "ip"))
			nft->saved[ipv6] = save(ipv6, false);
	error = ruleset_nft_read(ruleset, list, &source);
	json_decref(list);
	return error ? error : read_saved(ruleset, nft);
}

static int read_all_nft(struct ruleset *ruleset, char *why, size_t size)
{
	struct nft nft = { 0 };
	int error;

	if (!ruleset_watch_has_nft())
		return 0;
	nft.context = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft.context)
		return -ENOMEM;
	nft_ctx_buffer_output(nft.context);
	nft_ctx_buffer_error(nft.context);
	error = read_nft(ruleset, &nft, why, size);
	free(nft.saved[0]);
	free(nft.saved[1]);
	nft_ctx_free(nft.context);
	return error;
}

int ruleset_read(struct ruleset *ruleset, char *why, size_t size)
{
	int error;

	*ruleset = (struct ruleset){ 0 };
	*why = '\0';
	error = read_all_nft(ruleset, why, size);
	for (int ipv6 = 0; ipv6 < 2 && !error; ipv6++)
		error = read_legacy(ruleset, ipv6, why, size);
	if (!error)
		error = ruleset_finish(ruleset);
	if (error && !*why)
		snprintf(why, size, "%s", strerror(-error));
	if (error)
		ruleset_free(ruleset);
	return error;
}

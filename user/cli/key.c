/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "cli/output.h"
#include "cli/report.h"

#define POLL_MS 20
#define PATIENCE_NS (3 * NS_PER_S) /* the daemon checks ten times a second */

/* ------------------------------------------------------------------------------------------------------------ slots */

struct key_slot {
	uint32_t epoch;       /* the epoch of the slot */
	const char *use;      /* the epoch's position relative to the present one */
	uint32_t made_for;    /* the epoch that its key was made for */
	uint64_t fingerprint; /* of the master secret; 0: random */
};

struct key_view {
	bool loaded, shared;
	uint32_t epoch;
	uint64_t remaining_ns; /* of the present epoch */
	uint64_t fingerprint;  /* of the newest key's master secret */
	struct key_slot slots[SHAKEOFF_KEY_SLOTS];
};

static struct key_view key_view(const struct shakeoff_control *control, uint64_t now_ns)
{
	static const char *const uses[SHAKEOFF_KEY_SLOTS] = { "previous", "present", "next", "next but one" };
	uint64_t time_ns = now_ns + control->epoch_offset_ns;
	struct key_view keys = {
		.loaded = control->flags & SHAKEOFF_KEYS_LOADED,
		.shared = control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH,
		.epoch = (uint32_t)(time_ns / SHAKEOFF_EPOCH_NS),
		.remaining_ns = SHAKEOFF_EPOCH_NS - time_ns % SHAKEOFF_EPOCH_NS,
	};

	for (uint32_t i = 0; i < SHAKEOFF_KEY_SLOTS; i++) {
		uint32_t epoch = keys.epoch - 1 + i, slot = epoch % SHAKEOFF_KEY_SLOTS;

		keys.slots[i] = (struct key_slot){ epoch, uses[i], control->keys.epoch[slot],
						   control->keys.fingerprint[slot] };
	}
	keys.fingerprint = keys.slots[SHAKEOFF_KEY_SLOTS - 1].fingerprint;
	return keys;
}

static void add_key_slot(struct table *table, const struct key_slot *slot)
{
	table_cell(table, "%" PRIu32, slot->epoch);
	table_cell(table, "%s", slot->use);
	if (slot->fingerprint)
		table_cell(table, "%016" PRIx64, slot->fingerprint);
	else
		table_cell(table, "random");
	if (slot->made_for == slot->epoch)
		table_cell(table, "this epoch");
	else
		table_cell_coloured(table, COLOUR_WARN, "epoch %" PRIu32, slot->made_for);
}

/* Prints the word before a line's value, padded to the longest of them. */
static void print_label(const char *label)
{
	print_coloured(COLOUR_BOLD, "%s", label);
	printf("%*s", 12 - (int)strlen(label), "");
}

static void print_keys(const struct view_datapath *datapath, const struct key_view *keys)
{
	static const char *const headings[] = { ">Epoch", "Use", "From", "Made for", NULL };
	struct table *table;

	print_label("Interfaces");
	printf("%s\n", datapath->interfaces);
	if (!keys->loaded) {
		print_label("Keys");
		print_coloured(COLOUR_BAD, "none");
		printf(": nothing is answered\n");
		return;
	}
	print_label("Epoch");
	printf("%" PRIu32 ", the next in %" PRIu64 " s\n", keys->epoch, (keys->remaining_ns + NS_PER_S - 1) / NS_PER_S);
	print_label("Source");
	if (keys->shared)
		printf("key file, fingerprint %016" PRIx64 "\n\n", keys->fingerprint);
	else
		printf("random\n\n");
	table = table_new(headings);
	for (size_t i = 0; i < SHAKEOFF_KEY_SLOTS; i++)
		add_key_slot(table, &keys->slots[i]);
	table_print(table, stdout);
}

static json_t *fingerprint_json(uint64_t fingerprint)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, fingerprint);
	return fingerprint ? json_string(text) : json_null();
}

static json_t *keys_json(const struct view_datapath *datapath, const struct key_view *keys)
{
	const char *source = keys->shared ? "file" : "random";
	json_t *slots = json_array();

	if (!keys->loaded)
		source = NULL;
	for (size_t i = 0; i < SHAKEOFF_KEY_SLOTS; i++) {
		const struct key_slot *slot = &keys->slots[i];

		json_array_append_new(slots, json_pack("{s:I, s:s, s:I, s:o}", "epoch", (json_int_t)slot->epoch, "use",
						       slot->use, "made_for", (json_int_t)slot->made_for, "fingerprint",
						       fingerprint_json(slot->fingerprint)));
	}
	return json_pack("{s:I, s:b, s:s?, s:o, s:I, s:I, s:o}", "datapath", (json_int_t)datapath->control_id, "loaded",
			 keys->loaded, "source", source, "fingerprint",
			 fingerprint_json(keys->shared ? keys->fingerprint : 0), "epoch", (json_int_t)keys->epoch,
			 "next_epoch_ms", (json_int_t)(keys->remaining_ns / 1000000), "slots", slots);
}

static int print_text(const struct subject *subject)
{
	for (size_t i = 0; i < subject->view->datapath_count; i++) {
		const struct key_view keys = key_view(&subject->view->datapaths[i].control, subject->view->now_ns);

		printf("%s", i ? "\n" : "");
		print_keys(&subject->view->datapaths[i], &keys);
	}
	return STATUS_OK;
}

static json_t *make_json(const struct subject *subject)
{
	json_t *array = json_array();

	for (size_t i = 0; i < subject->view->datapath_count; i++) {
		const struct key_view keys = key_view(&subject->view->datapaths[i].control, subject->view->now_ns);

		json_array_append_new(array, keys_json(&subject->view->datapaths[i], &keys));
	}
	return json_pack("{s:o}", "keys", array);
}

static int show(const struct options *options)
{
	static const struct report report = { .text = print_text, .json = make_json };

	return report_run(&report, options, NULL);
}

/* ----------------------------------------------------------------------------------------------------------- rotate */

/* Returns why the daemon cannot rotate the keys; NULL: it can. */
static const char *cannot_rotate(const struct view *view, const struct shakeoff_control *control)
{
	uint64_t age_ns;

	if (control->flags & SHAKEOFF_ACCEPT_NEXT_EPOCH)
		return "the keys come from a key file: put a new key (`shakeoff key generate`) into the file of "
		       "every host; each host then uses it by itself";
	if (daemon_state(control, view->now_ns, &age_ns) != DAEMON_ALIVE)
		return "shakeoffd does not run, and only shakeoffd makes keys";
	return NULL;
}

/*
 * Asks the daemon through the control map, which this command has open anyway. So it needs no permission to send a
 * signal and no common PID namespace, cannot hit another process, and gets the reply the same way.
 */
static int rotate_one(const struct view_datapath *datapath)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000l };
	struct shakeoff_control *control = datapath_control(datapath->datapath);
	uint32_t mine = __atomic_add_fetch(&control->keys.rotations_asked, 1, __ATOMIC_ACQ_REL);
	uint64_t end_ns = clock_ns() + PATIENCE_NS;
	struct key_view keys;

	while ((int32_t)(__atomic_load_n(&control->keys.rotations_made, __ATOMIC_ACQUIRE) - mine) < 0) {
		if (clock_ns() > end_ns) {
			log_error("key rotate: shakeoffd has not answered, it may be busy: see `shakeoff key show`");
			return STATUS_FAILURE;
		}
		nanosleep(&pause, NULL);
	}
	keys = key_view(control, clock_ns());
	printf("%s: new random keys from epoch %" PRIu32 " on; the present epoch, %" PRIu32 ", ends in %" PRIu64 " s\n",
	       datapath->interfaces, control->keys.rotated_from, keys.epoch,
	       (keys.remaining_ns + NS_PER_S - 1) / NS_PER_S);
	return STATUS_OK;
}

static int rotate_all(const struct subject *subject)
{
	const char *why = NULL;
	int status = STATUS_OK;

	for (size_t i = 0; i < subject->view->datapath_count && !why; i++)
		why = cannot_rotate(subject->view, &subject->view->datapaths[i].control);
	if (why) {
		log_error("%s: %s", subject->options->command->name, why);
		return STATUS_FAILURE;
	}
	for (size_t i = 0; i < subject->view->datapath_count && !status; i++)
		status = rotate_one(&subject->view->datapaths[i]);
	return status;
}

static int rotate(const struct options *options)
{
	static const struct report report = { .text = rotate_all };

	return report_run(&report, options, NULL);
}

/* --------------------------------------------------------------------------------------------------------- generate */

/* Writes without stdio, whose buffer would keep the key. */
static int write_all(const char *text, size_t length)
{
	while (length) {
		ssize_t written = write(STDOUT_FILENO, text, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		text += written;
		length -= written;
	}
	return 0;
}

static int generate(const struct options *options)
{
	unsigned char master[crypto_kdf_KEYBYTES];
	char digits[2 * sizeof(master) + 1];
	int error;

	(void)options;
	if (sodium_init() < 0) {
		log_error("key generate: this system provides no random numbers");
		return STATUS_FAILURE;
	}
	randombytes_buf(master, sizeof(master));
	sodium_bin2hex(digits, sizeof(digits), master, sizeof(master));
	sodium_memzero(master, sizeof(master));
	digits[sizeof(digits) - 1] = '\n';
	error = write_all(digits, sizeof(digits));
	sodium_memzero(digits, sizeof(digits));
	if (!error)
		return STATUS_OK;
	log_error("key generate: cannot write the key: %s", strerror(-error));
	return STATUS_FAILURE;
}

/* ---------------------------------------------------------------------------------------------------------- actions */

static const struct command key_show = {
	.name = "key show",
	.arguments = "[--json]",
	.summary = "Show the epoch, where the keys come from, and which are loaded",
	.help = "An epoch is 64 s, and has a key of its own. For a key file the fingerprint is shown, never the\n"
		"key. It is the same on all hosts that share the file.\n",
	.options = OPTION_JSON,
	.run = show,
};

static const struct command key_rotate = {
	.name = "key rotate",
	.arguments = "",
	.summary = "Make new random keys for all epochs that have not begun",
	.help = "Do this if the old keys have become known. Cookies of the old keys stay valid for at most 128 s.\n"
		"Keys from a key file change with the file.\n",
	.run = rotate,
};

static const struct command key_generate = {
	.name = "key generate",
	.arguments = "",
	.summary = "Print a new key for a key file",
	.help = "(umask 077; shakeoff key generate >/etc/shakeoff.key)\n"
		"All hosts of a fleet have the same file. Name it with `key-file = /etc/shakeoff.key` in\n"
		"[daemon].\n",
	.run = generate,
};

static const struct command *const actions[] = { &key_show, &key_rotate, &key_generate, NULL };

const struct command command_key = {
	.name = "key",
	.arguments = "show [--json] | rotate | generate",
	.summary = "Show or rotate the keys of the cookies; make a key for a key file",
	.help = "",
	.actions = actions,
};

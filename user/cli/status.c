/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "cli/output.h"
#include "cli/status.h"

const char *status_owner_name(const struct datapath_attachment *attachment)
{
	enum datapath_owner owner;

	if (!attachment->ours)
		return "foreign";
	if (datapath_owner(attachment->ifname, &owner))
		return "?";
	return owner == DATAPATH_OWNER_DAEMON ? "shakeoffd" :
	       owner == DATAPATH_OWNER_ATTACH ? "shakeoff attach" :
						"netlink";
}

static bool is_other_version(const struct datapath_attachment *attachment)
{
	return attachment->ours && attachment->abi != SHAKEOFF_ABI;
}

uint32_t status_epoch(const struct view *view, const struct view_datapath *datapath)
{
	return (view->now_ns + datapath->control.epoch_offset_ns) / SHAKEOFF_EPOCH_NS;
}

uint64_t status_uptime_ns(const struct view *view, const struct view_datapath *datapath)
{
	uint64_t started = datapath->control.started_ns;

	return started && view->now_ns > started ? view->now_ns - started : 0;
}

/* --------------------------------------------------------------------------------------- people: interfaces, daemon */

static void add_interface(struct table *table, const struct datapath_attachment *attachment,
			  enum interface_obstacle obstacle)
{
	bool ours = attachment->ours;

	table_cell(table, "%s", attachment->ifname);
	table_cell(table, "%s", attachment->native ? "native" : "generic");
	table_cell_coloured(table, ours ? COLOUR_NONE : COLOUR_WARN, "%s", status_owner_name(attachment));
	table_cell(table, "%" PRIu32, attachment->mtu);
	table_cell(table, "%" PRIu32, attachment->prog_id);
	if (attachment->admit_id)
		table_cell(table, "%" PRIu32, attachment->admit_id);
	else
		table_cell(table, "-");
	if (ours && !is_other_version(attachment))
		table_cell_coloured(table, obstacle ? COLOUR_WARN : COLOUR_GOOD, "%s", obstacle_column(obstacle));
	else
		table_cell(table, "-");
	if (is_other_version(attachment))
		table_cell_coloured(table, COLOUR_BAD, "%s (of another version: ABI %d)", attachment->prog_name,
				    attachment->abi);
	else
		table_cell(table, "%s", attachment->prog_name);
}

static void print_interfaces(const struct subject *subject)
{
	static const char *const headings[] = { "Interface", "Mode",       "Attached by", ">MTU", ">XDP id",
						">Tc id",    "Tc program", "Name",        NULL };
	const char *ifname = subject->options->ifname;
	const struct view *view = subject->view;
	struct table *table = table_new(headings);

	for (size_t i = 0; i < view->attachment_count; i++)
		if (!ifname || !strcmp(ifname, view->attachments[i].ifname))
			add_interface(table, &view->attachments[i], view->obstacles[i]);
	table_print(table, stdout);
}

/* Prints sentences about interfaces that do not work as they seem to. */
static void print_devices(const struct view *view, const char *ifname)
{
	for (size_t i = 0; i < view->attachment_count; i++) {
		const struct datapath_attachment *attachment = &view->attachments[i];
		const struct link_entry *device = topology_find(&view->topology, attachment->ifindex);
		enum interface_obstacle obstacle = view->obstacles[i];
		char sentence[DEVICE_SENTENCE];

		if (!attachment->ours || is_other_version(attachment) || !device ||
		    (ifname && strcmp(ifname, attachment->ifname)))
			continue;
		if (obstacle)
			printf("%s: %s\n", attachment->ifname, obstacle_table[obstacle].help);
		if (device_hides_tags(&view->topology, device, sentence, sizeof(sentence)))
			printf("%s\n", sentence);
		if (device_has_open_sibling(&view->topology, device, sentence, sizeof(sentence)))
			printf("%s\n", sentence);
	}
}

static void print_daemon(const struct view *view, const struct view_datapath *datapath)
{
	char age[TEXT_DURATION], uptime[TEXT_DURATION];
	uint64_t age_ns;

	print_coloured(COLOUR_BOLD, "Daemon");
	printf("   ");
	switch (daemon_state(&datapath->control, view->now_ns, &age_ns)) {
	case DAEMON_NEVER:
		print_coloured(COLOUR_BAD, "not running");
		printf(": nothing is answered\n");
		break;
	case DAEMON_ALIVE:
		text_duration(status_uptime_ns(view, datapath), uptime, sizeof(uptime));
		text_duration(age_ns, age, sizeof(age));
		print_coloured(COLOUR_GOOD, "alive");
		printf(", pid %" PRIu32 ", up %s, last heartbeat %s ago\n", datapath->control.daemon_pid, uptime, age);
		break;
	case DAEMON_DEAD:
		text_duration(age_ns, age, sizeof(age));
		print_coloured(COLOUR_BAD, "dead");
		printf(", no heartbeat for %s, pid was %" PRIu32 "\n", age, datapath->control.daemon_pid);
		break;
	}
	print_coloured(COLOUR_BOLD, "Cookies");
	printf("  %s, epoch %" PRIu32 "\n",
	       datapath->control.flags & SHAKEOFF_KEYS_LOADED ? "keys loaded" : "no keys: nothing is answered",
	       status_epoch(view, datapath));
}

static void print_shortfalls(const struct shortfalls *shortfalls)
{
	char sentence[SHORTFALL_SENTENCE];

	if (!shortfalls->count)
		return;
	printf("\n");
	print_coloured(COLOUR_BAD, "Protection is less than configured:");
	printf("\n");
	for (size_t i = 0; i < shortfalls->count; i++) {
		shortfall_sentence(&shortfalls->list[i], sentence, sizeof(sentence));
		printf("  %s\n", sentence);
	}
}

static int print_text(const struct subject *subject)
{
	const struct options *options = subject->options;
	const struct view *view = subject->view;
	int error = 0;

	print_interfaces(subject);
	print_devices(view, options->ifname);
	for (size_t i = 0; i < view->datapath_count && !error; i++) {
		const struct view_datapath *datapath = &view->datapaths[i];

		printf("\n");
		if (view->datapath_count > 1) {
			print_coloured(COLOUR_BOLD, "Datapath of %s", datapath->interfaces);
			printf("\n");
		}
		print_daemon(view, datapath);
		error = status_print_services(view, datapath, options->all);
	}
	if (error)
		return command_fail(options->command->name, NULL, error);
	print_shortfalls(subject->data);
	return STATUS_OK;
}

/* Prints foreign programs on interfaces without a program of shakeoff. */
static void print_others(const struct subject *subject)
{
	if (subject->view->attachment_count && !subject->options->ifname)
		print_interfaces(subject);
}

static int find_shortfalls(const struct subject *subject)
{
	return shortfalls_find(subject->view, subject->options->ifname, subject->data);
}

static int status(const struct options *options)
{
	static const struct report report = { find_shortfalls, print_text, status_json, print_others };
	struct shortfalls shortfalls = { 0 };
	int result = report_run(&report, options, &shortfalls);

	if (!result && shortfalls.count)
		result = STATUS_FAILURE;
	free(shortfalls.list);
	return result;
}

const struct command command_status = {
	.name = "status",
	.arguments = "[--all] [--json] [--bpffs DIR] [IFACE]",
	.summary = "Show interfaces, the daemon and the services",
	.help = "Reads the maps of what is attached: the daemon need not run. Foreign XDP programs are listed as\n"
		"such.\n"
		"\n"
		"What a service's state means:\n"
		"  idle                no flood: the kernel makes the handshakes; since the last flood, if any\n"
		"  active              the hook answers SYNs with cookies: since a flood began, or always\n"
		"  dropping out-of-state segments\n"
		"                      idle, but too many segments belong to no connection: they are dropped\n"
		"  bypassed            only the kernel can make its handshakes: every SYN passes\n"
		"  no server           no server listens: its packets pass to the kernel\n"
		"  not protected       the hook answers none of its SYNs: see Reason\n"
		"  no room             the hook's table of addresses is full\n"
		"  no address          no address of this host belongs to it\n"
		"  waiting for a server, waiting for keys, no tc program, daemon down\n"
		"\n"
		"Services in a flood come first, idle ones last, and configured services before discovered ones.\n"
		"Without --all at most 50 are listed. Tc program: whether it works and gives connections to\n"
		"listening sockets.\n"
		"\n"
		"Exit status: 0: everything is as configured; 1: protection is less than configured, or nothing\n"
		"is attached, for a reason in the last lines: the daemon does not run or hangs, there are no\n"
		"keys, the firewall's rules cannot be read, an interface of the configuration is missing, a\n"
		"program is missing or of another version, another tc program runs before shakeoff's, or\n"
		"validated ACKs do not reach it; 2: wrong arguments. Bypassed services are no shortfall. With\n"
		"--json: as_configured, shortfalls.\n",
	.options = OPTION_ALL | OPTION_JSON | OPTION_BPFFS | OPTION_INTERFACE,
	.run = status,
};

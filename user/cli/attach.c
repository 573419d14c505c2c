/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "acl/store.h"
#include "common/device.h"
#include "acl/lock.h"
#include "common/log.h"
#include "cli/command.h"
#include "cli/view.h"

static const char *mode_name(bool native)
{
	return native ? "native" : "generic";
}

/* Returns whether the present program already is what is asked for. */
static bool is_as_wanted(const struct options *options, const struct datapath_attachment *present)
{
	bool mode_fits = options->mode == DATAPATH_MODE_AUTO ||
			 (options->mode == DATAPATH_MODE_NATIVE) == present->native;

	if (!present->ours)
		log_error("attach: %s has an XDP program that is not shakeoff's (%s, id %u): --replace replaces it",
			  present->ifname, present->prog_name, present->prog_id);
	else if (present->abi != SHAKEOFF_ABI)
		log_error("attach: %s has the program of another version of shakeoff (ABI %d, this is %d): --replace "
			  "replaces it",
			  present->ifname, present->abi, SHAKEOFF_ABI);
	else if (!mode_fits)
		log_error("attach: %s has shakeoff in %s mode: --replace attaches it again", present->ifname,
			  mode_name(present->native));
	return present->ours && present->abi == SHAKEOFF_ABI && mode_fits;
}

/*
 * Finds or loads a datapath. Interfaces of a network namespace share it: a service has one accept queue, and the final
 * ACK may come in at another interface than the SYN. So a program that is attached already, here or on another
 * interface, is used again.
 */
static int find_or_load(const char *ifname, struct datapath **datapath)
{
	cleanup_free struct datapath_attachment *list = NULL;
	const struct datapath_attachment *other = NULL;
	size_t count;
	int result;

	result = datapath_list(&list, &count);
	if (result)
		return result;
	for (size_t i = 0; i < count; i++)
		if (list[i].ours && list[i].abi == SHAKEOFF_ABI && (!other || !strcmp(list[i].ifname, ifname)))
			other = &list[i];
	return other ? datapath_open(other, datapath) : datapath_load(datapath);
}

static int fail_load(const struct options *options, int error)
{
	const char *detail = datapath_detail();

	if (error == -EPERM || error == -ENOSYS || error == -EPROTO)
		return command_fail("attach", options->ifname, error);
	log_error("attach: the kernel refuses the program (%s)%s%s", strerror(-error), *detail ? ": " : "", detail);
	return STATUS_FAILURE;
}

static int fail_attach(const struct options *options, int error)
{
	const char *detail = datapath_detail();

	switch (-error) {
	case EOPNOTSUPP:
	case ERANGE:
	case EINVAL:
		if (options->mode == DATAPATH_MODE_GENERIC)
			break;
		log_error("attach: %s: its driver refuses XDP in native mode (%s%s%s): try a smaller MTU, or --mode "
			  "generic",
			  options->ifname, strerror(-error), *detail ? ": " : "", detail);
		return STATUS_FAILURE;
	case EBUSY:
		log_error(
			"attach: %s: the interface is part of another that has an XDP program, or another program took "
			"the hook in the meantime%s%s",
			options->ifname, *detail ? ": " : "", detail);
		return STATUS_FAILURE;
	case ENOTDIR:
		log_error("attach: %s: the link cannot be pinned: %s", options->ifname, detail);
		return STATUS_FAILURE;
	}
	return command_fail("attach", options->ifname, error);
}

/* Attaches the missing tc program: `ip link` attaches the XDP program alone. */
static void complete(struct datapath *datapath, struct datapath_attachment *present)
{
	const char *detail;
	int error;

	if (present->admit_id || !datapath_can_admit())
		return;
	error = datapath_admit_attach(datapath, present->ifname, DATAPATH_OWNER_ATTACH);
	if (!error)
		error = datapath_look(present->ifname, present);
	if (!error)
		return;
	detail = datapath_detail();
	log_warn("attach: %s: the tc program cannot be attached, so listening sockets are bypassed: %s%s%s",
		 present->ifname, strerror(-error), *detail ? ": " : "", detail);
}

/* Restores the ACL that an earlier daemon kept for the next program. */
static void take_up_acl(struct datapath *datapath)
{
	cleanup_fd int lock = -1;
	int result = acl_lock(ACL_LOCK_PATIENCE_MS, &lock);

	if (!result)
		result = datapath_acl_restore(datapath);
	if (result < 0)
		log_warn("attach: the ACL of the last daemon is lost: %s", strerror(-result));
}

static void report_attached(const struct datapath_attachment *present, const char *how)
{
	printf("%s: %s in %s mode (program %u", present->ifname, how, mode_name(present->native), present->prog_id);
	if (present->admit_id)
		printf(", tc program %u", present->admit_id);
	printf(")\n");
	if (!datapath_can_admit())
		printf("%s: only servers under libshakeoff-preload.so are protected here: this kernel cannot give "
		       "connections to listening sockets (no bpf_sk_assign_tcp_reqsk: Linux 6.9 has it)\n",
		       present->ifname);
}

static void notify_daemon(struct datapath *datapath)
{
	uint64_t age_ns;

	if (daemon_state(datapath_control(datapath), clock_ns(), &age_ns) == DAEMON_ALIVE)
		return;
	if (datapath_can_admit())
		printf("No daemon is running: start `shakeoffd`, which needs no configuration.\n");
	else
		printf("No daemon is running: start `shakeoffd --config FILE`.\n");
}

/* Checks before any change whether the device can be served at all. */
static int check_device(const char *ifname)
{
	struct topology topology = { 0 };
	char sentence[DEVICE_SENTENCE];
	int error = topology_read(&topology), status = STATUS_OK;

	for (size_t i = 0; i < topology.count && !error; i++) {
		if (strcmp(topology.list[i].name, ifname) ||
		    !device_refuses(&topology, &topology.list[i], sentence, sizeof(sentence)))
			continue;
		log_error("attach: %s", sentence);
		status = STATUS_FAILURE;
	}
	topology_free(&topology);
	return error ? command_fail("attach", ifname, error) : status;
}

/* Warns if the device is served, but less than the reader may expect. */
static void warn_of_device(const char *ifname)
{
	struct topology topology = { 0 };
	char sentence[DEVICE_SENTENCE];
	const struct link_entry *master;

	if (topology_read(&topology))
		return;
	for (size_t i = 0; i < topology.count; i++) {
		const struct link_entry *device = &topology.list[i];

		if (strcmp(device->name, ifname))
			continue;
		master = topology_find(&topology, device->master);
		if (device->in_vrf && master)
			log_warn("attach: %s belongs to the VRF %s: listening servers are bypassed there, because the "
				 "kernel looks up their sockets for the VRF",
				 ifname, master->name);
		if (device_hides_tags(&topology, device, sentence, sizeof(sentence)))
			log_warn("attach: %s", sentence);
		if (device_has_open_sibling(&topology, device, sentence, sizeof(sentence)))
			log_warn("attach: %s", sentence);
	}
	topology_free(&topology);
}

static int attach(const struct options *options)
{
	struct datapath_attachment present;
	struct datapath *datapath;
	bool there;
	int result;

	if (!privileges_suffice("attach"))
		return STATUS_FAILURE;
	result = datapath_look(options->ifname, &present);
	if (result && result != -ENOENT)
		return command_fail("attach", options->ifname, result);
	if (check_device(options->ifname))
		return STATUS_FAILURE;
	there = !result && !options->replace;
	if (there && !is_as_wanted(options, &present))
		return STATUS_FAILURE;

	result = find_or_load(options->ifname, &datapath);
	if (result)
		return fail_load(options, result);
	if (there)
		complete(datapath, &present);
	else
		result = datapath_attach(datapath, options->ifname, options->mode, DATAPATH_OWNER_ATTACH,
					 options->replace);
	if (!result && !there)
		result = datapath_look(options->ifname, &present);
	if (!result) {
		take_up_acl(datapath);
		report_attached(&present, there ? "already attached" : "attached");
		warn_of_device(options->ifname);
		notify_daemon(datapath);
	}
	datapath_close(datapath);
	return result ? fail_attach(options, result) : STATUS_OK;
}

const struct command command_attach = {
	.name = "attach",
	.arguments = "IFACE [--mode MODE] [--replace] [--bpffs DIR]",
	.summary = "Attach the handshake offload to an interface",
	.help = "Until shakeoffd runs, all packets pass untouched. A running shakeoffd uses the interface by\n"
		"itself if its configuration names this interface or none. Interfaces of a network namespace\n"
		"share services and counters. --replace keeps both if it replaces shakeoff itself.\n",
	.options = OPTION_MODE | OPTION_REPLACE | OPTION_BPFFS | OPTION_INTERFACE | OPTION_INTERFACE_NEEDED,
	.run = attach,
};

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "shakeoff/command.h"

static const char *mode_name(bool native)
{
	return native ? "native" : "generic";
}

/* What is there already. Returns true when that is all there is to say. */
static bool already_attached(const struct options *options, const struct datapath_attachment *present, int *status)
{
	bool wanted = options->mode == DATAPATH_MODE_AUTO || (options->mode == DATAPATH_MODE_NATIVE) == present->native;

	if (options->replace)
		return false;
	*status = STATUS_FAILURE;
	if (!present->ours) {
		log_error("attach: %s has an XDP program that is not shakeoff's (%s, id %u): --replace replaces it",
			  present->ifname, present->prog_name, present->prog_id);
	} else if (present->abi != SHAKEOFF_ABI) {
		log_error(
			"attach: %s has the program of another version of shakeoff (ABI %d, this is %d): --replace replaces it",
			present->ifname, present->abi, SHAKEOFF_ABI);
	} else if (!wanted) {
		log_error("attach: %s has shakeoff in %s mode: --replace attaches it anew", present->ifname,
			  mode_name(present->native));
	} else {
		printf("%s: already attached in %s mode (program %u)\n", present->ifname, mode_name(present->native),
		       present->prog_id);
		*status = STATUS_OK;
	}
	return true;
}

/*
 * Interfaces of a network namespace share one datapath: a service has one accept queue, and the final ACK may come in by
 * another interface than the SYN. So a program that is there already, here or on another interface, is used again.
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
		log_error(
			"attach: %s: its driver refuses XDP in native mode (%s%s%s): try a smaller MTU, or --mode generic",
			options->ifname, strerror(-error), *detail ? ": " : "", detail);
		return STATUS_FAILURE;
	case EBUSY:
		log_error(
			"attach: %s: the interface is part of another that has an XDP program, or another program took the hook "
			"in the meantime%s%s",
			options->ifname, *detail ? ": " : "", detail);
		return STATUS_FAILURE;
	case ENOTDIR:
		log_error("attach: %s: the link cannot be pinned: %s", options->ifname, detail);
		return STATUS_FAILURE;
	}
	return command_fail("attach", options->ifname, error);
}

static int attach(const struct options *options)
{
	struct datapath_attachment present;
	struct datapath *datapath;
	int result, status;

	if (!privileges_suffice("attach"))
		return STATUS_FAILURE;
	result = datapath_look(options->ifname, &present);
	if (!result && already_attached(options, &present, &status))
		return status;
	if (result && result != -ENOENT)
		return command_fail("attach", options->ifname, result);

	result = find_or_load(options->ifname, &datapath);
	if (result)
		return fail_load(options, result);
	result = datapath_attach(datapath, options->ifname, options->mode, DATAPATH_OWNER_ATTACH, options->replace);
	datapath_close(datapath);
	if (!result)
		result = datapath_look(options->ifname, &present);
	if (result)
		return fail_attach(options, result);
	printf("%s: attached in %s mode (program %u)\n", present.ifname, mode_name(present.native), present.prog_id);
	return STATUS_OK;
}

const struct command command_attach = {
	.name = "attach",
	.arguments = "IFACE [--mode MODE] [--replace] [--bpffs DIR]",
	.summary = "Attach the handshake offload to an interface",
	.help = "Until shakeoffd has published a service, all packets pass untouched. Interfaces of one network\n"
		"namespace share services and counters. --replace keeps both when shakeoff itself is there.\n",
	.options = OPTION_MODE | OPTION_REPLACE | OPTION_BPFFS | OPTION_INTERFACE | OPTION_INTERFACE_NEEDED,
	.run = attach,
};

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>

#include "common/log.h"
#include "cli/command.h"

static int detach(const struct options *options)
{
	struct datapath_attachment present;
	int result;

	if (!privileges_suffice("detach"))
		return STATUS_FAILURE;
	result = datapath_look(options->ifname, &present);
	if (!result)
		result = datapath_detach(options->ifname);
	switch (result) {
	case 0: printf("%s: detached (program %u)\n", options->ifname, present.prog_id); return STATUS_OK;
	case -ENOENT: log_error("detach: %s has no XDP program", options->ifname); return STATUS_FAILURE;
	case -EEXIST:
		log_error("detach: %s has an XDP program that is not shakeoff's (%s, id %u): it stays", options->ifname,
			  present.prog_name, present.prog_id);
		return STATUS_FAILURE;
	}
	return command_fail("detach", options->ifname, result);
}

const struct command command_detach = {
	.name = "detach",
	.arguments = "IFACE [--bpffs DIR]",
	.summary = "Detach the handshake offload from an interface",
	.help = "No matter how it was attached: by attach, by shakeoffd or by `ip link`. Existing connections go\n"
		"on; the kernel answers SYNs itself again. Foreign programs stay.\n",
	.options = OPTION_BPFFS | OPTION_INTERFACE | OPTION_INTERFACE_NEEDED,
	.run = detach,
};

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* shakeoffd: prepares the process and runs the daemon. daemon.c has the stages and their order. */
#include <signal.h>

#include "common/log.h"
#include "shakeoffd/daemon.h"
#include "shakeoffd/options.h"
#include "shakeoffd/queue/descriptor.h"

int main(int argc, char **argv)
{
	struct options options;
	int status;

	log_open("shakeoffd", 0);
	options_parse(&options, argc, argv);
	log_open("shakeoffd", options.verbose);
	signal(SIGPIPE, SIG_IGN);
	descriptor_raise_limit();
	status = daemon_run(&options);
	options_free(&options);
	log_stop();
	return status;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The arguments of shakeoffd. */
#ifndef SHAKEOFFD_OPTIONS_H
#define SHAKEOFFD_OPTIONS_H

#include <net/if.h>
#include <stddef.h>

struct options {
	const char *config; /* NULL: no file */
	char (*interfaces)[IFNAMSIZ];
	size_t interface_count;
	const char *run_dir;
	const char *bpffs;    /* NULL: the default */
	unsigned int workers; /* 0: one for each CPU */
	int verbose;
};

/* Reads the arguments. Ends the process if they ask for it (--help, --check and so on) or are wrong. */
void options_parse(struct options *options, int argc, char **argv);
void options_free(struct options *options);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/version.h"
#include "config/config.h"
#include <shakeoff/abi.h>
#include <shakeoff/shakeoff.h>
#include "shakeoffd/options.h"

static const char usage[] =
	"Usage: shakeoffd [--config FILE] [--interface IFACE]... [--run-dir DIR] [--bpffs DIR] [--workers N]\n"
	"                 [--verbose]\n"
	"       shakeoffd --check FILE | --help-config[=mdoc|example]\n"
	"\n"
	"Finds the servers that listen on this host and lets shakeoff's XDP program answer for them, and hands\n"
	"connections to those that are preloaded. Runs in the foreground; SIGTERM and SIGINT stop it.\n"
	"\n"
	"  --config FILE      interfaces and services; without it every server that listens is a service\n"
	"  --interface IFACE  protect this interface, beside those of the file; may be repeated. Where none is named,\n"
	"                     every interface that has the program (`shakeoff attach IFACE`) is protected\n"
	"  --run-dir DIR      where preloaded servers find it (default " SHAKEOFF_RUN_DIR_DEFAULT ")\n"
	"  --bpffs DIR        where attached programs are pinned (default /sys/fs/bpf/shakeoff/INODE-OF-THE-NETNS)\n"
	"  --workers N        threads that complete connections (default: one for each CPU that it may run on)\n"
	"  --verbose          also log what only matters when something is wrong\n"
	"  --check FILE       check a configuration file and exit: status 0, or 1 with the first error\n"
	"  --help-config      print every key of the file by section with range, default and help; =mdoc: the body of\n"
	"                     shakeoff.conf(5); =example: a file with all of them as comments\n"
	"  --help, --version\n";

static unsigned int parse_workers(const char *text)
{
	char *end;
	long workers = strtol(text, &end, 10);

	if (*text && !*end && workers >= 1 && workers <= SHAKEOFF_MAX_RINGS)
		return (unsigned int)workers;
	log_error("--workers %s: a number from 1 to %d is allowed", text, SHAKEOFF_MAX_RINGS);
	exit(EXIT_FAILURE);
}

static void parse_interface(const char *name, struct options *options)
{
	void *larger = reallocarray(options->interfaces, options->interface_count + 1, IFNAMSIZ);
	size_t length = strlen(name);

	if (!length || length >= IFNAMSIZ)
		log_error("--interface %s: the name of an interface has 1 to %d characters", name, IFNAMSIZ - 1);
	else if (!larger)
		log_error("--interface %s: %s", name, strerror(ENOMEM));
	if (!length || length >= IFNAMSIZ || !larger)
		exit(EXIT_FAILURE);
	options->interfaces = larger;
	memset(options->interfaces[options->interface_count], 0, IFNAMSIZ);
	memcpy(options->interfaces[options->interface_count++], name, length);
}

/* Only reads and checks a configuration file. Returns the exit status. */
static int check_file(const char *path)
{
	struct config config;
	char sentence[512];

	if (config_read(path, &config, sentence, sizeof(sentence))) {
		log_error("%s", sentence);
		return EXIT_FAILURE;
	}
	config_free(&config);
	printf("%s: configuration OK\n", path);
	return EXIT_SUCCESS;
}

/* Writes the configuration keys. name: mdoc or example; NULL: plain text. Returns the exit status. */
static int help_config(const char *name)
{
	enum config_form form = CONFIG_FORM_TEXT;

	if (name && !config_form_find(name, &form)) {
		log_error("--help-config=%s: mdoc or example is allowed", name);
		return EXIT_FAILURE;
	}
	config_help(stdout, form);
	return EXIT_SUCCESS;
}

void options_parse(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "interface", required_argument, NULL, 'i' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "bpffs", required_argument, NULL, 'b' },
		{ "workers", required_argument, NULL, 'w' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "check", required_argument, NULL, 'C' },
		{ "help-config", optional_argument, NULL, 'H' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int option;

	*options = (struct options){ .run_dir = SHAKEOFF_RUN_DIR_DEFAULT };
	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case 'c': options->config = optarg; break;
		case 'i': parse_interface(optarg, options); break;
		case 'r': options->run_dir = optarg; break;
		case 'b': options->bpffs = optarg; break;
		case 'w': options->workers = parse_workers(optarg); break;
		case 'v': options->verbose = 1; break;
		case 'C': exit(check_file(optarg));
		case 'H': exit(help_config(optarg));
		case 'h': fputs(usage, stdout); exit(EXIT_SUCCESS);
		case 'V': puts("shakeoffd " SHAKEOFF_VERSION); exit(EXIT_SUCCESS);
		default: fputs("shakeoffd --help lists the options.\n", stderr); exit(EXIT_FAILURE);
		}
	}
	if (optind == argc)
		return;
	log_error("%s: no such argument; shakeoffd --help lists them", argv[optind]);
	exit(EXIT_FAILURE);
}

void options_free(struct options *options)
{
	free(options->interfaces);
	*options = (struct options){ 0 };
}

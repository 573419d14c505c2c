/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Prepares the process before it uses the hook: the configuration, helper processes, directories. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/hook/broker.h"
#include "shakeoffd/stages.h"
#include "shakeoffd/sys/privilege.h"

int start_sysctls(struct daemon *daemon)
{
	sysctls_open(&daemon->sysctls);
	return 0;
}

void stop_sysctls(struct daemon *daemon)
{
	sysctls_close(&daemon->sysctls);
}

static bool has_interface(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->interface_count; i++)
		if (!strncmp(config->interfaces[i], name, IFNAMSIZ))
			return true;
	return false;
}

static int add_interfaces(struct config *config, const struct options *options)
{
	for (size_t i = 0; i < options->interface_count; i++) {
		void *larger = reallocarray(config->interfaces, config->interface_count + 1, IFNAMSIZ);

		if (!larger)
			return daemon_report("the interfaces could not be read", -ENOMEM);
		config->interfaces = larger;
		if (!has_interface(config, options->interfaces[i]))
			memcpy(config->interfaces[config->interface_count++], options->interfaces[i], IFNAMSIZ);
	}
	return 0;
}

int start_configuration(struct daemon *daemon)
{
	const struct options *options = daemon->options;
	char sentence[512];
	int error = 0;

	config_default(&daemon->config);
	if (options->config)
		error = config_read(options->config, &daemon->config, sentence, sizeof(sentence));
	if (error) {
		log_error("%s", sentence);
		return error;
	}
	return add_interfaces(&daemon->config, options);
}

void stop_configuration(struct daemon *daemon)
{
	config_free(&daemon->config);
}

int check_privileges(struct daemon *daemon)
{
	(void)daemon;
	return privilege_check();
}

int start_broker(struct daemon *daemon)
{
	(void)daemon;
	return broker_start();
}

void stop_broker(struct daemon *daemon)
{
	(void)daemon;
	broker_stop();
}

/* Checks that the kernel supports the handoffs in the configuration. */
int check_handoffs(struct daemon *daemon)
{
	const struct config *config = &daemon->config;

	for (size_t i = 0; i < config->service_count; i++) {
		if (config->services[i].handoff != SHAKEOFF_HANDOFF_LISTENER || datapath_can_admit())
			continue;
		log_error("service %s: handoff = listener needs Linux 6.9 or later (bpf_sk_assign_tcp_reqsk), and this "
			  "kernel is older: auto and queue work with a preloaded server",
			  config->services[i].name);
		return -EOPNOTSUPP;
	}
	return 0;
}

int start_rules_reader(struct daemon *daemon)
{
	int error = ruleset_reader_open(&daemon->ruleset);

	if (error)
		log_warn("the firewall's rules cannot be read, so services are bypassed (those with `syn-rules = "
			 "ignore` are not): %s",
			 strerror(-error));
	return 0;
}

void stop_rules_reader(struct daemon *daemon)
{
	ruleset_reader_close(daemon->ruleset);
}

int choose_bpffs(struct daemon *daemon)
{
	return daemon_report("--bpffs", datapath_set_bpffs(daemon->options->bpffs));
}

int start_run_dir(struct daemon *daemon)
{
	return run_dir_open(&daemon->run_dir, daemon->options->run_dir);
}

void stop_run_dir(struct daemon *daemon)
{
	run_dir_close(&daemon->run_dir);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Configures the hook before it is attached; attaches and detaches it. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/log.h"
#include "shakeoffd/follow.h"
#include "shakeoffd/hook/synack_profile.h"
#include "shakeoffd/hook/synack_rate.h"
#include "shakeoffd/stages.h"
#include "common/clock.h"

/* Makes the secret of a datapath once. A new daemon keeps the secret that running programs already use. */
static void make_secrets(struct shakeoff_control *control)
{
	uint32_t random;

	if (!control->metadata_secret && getrandom(&random, sizeof(random), 0) == sizeof(random))
		__atomic_store_n(&control->metadata_secret, random, __ATOMIC_RELAXED);
}

/* Writes the settings that hold for the whole hook. */
static void configure(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->interfaces.datapath_count; i++) {
		struct shakeoff_control *control = datapath_control(daemon->interfaces.datapaths[i]);

		make_secrets(control);
		if (daemon->config.answer == CONFIG_ANSWER_ROUTE)
			__atomic_fetch_or(&control->flags, SHAKEOFF_ANSWER_ROUTE, __ATOMIC_RELAXED);
		else
			__atomic_fetch_and(&control->flags, ~SHAKEOFF_ANSWER_ROUTE, __ATOMIC_RELAXED);
	}
}

int start_interfaces(struct daemon *daemon)
{
	struct interfaces *interfaces = &daemon->interfaces;
	int error;

	profile_learn(&daemon->sysctls);
	follow_devices(daemon, clock_ns());
	error = interfaces_open(interfaces, &daemon->config, &daemon->sysctls, &daemon->devices);
	if (!error)
		error = interfaces_profile(interfaces);
	if (!error)
		configure(daemon);
	return error;
}

void stop_interfaces(struct daemon *daemon)
{
	interfaces_close(&daemon->interfaces);
	devices_free(&daemon->devices);
}

int start_routes(struct daemon *daemon)
{
	return daemon_report("the routes could not be read",
			     routes_open(&daemon->routes, daemon->loop, &daemon->interfaces, &daemon->devices,
					 &daemon->sysctls, daemon->config.answer == CONFIG_ANSWER_ROUTE));
}

void stop_routes(struct daemon *daemon)
{
	routes_close(&daemon->routes);
}

int start_keys(struct daemon *daemon)
{
	const struct interfaces *interfaces = &daemon->interfaces;
	const struct keys_time keys_time = keys_now();
	char sentence[512];
	int error = keys_open(&daemon->keys, interfaces->datapaths, interfaces->datapath_count, daemon->config.key_file,
			      &keys_time, sentence, sizeof(sentence));

	if (error)
		log_error("%s", sentence);
	return error;
}

void stop_keys(struct daemon *daemon)
{
	keys_close(&daemon->keys);
}

int start_resend(struct daemon *daemon)
{
	return daemon_report("SYN-ACKs cannot be sent again",
			     half_open_open(&daemon->half_open, daemon->interfaces.datapaths,
					    daemon->interfaces.datapath_count, follow_synack_retries(daemon),
					    clock_ns()));
}

void stop_resend(struct daemon *daemon)
{
	half_open_close(&daemon->half_open);
}

int publish_reply_budget(struct daemon *daemon)
{
	return daemon_report("the reply budget could not be published to the hook",
			     reply_budget_publish(daemon->interfaces.datapaths, daemon->interfaces.datapath_count,
						  daemon->config.reply_budget));
}

int start_acl(struct daemon *daemon)
{
	return daemon_report("the lists could not be opened",
			     acl_keeper_open(&daemon->acl_keeper, daemon->interfaces.datapaths,
					     daemon->interfaces.datapath_count));
}

void stop_acl(struct daemon *daemon)
{
	acl_keeper_keep(&daemon->acl_keeper);
	acl_keeper_close(&daemon->acl_keeper);
}

int start_services(struct daemon *daemon)
{
	struct interfaces *interfaces = &daemon->interfaces;
	struct datapath **datapaths = interfaces->datapaths;
	size_t count = interfaces->datapath_count;
	int error;

	socket_filter_open(&daemon->filter, datapaths, count);
	error = service_ids_open(&daemon->service_ids, datapaths, count);
	if (!error)
		error = services_open(&daemon->services, &daemon->config, &daemon->service_ids);
	if (!error)
		error = addresses_open(&daemon->addresses, datapaths, count, &daemon->filter);
	return daemon_report("the services could not be published", error);
}

void stop_services(struct daemon *daemon)
{
	addresses_close(&daemon->addresses);
	services_close(&daemon->services);
	service_ids_close(&daemon->service_ids);
}

/*
 * Attaches to the kernel's input path. Connections of the queue handoff pass through it, and the kernel can give them
 * back at its end.
 */
int start_input(struct daemon *daemon)
{
	const struct interfaces *interfaces = &daemon->interfaces;

	for (size_t i = 0; i < interfaces->datapath_count; i++) {
		int error = datapath_input_attach(interfaces->datapaths[i]);

		if (!error)
			continue;
		datapath_input_detach(interfaces->datapaths[i]);
		if (!daemon->config.service_count)
			continue;
		log_warn("queue handoff: the firewall's input chain does not see final ACKs and first data, as the "
			 "netfilter program cannot be attached: %s%s%s",
			 error == -EOPNOTSUPP ? "it needs Linux 6.4 or later" : strerror(-error),
			 *datapath_detail() ? ": " : "", datapath_detail());
	}
	return 0;
}

void stop_input(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->interfaces.datapath_count; i++)
		datapath_input_detach(daemon->interfaces.datapaths[i]);
}

int start_hook(struct daemon *daemon)
{
	return interfaces_attach(&daemon->interfaces);
}

/*
 * Wipes the keys of programs that are no longer attached: their maps exist as long as a process has them open. Programs
 * that stay attached keep their keys for the next daemon.
 */
static void forget_keys(struct interfaces *interfaces)
{
	for (size_t i = 0; i < interfaces->datapath_count; i++) {
		bool stays = false;

		for (size_t k = 0; k < interfaces->count; k++)
			stays |= interfaces->list[k].ifindex && interfaces->list[k].datapath == i &&
				 !interfaces->list[k].detach;
		if (!stays && keys_forget(interfaces->datapaths[i]))
			log_warn("the cookie keys could not be wiped");
	}
}

void stop_hook(struct daemon *daemon)
{
	bool has_served = daemon->workers_running;

	/* A daemon that could not start detaches only what it attached itself. */
	interfaces_detach(&daemon->interfaces, !has_served);
	if (has_served)
		forget_keys(&daemon->interfaces);
}

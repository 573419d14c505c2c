/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/discovery/discovery_internal.h"

/* How often to check whether something was lost between the two programs, and how often when that seems so. */
#define SETTLE_PERIOD_NS NS_PER_S
#define SETTLE_WATCH_NS (200 * NS_PER_MS)

/* How often to try again what found no id or no room in a map. */
#define LOOK_AGAIN_NS (30 * NS_PER_S)
/* The same when room was made for it: by then the ids that were taken from others are free. */
#define LOOK_AGAIN_SOON_NS (AUTO_SERVICE_QUARANTINE_NS + 500 * NS_PER_MS)

/* ------------------------------------------------------------------------------------------------- what has changed */

void discovery_mark(struct discovery *discovery, uint16_t port)
{
	discovery->ports[port].dirty = true;
	discovery->dirty = true;
	/* A configured service has one handoff, so its ports depend on each other. */
	if (!discovery->recount && endpoints_configured(discovery->config, port))
		discovery->recount = true;
}

static void mark_all(struct discovery *discovery)
{
	for (size_t port = 0; port < PORTS; port++)
		discovery->ports[port].dirty = true;
	discovery->dirty = discovery->recount = true;
}

void discovery_mark_service(struct discovery *discovery, const struct config_service *service)
{
	for (size_t i = 0; i < service->listen_count; i++)
		discovery_mark(discovery, service->listen[i].port);
}

int discovery_devices_changed(struct discovery *discovery)
{
	bool changed = false;
	int error = upper_addresses_read(&discovery->upper, discovery->interfaces, &changed);

	if (changed)
		mark_all(discovery);
	return error;
}

int discovery_addresses_changed(struct discovery *discovery)
{
	struct own_addresses fresh = { 0 };
	int error = discovery_devices_changed(discovery);

	if (!error)
		error = own_addresses_read(&fresh);
	if (error)
		return error;
	if (own_addresses_equal(&fresh, &discovery->own)) {
		own_addresses_free(&fresh);
		return 0; /* for example, only a lifetime was prolonged */
	}
	own_addresses_free(&discovery->own);
	discovery->own = fresh;
	mark_all(discovery);
	return 0;
}

void discovery_policies_changed(struct discovery *discovery)
{
	mark_all(discovery);
	discovery->tests_changed = true;
}

void discovery_servers_changed(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->config->service_count; i++)
		discovery_mark_service(discovery, &discovery->config->services[i]);
}

void discovery_describe(struct discovery *discovery, struct listening_service *listening)
{
	listening_describe(listening, &discovery->host);
}

static void describe_all(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->configured_count; i++)
		discovery_describe(discovery, &discovery->configured[i]);
	for (struct auto_service *d = discovery->discovered.used.first; d; d = d->next)
		discovery_describe(discovery, &d->listening);
}

static void set_host(struct discovery *discovery, const struct discovery_host *host)
{
	discovery->discovered.roots_ports = host->roots_ports;
	discovery->host = (struct bypass_host){
		.cannot_admit = !host->can_admit,
		.no_cookies = !host->syncookies,
		.queue_unruled = !host->queue_passes_rules,
		.routes = { host->routes_bypassed[0], host->routes_bypassed[1] },
	};
}

void discovery_host_changed(struct discovery *discovery, const struct discovery_host *host)
{
	const struct bypass_host before = discovery->host;
	uint32_t roots_ports = discovery->discovered.roots_ports;

	set_host(discovery, host);
	if (discovery->host.no_cookies && !before.no_cookies)
		log_warn("listening sockets are bypassed: %s", bypass_help(SHAKEOFF_BYPASS_SYNCOOKIES));
	if (memcmp(discovery->host.routes, before.routes, sizeof(before.routes)) || roots_ports != host->roots_ports)
		mark_all(discovery);
	describe_all(discovery);
	discovery->tests_changed = true;
}

/* ------------------------------------------------------------------------------------------------- the whole update */

/* Takes ids from the users who have most, for services with priority. */
static void free_service_ids(struct discovery *discovery)
{
	const struct auto_service *evicted;

	while ((evicted = auto_services_evict(&discovery->discovered)))
		discovery_mark(discovery, evicted->listener->port);
}

int discovery_update(struct discovery *discovery, uint64_t now_ns)
{
	int error = 0;

	if (discovery->recount) {
		discovery->recount = false;
		discovery_recount(discovery, now_ns);
	}
	if (discovery->dirty) {
		discovery->dirty = discovery->pending = false;
		addresses_begin(discovery->addresses);
		for (size_t port = 0; port < PORTS && !error; port++)
			if (discovery->ports[port].dirty)
				error = discovery_resolve(discovery, (uint16_t)port, now_ns);
		if (!error)
			error = addresses_end(discovery->addresses);
		discovery_change_to_queue(discovery);
		free_service_ids(discovery);
		auto_services_report(&discovery->discovered);
	}
	if (error) {
		mark_all(discovery);
		return error;
	}
	if (discovery->tests_changed || discovery->rules_answered) {
		bool changed = discovery->tests_changed;

		discovery->tests_changed = discovery->rules_answered = false;
		if (discovery->selftest)
			error = discovery_request_tests(discovery);
		if (!error && changed && discovery->obeys_rules)
			error = discovery_request_rules(discovery);
		discovery_apply_results(discovery);
	}
	return error;
}

static void look_again(struct discovery *discovery)
{
	bool service_ids = auto_services_look_again(&discovery->discovered);
	bool addresses = addresses_look_again(discovery->addresses);

	if (service_ids || addresses)
		mark_all(discovery);
}

static void settle(struct discovery *discovery, uint64_t now_ns)
{
	bool watched = false;

	if (now_ns < discovery->settle_ns)
		return;
	for (size_t i = 0; i < discovery->configured_count; i++)
		watched |= service_settle_listening(discovery->configured[i].service, now_ns);
	for (struct auto_service *d = discovery->discovered.used.first; d; d = d->next)
		watched |= service_settle_listening(&d->service, now_ns);
	discovery->settle_ns = now_ns + (watched ? SETTLE_WATCH_NS : SETTLE_PERIOD_NS);
}

int discovery_tick(struct discovery *discovery, uint64_t now_ns)
{
	int error = 0;

	discovery->dirty |= discovery->pending;
	if (discovery->withdraw_ns && now_ns >= discovery->withdraw_ns) {
		discovery->withdraw_ns = 0;
		discovery_servers_changed(discovery);
	}
	settle(discovery, now_ns);
	if (now_ns - discovery->looked_ns >=
	    (auto_services_is_awaited(&discovery->discovered) ? LOOK_AGAIN_SOON_NS : LOOK_AGAIN_NS)) {
		discovery->looked_ns = now_ns;
		look_again(discovery);
	}
	if (discovery->follows && listener_scan_is_due(&discovery->scan, now_ns)) {
		error = discovery_begin_look(discovery, now_ns);
		auto_services_expire(&discovery->discovered, now_ns);
	}
	return error;
}

void discovery_take_results(struct discovery *discovery)
{
	bool tested = discovery->selftest && selftest_take_change(discovery->selftest);

	bool answered = ruleset_reader_take_answers(discovery->ruleset);

	if (!answered && !tested)
		return;
	discovery->rules_answered |= answered; /* they decide which endpoints may be probed */
	discovery_apply_results(discovery);
	discovery->dirty |= discovery->pending;
}

bool discovery_is_pending(const struct discovery *discovery)
{
	return discovery->dirty || discovery->pending;
}

size_t discovery_count(const struct discovery *discovery)
{
	return discovery->discovered.used.length;
}

/* --------------------------------------------------------------------------------------------------- open and close */

/* Returns whether `user =` of a service at this port names this user. */
static bool names_user(const void *context, uint16_t port, uint32_t uid)
{
	const struct config *config = context;

	for (size_t s = 0; s < config->service_count; s++)
		for (size_t l = 0; l < config->services[s].listen_count; l++)
			if (config->services[s].listen[l].port == port && config->services[s].has_user &&
			    config->services[s].user == uid)
				return true;
	return false;
}

int discovery_open(struct discovery *discovery, const struct config *config, const struct services *services,
		   const struct discovery_servers *servers, struct service_ids *service_ids,
		   struct addresses *addresses, const struct interfaces *interfaces, const struct discovery_host *host)
{
	int error;

	*discovery = (struct discovery){
		.config = config,
		.servers = *servers,
		.configured_count = services->count,
		.addresses = addresses,
		.interfaces = interfaces,
		.configured = calloc(services->count + 1, sizeof(*discovery->configured)),
		.ports = calloc(PORTS, sizeof(*discovery->ports)),
	};
	discovery->follows = config->discover;
	for (size_t i = 0; i < config->service_count; i++)
		discovery->follows |= config->services[i].handoff != SHAKEOFF_HANDOFF_QUEUE;
	error = discovery->configured && discovery->ports ? listeners_open(&discovery->listeners) : -ENOMEM;
	if (error)
		return error;
	discovery->listeners.names = names_user;
	discovery->listeners.names_context = config;
	auto_services_open(&discovery->discovered, &config->discovered, service_ids, &discovery->listeners,
			   &discovery->host, config->service_count);
	set_host(discovery, host);
	for (size_t i = 0; i < services->count; i++)
		discovery->configured[i].service = &services->list[i];
	mark_all(discovery);
	error = own_addresses_read(&discovery->own);
	if (!error)
		error = discovery_devices_changed(discovery);
	if (!error)
		error = listener_scan_open(&discovery->scan);
	if (!error && discovery->follows)
		error = discovery_begin_look(discovery, clock_ns());
	if (!error && discovery->follows)
		error = discovery_take_look(discovery);
	return error;
}

int discovery_start(struct discovery *discovery, struct event_loop *loop)
{
	return discovery->follows ? listener_scan_start(&discovery->scan, loop) : 0;
}

void discovery_close(struct discovery *discovery)
{
	listener_scan_close(&discovery->scan);
	auto_services_close(&discovery->discovered);
	for (size_t port = 0; port < PORTS && discovery->ports; port++)
		free(discovery->ports[port].list);
	free(discovery->ports);
	free(discovery->configured);
	listeners_close(&discovery->listeners);
	own_addresses_free(&discovery->own);
	upper_addresses_free(&discovery->upper);
	endpoints_free(&discovery->endpoints);
	free(discovery->list);
	discovery_free_inodes(&discovery->own_inodes);
	*discovery = (struct discovery){ 0 };
}

bool discovery_stop_answering(struct discovery *discovery, uint64_t now_ns)
{
	bool cookies_are_out = false;

	for (size_t i = 0; i < discovery->configured_count; i++)
		cookies_are_out |= service_stop_answering(discovery->configured[i].service, now_ns);
	for (struct auto_service *d = discovery->discovered.used.first; d; d = d->next)
		cookies_are_out |= service_stop_answering(&d->service, now_ns);
	return cookies_are_out;
}

void discovery_stop(struct discovery *discovery)
{
	const struct service_listening none = { 0 };

	background_task_close(&discovery->scan.task);
	for (size_t i = 0; i < discovery->configured_count; i++)
		service_set_listening(discovery->configured[i].service, &none);
	for (struct auto_service *d = discovery->discovered.used.first; d; d = d->next)
		service_set_listening(&d->service, &none);
}

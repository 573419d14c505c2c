/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <common/log.h>
#include <shakeoffd/discovered.h>

/* ------------------------------------------------------------------------------------------------------------ lists */

static void list_append(struct discovered_list *list, struct discovered *discovered)
{
	discovered->next = NULL;
	discovered->link = list->end;
	*list->end = discovered;
	list->end = &discovered->next;
	list->length++;
}

static void list_remove(struct discovered_list *list, struct discovered *discovered)
{
	*discovered->link = discovered->next;
	if (discovered->next)
		discovered->next->link = discovered->link;
	else
		list->end = discovered->link;
	list->length--;
}

static void list_open(struct discovered_list *list)
{
	*list = (struct discovered_list){ .end = &list->first };
}

/* ------------------------------------------------------------------------------------------------------ description */

static void say_left(const struct service *service, enum shakeoff_left before, enum shakeoff_left now)
{
	if (now == before)
		return;
	/* Those of the host concern every service: they are said once, elsewhere. */
	if (now == SHAKEOFF_LEFT_MPTCP || now == SHAKEOFF_LEFT_TCP_AUTH || now == SHAKEOFF_LEFT_DEVICE ||
	    now == SHAKEOFF_LEFT_NETFILTER || now == SHAKEOFF_LEFT_BRIDGE)
		log_warn_limited("service %s is left to the kernel: %s", service->config->name, left_help(now));
	else if (!now)
		log_debug("service %s is no longer left to the kernel", service->config->name);
}

void listening_describe(struct listening_service *listening, const struct left_host *host)
{
	const struct listener_facts *facts = &listening->facts;
	enum shakeoff_left before = listening->service->listening.left;
	struct service_listening now = {
		.sockets = facts->sockets,
		.backlog = facts->backlog,
		.left = (uint8_t)left_reason(host, facts, &listening->left),
	};

	service_set_listening(listening->service, &now);
	if (facts->sockets)
		say_left(listening->service, before, now.left);
}

/* -------------------------------------------------------------------------------------------------------- discovered */

void discovered_open(struct discovered_services *services, const struct config_discovered *config, struct slots *slots,
		     struct listeners *listeners, const struct left_host *host)
{
	*services = (struct discovered_services){
		.config = config,
		.slots = slots,
		.listeners = listeners,
		.host = host,
	};
	list_open(&services->used);
	list_open(&services->idle);
}

static void close_list(struct discovered_list *list)
{
	struct discovered *discovered;

	while ((discovered = list->first)) {
		list_remove(list, discovered);
		service_close(&discovered->service);
		free(discovered);
	}
}

void discovered_close(struct discovered_services *services)
{
	if (!services->slots)
		return;
	close_list(&services->used);
	close_list(&services->idle);
}

static void end(struct discovered_services *services, struct discovered *discovered)
{
	struct listener *listener = discovered->listener;

	list_remove(&services->idle, discovered);
	service_release(&discovered->service, services->slots);
	free(discovered);
	listener->discovered = NULL;
	if (!listener->facts.sockets)
		listeners_forget(services->listeners, listener);
}

void discovered_expire(struct discovered_services *services, uint64_t now_ns)
{
	while (services->idle.first && now_ns - services->idle.first->idle_ns >= DISCOVERED_GRACE_NS)
		end(services, services->idle.first);
}

static void say_full(struct discovered_services *services)
{
	services->turned_away = true;
	if (services->full)
		return;
	services->full = true;
	log_warn(
		"there are more than %u services: the listening sockets beyond that stay the kernel's; `exclude =` in the "
		"configuration leaves out what needs no protection",
		SHAKEOFF_MAX_SERVICES);
}

bool discovered_look_again(struct discovered_services *services)
{
	bool turned_away = services->turned_away;

	if (!turned_away)
		services->full = false;
	services->turned_away = false;
	return turned_away;
}

static int open_service(struct discovered_services *services, struct discovered *discovered, uint64_t now_ns)
{
	struct discovered *oldest = services->idle.first;
	int error = service_open(&discovered->service, &discovered->config, true, services->slots);

	if (error != -ENOSPC || !oldest || now_ns - oldest->idle_ns < DISCOVERED_QUARANTINE_NS)
		return error;
	end(services, oldest);
	return service_open(&discovered->service, &discovered->config, true, services->slots);
}

static struct discovered *make(struct discovered_services *services, struct listener *listener, uint64_t now_ns)
{
	struct discovered *discovered = calloc(1, sizeof(*discovered));
	int error;

	if (!discovered)
		return NULL;
	discovered->config = (struct config_service){
		.handoff = SHAKEOFF_HANDOFF_LISTENER,
		.overflow = services->config->overflow,
		.engage = services->config->engage,
		.backlog = services->config->backlog ? services->config->backlog : UINT32_MAX,
		.engage_rate = services->config->engage_rate,
		.syn_budget = services->config->syn_budget,
		.synack_retries = services->config->synack_retries,
		.sources = services->config->sources,
	};
	listener_name(listener, discovered->config.name, sizeof(discovered->config.name));
	error = open_service(services, discovered, now_ns);
	if (error) {
		if (error == -ENOSPC)
			say_full(services);
		free(discovered);
		return NULL;
	}
	discovered->listener = listener;
	discovered->listening.service = &discovered->service;
	listener->discovered = discovered;
	list_append(&services->used, discovered);
	return discovered;
}

struct discovered *discovered_use(struct discovered_services *services, struct listener *listener, uint64_t now_ns)
{
	struct discovered *discovered = listener->discovered;

	if (discovered && !discovered->idle_ns)
		return discovered;
	if (!discovered) {
		discovered = make(services, listener, now_ns);
		if (!discovered)
			return NULL;
	} else {
		list_remove(&services->idle, discovered);
		list_append(&services->used, discovered);
		discovered->idle_ns = 0;
	}
	discovered->listening.since_ns = now_ns;
	discovered->listening.left = (struct left_addresses){ 0 };
	discovered->listening.facts = listener->facts;
	listening_describe(&discovered->listening, services->host);
	log_debug("service %s: %u listening, backlog %u", discovered->config.name, listener->facts.sockets,
		  listener->facts.backlog);
	return discovered;
}

void discovered_idle(struct discovered_services *services, struct discovered *discovered, uint64_t now_ns)
{
	if (discovered->idle_ns)
		return;
	list_remove(&services->used, discovered);
	list_append(&services->idle, discovered);
	discovered->idle_ns = now_ns;
	discovered->listening.since_ns = 0;
	discovered->listening.facts = (struct listener_facts){ 0 };
	listening_describe(&discovered->listening, services->host);
	log_debug("service %s: nothing listens at an address of the host any more", discovered->config.name);
}

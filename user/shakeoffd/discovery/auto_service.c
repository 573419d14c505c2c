/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "shakeoffd/discovery/auto_service.h"
#include "shakeoffd/discovery/auto_service_internal.h"

/* ------------------------------------------------------------------------------------------------------------ lists */

static void list_append(struct auto_service_list *list, struct auto_service *discovered)
{
	discovered->list = list;
	discovered->next = NULL;
	discovered->link = list->end;
	*list->end = discovered;
	list->end = &discovered->next;
	list->length++;
}

static void list_remove(struct auto_service *discovered)
{
	struct auto_service_list *list = discovered->list;

	*discovered->link = discovered->next;
	if (discovered->next)
		discovered->next->link = discovered->link;
	else
		list->end = discovered->link;
	list->length--;
}

static void list_open(struct auto_service_list *list)
{
	*list = (struct auto_service_list){ .end = &list->first };
}

/* --------------------------------------------------------------------------------------------------- open and close */

void auto_services_open(struct auto_services *services, const struct config_policy *policy,
			struct service_ids *service_ids, struct listeners *listeners, const struct bypass_host *host,
			size_t configured)
{
	*services = (struct auto_services){
		.policy = policy,
		.service_ids = service_ids,
		.listeners = listeners,
		.host = host,
		.round = 1,
		.most = SHAKEOFF_MAX_SERVICES - configured,
	};
	list_open(&services->used);
	list_open(&services->idle);
	list_open(&services->short_grace);
}

static void close_list(struct auto_service_list *list)
{
	struct auto_service *discovered;

	while ((discovered = list->first)) {
		list_remove(discovered);
		service_close(&discovered->service);
		free(discovered);
	}
}

void auto_services_close(struct auto_services *services)
{
	if (!services->service_ids)
		return;
	close_list(&services->used);
	close_list(&services->idle);
	close_list(&services->short_grace);
	user_quotas_close(&services->quotas);
}

/* ------------------------------------------------------------------------------------------------- end of a service */

static void end(struct auto_services *services, struct auto_service *discovered)
{
	struct listener *listener = discovered->listener;

	list_remove(discovered);
	if (!discovered->evicted)
		auto_service_count_out(services, discovered);
	service_release(&discovered->service, services->service_ids);
	free(discovered);
	listener->discovered = NULL;
	if (!listener->facts.sockets)
		listeners_forget(services->listeners, listener);
}

void auto_services_expire(struct auto_services *services, uint64_t now_ns)
{
	while (services->idle.first && now_ns - services->idle.first->idle_ns >= AUTO_SERVICE_GRACE_NS)
		end(services, services->idle.first);
	while (services->short_grace.first &&
	       now_ns - services->short_grace.first->idle_ns >= AUTO_SERVICE_QUARANTINE_NS)
		end(services, services->short_grace.first);
}

/* ------------------------------------------------------------------------------------------------- use of a service */

static struct auto_service *oldest_idle(const struct auto_services *services, uint64_t now_ns)
{
	struct auto_service *idle = services->short_grace.first;

	if (!idle || now_ns - idle->idle_ns < AUTO_SERVICE_QUARANTINE_NS)
		idle = services->idle.first;
	return idle && now_ns - idle->idle_ns >= AUTO_SERVICE_QUARANTINE_NS ? idle : NULL;
}

static int open_service(struct auto_services *services, struct auto_service *discovered, uint64_t now_ns)
{
	struct auto_service *idle = oldest_idle(services, now_ns);
	int error = service_open(&discovered->service, &discovered->config, true, services->service_ids);

	if (error != -ENOSPC || !idle)
		return error;
	end(services, idle);
	return service_open(&discovered->service, &discovered->config, true, services->service_ids);
}

static struct auto_service *make(struct auto_services *services, struct listener *listener, uint64_t now_ns)
{
	struct auto_service *discovered;
	int error;

	if (!auto_service_has_quota_remaining(services, listener)) {
		auto_service_turn_away(services, listener);
		return NULL;
	}
	discovered = calloc(1, sizeof(*discovered));
	if (!discovered)
		return NULL;
	discovered->config = (struct config_service){
		.handoff = SHAKEOFF_HANDOFF_LISTENER,
		.policy = *services->policy,
	};
	listener_name(listener, discovered->config.name, sizeof(discovered->config.name));
	error = open_service(services, discovered, now_ns);
	if (error) {
		if (error == -ENOSPC)
			auto_service_turn_away(services, listener);
		free(discovered);
		return NULL;
	}
	discovered->listener = listener;
	discovered->listening.service = &discovered->service;
	listener->discovered = discovered;
	auto_service_count_in(services, discovered);
	auto_service_note_room(services, listener);
	list_append(&services->used, discovered);
	return discovered;
}

struct auto_service *auto_service_use(struct auto_services *services, struct listener *listener, uint64_t now_ns)
{
	struct auto_service *discovered = listener->discovered;

	if (discovered && discovered->evicted) {
		auto_service_turn_away(services, listener);
		return NULL;
	}
	if (discovered && !discovered->idle_ns)
		return discovered;
	if (!discovered) {
		discovered = make(services, listener, now_ns);
		if (!discovered)
			return NULL;
	} else {
		list_remove(discovered);
		list_append(&services->used, discovered);
		discovered->idle_ns = 0;
	}
	discovered->listening.since_ns = now_ns;
	discovered->listening.bypass = (struct bypass_addresses){ 0 };
	discovered->listening.facts = listener->facts;
	listening_describe(&discovered->listening, services->host);
	log_debug("service %s: %u listening, backlog %u", discovered->config.name, listener->facts.sockets,
		  listener->facts.backlog);
	return discovered;
}

void auto_service_idle(struct auto_services *services, struct auto_service *discovered, uint64_t now_ns)
{
	bool short_grace;

	if (discovered->idle_ns)
		return;
	short_grace = discovered->evicted ||
		      (discovered->quota && discovered->quota->count > USER_QUOTA_QUARTER(SHAKEOFF_MAX_SERVICES) / 2);
	list_remove(discovered);
	list_append(short_grace ? &services->short_grace : &services->idle, discovered);
	discovered->idle_ns = now_ns;
	discovered->listening.since_ns = 0;
	discovered->listening.facts = (struct listener_facts){ 0 };
	listening_describe(&discovered->listening, services->host);
	log_debug("service %s: nothing listens at an address of the host any more", discovered->config.name);
}

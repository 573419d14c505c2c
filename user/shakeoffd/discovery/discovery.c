/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <common/array.h>
#include <common/log.h>
#include "shakeoffd/discovery/discovery.h"

#define PORTS (1u << 16)

/* How often it is looked whether something was lost between the two programs, and how often when it looks like that. */
#define SETTLE_PERIOD_NS NS_PER_S
#define SETTLE_WATCH_NS (200 * NS_PER_MS)

/* What found no slot or no room in a map may find it later. */
#define LOOK_AGAIN_NS (30 * NS_PER_S)
/* Where room was made for it: when slots that were taken from others are free. */
#define LOOK_AGAIN_SOON_NS (DISCOVERED_QUARANTINE_NS + 500 * NS_PER_MS)

/*
 * A service that the self-test has said nothing of after this time is published all the same. An address that is not reached takes
 * several tries to be sure of.
 */
#define TEST_PATIENCE_NS (400 * NS_PER_MS)

/* A place with the listener handoff, or one with the queue handoff (covered) that firewall rules may forbid. */
struct tested {
	struct in6_addr address;
	struct listening_service *owner;
	bool by_socket; /* its socket leaves it to the kernel, but not the whole service */
	bool covered;
	bool left;        /* published as left to the kernel: is_left() */
	bool untested;    /* published as such: is_untested() */
	uint64_t left_ns; /* covered, and left: since when; 0: since before it was known here */
};

struct discovery_port {
	struct tested *list;
	size_t count;
	bool dirty;
};

/* ------------------------------------------------------------------------------------------------- what has changed */

static void mark(struct discovery *discovery, uint16_t port)
{
	discovery->ports[port].dirty = true;
	discovery->dirty = true;
	/* Ports of configured services depend on each other: a service has one handoff. */
	if (!discovery->recount && places_configured(discovery->config, port))
		discovery->recount = true;
}

static void mark_all(struct discovery *discovery)
{
	for (size_t port = 0; port < PORTS; port++)
		discovery->ports[port].dirty = true;
	discovery->dirty = discovery->recount = true;
}

static void mark_service(struct discovery *discovery, const struct config_service *service)
{
	for (size_t i = 0; i < service->listen_count; i++)
		mark(discovery, service->listen[i].port);
}

/* Which of the addresses are VLAN devices' or bridges'. */
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
		return 0; /* a lifetime was prolonged, say */
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
		mark_service(discovery, &discovery->config->services[i]);
}

static void describe(struct discovery *discovery, struct listening_service *listening)
{
	listening_describe(listening, &discovery->host);
}

static void describe_all(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->delivery_count; i++)
		describe(discovery, &discovery->configured[i]);
	for (struct discovered *d = discovery->discovered.used.first; d; d = d->next)
		describe(discovery, &d->listening);
}

static void set_host(struct discovery *discovery, const struct discovery_host *host)
{
	discovery->discovered.roots_ports = host->roots_ports;
	discovery->host = (struct left_host){
		.cannot_admit = !host->can_admit,
		.no_cookies = !host->syncookies,
		.queue_unruled = !host->queue_passes_rules,
		.routes = { host->routes_left[0], host->routes_left[1] },
	};
}

void discovery_host_changed(struct discovery *discovery, const struct discovery_host *host)
{
	const struct left_host before = discovery->host;
	uint32_t roots_ports = discovery->discovered.roots_ports;

	set_host(discovery, host);
	if (discovery->host.no_cookies && !before.no_cookies)
		log_warn("listening sockets are left to the kernel: %s", left_help(SHAKEOFF_LEFT_SYNCOOKIES));
	if (memcmp(discovery->host.routes, before.routes, sizeof(before.routes)) || roots_ports != host->roots_ports)
		mark_all(discovery);
	describe_all(discovery);
	discovery->tests_changed = true;
}

/* -------------------------------------------------------------------------------------------------- listening sockets */

static int note_inode(void *context, uint32_t inode)
{
	struct inodes *inodes = context;
	uint32_t *larger = array_grow(inodes->list, inodes->count, sizeof(inode));

	if (!larger)
		return -ENOMEM;
	inodes->list = larger;
	inodes->list[inodes->count++] = inode;
	return 0;
}

static void inodes_free(struct inodes *inodes)
{
	free(inodes->list);
	*inodes = (struct inodes){ 0 };
}

/* Sockets that servers have passed to the daemon: they are the queue handoff's. */
static int find_own_inodes(const struct discovery *discovery, struct inodes *inodes)
{
	int error = 0;

	*inodes = (struct inodes){ 0 };
	for (size_t i = 0; i < discovery->delivery_count && !error; i++)
		error = delivery_each_inode(&discovery->deliveries[i], note_inode, inodes);
	if (error)
		inodes_free(inodes);
	if (inodes->count)
		qsort(inodes->list, inodes->count, sizeof(*inodes->list), looks_compare_inodes);
	return error;
}

static bool inodes_are(const struct inodes *a, const struct inodes *b)
{
	return a->count == b->count && (!a->count || !memcmp(a->list, b->list, a->count * sizeof(*a->list)));
}

static void listener_changed(void *context, struct listener *listener, const struct listener_facts *before)
{
	struct discovery *discovery = context;

	if (!listener->facts.sockets != !before->sockets || left_by_socket(&listener->facts) != left_by_socket(before))
		mark(discovery, listener->port);
	else if (places_configured(discovery->config, listener->port))
		discovery->recount = true;
	if (listener->discovered && !listener->discovered->evicted && listener->facts.sockets &&
	    listener->facts.uid != before->uid) {
		discovered_changes_owner(&discovery->discovered, listener->discovered);
		mark(discovery, listener->port);
	}
	discovery->discovered.changed |= listener->turned_away && !listener->facts.sockets;
	if (listener->discovered && !listener->discovered->idle_ns && listener->facts.sockets) {
		listener->discovered->listening.facts = listener->facts;
		describe(discovery, &listener->discovered->listening);
		/* What made it the kernel's business may have gone, so that it has to be tested; or the other way. */
		discovery->tests_changed = true;
	}
}

static int begin_look(struct discovery *discovery, uint64_t now_ns)
{
	inodes_free(&discovery->own_inodes);
	if (find_own_inodes(discovery, &discovery->own_inodes))
		return -ENOMEM;
	looks_begin(&discovery->looks, now_ns, discovery->own_inodes.list, discovery->own_inodes.count);
	return 0;
}

static int take_look(struct discovery *discovery)
{
	const struct looks_list *seen = &discovery->looks.seen;
	int error = 0;

	for (size_t i = 0; i < seen->count && !error; i++) {
		const struct sock_diag_listener *socket = &seen->list[i].socket;

		error = listeners_see_group(&discovery->listeners, socket, seen->list[i].count,
					    socket->ifindex &&
						    !interfaces_find_bound(discovery->interfaces, socket->ifindex));
	}
	if (error) {
		listeners_abandon(&discovery->listeners);
		return error;
	}
	listeners_settle(&discovery->listeners, listener_changed, discovery);
	return 0;
}

/* A socket that was passed to the daemon while the look went on may be in it as one that only listens: then it is made again, once. */
static bool is_outdated(struct discovery *discovery)
{
	struct inodes now;
	bool outdated;

	if (discovery->looked_again || find_own_inodes(discovery, &now)) {
		discovery->looked_again = false;
		return false;
	}
	outdated = !inodes_are(&now, &discovery->own_inodes);
	inodes_free(&now);
	discovery->looked_again = outdated;
	return outdated;
}

int discovery_take_look(struct discovery *discovery)
{
	int error;

	if (!looks_take(&discovery->looks, &error))
		return 0;
	if (error)
		return error;
	if (is_outdated(discovery)) {
		looks_hurry(&discovery->looks);
		return 0;
	}
	return take_look(discovery);
}

/* ------------------------------------------------------------------------------------------------ configured services */

/* The sockets of a configured service, while they are counted. */
struct counting {
	struct listener_facts facts; /* of the owner's */
	const struct listener *owner;
	struct listener_facts left; /* of the first that has to be left to the kernel */
	bool others;                /* there are some that have not */
};

/*
 * Every user may listen at an address that the service's own server leaves free: [::]:80 with IPV6_V6ONLY beside 0.0.0.0:80. What his
 * sockets are says nothing of the others', so each address is left to the kernel for itself (by_socket), the service when all are.
 */
static void count_at(struct discovery *discovery, const struct in6_addr *address, uint16_t port,
		     struct counting *counting)
{
	struct listener *listener = listeners_at(&discovery->listeners, address, port);

	if (!listener || listener->counted == discovery->round)
		return;
	listener->counted = discovery->round;
	if (!left_by_socket(&listener->facts))
		counting->others = true;
	else if (!counting->left.sockets)
		counting->left = listener->facts;
	if (counting->owner && counting->owner->facts.uid != listener->facts.uid) {
		if (!listeners_comes_first(&discovery->listeners, listener, counting->owner))
			return;
		counting->facts = (struct listener_facts){ 0 };
	}
	if (!counting->owner || counting->owner->facts.uid != listener->facts.uid)
		counting->owner = listener;
	listener_facts_add(&counting->facts, &listener->facts);
	counting->facts.uid = listener->facts.uid;
}

static struct listener_facts facts_of(const struct counting *counting)
{
	struct listener_facts facts = counting->facts;
	bool left = counting->left.sockets && !counting->others;

	facts.mptcp = left && counting->left.mptcp;
	facts.tcp_auth = left && counting->left.tcp_auth;
	facts.elsewhere = left && counting->left.elsewhere;
	return facts;
}

static struct listener_facts count_sockets(struct discovery *discovery, const struct config_service *service)
{
	struct counting counting = { 0 };

	discovery->round++;
	for (size_t l = 0; l < service->listen_count; l++) {
		const struct config_listen *listen = &service->listen[l];

		if (listen->family != AF_UNSPEC) {
			if (own_addresses_have(&discovery->own, &listen->address))
				count_at(discovery, &listen->address, listen->port, &counting);
			continue;
		}
		for (size_t i = 0; i < discovery->own.count; i++)
			count_at(discovery, &discovery->own.list[i], listen->port, &counting);
	}
	return facts_of(&counting);
}

/* Counts what listens for each; those that are to have the listener handoff now get it before their addresses. */
static void recount(struct discovery *discovery, uint64_t now_ns)
{
	for (size_t i = 0; i < discovery->delivery_count; i++) {
		struct listening_service *listening = &discovery->configured[i];
		struct service *service = listening->service;
		struct listener_facts facts = count_sockets(discovery, service->config);
		enum shakeoff_handoff wanted;

		if (!listener_facts_equal(&facts, &listening->facts)) {
			if (!facts.sockets != !listening->facts.sockets) {
				listening->since_ns = facts.sockets ? now_ns : 0;
				listening->left = (struct left_addresses){ 0 };
			}
			if (left_by_socket(&facts) != left_by_socket(&listening->facts))
				mark_service(discovery, service->config);
			listening->facts = facts;
			discovery->tests_changed = true;
			describe(discovery, listening);
		}
		wanted = service_wants(service);
		if (wanted == service->handoff)
			continue;
		log_info("service %s: handoff %s from now on", service->config->name,
			 wanted == SHAKEOFF_HANDOFF_QUEUE ? "queue" : "listener");
		mark_service(discovery, service->config);
		discovery->tests_changed = true;
		if (wanted == SHAKEOFF_HANDOFF_LISTENER) {
			listening->since_ns = now_ns;
			service_change_handoff(service, wanted);
		}
	}
}

/* The others get the queue handoff when no address leads to them any more that no server of the daemon's has. */
static void change_to_queue(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->delivery_count; i++) {
		struct service *service = discovery->configured[i].service;

		if (service->handoff != SHAKEOFF_HANDOFF_QUEUE && service_wants(service) == SHAKEOFF_HANDOFF_QUEUE)
			service_change_handoff(service, SHAKEOFF_HANDOFF_QUEUE);
	}
}

/* -------------------------------------------------------------------------------------------------------- self-test */

/* Only the self-test could say that the service has to be left to the kernel. */
static bool is_testable(const struct discovery *discovery, const struct listening_service *listening)
{
	const struct left_addresses none = { 0 };

	return discovery->selftest && !left_reason(&discovery->host, &listening->facts, &none);
}

static bool obeys_rules(const struct discovery *discovery, const struct listening_service *owner)
{
	return discovery->obeys_rules && owner->service->config->policy.syn_rules != CONFIG_SYN_RULES_IGNORE;
}

static bool awaits_rules(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	return obeys_rules(discovery, tested->owner) &&
	       ruleset_reader_find(discovery->ruleset, &tested->address, port).state == RULESET_PENDING;
}

/* Whether a rule counts what comes there: probes would take places from clients, and be refused themselves. */
static bool is_counted(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	struct ruleset_answer answer;

	if (!obeys_rules(discovery, tested->owner))
		return false;
	answer = ruleset_reader_find(discovery->ruleset, &tested->address, port);
	return answer.state == RULESET_KNOWN && answer.counts;
}

static bool awaits_test(const struct discovery *discovery, const struct tested *tested, uint16_t port, uint64_t now_ns)
{
	return is_testable(discovery, tested->owner) && !tested->by_socket && !is_counted(discovery, tested, port) &&
	       now_ns - tested->owner->since_ns < TEST_PATIENCE_NS &&
	       selftest_awaits(discovery->selftest, &tested->address, port); /* a new one is told of only afterwards */
}

static size_t count_tested(const struct discovery *discovery)
{
	size_t count = 0;

	for (size_t port = 0; port < PORTS; port++)
		count += discovery->ports[port].count;
	return count;
}

static bool may_be_probed(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	return !tested->covered && !tested->by_socket && is_testable(discovery, tested->owner) &&
	       !awaits_rules(discovery, tested, port) && !is_counted(discovery, tested, port);
}

/* All of them, or those that may be probed. NULL without memory. */
static struct spot *list_tested(const struct discovery *discovery, bool probed, size_t *count)
{
	struct spot *spots = calloc(count_tested(discovery) + 1, sizeof(*spots));

	*count = 0;
	for (size_t port = 0; spots && port < PORTS; port++) {
		const struct discovery_port *at_port = &discovery->ports[port];

		for (size_t i = 0; i < at_port->count; i++)
			if (!probed || may_be_probed(discovery, &at_port->list[i], (uint16_t)port))
				spots[(*count)++] = (struct spot){ .address = at_port->list[i].address,
								   .port = (uint16_t)port };
	}
	return spots;
}

/* Tells the self-test which places there are. */
static int request_tests(struct discovery *discovery)
{
	size_t count;
	struct spot *spots = list_tested(discovery, true, &count);
	int error = spots ? selftest_places(discovery->selftest, spots, count) : -ENOMEM;

	free(spots);
	return error;
}

/* Whether IPsec policies want protected packets there. */
static bool is_secured(const struct discovery *discovery, const struct in6_addr *address, uint16_t port)
{
	return discovery->xfrm && xfrm_requires(discovery->xfrm, address, port);
}

static bool is_refused(const struct discovery *discovery, const struct in6_addr *address, uint16_t port)
{
	return selftest_result(discovery->selftest, address, port) == SELFTEST_NOT_REACHED ||
	       is_secured(discovery, address, port);
}

static bool is_unfollowed(const struct discovery *discovery, const struct in6_addr *address)
{
	return discovery->host.routes[!IN6_IS_ADDR_V4MAPPED(address)];
}

/* ------------------------------------------------------------------------------------------------ the firewall's rules */

/* Tells the reader which places there are: those that cannot be tested, too. */
static int request_judgements(struct discovery *discovery)
{
	size_t count;
	struct spot *spots = list_tested(discovery, false, &count);
	int error = spots ? ruleset_reader_places(discovery->ruleset, spots, count) : -ENOMEM;

	free(spots);
	return error;
}

/* What the rules say of a place, once that is known: NULL, or the rule for which it is left. */
static const char *ruled_by(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	struct ruleset_answer answer;
	bool ruled;

	if (!obeys_rules(discovery, tested->owner))
		return NULL;
	answer = ruleset_reader_find(discovery->ruleset, &tested->address, port);
	ruled = answer.syn_rules;
	if (tested->covered)
		ruled |= discovery->host.queue_unruled ? answer.refuses_syn : answer.counts;
	return ruled ? answer.rule : NULL;
}

/* Whether the address is left to the kernel. */
static bool is_left(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	if (ruled_by(discovery, tested, port))
		return true;
	return !tested->covered && (tested->by_socket || is_unfollowed(discovery, &tested->address) ||
				    is_refused(discovery, &tested->address, port));
}

/* Whether it is not known, nor will be, that packets reach it. */
static bool is_untested(const struct discovery *discovery, const struct tested *tested, uint16_t port)
{
	return is_testable(discovery, tested->owner) && !tested->by_socket &&
	       (is_counted(discovery, tested, port) ||
		selftest_cannot_try(discovery->selftest, &tested->address, port));
}

/* Packets of bridges that are handed to netfilter lose the request that the tc program has given them. */
static bool bridges_have_netfilter(void)
{
	static const char *const sysctls[] = { "/proc/sys/net/bridge/bridge-nf-call-iptables",
					       "/proc/sys/net/bridge/bridge-nf-call-ip6tables" };
	bool found = false;

	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		FILE *file = fopen(sysctls[i], "re");

		if (!file)
			continue;
		found |= fgetc(file) == '1';
		fclose(file);
	}
	return found;
}

static void count_place(struct discovery *discovery, const struct tested *tested, uint16_t port, bool left)
{
	struct listening_service *owner = tested->owner;
	const char *rule = ruled_by(discovery, tested, port);
	bool unfollowed = !tested->covered && is_unfollowed(discovery, &tested->address);
	bool refused = !tested->covered && !tested->by_socket && !unfollowed &&
		       is_refused(discovery, &tested->address, port);

	owner->unfollowed += unfollowed;
	owner->refusals += refused;
	owner->bridged += refused && upper_addresses_are_bridged(&discovery->upper, &tested->address);
	owner->ruled += rule && !unfollowed && !refused;
	owner->others += !left;
	if (rule && !*owner->next_rule)
		snprintf(owner->next_rule, sizeof(owner->next_rule), "%s", rule);
}

static void judge(struct discovery *discovery, struct listening_service *listening)
{
	bool not_reached = listening->refusals && !listening->others;
	const struct left_addresses left = {
		.not_reached = not_reached,
		.bridged = not_reached &&
			   (listening->bridged == listening->refusals ||
			    interfaces_are_bridge_ports(discovery->interfaces)) &&
			   bridges_have_netfilter(),
		.routes = listening->unfollowed && !listening->others,
		.syn_rules = listening->ruled && !listening->others,
	};
	bool same = listening->left.not_reached == left.not_reached && listening->left.bridged == left.bridged &&
		    listening->left.routes == left.routes && listening->left.syn_rules == left.syn_rules &&
		    !strcmp(listening->rule, listening->next_rule);

	listening->refusals = listening->bridged = listening->unfollowed = listening->ruled = listening->others = 0;
	if (same)
		return;
	memcpy(listening->rule, listening->next_rule, sizeof(listening->rule));
	listening->left = left;
	describe(discovery, listening);
}

static void forget_rules(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->delivery_count; i++)
		*discovery->configured[i].next_rule = '\0';
	for (struct discovered *d = discovery->discovered.used.first; d; d = d->next)
		*d->listening.next_rule = '\0';
}

static void judge_all(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->delivery_count; i++)
		judge(discovery, &discovery->configured[i]);
	for (struct discovered *d = discovery->discovered.used.first; d; d = d->next)
		judge(discovery, &d->listening);
}

/* A place that is not reached, or where routes cannot be followed, is left to the kernel; a service of such places alone, as a whole. */
static void take_results(struct discovery *discovery)
{
	forget_rules(discovery);
	for (size_t port = 0; port < PORTS; port++) {
		const struct discovery_port *at_port = &discovery->ports[port];

		for (size_t i = 0; i < at_port->count; i++) {
			const struct tested *tested = &at_port->list[i];
			bool left = is_left(discovery, tested, (uint16_t)port);

			count_place(discovery, tested, (uint16_t)port, left);
			if (left != tested->left || tested->untested != is_untested(discovery, tested, (uint16_t)port))
				mark(discovery, (uint16_t)port);
		}
	}
	judge_all(discovery);
}

/* ------------------------------------------------------------------------------------------------- places of a port */

static bool is_pending(const struct discovery *discovery, const struct tested *tested, uint16_t port, uint64_t now_ns)
{
	return awaits_rules(discovery, tested, port) || awaits_test(discovery, tested, port, now_ns);
}

/* Room for every place of the port. */
static int reserve(struct discovery *discovery, struct tested **tested)
{
	size_t count = discovery->places.count;

	*tested = NULL;
	if (count > discovery->room) {
		void *larger = reallocarray(discovery->list, 2 * count, sizeof(*discovery->list));

		if (!larger)
			return -ENOMEM;
		discovery->list = larger;
		discovery->room = 2 * count;
	}
	if (!count)
		return 0;
	*tested = calloc(count, sizeof(**tested));
	return *tested ? 0 : -ENOMEM;
}

/* Where servers of the daemon's listen. Returns false if none does. */
static bool covered(struct discovery *discovery, const struct place *place, uint16_t port, struct address *address)
{
	struct delivery *delivery = &discovery->deliveries[place->configured];
	enum delivery_coverage coverage = delivery_covers(delivery, &place->address, port);

	*address = (struct address){
		.address = place->address,
		.first = true,
		.service = delivery->service,
		.keep_only = coverage == DELIVERY_KEPT,
	};
	/* What is left to the kernel its servers' own listening sockets get. */
	return coverage != DELIVERY_UNCOVERED && !is_secured(discovery, &place->address, port);
}

/* The service of a place with the listener handoff; NULL: there is none. */
static struct listening_service *owner_of(struct discovery *discovery, const struct place *place, uint64_t now_ns)
{
	struct discovered *discovered;

	if (place->configured != PLACE_DISCOVERED)
		return place->listener ? &discovery->configured[place->configured] : NULL;
	if (place->listener->counted == discovery->round && !place->listener->discovered)
		return NULL; /* another address of it was turned away just now */
	place->listener->counted = discovery->round;
	discovered = discovered_use(&discovery->discovered, place->listener, now_ns);
	return discovered ? &discovered->listening : NULL;
}

/* Discovered services of this port to which no place belongs any more. */
static void idle_the_rest(struct discovery *discovery, uint16_t port, uint64_t now_ns)
{
	for (struct listener *l = discovery->listeners.ports[port]; l; l = l->next_at_port) {
		if (l->counted != discovery->round && l->turned_away) {
			l->turned_away = false;
			discovery->discovered.changed = true;
		}
		if (l->discovered && (l->counted != discovery->round || l->discovered->evicted))
			discovered_idle(&discovery->discovered, l->discovered, now_ns);
	}
}

static bool same_places(const struct discovery_port *at_port, const struct tested *tested, size_t count)
{
	bool same = count == at_port->count;

	for (size_t i = 0; i < count && same; i++)
		same = IN6_ARE_ADDR_EQUAL(&tested[i].address, &at_port->list[i].address) &&
		       tested[i].owner == at_port->list[i].owner && tested[i].by_socket == at_port->list[i].by_socket &&
		       tested[i].covered == at_port->list[i].covered;
	return same;
}

static void replace_tested(struct discovery *discovery, struct discovery_port *at_port, struct tested *tested,
			   size_t count)
{
	if (!same_places(at_port, tested, count))
		discovery->tests_changed = true;
	free(at_port->list);
	at_port->list = tested;
	at_port->count = count;
}

/* Since when it is left. */
static uint64_t left_since(const struct discovery_port *at_port, const struct tested *tested, uint64_t now_ns)
{
	for (size_t i = 0; i < at_port->count; i++) {
		const struct tested *before = &at_port->list[i];

		if (before->covered && before->owner == tested->owner &&
		    IN6_ARE_ADDR_EQUAL(&before->address, &tested->address))
			return before->left ? before->left_ns : now_ns;
	}
	return 0;
}

/*
 * Whether clients may still bring back cookies to a place with the queue handoff that is left: the hook is to take them, and leave all
 * else to the kernel. Not where connections do not pass the firewall's rules, which may mean these clients.
 */
static bool has_cookies_out(struct discovery *discovery, const struct tested *tested, uint64_t now_ns)
{
	uint64_t end_ns = tested->left_ns + SHAKEOFF_COOKIE_LIFETIME_NS;

	if (!tested->left_ns || now_ns >= end_ns || discovery->host.queue_unruled)
		return false;
	if (!discovery->withdraw_ns || end_ns < discovery->withdraw_ns)
		discovery->withdraw_ns = end_ns;
	return true;
}

static int resolve(struct discovery *discovery, uint16_t port, uint64_t now_ns)
{
	const struct places_world world = { .config = discovery->config,
					    .listeners = &discovery->listeners,
					    .own = &discovery->own };
	struct discovery_port *at_port = &discovery->ports[port];
	size_t count = 0, tested_count = 0;
	struct tested *tested;
	bool pending = false;
	int error = places_find(&world, port, &discovery->places);

	if (!error)
		error = reserve(discovery, &tested);
	if (error)
		return error;
	discovery->round++;
	for (size_t i = 0; i < discovery->places.count; i++) {
		const struct place *place = &discovery->places.list[i];
		struct address *address = &discovery->list[count];
		struct listening_service *owner;

		if (place->configured != PLACE_DISCOVERED &&
		    service_wants(discovery->configured[place->configured].service) == SHAKEOFF_HANDOFF_QUEUE) {
			struct tested *ruled = &tested[tested_count];

			if (!covered(discovery, place, port, address))
				continue;
			*ruled = (struct tested){
				.address = place->address,
				.owner = &discovery->configured[place->configured],
				.covered = true,
			};
			ruled->left = is_left(discovery, ruled, port);
			pending |= awaits_rules(discovery, ruled, port);
			address->keep_only |= awaits_rules(discovery, ruled, port);
			tested_count++;
			/* The server's own socket takes the connections. */
			if (ruled->left) {
				ruled->left_ns = left_since(at_port, ruled, now_ns);
				address->left = true;
				address->keep_only = false; /* it would stay as it is: answered for */
				if (!has_cookies_out(discovery, ruled, now_ns))
					continue;
			}
			count++;
			continue;
		}
		owner = owner_of(discovery, place, now_ns);
		if (!owner)
			continue;
		tested[tested_count] = (struct tested){
			.address = place->address,
			.owner = owner,
			.by_socket = left_by_socket(&place->listener->facts) && !left_by_socket(&owner->facts),
		};
		tested[tested_count].left = is_left(discovery, &tested[tested_count], port);
		tested[tested_count].untested = is_untested(discovery, &tested[tested_count], port);
		*address = (struct address){
			.address = place->address,
			.service = owner->service,
			.first = place->configured != PLACE_DISCOVERED || !place->listener->discovered->share,
			.uid = place->listener->facts.uid,
			.left = tested[tested_count].left,
			.untested = tested[tested_count].untested,
			.tagged = upper_addresses_are_tagged(&discovery->upper, &place->address),
		};
		address->keep_only = is_pending(discovery, &tested[tested_count], port, now_ns);
		pending |= address->keep_only;
		tested_count++;
		count++;
	}
	replace_tested(discovery, at_port, tested, tested_count);
	at_port->dirty = pending;
	discovery->pending |= pending;
	error = addresses_publish(discovery->addresses, port, discovery->list, count);
	idle_the_rest(discovery, port, now_ns);
	return error;
}

/* For those that come first. */
static void make_slots_free(struct discovery *discovery)
{
	const struct discovered *evicted;

	while ((evicted = discovered_evict(&discovery->discovered)))
		mark(discovery, evicted->listener->port);
}

/* ------------------------------------------------------------------------------------------------------------ the whole */

int discovery_update(struct discovery *discovery, uint64_t now_ns)
{
	int error = 0;

	if (discovery->recount) {
		discovery->recount = false;
		recount(discovery, now_ns);
	}
	if (discovery->dirty) {
		discovery->dirty = discovery->pending = false;
		addresses_begin(discovery->addresses);
		for (size_t port = 0; port < PORTS && !error; port++)
			if (discovery->ports[port].dirty)
				error = resolve(discovery, (uint16_t)port, now_ns);
		if (!error)
			error = addresses_end(discovery->addresses);
		change_to_queue(discovery);
		make_slots_free(discovery);
		discovered_tell(&discovery->discovered);
	}
	if (error) {
		mark_all(discovery);
		return error;
	}
	if (discovery->tests_changed || discovery->rules_answered) {
		bool changed = discovery->tests_changed;

		discovery->tests_changed = discovery->rules_answered = false;
		if (discovery->selftest)
			error = request_tests(discovery);
		if (!error && changed && discovery->obeys_rules)
			error = request_judgements(discovery);
		take_results(discovery);
	}
	return error;
}

static void look_again(struct discovery *discovery)
{
	bool slots = discovered_look_again(&discovery->discovered);
	bool addresses = addresses_look_again(discovery->addresses);

	if (slots || addresses)
		mark_all(discovery);
}

static void settle(struct discovery *discovery, uint64_t now_ns)
{
	bool watched = false;

	if (now_ns < discovery->settle_ns)
		return;
	for (size_t i = 0; i < discovery->delivery_count; i++)
		watched |= service_settle_listening(discovery->configured[i].service, now_ns);
	for (struct discovered *d = discovery->discovered.used.first; d; d = d->next)
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
	    (discovered_is_awaited(&discovery->discovered) ? LOOK_AGAIN_SOON_NS : LOOK_AGAIN_NS)) {
		discovery->looked_ns = now_ns;
		look_again(discovery);
	}
	if (discovery->follows && looks_is_due(&discovery->looks, now_ns)) {
		error = begin_look(discovery, now_ns);
		discovered_expire(&discovery->discovered, now_ns);
	}
	return error;
}

void discovery_take_results(struct discovery *discovery)
{
	bool tested = discovery->selftest && selftest_take_change(discovery->selftest);

	bool answered = ruleset_reader_take_answers(discovery->ruleset);

	if (!answered && !tested)
		return;
	discovery->rules_answered |= answered; /* they say which places may be probed */
	take_results(discovery);
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

/* `user =` of a service at this port. */
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

int discovery_open(struct discovery *discovery, const struct config *config, struct delivery *deliveries,
		   size_t delivery_count, struct slots *slots, struct addresses *addresses,
		   const struct interfaces *interfaces, const struct discovery_host *host)
{
	int error;

	*discovery = (struct discovery){
		.config = config,
		.deliveries = deliveries,
		.delivery_count = delivery_count,
		.addresses = addresses,
		.interfaces = interfaces,
		.configured = calloc(delivery_count + 1, sizeof(*discovery->configured)),
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
	discovered_open(&discovery->discovered, &config->discovered, slots, &discovery->listeners, &discovery->host,
			config->service_count);
	set_host(discovery, host);
	for (size_t i = 0; i < delivery_count; i++)
		discovery->configured[i].service = deliveries[i].service;
	mark_all(discovery);
	error = own_addresses_read(&discovery->own);
	if (!error)
		error = discovery_devices_changed(discovery);
	if (!error)
		error = looks_open(&discovery->looks);
	if (!error && discovery->follows)
		error = begin_look(discovery, clock_ns());
	if (!error && discovery->follows)
		error = discovery_take_look(discovery);
	return error;
}

int discovery_start(struct discovery *discovery, struct event_loop *loop)
{
	return discovery->follows ? looks_start(&discovery->looks, loop) : 0;
}

void discovery_close(struct discovery *discovery)
{
	looks_close(&discovery->looks);
	discovered_close(&discovery->discovered);
	for (size_t port = 0; port < PORTS && discovery->ports; port++)
		free(discovery->ports[port].list);
	free(discovery->ports);
	free(discovery->configured);
	listeners_close(&discovery->listeners);
	own_addresses_free(&discovery->own);
	upper_addresses_free(&discovery->upper);
	places_free(&discovery->places);
	free(discovery->list);
	inodes_free(&discovery->own_inodes);
	*discovery = (struct discovery){ 0 };
}

bool discovery_stop_answering(struct discovery *discovery, uint64_t now_ns)
{
	bool cookies_are_out = false;

	for (size_t i = 0; i < discovery->delivery_count; i++)
		cookies_are_out |= service_stop_answering(discovery->configured[i].service, now_ns);
	for (struct discovered *d = discovery->discovered.used.first; d; d = d->next)
		cookies_are_out |= service_stop_answering(&d->service, now_ns);
	return cookies_are_out;
}

void discovery_stop(struct discovery *discovery)
{
	const struct service_listening none = { 0 };

	errand_close(&discovery->looks.errand);
	for (size_t i = 0; i < discovery->delivery_count; i++)
		service_set_listening(discovery->configured[i].service, &none);
	for (struct discovered *d = discovery->discovered.used.first; d; d = d->next)
		service_set_listening(&d->service, &none);
}

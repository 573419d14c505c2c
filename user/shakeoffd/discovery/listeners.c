/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/text.h"
#include "shakeoffd/discovery/listeners.h"
#include "shakeoffd/discovery/own_addresses.h"

#define BUCKET_BITS 14
#define BUCKETS (1u << BUCKET_BITS)
#define PORTS (1u << 16)

int listeners_open(struct listeners *listeners)
{
	struct listeners fresh = {
		.buckets = calloc(BUCKETS, sizeof(struct listener *)),
		.ports = calloc(PORTS, sizeof(struct listener *)),
	};
	int error = fresh.buckets && fresh.ports ? 0 : -ENOMEM;

	if (!error && getrandom(fresh.hash, sizeof(fresh.hash), 0) != sizeof(fresh.hash))
		error = -errno;
	if (error) {
		listeners_close(&fresh);
		return error;
	}
	*listeners = fresh;
	return 0;
}

void listeners_close(struct listeners *listeners)
{
	for (size_t port = 0; port < PORTS && listeners->ports; port++) {
		struct listener *listener, *next;

		for (listener = listeners->ports[port]; listener; listener = next) {
			next = listener->next_at_port;
			free(listener);
		}
	}
	free(listeners->buckets);
	free(listeners->ports);
	*listeners = (struct listeners){ 0 };
}

/*
 * Users may bind to addresses that they choose, and must not be able to make long buckets this way. So this is vector
 * multiply-shift hashing (M. Dietzfelbinger, "Universal hashing and k-wise independent random variables via integer
 * arithmetic without primes", 1996): any two keys share a bucket with the probability 1 / BUCKETS.
 */
static size_t bucket_of(const struct listeners *listeners, const struct in6_addr *address, uint16_t port, uint8_t kind)
{
	uint64_t hash = listeners->hash[4] * (port | (uint64_t)kind << 16) + listeners->hash[5];
	uint32_t words[4];

	memcpy(words, address, sizeof(words));
	for (size_t i = 0; i < 4; i++)
		hash += listeners->hash[i] * words[i];
	return hash >> (64 - BUCKET_BITS);
}

static struct listener *find(const struct listeners *listeners, const struct in6_addr *address, uint16_t port,
			     uint8_t kind)
{
	struct listener *listener = listeners->buckets[bucket_of(listeners, address, port, kind)];

	while (listener &&
	       (listener->port != port || listener->kind != kind || !IN6_ARE_ADDR_EQUAL(&listener->address, address)))
		listener = listener->next_in_bucket;
	return listener;
}

static struct listener *add(struct listeners *listeners, const struct in6_addr *address, uint16_t port, uint8_t kind)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	struct listener **bucket = &listeners->buckets[bucket_of(listeners, address, port, kind)];
	struct listener **at_port = &listeners->ports[port];

	if (!listener)
		return NULL;
	listener->address = *address;
	listener->port = port;
	listener->kind = kind;
	listener->next_in_bucket = *bucket;
	*bucket = listener;
	listener->next_at_port = *at_port;
	listener->link_at_port = at_port;
	if (*at_port)
		(*at_port)->link_at_port = &listener->next_at_port;
	*at_port = listener;
	listeners->count++;
	return listener;
}

void listeners_forget(struct listeners *listeners, struct listener *listener)
{
	size_t bucket = bucket_of(listeners, &listener->address, listener->port, listener->kind);
	struct listener **link = &listeners->buckets[bucket];

	while (*link != listener)
		link = &(*link)->next_in_bucket;
	*link = listener->next_in_bucket;
	*listener->link_at_port = listener->next_at_port;
	if (listener->next_at_port)
		listener->next_at_port->link_at_port = listener->link_at_port;
	listeners->count--;
	free(listener);
}

static uint8_t kind_of(const struct sock_diag_listener *socket, bool any)
{
	if (!any)
		return IN6_IS_ADDR_V4MAPPED(&socket->address) ? LISTENER_IPV4 : LISTENER_IPV6;
	if (socket->family == AF_INET)
		return LISTENER_IPV4;
	return socket->dualstack ? LISTENER_DUALSTACK : LISTENER_IPV6;
}

/* Returns the rank of a user's sockets; the lowest rank wins. */
static int rank(const struct listeners *listeners, uint16_t port, uint32_t uid)
{
	if (listeners->names && listeners->names(listeners->names_context, port, uid))
		return 0;
	return uid ? 2 : 1;
}

/* Returns whether sockets in the present list replace those of another user in the list before. */
static bool replaces(const struct listeners *listeners, const struct listener *listener,
		     const struct listener_facts *more)
{
	int before = rank(listeners, listener->port, listener->fresh.uid);
	int now = rank(listeners, listener->port, more->uid);

	/* If the users' ranks are equal, the owner in the last list wins. */
	return now < before || (now == before && listener->facts.sockets && listener->facts.uid == more->uid);
}

/*
 * Adds the facts of a socket to its endpoint. The hook never sees packets of sockets that are bound elsewhere, and sees
 * all packets of the others.
 */
static void facts_of_endpoint_add(const struct listeners *listeners, struct listener *listener,
				  const struct listener_facts *more)
{
	struct listener_facts *facts = &listener->fresh;

	if (facts->sockets && facts->elsewhere != more->elsewhere) {
		if (facts->elsewhere)
			*facts = *more;
	} else if (facts->sockets && facts->uid != more->uid) {
		if (replaces(listeners, listener, more))
			*facts = *more;
	} else {
		listener_facts_add(facts, more);
		facts->uid = more->uid;
	}
}

int listeners_see(struct listeners *listeners, const struct sock_diag_listener *socket, bool elsewhere)
{
	return listeners_see_group(listeners, socket, 1, elsewhere);
}

int listeners_see_group(struct listeners *listeners, const struct sock_diag_listener *socket, uint32_t count,
			bool elsewhere)
{
	bool any = IN6_IS_ADDR_UNSPECIFIED(&socket->address);
	uint8_t kind = kind_of(socket, any);
	struct listener *listener;
	const struct listener_facts facts = {
		.sockets = count,
		.backlog = socket->backlog,
		.mptcp = socket->mptcp,
		.tcp_auth = socket->tcp_auth,
		.elsewhere = elsewhere,
		.uid = socket->uid,
	};

	if (socket->ifindex == LOOPBACK_IFINDEX || (!any && !own_addresses_may_have(&socket->address)))
		return 0;
	listener = find(listeners, &socket->address, socket->port, kind);
	if (!listener)
		listener = add(listeners, &socket->address, socket->port, kind);
	if (!listener)
		return -ENOMEM;
	facts_of_endpoint_add(listeners, listener, &facts);
	return 0;
}

void listener_facts_add(struct listener_facts *facts, const struct listener_facts *more)
{
	if (more->backlog > facts->backlog)
		facts->backlog = more->backlog;
	facts->mptcp |= more->mptcp;
	facts->tcp_auth |= more->tcp_auth;
	facts->elsewhere |= more->elsewhere;
	facts->sockets += more->sockets;
}

bool listeners_comes_first(const struct listeners *listeners, const struct listener *first,
			   const struct listener *other)
{
	int rank_first = rank(listeners, first->port, first->facts.uid);
	int rank_other = rank(listeners, other->port, other->facts.uid);

	return rank_first < rank_other || (rank_first == rank_other && first->since < other->since);
}

bool listener_facts_equal(const struct listener_facts *a, const struct listener_facts *b)
{
	return a->sockets == b->sockets && a->backlog == b->backlog && a->mptcp == b->mptcp &&
	       a->tcp_auth == b->tcp_auth && a->elsewhere == b->elsewhere && (!a->sockets || a->uid == b->uid);
}

/* Calls back for every entry; the callback may free the entry. */
static void each(struct listeners *listeners, void (*callback)(void *context, struct listener *listener), void *context)
{
	for (size_t port = 0; port < PORTS; port++) {
		struct listener *listener, *next;

		for (listener = listeners->ports[port]; listener; listener = next) {
			next = listener->next_at_port;
			callback(context, listener);
		}
	}
}

struct settling {
	struct listeners *listeners;
	void (*changed)(void *context, struct listener *listener, const struct listener_facts *before);
	void *context;
};

static void settle(void *context, struct listener *listener)
{
	struct settling *settling = context;
	struct listener_facts before = listener->facts;

	listener->facts = listener->fresh;
	listener->fresh = (struct listener_facts){ 0 };
	if (!before.sockets)
		listener->since = settling->listeners->lists;
	if (!listener_facts_equal(&before, &listener->facts))
		settling->changed(settling->context, listener, &before);
	if (!listener->facts.sockets && !listener->discovered)
		listeners_forget(settling->listeners, listener);
}

void listeners_settle(struct listeners *listeners,
		      void (*changed)(void *context, struct listener *listener, const struct listener_facts *before),
		      void *context)
{
	struct settling settling = { .listeners = listeners, .changed = changed, .context = context };

	listeners->lists++;
	each(listeners, settle, &settling);
}

static void abandon(void *context, struct listener *listener)
{
	listener->fresh = (struct listener_facts){ 0 };
	if (!listener->facts.sockets && !listener->discovered)
		listeners_forget(context, listener);
}

void listeners_abandon(struct listeners *listeners)
{
	each(listeners, abandon, listeners);
}

static struct listener *find_open(const struct listeners *listeners, const struct in6_addr *address, uint16_t port,
				  uint8_t kind)
{
	struct listener *listener = find(listeners, address, port, kind);

	return listener && listener->facts.sockets ? listener : NULL;
}

/* Searches in the order of enum binding_match (common/listener_match.h), which is the kernel's. */
struct listener *listeners_at(const struct listeners *listeners, const struct in6_addr *address, uint16_t port)
{
	uint8_t kind = IN6_IS_ADDR_V4MAPPED(address) ? LISTENER_IPV4 : LISTENER_IPV6;
	struct listener *listener;

	if (!listeners->ports[port])
		return NULL;
	listener = find_open(listeners, address, port, kind);
	if (!listener)
		listener = find_open(listeners, &in6addr_any, port, kind);
	if (!listener)
		listener = find_open(listeners, &in6addr_any, port, LISTENER_DUALSTACK);
	return listener;
}

bool listeners_any(const struct listeners *listeners, uint16_t port)
{
	for (int kind = LISTENER_IPV4; kind <= LISTENER_DUALSTACK; kind++)
		if (find_open(listeners, &in6addr_any, port, (uint8_t)kind))
			return true;
	return false;
}

void listener_name(const struct listener *listener, char *name, size_t size)
{
	if (!IN6_IS_ADDR_UNSPECIFIED(&listener->address))
		text_endpoint(&listener->address, listener->port, name, size);
	else if (listener->kind == LISTENER_DUALSTACK)
		snprintf(name, size, "*:%u", listener->port);
	else
		snprintf(name, size, listener->kind == LISTENER_IPV4 ? "0.0.0.0:%u" : "[::]:%u", listener->port);
}

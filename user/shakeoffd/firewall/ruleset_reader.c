/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"
#include "common/clock.h"
#include "shakeoffd/firewall/ruleset_process.h"
#include "shakeoffd/firewall/ruleset_reader.h"
#include "shakeoffd/firewall/ruleset_watch.h"

/* Rules change in bursts, and on some hosts all the time. Reading takes at most a tenth of one CPU. */
#define SETTLE_NS (100 * NS_PER_MS)
#define PERIOD_NS NS_PER_S
#define PERIOD_ELEMENTS_NS (10 * NS_PER_S)
#define REST 10

/* The process itself gives up a reading earlier; after this time it has died or is stopped. */
#define ANSWER_PATIENCE_NS (30 * NS_PER_S)

/* How soon rules that could not be read are tried again. */
#define AGAIN_NS (5 * NS_PER_S)
/* Maximum of failures in a row before the results so far are dropped. */
#define FAILURES 2

struct known_endpoint {
	struct endpoint what; /* must be first: endpoint_compare() */
	uint8_t state;        /* enum ruleset_state */
	uint8_t results;      /* RULESET_* */
	uint8_t rule;         /* index in reader->texts */
};

struct ruleset_reader {
	struct event_source source;
	int socket;
	pid_t process;
	struct ruleset_shared *shared;

	struct known_endpoint *endpoints; /* sorted, unique */
	size_t count;
	char devices[RULESET_MAX_DEVICES][IFNAMSIZ];
	uint32_t device_count;
	char (*texts)[RULESET_RULE_TEXT]; /* of the last reply */
	char why[RULESET_WHY];            /* why the rules are not known; "": they are */

	bool asked;   /* a reply is pending */
	bool changed; /* endpoints have changed since the request */
	bool late;    /* the reply is late, so its contents will be outdated */
	bool gone;    /* the process has died */
	uint64_t due_ns, asked_ns, answered_ns, took_ns;
	bool has_answers;
	bool answered; /* there has been a reply without an error */
	unsigned int changes;
	unsigned int failures; /* in a row */
};

/* -------------------------------------------------------------------------------------------------------- endpoints */

static struct known_endpoint *find(const struct ruleset_reader *reader, const struct endpoint *what)
{
	return reader->count ?
		       bsearch(what, reader->endpoints, reader->count, sizeof(*reader->endpoints), endpoint_compare) :
		       NULL;
}

static void due(struct ruleset_reader *reader, uint64_t at_ns)
{
	if (!reader->due_ns || at_ns < reader->due_ns)
		reader->due_ns = at_ns;
}

static void ask(struct ruleset_reader *reader, uint64_t now);

int ruleset_reader_endpoints(struct ruleset_reader *reader, const struct endpoint *wanted, size_t count)
{
	struct known_endpoint *endpoints;
	size_t distinct = 0;

	if (!reader)
		return 0;
	endpoints = calloc(count + 1, sizeof(*endpoints));
	if (!endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct known_endpoint *known = find(reader, &wanted[i]);

		endpoints[i] = known ? *known : (struct known_endpoint){ .what = wanted[i] };
		if (!known && (reader->gone || *reader->why))
			endpoints[i].state = RULESET_UNKNOWN;
	}
	qsort(endpoints, count, sizeof(*endpoints), endpoint_compare);
	for (size_t i = 0; i < count; i++)
		if (!distinct || endpoint_compare(&endpoints[distinct - 1], &endpoints[i]))
			endpoints[distinct++] = endpoints[i];
	free(reader->endpoints);
	reader->endpoints = endpoints;
	reader->count = distinct;
	reader->changed = true;
	due(reader, clock_ns());
	ask(reader, clock_ns());
	return 0;
}

void ruleset_reader_devices(struct ruleset_reader *reader, const char (*names)[IFNAMSIZ], size_t count)
{
	char copy[RULESET_MAX_DEVICES][IFNAMSIZ] = { 0 };

	if (!reader)
		return;
	if (count > RULESET_MAX_DEVICES)
		count = RULESET_MAX_DEVICES;
	memcpy(copy, names, count * IFNAMSIZ);
	if (reader->device_count == count && !memcmp(copy, reader->devices, sizeof(copy)))
		return;
	memcpy(reader->devices, copy, sizeof(copy));
	reader->device_count = (uint32_t)count;
	reader->changed = true;
	due(reader, clock_ns());
}

struct ruleset_answer ruleset_reader_find(const struct ruleset_reader *reader, const struct in6_addr *address,
					  uint16_t port)
{
	const struct endpoint what = { .address = *address, .port = port };
	const struct known_endpoint *endpoint = reader ? find(reader, &what) : NULL;

	if (!reader)
		return (struct ruleset_answer){ RULESET_UNKNOWN, true, true, true, "the rules cannot be read" };
	if (!endpoint || endpoint->state == RULESET_PENDING)
		return (struct ruleset_answer){ .state = RULESET_PENDING, .rule = "" };
	if (endpoint->state == RULESET_UNKNOWN)
		return (struct ruleset_answer){ RULESET_UNKNOWN, true, true, true, reader->why };
	return (struct ruleset_answer){
		.state = RULESET_KNOWN,
		.syn_rules = endpoint->results & RULESET_SYN_RULES,
		.counts = endpoint->results & RULESET_COUNTS,
		.refuses_syn = endpoint->results & RULESET_REFUSES_SYN,
		.rule = endpoint->results ? reader->texts[endpoint->rule] : "",
	};
}

bool ruleset_reader_is_unread(const struct ruleset_reader *reader)
{
	return !reader || *reader->why;
}

/* ------------------------------------------------------------------------------------------------ request and reply */

static void unknown(struct ruleset_reader *reader, const char *why)
{
	if (strcmp(reader->why, why))
		log_warn("the firewall's rules cannot be read, so services are bypassed (those with `syn-rules = "
			 "ignore` are not): %s",
			 why);
	snprintf(reader->why, sizeof(reader->why), "%s", why);
	for (size_t i = 0; i < reader->count; i++)
		reader->endpoints[i].state = RULESET_UNKNOWN;
	reader->has_answers = true;
}

/* Does nothing: the reader itself stays. */
static void released(struct event_source *source)
{
	(void)source;
}

static void lose(struct ruleset_reader *reader, const char *why)
{
	if (reader->gone)
		return;
	reader->gone = true;
	if (reader->source.loop)
		event_loop_retire(&reader->source, released);
	unknown(reader, why);
}

static void ask(struct ruleset_reader *reader, uint64_t now)
{
	const struct ruleset_message message = { .kind = RULESET_REQUEST };
	struct ruleset_shared *shared = reader->shared;

	if (reader->gone || reader->asked || !reader->due_ns || now < reader->due_ns)
		return;
	memcpy(shared->devices, reader->devices, sizeof(shared->devices));
	shared->device_count = reader->device_count;
	shared->endpoint_count = reader->count < RULESET_MAX_ENDPOINTS ? (uint32_t)reader->count :
									 RULESET_MAX_ENDPOINTS;
	for (uint32_t i = 0; i < shared->endpoint_count; i++)
		shared->endpoints[i] = reader->endpoints[i].what;
	if (send(reader->socket, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(message)) {
		if (errno == EPIPE || errno == ECONNRESET)
			lose(reader, "the process that reads them has died");
		else
			due(reader, now + AGAIN_NS);
		return;
	}
	reader->due_ns = 0;
	reader->asked = true;
	reader->changed = false;
	reader->asked_ns = now;
}

/* Takes the results. The endpoints may have changed meanwhile, so each result is matched to its endpoint. */
static void take_results(struct ruleset_reader *reader)
{
	const struct ruleset_shared *shared = reader->shared;

	for (uint32_t i = 0; i < RULESET_MAX_TEXTS; i++) {
		char text[RULESET_RULE_TEXT];

		memcpy(text, shared->texts[i], sizeof(text) - 1);
		text[sizeof(text) - 1] = '\0';
		text_printable(text, reader->texts[i], sizeof(reader->texts[i]));
	}
	for (uint32_t i = 0; i < shared->endpoint_count && i < RULESET_MAX_ENDPOINTS; i++) {
		struct known_endpoint *endpoint = find(reader, &shared->endpoints[i]);

		if (!endpoint)
			continue;
		endpoint->state = RULESET_KNOWN;
		endpoint->results = shared->results[i];
		endpoint->rule = shared->rules[i];
	}
	/* Endpoints for which the request had no room stay unknown. */
	for (size_t i = RULESET_MAX_ENDPOINTS; i < reader->count && !reader->changed; i++)
		reader->endpoints[i].state = RULESET_UNKNOWN;
	reader->has_answers = true;
}

static void take_answer(struct ruleset_reader *reader, uint32_t error)
{
	uint64_t now = clock_ns();
	char why[RULESET_WHY], printable[RULESET_WHY];

	if (!reader->asked)
		return;
	reader->asked = false;
	if (reader->late)
		due(reader, now);
	reader->late = false;
	reader->answered_ns = now;
	reader->took_ns = now - reader->asked_ns;
	if (!error) {
		if (*reader->why)
			log_info("the firewall's rules can be read again");
		*reader->why = '\0';
		reader->failures = 0;
		reader->answered = true;
		take_results(reader);
	} else {
		memcpy(why, reader->shared->why, sizeof(why) - 1);
		why[sizeof(why) - 1] = '\0';
		text_printable(why, printable, sizeof(printable));
		/*
		 * A reading that takes too long on a busy machine is tried again before the results so far are dropped.
		 */
		if (*reader->why || !reader->answered || ++reader->failures > FAILURES)
			unknown(reader, printable);
		else
			log_warn_limited(
				"the firewall's rules could not be read, the last results hold until the next try: %s",
				printable);
		due(reader, now + AGAIN_NS);
	}
	if (reader->changed)
		due(reader, now);
	ask(reader, now);
}

static void take_change(struct ruleset_reader *reader, unsigned int changes)
{
	uint64_t now = clock_ns(), at = now + SETTLE_NS,
		 rest = changes & RULESET_CHANGED_RULES ? PERIOD_NS : PERIOD_ELEMENTS_NS;

	if (rest < REST * reader->took_ns)
		rest = REST * reader->took_ns;
	if (reader->answered_ns && at < reader->answered_ns + rest)
		at = reader->answered_ns + rest;
	reader->changes |= changes;
	due(reader, at);
}

static void ready(struct event_source *source, uint32_t events)
{
	struct ruleset_reader *reader = (struct ruleset_reader *)source;
	struct ruleset_message message;
	ssize_t size;

	(void)events;
	while ((size = recv(source->fd, &message, sizeof(message), MSG_DONTWAIT)) == sizeof(message)) {
		if (message.kind == RULESET_ANSWER)
			take_answer(reader, message.value);
		else
			take_change(reader, message.value);
	}
	if (size >= 0 || (errno != EAGAIN && errno != EINTR))
		lose(reader, "the process that reads them has died");
}

void ruleset_reader_tick(struct ruleset_reader *reader, uint64_t now)
{
	if (!reader)
		return;
	if (reader->asked && !reader->late && now > reader->asked_ns + ANSWER_PATIENCE_NS) {
		reader->late = true;
		unknown(reader, "the process that reads them does not answer");
	}
	ask(reader, now);
}

bool ruleset_reader_take_answers(struct ruleset_reader *reader)
{
	bool has_answers = reader && reader->has_answers;

	if (has_answers)
		reader->has_answers = false;
	return has_answers;
}

unsigned int ruleset_reader_take_changes(struct ruleset_reader *reader)
{
	unsigned int changes = reader ? reader->changes : 0;

	if (changes)
		reader->changes = 0;
	return changes;
}

/* --------------------------------------------------------------------------------------------------- open and close */

int ruleset_reader_open(struct ruleset_reader **opened)
{
	struct ruleset_reader *reader = calloc(1, sizeof(*reader));
	int ends[2] = { -1, -1 }, daemon = getpid(), error;

	if (!reader)
		return -ENOMEM;
	reader->texts = calloc(RULESET_MAX_TEXTS, sizeof(*reader->texts));
	reader->shared = mmap(NULL, sizeof(*reader->shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reader->texts && reader->shared != MAP_FAILED &&
	    !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		reader->process = fork();
	error = ends[0] < 0 || reader->process < 0 ? -errno : 0;
	if (!error && !reader->process) {
		close(ends[0]);
		ruleset_process(ends[1], reader->shared, daemon);
	}
	if (ends[1] >= 0)
		close(ends[1]);
	reader->socket = ends[0];
	if (error) {
		if (reader->process < 0)
			reader->process = 0;
		ruleset_reader_close(reader);
		return error;
	}
	*opened = reader;
	return 0;
}

int ruleset_reader_listen(struct ruleset_reader *reader, struct event_loop *loop)
{
	return reader ? event_loop_add(loop, &reader->source, reader->socket, EPOLLIN, ready) : 0;
}

/* Closes the reader, after the loop. The process ends when its socket is closed; this does not wait for it. */
void ruleset_reader_close(struct ruleset_reader *reader)
{
	if (!reader)
		return;
	if (reader->socket >= 0)
		close(reader->socket);
	if (reader->process)
		waitpid(reader->process, NULL, WNOHANG);
	if (reader->shared && reader->shared != MAP_FAILED)
		munmap(reader->shared, sizeof(*reader->shared));
	free(reader->texts);
	free(reader->endpoints);
	free(reader);
}

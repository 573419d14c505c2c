/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "shakeoffd/firewall/ruleset_process.h"
#include "shakeoffd/firewall/ruleset_read.h"
#include "shakeoffd/firewall/ruleset_watch.h"

/*
 * A rule set that takes longer than this to read counts as unknown. On a slow machine ten thousand rules take about a
 * second.
 */
#define READ_PATIENCE_NS (20 * NS_PER_S)
#define READ_CPU_S 20
#define READ_MEMORY_MAX ((rlim_t)2 << 30)

#define LOOK_PERIOD_NS NS_PER_S

/* Minimum time between two readings of messages, so that a storm of changes is reported together. */
#define CHANGE_PERIOD_NS (100 * NS_PER_MS)

struct process {
	int socket;
	struct ruleset_shared *shared;
	struct ruleset_watch watch;
	pid_t reader; /* 0: nothing is being read */
	int result;   /* read end of a pipe: an int, 0 or an errno */
	uint64_t begun_ns, looked_ns, changed_ns;
};

/* ---------------------------------------------------------------------------------------------- the reading process */

static uint8_t text_index(struct ruleset_shared *shared, const struct rule_chain *chain, const struct rule *rule)
{
	char text[RULESET_RULE_TEXT];

	ruleset_rule_text(chain, rule, text, sizeof(text));
	for (uint32_t i = 0; i < shared->text_count; i++)
		if (!strcmp(shared->texts[i], text))
			return (uint8_t)i;
	if (shared->text_count == RULESET_MAX_TEXTS)
		return RULESET_MAX_TEXTS - 1;
	strcpy(shared->texts[shared->text_count], text);
	return (uint8_t)shared->text_count++;
}

static void verify_endpoint(struct ruleset_verifier *verifier, struct ruleset_shared *shared, uint32_t index)
{
	struct ruleset_findings findings;

	ruleset_verify(verifier, &shared->endpoints[index], &findings);
	shared->results[index] = (uint8_t)((findings.syn_rules ? RULESET_SYN_RULES : 0) |
					   (findings.refuses_syn ? RULESET_REFUSES_SYN : 0) |
					   (findings.counts ? RULESET_COUNTS : 0));
	if (findings.syn_rules)
		shared->rules[index] = text_index(shared, findings.syn_chain, findings.syn_rule);
	else if (findings.counts)
		shared->rules[index] = text_index(shared, findings.counting_chain, findings.counting_rule);
	else if (findings.refuses_syn)
		shared->rules[index] = text_index(shared, findings.refusing_chain, findings.refusing_rule);
}

/*
 * Verifies all endpoints. Endpoints of the same port and family share a result, unless a rule matches addresses: a host
 * with a thousand addresses then has a thousand results per port.
 */
static int verify_all(const struct ruleset *ruleset, struct ruleset_shared *shared)
{
	const struct ruleset_devices devices = {
		.names = (const char(*)[IFNAMSIZ])shared->devices,
		.count = shared->device_count < RULESET_MAX_DEVICES ? shared->device_count : RULESET_MAX_DEVICES,
	};
	uint32_t count = shared->endpoint_count < RULESET_MAX_ENDPOINTS ? shared->endpoint_count :
									  RULESET_MAX_ENDPOINTS;
	struct ruleset_verifier *verifier = ruleset_verifier_open(ruleset, &devices);
	cleanup_free uint32_t *first = calloc(2 << 16, sizeof(*first)); /* of this port and family, plus 1 */
	int error = verifier && first ? 0 : -ENOMEM;

	shared->text_count = 0;
	for (uint32_t i = 0; i < count && !error; i++) {
		const struct endpoint *endpoint = &shared->endpoints[i];
		uint32_t *same = &first[(uint32_t)endpoint->port << 1 | !!IN6_IS_ADDR_V4MAPPED(&endpoint->address)];

		if (*same && !ruleset->by_address) {
			shared->results[i] = shared->results[*same - 1];
			shared->rules[i] = shared->rules[*same - 1];
			continue;
		}
		verify_endpoint(verifier, shared, i);
		*same = i + 1;
	}
	ruleset_verifier_close(verifier);
	return error;
}

static void limit(int resource, rlim_t value)
{
	const struct rlimit limit = { value, value };

	setrlimit(resource, &limit);
}

/* Makes this process the first to be killed when memory is short. */
static void offer_to_oom_killer(void)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "we");

	if (!file)
		return;
	fputs("1000", file);
	fclose(file);
}

static _Noreturn void read_and_verify(struct ruleset_shared *shared, int result)
{
	struct ruleset ruleset;
	int error;

	setsid(); /* so that the tools that it runs are killed with it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	limit(RLIMIT_CPU, READ_CPU_S);
	limit(RLIMIT_AS, READ_MEMORY_MAX);
	limit(RLIMIT_CORE, 0);
	offer_to_oom_killer();
	error = ruleset_read(&ruleset, shared->why, sizeof(shared->why));
	if (!error) {
		error = verify_all(&ruleset, shared);
		if (error)
			strcpy(shared->why, "out of memory");
	}
	if (write(result, &error, sizeof(error)) != sizeof(error))
		_exit(1);
	_exit(0);
}

/* ---------------------------------------------------------------------------------------------- the waiting process */

static void report(const struct process *process, enum ruleset_message_kind kind, uint32_t value)
{
	const struct ruleset_message message = { .kind = kind, .value = value };

	if (send(process->socket, &message, sizeof(message), MSG_NOSIGNAL) < 0 && errno != EINTR)
		_exit(0);
}

static void answer(struct process *process, int error, const char *why)
{
	if (why)
		strcpy(process->shared->why, why);
	report(process, RULESET_ANSWER, (uint32_t)-error);
}

static void begin(struct process *process)
{
	int ends[2];

	if (process->reader || pipe2(ends, O_CLOEXEC)) {
		answer(process, -EMFILE, "there are too many open files");
		return;
	}
	process->reader = fork();
	if (!process->reader)
		read_and_verify(process->shared, ends[1]);
	close(ends[1]);
	if (process->reader < 0) {
		close(ends[0]);
		process->reader = 0;
		answer(process, -EAGAIN, "no process could be started to read them");
		return;
	}
	process->result = ends[0];
	process->begun_ns = clock_ns();
}

static void end(struct process *process, const char *why)
{
	int error = -EIO, status;
	bool ended = read(process->result, &error, sizeof(error)) == sizeof(error);

	kill(-process->reader, SIGKILL);
	kill(process->reader, SIGKILL); /* it may not have reached its setsid() */
	while (waitpid(process->reader, &status, 0) < 0 && errno == EINTR)
		;
	close(process->result);
	process->reader = 0;
	answer(process, ended ? error : -EIO, ended ? NULL : why);
}

static void take_request(struct process *process)
{
	struct ruleset_message message;
	ssize_t size = recv(process->socket, &message, sizeof(message), 0);

	if (size < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (size != sizeof(message)) /* the daemon has ended */
		_exit(0);
	begin(process);
}

static void follow(struct process *process, uint64_t now, bool readable)
{
	unsigned int changes = 0;

	if (readable) {
		changes |= ruleset_watch_read(&process->watch);
		process->changed_ns = now;
	}
	if (now - process->looked_ns >= LOOK_PERIOD_NS) {
		process->looked_ns = now;
		changes |= ruleset_watch_look(&process->watch);
	}
	if (changes)
		report(process, RULESET_CHANGE, changes);
}

static _Noreturn void serve(struct process *process)
{
	for (;;) {
		uint64_t now = clock_ns();
		bool quiet = now - process->changed_ns < CHANGE_PERIOD_NS;
		struct pollfd polled[] = {
			{ .fd = process->socket, .events = POLLIN },
			{ .fd = process->reader ? process->result : -1, .events = POLLIN },
			{ .fd = quiet ? -1 : ruleset_watch_fd(&process->watch), .events = POLLIN },
		};

		if (poll(polled, 3, (int)((quiet ? CHANGE_PERIOD_NS : LOOK_PERIOD_NS) / NS_PER_MS)) < 0 &&
		    errno != EINTR)
			_exit(1);
		now = clock_ns();
		if (polled[0].revents)
			take_request(process);
		if (process->reader && polled[1].revents)
			end(process, "the process that read them has died");
		else if (process->reader && clock_ns() - process->begun_ns >= READ_PATIENCE_NS) {
			fcntl(process->result, F_SETFL, O_NONBLOCK);
			end(process, "it takes too long");
		}
		follow(process, now, polled[2].revents);
	}
}

/*
 * Closes all descriptors but the socket and the standard ones, and keeps only the capabilities for netlink and
 * iptables.
 */
static int confine(int socket)
{
	int kept = fcntl(socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	if (kept < 0)
		return -1;
	for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
		if (fd != kept)
			close(fd);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_NAME, "shakeoff-rules");
	capng_clear(CAPNG_SELECT_BOTH);
	capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_NET_ADMIN, CAP_NET_RAW,
		      -1);
	if (capng_apply(CAPNG_SELECT_BOTH) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return kept;
}

_Noreturn void ruleset_process(int socket, struct ruleset_shared *shared, int daemon)
{
	struct process process = { .shared = shared };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != daemon)
		_exit(0);
	process.socket = confine(socket);
	if (process.socket < 0)
		_exit(1);
	ruleset_watch_open(&process.watch);
	process.looked_ns = clock_ns();
	serve(&process);
}

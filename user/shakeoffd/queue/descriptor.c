/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "shakeoffd/queue/descriptor.h"

/* Threads in total, and those reserved for closing descriptors of root or of the daemon's user. */
#define MAX_THREADS 1024
#define RESERVED_THREADS 64

/*
 * Maximum of threads that one user's descriptors may keep busy. From the first limit on, SO_LINGER is switched off
 * before the close(), so that the kernel sends the rest in the background. The further threads are for a server that
 * sets it again.
 */
#define MAX_LINGERING 64
#define MAX_THREADS_OF_OWNER (MAX_LINGERING + 4)

#define STACK_SIZE (64 * 1024)

enum kind { CONNECTION, PASSED, SOCKET, KINDS };

struct job {
	struct job *next;
	int fd;
	enum kind kind;
	bool reset;
};

/* A user with descriptors to close. */
struct owner {
	struct owner *next;
	uid_t uid;
	struct job *first, **end;
	size_t unclosed[KINDS]; /* jobs that wait or are being done */
	unsigned int running;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static struct owner *owners;
static unsigned int threads, idle, running;
static _Atomic(size_t) unclosed[KINDS]; /* of all owners */
static size_t reserved;                 /* by descriptor_reserve() */
static unsigned long done, done_before; /* jobs done, and their number at the last descriptor_tick() */

static struct owner *find_owner(uid_t uid)
{
	struct owner *owner = owners;

	while (owner && owner->uid != uid)
		owner = owner->next;
	return owner;
}

static struct owner *get_owner(uid_t uid)
{
	struct owner *owner = find_owner(uid);

	if (owner)
		return owner;
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return NULL;
	owner->uid = uid;
	owner->end = &owner->first;
	owner->next = owners;
	owners = owner;
	return owner;
}

static void forget_if_idle(struct owner *owner)
{
	struct owner **link = &owners;

	if (owner->first || owner->running)
		return;
	while (*link != owner)
		link = &(*link)->next;
	*link = owner->next;
	free(owner);
}

static bool may_run(const struct owner *owner)
{
	bool reserved = owner->uid == 0 || owner->uid == geteuid();

	return owner->first && owner->running < MAX_THREADS_OF_OWNER &&
	       (reserved || running < MAX_THREADS - RESERVED_THREADS);
}

/* Returns the owner with the fewest busy threads, so that owners whose descriptors hang come last. */
static struct owner *choose(void)
{
	struct owner *best = NULL;

	for (struct owner *owner = owners; owner; owner = owner->next)
		if (may_run(owner) && (!best || owner->running < best->running))
			best = owner;
	return best;
}

static void close_now(const struct job *job, bool many)
{
	/* l_linger = 0 resets. No other option may be set on a connection that a server still has. */
	const struct linger reset = { .l_onoff = 1 }, off = { 0 };

	if (job->reset)
		setsockopt(job->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	else if (many)
		setsockopt(job->fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(job->fd);
}

static void run_one(struct owner *owner)
{
	struct job *job = owner->first;
	bool many = owner->running >= MAX_LINGERING;
	enum kind kind = job->kind;

	owner->first = job->next;
	if (!owner->first)
		owner->end = &owner->first;
	owner->running++;
	running++;
	pthread_mutex_unlock(&mutex);
	close_now(job, many);
	free(job);
	pthread_mutex_lock(&mutex);
	owner->running--;
	running--;
	done++;
	owner->unclosed[kind]--;
	unclosed[kind]--;
	forget_if_idle(owner);
}

static void *run(void *unused)
{
	struct owner *owner;

	pthread_mutex_lock(&mutex);
	for (;;) {
		owner = choose();
		if (owner) {
			run_one(owner);
			continue;
		}
		if (threads > running + 1)
			break; /* another thread is idle, too */
		idle++;
		pthread_cond_wait(&arrived, &mutex);
		idle--;
	}
	threads--;
	pthread_mutex_unlock(&mutex);
	return unused;
}

/* Starts a thread that gets no signals: the main thread reads them from a descriptor. */
static void start_thread(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (!pthread_create(&thread, &attributes, run, NULL))
		threads++; /* otherwise descriptor_tick() tries again */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

static void hand_over(int fd, uid_t uid, enum kind kind, bool reset)
{
	struct job *job = malloc(sizeof(*job));
	struct owner *owner;

	pthread_mutex_lock(&mutex);
	owner = job ? get_owner(uid) : NULL;
	if (!owner) {
		pthread_mutex_unlock(&mutex);
		free(job);
		log_warn_limited("no memory: a descriptor stays open");
		return;
	}
	*job = (struct job){ .fd = fd, .kind = kind, .reset = reset };
	*owner->end = job;
	owner->end = &job->next;
	owner->unclosed[kind]++;
	unclosed[kind]++;
	if (!threads)
		start_thread();
	else if (idle)
		pthread_cond_signal(&arrived);
	pthread_mutex_unlock(&mutex);
}

void descriptor_close(int fd, uid_t owner)
{
	hand_over(fd, owner, CONNECTION, false);
}

void descriptor_close_passed(int fd, uid_t owner)
{
	hand_over(fd, owner, PASSED, false);
}

void descriptor_close_socket(int fd, uid_t owner)
{
	hand_over(fd, owner, SOCKET, false);
}

void descriptor_reset(int fd, uid_t owner)
{
	hand_over(fd, owner, CONNECTION, true);
}

size_t descriptor_unclosed(uid_t uid)
{
	const struct owner *owner;
	size_t count = 0;

	pthread_mutex_lock(&mutex);
	owner = find_owner(uid);
	for (size_t i = 0; owner && i < KINDS; i++)
		count += owner->unclosed[i];
	pthread_mutex_unlock(&mutex);
	return count;
}

bool descriptor_is_stuck(uid_t uid)
{
	const struct owner *owner;
	bool stuck;

	pthread_mutex_lock(&mutex);
	owner = find_owner(uid);
	stuck = owner && owner->first && owner->running >= MAX_THREADS_OF_OWNER;
	pthread_mutex_unlock(&mutex);
	return stuck;
}

void descriptor_tick(void)
{
	pthread_mutex_lock(&mutex);
	if (!idle && done == done_before && threads < MAX_THREADS && choose())
		start_thread();
	done_before = done;
	pthread_mutex_unlock(&mutex);
}

void descriptor_finish(unsigned int timeout_ms)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	bool remaining = true;

	for (unsigned int i = 0; i < timeout_ms && remaining; i++) {
		pthread_mutex_lock(&mutex);
		remaining = owners;
		pthread_mutex_unlock(&mutex);
		if (remaining)
			nanosleep(&pause, NULL);
	}
}

/* -------------------------------------------------------------------------------------------- number of descriptors */

/*
 * Descriptors reserved beside connections: an eighth of all, but not more than a few servers can use. At least enough
 * that each kind below has room for a message, and at most half.
 */
#define MAX_RESERVED 16384
#define MIN_RESERVED 2048

static size_t limit_of_connections = SIZE_MAX, beside_connections = MAX_RESERVED;

void descriptor_raise_limit(void)
{
	struct rlimit limit;
	size_t all;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		log_debug("the limit of descriptors stays as it is: %m");
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return;
	all = limit.rlim_cur;
	beside_connections = all / 8 > MAX_RESERVED ? MAX_RESERVED : all / 8 < MIN_RESERVED ? MIN_RESERVED : all / 8;
	if (beside_connections > all / 2)
		beside_connections = all / 2;
	limit_of_connections = all - beside_connections;
}

size_t descriptor_limit_of_connections(void)
{
	size_t of_connections = unclosed[CONNECTION];

	return of_connections < limit_of_connections ? limit_of_connections - of_connections : 0;
}

static size_t for_messages(size_t held, size_t bound)
{
	return held < bound ? (bound - held) / DESCRIPTORS_OF_MESSAGE : 0;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * Reserves descriptors. Of those beside connections, three quarters are for passed descriptors. Those that untrusted
 * servers pass may use half, and those of one user half of that, so that they cannot take what the service's own
 * servers need. An eighth is for sockets.
 */
int descriptor_reserve(uid_t uid, bool trusted, int most)
{
	size_t bound = trusted ? beside_connections / 4 * 3 : beside_connections / 2;
	size_t of_owner = bound / 2 > DESCRIPTORS_OF_MESSAGE ? bound / 2 : DESCRIPTORS_OF_MESSAGE;
	const struct owner *owner;
	size_t messages, now;

	pthread_mutex_lock(&mutex);
	owner = find_owner(uid);
	messages = least(for_messages(unclosed[PASSED], bound),
			 for_messages(owner ? owner->unclosed[PASSED] : 0, of_owner));
	now = least(messages, for_messages(unclosed[PASSED] + reserved, bound));
	/* Take only a part, because another thread needs some, too. */
	now = least((now + 1) / 2, (size_t)most);
	reserved += now * DESCRIPTORS_OF_MESSAGE;
	pthread_mutex_unlock(&mutex);
	return messages ? (int)now : -EUSERS;
}

void descriptor_unreserve(int messages)
{
	pthread_mutex_lock(&mutex);
	reserved -= (size_t)messages * DESCRIPTORS_OF_MESSAGE;
	pthread_mutex_unlock(&mutex);
}

bool descriptor_may_refuse(void)
{
	return unclosed[SOCKET] < beside_connections / 8;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An honest client that measures: it connects, optionally requests a page, reads until the server closes, and repeats;
 * optionally with many connections at once. It reports how many connections failed and why, and how long the handshakes
 * took. SIGTERM: it begins no new connections.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONCURRENCY 4096

struct options {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} dst;
	socklen_t dst_len;
	unsigned long port, count, concurrency, timeout_ms, interval_ms;
	double seconds;
	const char *request; /* NULL: connect only */
	bool json;
};

enum failure { FAILED_TIMEOUT, FAILED_REFUSED, FAILED_RESET, FAILED_EMPTY, FAILED_OTHER, FAILURE_COUNT };
static const char *const failure_name[FAILURE_COUNT] = { "timeout", "refused", "reset", "empty", "other" };

enum step { STEP_IDLE, STEP_CONNECTING, STEP_ANSWER };

struct conn {
	int fd;
	enum step step;
	uint64_t started, next; /* ns; next: not before (a pause between attempts) */
	size_t received;
};

/* Latencies of all successful connections, in ns. */
struct samples {
	uint64_t *values;
	size_t count, size;
};

struct totals {
	unsigned long tried, ok, failed[FAILURE_COUNT];
	struct samples connect, request;
};

static struct options options = { .concurrency = 1, .timeout_ms = 3000 };
static struct totals totals;
static int epoll_fd;
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void sample(struct samples *samples, uint64_t value)
{
	if (samples->count == samples->size) {
		samples->size = samples->size ? samples->size * 2 : 4096;
		samples->values = realloc(samples->values, samples->size * sizeof(*samples->values));
		if (!samples->values)
			abort();
	}
	samples->values[samples->count++] = value;
}

static int ascending(const void *first, const void *second)
{
	uint64_t a = *(const uint64_t *)first, b = *(const uint64_t *)second;

	return a < b ? -1 : a > b;
}

/* Returns a percentile in milliseconds; samples are sorted. */
static double percentile(const struct samples *samples, double share)
{
	size_t index = samples->count * share;

	if (!samples->count)
		return 0;
	if (index >= samples->count)
		index = samples->count - 1;
	return samples->values[index] / 1e6;
}

static void finish(struct conn *conn)
{
	close(conn->fd);
	conn->fd = -1;
	conn->step = STEP_IDLE;
	conn->next = conn->started + options.interval_ms * 1000000;
}

static void fail(struct conn *conn, enum failure why)
{
	totals.failed[why]++;
	finish(conn);
}

static void fail_errno(struct conn *conn, int err)
{
	fail(conn, err == ECONNREFUSED               ? FAILED_REFUSED :
		   err == ECONNRESET || err == EPIPE ? FAILED_RESET :
		   err == ETIMEDOUT                  ? FAILED_TIMEOUT :
						       FAILED_OTHER);
}

static void succeed(struct conn *conn)
{
	totals.ok++;
	if (options.request)
		sample(&totals.request, now() - conn->started);
	finish(conn);
}

static void begin(struct conn *conn)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = conn };

	totals.tried++;
	conn->received = 0;
	conn->started = now();
	conn->step = STEP_CONNECTING;
	conn->fd = socket(options.dst.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0) {
		perror("client: socket");
		exit(1);
	}
	if (connect(conn->fd, &options.dst.sa, options.dst_len) && errno != EINPROGRESS) {
		fail_errno(conn, errno);
		return;
	}
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn->fd, &event);
}

static void connected(struct conn *conn)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
	int err = 0;
	socklen_t len = sizeof(err);

	getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		fail_errno(conn, err);
		return;
	}
	sample(&totals.connect, now() - conn->started);
	if (!options.request) {
		succeed(conn);
		return;
	}
	if (send(conn->fd, options.request, strlen(options.request), MSG_NOSIGNAL) < 0) {
		fail_errno(conn, errno);
		return;
	}
	conn->step = STEP_ANSWER;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

static void answer(struct conn *conn)
{
	char buffer[65536];
	ssize_t n;

	while ((n = recv(conn->fd, buffer, sizeof(buffer), 0)) > 0)
		conn->received += n;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		fail_errno(conn, errno);
	else if (!conn->received)
		fail(conn, FAILED_EMPTY);
	else
		succeed(conn);
}

/* Begins connections that are due and gives up those that have taken too long. Returns how many are open. */
static unsigned long tend(struct conn *conns, bool more)
{
	uint64_t time = now();
	unsigned long busy = 0, i;

	for (i = 0; i < options.concurrency; i++) {
		struct conn *conn = &conns[i];

		if (conn->step != STEP_IDLE && time - conn->started > options.timeout_ms * 1000000)
			fail(conn, FAILED_TIMEOUT);
		if (conn->step == STEP_IDLE && more && time >= conn->next &&
		    (!options.count || totals.tried < options.count))
			begin(conn);
		busy += conn->step != STEP_IDLE;
	}
	return busy;
}

static bool begins_more(uint64_t end)
{
	return !stopped && now() < end && (!options.count || totals.tried < options.count);
}

static double run(void)
{
	struct conn *conns = calloc(options.concurrency, sizeof(*conns));
	uint64_t start = now(), end = options.seconds ? start + options.seconds * 1e9 : UINT64_MAX, last = 0;
	struct epoll_event events[256];
	unsigned long busy = 0;
	bool more = true;
	int n, i;

	if (!conns)
		abort();
	while (more || busy) {
		more = begins_more(end);
		busy = tend(conns, more);
		n = epoll_wait(epoll_fd, events, 256, options.interval_ms || busy ? 10 : 0);
		for (i = 0; i < n; i++) {
			struct conn *conn = events[i].data.ptr;

			if (conn->step == STEP_CONNECTING)
				connected(conn);
			else if (conn->step == STEP_ANSWER)
				answer(conn);
			/* The next one at once: tend() visits all connections, for time-outs and pauses. */
			if (conn->step == STEP_IDLE && !options.interval_ms && begins_more(end))
				begin(conn);
		}
		last = now();
	}
	free(conns);
	return (last - start) / 1e9;
}

/* Returns TcpRetransSegs of this network namespace. */
static long retransmissions(void)
{
	FILE *file = fopen("/proc/self/net/snmp", "r");
	char names[1024] = "", values[1024] = "", *name, *value, *name_next, *value_next;
	long result = -1;

	while (file && fgets(names, sizeof(names), file) && fgets(values, sizeof(values), file)) {
		if (strncmp(names, "Tcp:", 4))
			continue;
		name = strtok_r(names, " \n", &name_next);
		value = strtok_r(values, " \n", &value_next);
		while (name && value) {
			if (!strcmp(name, "RetransSegs"))
				result = atol(value);
			name = strtok_r(NULL, " \n", &name_next);
			value = strtok_r(NULL, " \n", &value_next);
		}
	}
	if (file)
		fclose(file);
	return result;
}

static unsigned long failures(void)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < FAILURE_COUNT; i++)
		sum += totals.failed[i];
	return sum;
}

static void report(double seconds, long retransmitted)
{
	const struct samples *connect = &totals.connect, *request = &totals.request;
	int i;

	qsort(connect->values, connect->count, sizeof(*connect->values), ascending);
	qsort(request->values, request->count, sizeof(*request->values), ascending);
	if (options.json) {
		printf("{\"seconds\": %.3f, \"tried\": %lu, \"ok\": %lu, \"failed\": %lu, \"retransmissions\": %ld",
		       seconds, totals.tried, totals.ok, failures(), retransmitted);
		for (i = 0; i < FAILURE_COUNT; i++)
			printf(", \"%s\": %lu", failure_name[i], totals.failed[i]);
		printf(", \"connect_ms\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}", percentile(connect, 0.5),
		       percentile(connect, 0.99), percentile(connect, 1));
		printf(", \"request_ms\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}}\n", percentile(request, 0.5),
		       percentile(request, 0.99), percentile(request, 1));
		return;
	}
	printf("%.1f s: %lu tried, %lu failed, %ld segments retransmitted; connect p50 %.2f ms, p99 %.2f ms, max %.2f ms\n",
	       seconds, totals.tried, failures(), retransmitted, percentile(connect, 0.5), percentile(connect, 0.99),
	       percentile(connect, 1));
	for (i = 0; i < FAILURE_COUNT; i++)
		if (totals.failed[i])
			printf("  %lu failed: %s\n", totals.failed[i], failure_name[i]);
}

static void usage(FILE *out)
{
	fputs("client --dst ADDRESS --port N [--count N | --seconds S] [--concurrency N] [--request TEXT|--http]\n"
	      "       [--interval-ms N] [--timeout-ms N] [--json]\n"
	      "Exit status 0: none failed.\n",
	      out);
}

static void parse(int argc, char **argv)
{
	static const struct option table[] = {
		{ "dst", required_argument, NULL, 'd' },
		{ "port", required_argument, NULL, 'p' },
		{ "count", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 's' },
		{ "concurrency", required_argument, NULL, 'c' },
		{ "request", required_argument, NULL, 'r' },
		{ "http", no_argument, NULL, 'H' },
		{ "interval-ms", required_argument, NULL, 'i' },
		{ "timeout-ms", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *dst = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (option) {
		case 'd': dst = optarg; break;
		case 'p': options.port = strtoul(optarg, NULL, 10); break;
		case 'n': options.count = strtoul(optarg, NULL, 10); break;
		case 's': options.seconds = strtod(optarg, NULL); break;
		case 'c': options.concurrency = strtoul(optarg, NULL, 10); break;
		case 'r': options.request = optarg; break;
		case 'H': options.request = "GET / HTTP/1.0\r\nHost: test\r\nConnection: close\r\n\r\n"; break;
		case 'i': options.interval_ms = strtoul(optarg, NULL, 10); break;
		case 't': options.timeout_ms = strtoul(optarg, NULL, 10); break;
		case 'j': options.json = true; break;
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); exit(2);
		}
	}
	if (!dst || !options.port || options.port > 65535 || optind != argc || !options.concurrency ||
	    options.concurrency > MAX_CONCURRENCY || (!options.count && !options.seconds)) {
		usage(stderr);
		exit(2);
	}
	if (inet_pton(AF_INET, dst, &options.dst.in.sin_addr) == 1) {
		options.dst.in.sin_family = AF_INET;
		options.dst.in.sin_port = htons(options.port);
		options.dst_len = sizeof(options.dst.in);
	} else if (inet_pton(AF_INET6, dst, &options.dst.in6.sin6_addr) == 1) {
		options.dst.in6.sin6_family = AF_INET6;
		options.dst.in6.sin6_port = htons(options.port);
		options.dst_len = sizeof(options.dst.in6);
	} else {
		fprintf(stderr, "client: not an address: %s\n", dst);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	double seconds;
	long before;

	parse(argc, argv);
	signal(SIGTERM, stop);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	before = retransmissions();
	seconds = run();
	report(seconds, retransmissions() - before);
	return failures() ? 1 : 0;
}

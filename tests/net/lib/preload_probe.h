/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of preload_probe have in common: its addresses, and both ends of its connections. */
#ifndef SHAKEOFF_TESTS_PRELOAD_PROBE_H
#define SHAKEOFF_TESTS_PRELOAD_PROBE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SOON_MS 20000
#define A_WHILE_MS 100

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

extern union address own, target;
extern int client_netns, own_netns; /* -1: clients are in the program's own */
extern const char *label;
extern int failures;

void report(bool good, const char *what);
void give_up(const char *what);

socklen_t size_of(const union address *address);
bool parse(const char *text, uint16_t port, union address *address);
bool same(const union address *one, const union address *other);

int bound_socket(int type, bool reuseport);
int listener(int type);
int client(void);
bool readable(int fd, int timeout_ms);
bool event_comes(int epoll_fd, uint64_t data, int timeout_ms);
int accept_soon(int fd);
int int_option(int fd, int level, int name);

/* Returns whether both ends are the same connection; closes both. */
bool talk(int ours, int theirs);

/* Returns whether a new connection comes to the listening socket, and can exchange data. */
bool serves(int fd);

/* preload_processes.c */
void examine_duplicates(void);
void examine_fork(void);
void examine_threads(void);
void examine_descriptor_limit(void);
void examine_close_everything(void);
void examine_exec(char **argv);

/* Returns the exit status of a program that inherited a listening socket over exec. */
int serve_inherited(int fd);

#endif

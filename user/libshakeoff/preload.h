/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of libshakeoff-preload.so share. preload.c says what it is. */
#ifndef SHAKEOFF_PRELOAD_H
#define SHAKEOFF_PRELOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "libshakeoff/queue_client.h"

/* A function of the C library that the shim stands before, for the server. */
#define PRELOAD_EXPORTED __attribute__((visibility("default")))

#pragma GCC visibility push(hidden)

/* ---------------------------------------------------------------------------------------- the C library's functions */

struct preload_real {
	int (*accept4)(int, struct sockaddr *, socklen_t *, int);
	int (*accept)(int, struct sockaddr *, socklen_t *);
	int (*bind)(int, const struct sockaddr *, socklen_t);
	int (*close)(int);
	int (*close_range)(unsigned int, unsigned int, int);
	void (*closefrom)(int);
	int (*dup)(int);
	int (*dup2)(int, int);
	int (*dup3)(int, int, int);
	int (*epoll_ctl)(int, int, int, struct epoll_event *);
	int (*fcntl)(int, int, ...);
	int (*getpeername)(int, struct sockaddr *, socklen_t *);
	int (*getsockname)(int, struct sockaddr *, socklen_t *);
	int (*getsockopt)(int, int, int, void *, socklen_t *);
	int (*ioctl)(int, unsigned long, ...);
	int (*listen)(int, int);
	int (*setsockopt)(int, int, int, const void *, socklen_t);
	int (*shutdown)(int, int);
};

const struct preload_real *preload_real(void);

/* Returns what the environment said when the program started. */
const char *preload_run_dir(void);

/* ------------------------------------------------------------------------------------------------------ descriptors */

/* Descriptors from here on are never listening sockets of ours: servers listen before they accept thousands. */
#define PRELOAD_MAX_FD 65536
#define PRELOAD_MAX_LISTENERS 512

/* What a descriptor is to the shim; 1..PRELOAD_MAX_LISTENERS: a listening one of that listener. */
enum {
	PRELOAD_FD_OTHER = 0,
	PRELOAD_FD_HIDDEN = PRELOAD_MAX_LISTENERS + 1, /* ours: the server must not see or close it */
	PRELOAD_FD_EPOLL,                              /* an epoll instance in which a listening one is registered */
};

extern _Atomic uint16_t preload_fds[PRELOAD_MAX_FD];

/* The one look that every call on any other descriptor pays for. */
static inline unsigned int preload_fd(int fd)
{
	return (unsigned int)fd < PRELOAD_MAX_FD ? atomic_load_explicit(&preload_fds[fd], memory_order_acquire) : 0;
}

static inline void preload_set_fd(int fd, unsigned int what)
{
	if ((unsigned int)fd < PRELOAD_MAX_FD)
		atomic_store_explicit(&preload_fds[fd], (uint16_t)what, memory_order_release);
}

/* ------------------------------------------------------------------------------------------------ inherited options */

struct preload_option {
	int level, name;
	socklen_t size;
	char value[16];
};

#define PRELOAD_MAX_OPTIONS 48

struct preload_option_set {
	unsigned int count;
	struct preload_option options[PRELOAD_MAX_OPTIONS];
};

/* --------------------------------------------------------------------------------------------------------- sockets */

bool preload_int_option(int fd, int level, int name, int *value);
bool preload_is_tcp(int fd, int *family);

/* Returns the DELIVERY_FLAG_* of a listening socket. */
uint32_t preload_listen_flags(int fd, int family);

/* Finds the service that has the socket's address: as queue_find_service(). */
int preload_find_service(int fd, char name[SHAKEOFF_NAME_LEN]);

/* Tells whether the daemon serves the address: then a bind() that fails may meet what a server that just ended left. */
bool preload_is_served(int fd, const struct sockaddr *address);

/* Linux gives accept(2) the listening socket's receive time-out; the socket to the daemon stands in for it. */
void preload_copy_timeout(int template_fd, int fd);

/* ------------------------------------------------------------------------------------------------------- listeners */

enum preload_state {
	PRELOAD_FREE,
	PRELOAD_ATTACHED, /* the server's descriptor is a socket to the daemon */
	PRELOAD_AWAY,     /* no daemon: it is an epoll instance of the template and a watch for the daemon's return */
	PRELOAD_SHUT,     /* shutdown() has ended listening */
};

struct preload_listener {
	_Atomic int state;
	_Atomic unsigned int generation; /* counts what took the place of the server's descriptor */
	int family;
	uint32_t flags; /* DELIVERY_FLAG_* */
	int backlog;
	unsigned int fd_count; /* of the server's descriptors: the first one and its duplicates */
	int template_fd;       /* the server's own TCP socket, in LISTEN */
	struct queue_watch watch;
	int64_t refused_since_ms; /* 0: it is not */
	bool reported;            /* why it stays away */

	/* accept() reads what `options` points to without a lock; a change goes to the next of a few sets. */
	struct preload_option_set option_sets[4];
	unsigned int option_set;
	_Atomic(const struct preload_option_set *) options;
};

extern struct preload_listener preload_listeners[PRELOAD_MAX_LISTENERS + 1];

static inline struct preload_listener *preload_listener(int fd)
{
	unsigned int what = preload_fd(fd);

	return what && what <= PRELOAD_MAX_LISTENERS ? &preload_listeners[what] : NULL;
}

static inline unsigned int preload_listener_id(const struct preload_listener *listener)
{
	return (unsigned int)(listener - preload_listeners);
}

/* Returns a listener that is in use by no descriptor, and the one with this template. NULL: there is none. */
struct preload_listener *preload_unused_listener(void);
struct preload_listener *preload_listener_of_template(int template_fd);

/*
 * Tells whether it still is: another thread may have closed the descriptor, and its number may be another file's by
 * now.
 */
bool preload_is_of(int fd, const struct preload_listener *listener);

/*
 * Puts `file` at every one of the server's descriptors of this listener, and closes it. O_NONBLOCK (in `status`) and
 * close-on-exec stay what the server made them.
 */
void preload_replace(struct preload_listener *listener, int file, enum preload_state state, int status);

/*
 * Reads what an accepted socket would inherit from the template and does not have when it is fresh; sets it on a
 * socket.
 */
void preload_options_refresh(struct preload_listener *listener);
void preload_options_apply(int fd, const struct preload_option_set *set);

/* ---------------------------------------------------------------------------------------------------- registration */

/*
 * Returns a registered socket to the daemon for a listening TCP socket, or a negative errno; *refused: the daemon's
 * own.
 */
int preload_open_queue(int listening_fd, int backlog, uint32_t flags, int timeout_ms, bool *refused);

/* Tells whether this error is no trouble: not an address of a service; no daemon, and perhaps what a dead one left. */
bool preload_is_silent(int error);
void preload_report_failure(int fd, int error, bool refused);

/* After a successful listen(2): the daemon's accept queue takes the place of `fd`, if it serves that address. */
void preload_adopt(int fd, int backlog);

/* When the program starts: finds what was inherited over exec. */
void preload_inherit(void);

/* ------------------------------------------------------------------------------------------ after the registration */

/* The socket to the daemon has ended. 0 or a negative errno; `generation`: of the socket that was seen to end. */
int preload_recover(struct preload_listener *listener, int fd, unsigned int generation);

/* While the daemon is away: registers again if it may be back. */
void preload_look_for_daemon(struct preload_listener *listener, int fd);

int preload_listen_again(struct preload_listener *listener, int fd, int backlog);
int preload_accept(struct preload_listener *listener, int fd, struct sockaddr *address, socklen_t *length, int flags);
int preload_setsockopt(struct preload_listener *listener, int fd, int level, int name, const void *value,
		       socklen_t size);
int preload_shutdown(struct preload_listener *listener, int fd, int how);

/*
 * Bookkeeping of descriptors, under the lock. preload_forget: `fd` is about to be closed or overwritten; what is hidden
 * and would be overwritten moves away.
 */
void preload_forget(int fd);
void preload_duplicated(struct preload_listener *listener, int fd);
int preload_hide(int fd);
void preload_close_hidden(int *fd);

/*
 * After exec the template is needed as long as one of the server's descriptors is there, so it is close-on-exec when
 * all of them are. Changes nothing but the descriptor table: a vfork child may call it.
 */
void preload_follow_cloexec(const struct preload_listener *listener);

/* What preload_duplicated() does in a vfork child, which must not change anything else. */
void preload_duplicated_in_vfork_child(const struct preload_listener *listener, int fd);

/* Tells whether a program that is started by exec will inherit a descriptor whose template this hidden one is. */
bool preload_is_needed_by_exec(int hidden_fd);

/* ---------------------------------------------------------------------------------------------- epoll registrations */

/* Kept under the lock, because replacing a descriptor takes it out of every epoll instance. */
int preload_epoll_ctl(struct preload_listener *listener, int epoll_fd, int op, int fd, struct epoll_event *event);

/* Finds the registrations that were made before listen(). */
void preload_epoll_find(int fd);
void preload_epoll_forget_fd(int fd);
void preload_epoll_forget_instance(int epoll_fd);

/*
 * Around replacing the file behind `fd`. nested: the new file is an epoll instance, for which EPOLLEXCLUSIVE is
 * refused.
 */
void preload_epoll_take_out(int fd);
void preload_epoll_put_back(int fd, bool nested);

/* --------------------------------------------------------------------------------------------------- lock, messages */

/* Once, when the program starts. */
void preload_process_start(void);

/*
 * One lock for everything that changes. Signals and cancellation wait: a signal handler may close a listening socket.
 */
struct preload_guard {
	sigset_t signals;
	int cancel_state;
};

void preload_lock(struct preload_guard *guard);
void preload_unlock(const struct preload_guard *guard);

/* A child between vfork() and exec() shares this memory, but not the descriptors: what it closes is not closed here. */
bool preload_is_vfork_child(void);

/* One line on stderr, for real trouble only; errno survives. */
void preload_report(const char *format, ...) __attribute__((format(printf, 1, 2)));

#pragma GCC visibility pop

#endif

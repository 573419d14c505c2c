/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of libshakeoff-preload.so, which preload.c describes. */
#ifndef SHAKEOFF_PRELOAD_H
#define SHAKEOFF_PRELOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "libshakeoff/queue_client.h"

/* A function of the C library that the shim wraps for the server. */
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

/* Returns the run directory from the environment when the program started. */
const char *preload_run_dir(void);

/* ------------------------------------------------------------------------------------------------------ descriptors */

/*
 * The shim's listening sockets have lower numbers than this: servers listen before they accept thousands of
 * connections.
 */
#define PRELOAD_MAX_FD 65536
#define PRELOAD_MAX_LISTENERS 512

/* The role of a descriptor for the shim; 1..PRELOAD_MAX_LISTENERS: a listening descriptor of that listener. */
enum {
	PRELOAD_FD_OTHER = 0,
	PRELOAD_FD_HIDDEN = PRELOAD_MAX_LISTENERS + 1, /* the shim's own: the server must not see or close it */
	PRELOAD_FD_EPOLL, /* an epoll instance in which a listening descriptor is registered */
};

extern _Atomic uint16_t preload_fds[PRELOAD_MAX_FD];

/* Returns the role of a descriptor: the whole cost of a call on any other descriptor. */
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

/* ---------------------------------------------------------------------------------------------------------- sockets */

bool preload_int_option(int fd, int level, int name, int *value);
bool preload_is_tcp(int fd, int *family);

/* Returns the DELIVERY_FLAG_* of a listening socket. */
uint32_t preload_listen_flags(int fd, int family);

/* Finds the service that has the socket's address, as queue_find_service() does. */
int preload_find_service(int fd, char name[SHAKEOFF_NAME_LEN]);

/* Returns whether the daemon serves the address: then a failed bind() may be due to a server that has just ended. */
bool preload_is_served(int fd, const struct sockaddr *address);

/* Copies the receive time-out of the listening socket, which Linux uses for accept(2), to the socket to the daemon. */
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
	_Atomic unsigned int generation; /* counts the files that replaced the server's descriptor */
	int family;
	uint32_t flags; /* DELIVERY_FLAG_* */
	int backlog;
	unsigned int fd_count; /* number of the server's descriptors: the first one and its duplicates */
	int template_fd;       /* the server's own TCP socket, in LISTEN */
	struct queue_watch watch;
	int64_t refused_since_ms; /* 0: it is not refused */
	bool reported;            /* the reason for PRELOAD_AWAY */

	/*
	 * accept() reads the set that `options` points to without a lock; a change is written to the next of a few
	 * sets.
	 */
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

/* Return a listener without descriptors; the listener with this template. NULL: there is none. */
struct preload_listener *preload_unused_listener(void);
struct preload_listener *preload_listener_of_template(int template_fd);

/*
 * Returns whether a descriptor still belongs to a listener: another thread may have closed it, and another file may
 * have its number by now.
 */
bool preload_is_of(int fd, const struct preload_listener *listener);

/*
 * Puts `file` at all of the server's descriptors of this listener, and closes `file`. Keeps the server's O_NONBLOCK (in
 * `status`) and close-on-exec.
 */
void preload_replace(struct preload_listener *listener, int file, enum preload_state state, int status);

/*
 * Reads the options that an accepted socket would inherit from the template and that differ from a fresh socket; sets
 * them on a socket.
 */
void preload_options_refresh(struct preload_listener *listener);
void preload_options_apply(int fd, const struct preload_option_set *set);

/* ---------------------------------------------------------------------------------------------------- registration */

/*
 * Returns a registered socket to the daemon for a listening TCP socket, or a negative errno; *refused: the daemon
 * returned the error.
 */
int preload_open_queue(int listening_fd, int backlog, uint32_t flags, int timeout_ms, bool *refused);

/*
 * Returns whether this error is normal: the address is not of a service, or there is no daemon (perhaps remains of an
 * earlier one).
 */
bool preload_is_silent(int error);
void preload_report_failure(int fd, int error, bool refused);

/* Replaces `fd` after a successful listen(2) by the daemon's accept queue, if the daemon serves its address. */
void preload_adopt(int fd, int backlog);

/* Finds listening sockets that were inherited over exec, when the program starts. */
void preload_inherit(void);

/* ------------------------------------------------------------------------------------------ after the registration */

/*
 * Handles the end of the socket to the daemon. 0 or a negative errno; `generation`: of the socket whose end was seen.
 */
int preload_recover(struct preload_listener *listener, int fd, unsigned int generation);

/* Registers again while the daemon is away, if it may be back. */
void preload_look_for_daemon(struct preload_listener *listener, int fd);

int preload_listen_again(struct preload_listener *listener, int fd, int backlog);
int preload_accept(struct preload_listener *listener, int fd, struct sockaddr *address, socklen_t *length, int flags);
int preload_setsockopt(struct preload_listener *listener, int fd, int level, int name, const void *value,
		       socklen_t size);
int preload_shutdown(struct preload_listener *listener, int fd, int how);

/*
 * Keep account of descriptors, under the lock. preload_forget: `fd` is about to be closed or overwritten; a hidden
 * descriptor at this number moves away.
 */
void preload_forget(int fd);
void preload_duplicated(struct preload_listener *listener, int fd);
int preload_hide(int fd);
void preload_close_hidden(int *fd);

/*
 * Sets close-on-exec of the template. It is needed after exec if one of the server's descriptors still exists then, so
 * it is close-on-exec if all of them are. Changes only the descriptor table, so a vfork child may call it.
 */
void preload_follow_cloexec(const struct preload_listener *listener);

/* Does the part of preload_duplicated() that is allowed in a vfork child, which must not change anything else. */
void preload_duplicated_in_vfork_child(const struct preload_listener *listener, int fd);

/* Returns whether a program started by exec will inherit a descriptor with this hidden descriptor as template. */
bool preload_is_needed_by_exec(int hidden_fd);

/* ---------------------------------------------------------------------------------------------- epoll registrations */

/* Records epoll registrations, under the lock, because replacing a descriptor removes it from every epoll instance. */
int preload_epoll_ctl(struct preload_listener *listener, int epoll_fd, int op, int fd, struct epoll_event *event);

/* Finds the registrations that were made before listen(). */
void preload_epoll_find(int fd);
void preload_epoll_forget_fd(int fd);
void preload_epoll_forget_instance(int epoll_fd);

/*
 * Remove and restore the registrations of `fd` before and after its file is replaced. nested: the new file is an epoll
 * instance, for which EPOLLEXCLUSIVE is refused.
 */
void preload_epoll_take_out(int fd);
void preload_epoll_put_back(int fd, bool nested);

/* --------------------------------------------------------------------------------------------------- lock, messages */

/* Sets everything up, once, when the program starts. */
void preload_process_start(void);

/*
 * One lock for everything that changes. Signals and cancellation are held back: a signal handler may close a listening
 * socket.
 */
struct preload_guard {
	sigset_t signals;
	int cancel_state;
};

void preload_lock(struct preload_guard *guard);
void preload_unlock(const struct preload_guard *guard);

/*
 * Returns whether this is a child between vfork() and exec(). It shares this memory, but not the descriptors: closing
 * one there does not close it here.
 */
bool preload_is_vfork_child(void);

/* Writes a line to stderr, only for real problems; keeps errno. */
void preload_report(const char *format, ...) __attribute__((format(printf, 1, 2)));

#pragma GCC visibility pop

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/delivery_protocol.h"
#include "common/log.h"
#include "shakeoffd/queue/run_dir.h"

#define LOCK_FILE "shakeoffd.pid"
#define SOCKET_SUFFIX ".sock"
#define SERVER_BACKLOG 512

static int report(const char *what, const char *path, int error)
{
	log_error("%s %s: %s", what, path, strerror(-error));
	return error;
}

/* Makes a directory that servers of other users can use, whatever the umask is. */
static int make_directory(const char *path)
{
	if (!mkdir(path, 0755))
		return chmod(path, 0755) ? -errno : 0;
	return errno == EEXIST ? 0 : -errno;
}

/* Checks a directory: a user who can write there can replace the daemon's socket. */
static int check_directory(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return report("could not examine", path, -errno);
	if (!S_ISDIR(st.st_mode))
		return report("could not make the run directory", path, -ENOTDIR);
	if (st.st_uid && st.st_uid != geteuid()) {
		log_error("the run directory %s belongs to the user %u: it has to be root's, because its owner decides "
			  "who serves",
			  path, st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		log_error("the run directory %s has the mode %04o: others than its owner may not write there (chmod "
			  "go-w)",
			  path, st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

/* --------------------------------------------------------------------------------------------------------- the lock */

#define LOCK_MODE 0600

/* Maximum of times that the file is replaced, by this daemon or by another one that ends. */
#define LOCK_TRIES 16

/* Returns whether only root could have opened, and so locked, this file. */
static bool is_private(const struct stat *st)
{
	return !(st->st_mode & 077) && (!st->st_uid || st->st_uid == geteuid());
}

/*
 * Returns whether the opened file still is at its path. A daemon that stops removes the file while it holds the lock,
 * so a file opened just before is useless.
 */
static bool is_still_there(const char *path, const struct stat *opened)
{
	struct stat st;

	return !lstat(path, &st) && st.st_dev == opened->st_dev && st.st_ino == opened->st_ino;
}

/* Reads /proc/PID/stat: "PID (NAME) STATE ...". Returns false if there is no such process. */
static bool read_process(int pid, char name[32], char *state)
{
	char path[64];
	cleanup_file FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	return file && fscanf(file, "%*d (%31[^)]) %c", name, state) == 2;
}

/*
 * Returns whether a daemon holds the file's lock. Until version 7 of the ABI every user could open and so lock the
 * file: then the process named in it decides. If only root can lock the file, the lock decides, unless its process has
 * ended except for a thread that hangs in the kernel.
 */
static bool is_locked_by_daemon(int fd, const struct stat *st)
{
	char text[16] = "", name[32], state;
	bool found = pread(fd, text, sizeof(text) - 1, 0) > 0 && read_process(atoi(text), name, &state);

	if (is_private(st))
		return !found || state != 'Z';
	return found && state != 'Z' && !strcmp(name, program_invocation_short_name);
}

/*
 * Tries to lock the file. 0: *result is locked; -EAGAIN: try again; -EBUSY: another daemon has it (not -EWOULDBLOCK,
 * which is the same number as -EAGAIN).
 */
static int try_lock(const char *path, int *result)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, LOCK_MODE);
	struct stat st;
	bool locked;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	locked = !flock(fd, LOCK_EX | LOCK_NB);
	if (!locked && errno != EWOULDBLOCK)
		return -errno;
	if (!is_still_there(path, &st))
		return -EAGAIN;
	if (!locked && is_locked_by_daemon(fd, &st))
		return -EBUSY;
	/* Other processes may have it open, and may wait for its lock, so a new file takes its place. */
	if (!locked || !is_private(&st))
		return unlink(path) ? -errno : -EAGAIN;
	*result = take_fd(&fd);
	return 0;
}

static int lock(struct run_dir *run_dir)
{
	char path[PATH_MAX], text[16];
	int size, error = -EAGAIN;

	snprintf(path, sizeof(path), "%s/" LOCK_FILE, run_dir->path);
	for (int tries = 0; tries < LOCK_TRIES && error == -EAGAIN; tries++)
		error = try_lock(path, &run_dir->lock_fd);
	if (error == -EBUSY) {
		log_error("another shakeoffd runs on %s: stop it, or give this one another --run-dir", run_dir->path);
		return error;
	}
	if (error)
		return report("could not lock", path, error);
	size = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(run_dir->lock_fd, 0) || pwrite(run_dir->lock_fd, text, (size_t)size, 0) != size)
		return report("could not write", path, -errno);
	return 0;
}

int run_dir_open(struct run_dir *run_dir, const char *path)
{
	struct run_dir fresh = { .path = path, .lock_fd = -1 };
	int error;

	error = make_directory(path);
	if (error)
		return report("could not make the run directory", path, error);
	error = check_directory(path);
	if (!error)
		error = lock(&fresh);
	if (error) {
		if (fresh.lock_fd >= 0)
			close(fresh.lock_fd);
		return error;
	}
	*run_dir = fresh;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ sockets and links */

static bool is_socket_name(const char *name)
{
	size_t length = strlen(name), suffix = strlen(SOCKET_SUFFIX);

	return length > suffix && !strcmp(name + length - suffix, SOCKET_SUFFIX);
}

/* Removes the sockets (or, in listen/, the links) and nothing else. */
static void remove_entries(const char *path, unsigned char type)
{
	const struct dirent *entry;
	struct stat st;
	DIR *dir = opendir(path);

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (type == DT_SOCK ? S_ISSOCK(st.st_mode) && is_socket_name(entry->d_name) : S_ISLNK(st.st_mode))
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
}

static void listen_dir(const struct run_dir *run_dir, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/" DELIVERY_LISTEN_DIR, run_dir->path);
}

void run_dir_clear(const struct run_dir *run_dir)
{
	char path[PATH_MAX];

	listen_dir(run_dir, path);
	remove_entries(path, DT_LNK);
	remove_entries(run_dir->path, DT_SOCK);
}

int run_dir_link(const struct run_dir *run_dir, const struct config *config)
{
	char path[PATH_MAX], target[SHAKEOFF_NAME_LEN + 16], text[CONFIG_LISTEN_TEXT];
	cleanup_fd int dir = -1;
	int error;

	listen_dir(run_dir, path);
	error = make_directory(path);
	if (!error && check_directory(path))
		return -EPERM;
	if (!error)
		dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return report("could not make", path, error ? error : -errno);
	for (size_t s = 0; s < config->service_count; s++) {
		const struct config_service *service = &config->services[s];

		snprintf(target, sizeof(target), "../%s" SOCKET_SUFFIX, service->name);
		for (size_t l = 0; l < service->listen_count; l++) {
			config_listen_format(&service->listen[l], text, sizeof(text));
			if (symlinkat(target, dir, text))
				return report("could not make the link for", text, -errno);
		}
	}
	return 0;
}

/*
 * Sets who may connect. Without `user =` and `group =` every user may: whether a process may serve is decided when it
 * registers (delivery.h). Otherwise the workers of a server that has dropped its privileges could not register again
 * after a restart of the daemon.
 */
static int admit(const char *path, const struct config_service *service)
{
	uid_t user = service->has_user ? service->user : (uid_t)-1;
	gid_t group = service->has_group ? service->group : (gid_t)-1;
	mode_t mode = 0666;

	if (service->has_user || service->has_group)
		mode = service->has_group ? 0660 : 0600;
	/* The mode comes first: a process that may connect then can do nothing before the socket listens. */
	return chmod(path, mode) || chown(path, user, group) ? -errno : 0;
}

int run_dir_listen(const struct run_dir *run_dir, const struct config_service *service, int *result)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = -1;
	int size, error;

	size = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s" SOCKET_SUFFIX, run_dir->path,
			service->name);
	if (size >= (int)sizeof(address.sun_path))
		return report("too long a path for a socket:", run_dir->path, -ENAMETOOLONG);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return report("could not make the socket", address.sun_path, -errno);
	/* Binds directly to the final name: a server that inherited the other end knows the socket by this name. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return report("could not bind", address.sun_path, -errno);
	error = admit(address.sun_path, service);
	if (error)
		return report("could not set who may open", address.sun_path, error);
	if (listen(fd, SERVER_BACKLOG))
		return report("could not listen on", address.sun_path, -errno);
	*result = take_fd(&fd);
	return 0;
}

void run_dir_close(struct run_dir *run_dir)
{
	char path[PATH_MAX];

	if (run_dir->lock_fd < 0)
		return;
	run_dir_clear(run_dir);
	listen_dir(run_dir, path);
	rmdir(path);
	/* The file is removed while it is locked, so it cannot be another daemon's. */
	snprintf(path, sizeof(path), "%s/" LOCK_FILE, run_dir->path);
	unlink(path);
	close(run_dir->lock_fd);
	run_dir->lock_fd = -1;
}

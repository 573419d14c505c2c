/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <common/cleanup.h>
#include <common/delivery_protocol.h>
#include <common/log.h>
#include <shakeoffd/run_dir.h>

#define LOCK_FILE "shakeoffd.pid"
#define SOCKET_SUFFIX ".sock"
#define SERVER_BACKLOG 512

static int say(const char *what, const char *path, int error)
{
	log_error("%s %s: %s", what, path, strerror(-error));
	return error;
}

/* Servers of other users reach what is in it, whatever the umask. */
static int make_directory(const char *path)
{
	if (!mkdir(path, 0755))
		return chmod(path, 0755) ? -errno : 0;
	return errno == EEXIST ? 0 : -errno;
}

/* A daemon that stops removes the file while it holds the lock: one that was opened just before is worth nothing. */
static bool is_removed(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && !st.st_nlink;
}

static int lock_file(const char *path, int *result)
{
	for (;;) {
		cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
			return -errno;
		if (is_removed(fd))
			continue;
		*result = take_fd(&fd);
		return 0;
	}
}

static int lock(struct run_dir *run_dir)
{
	char path[PATH_MAX], text[16];
	int size, error;

	snprintf(path, sizeof(path), "%s/" LOCK_FILE, run_dir->path);
	error = lock_file(path, &run_dir->lock_fd);
	if (error == -EWOULDBLOCK) {
		log_error("another shakeoffd runs on %s: stop it, or give this one another --run-dir", run_dir->path);
		return -EBUSY;
	}
	if (error)
		return say("could not lock", path, error);
	size = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(run_dir->lock_fd, 0) || pwrite(run_dir->lock_fd, text, (size_t)size, 0) != size)
		return say("could not write", path, -errno);
	return 0;
}

int run_dir_open(struct run_dir *run_dir, const char *path)
{
	struct run_dir fresh = { .path = path, .lock_fd = -1 };
	struct stat st;
	int error;

	error = make_directory(path);
	if (!error && stat(path, &st))
		error = -errno;
	if (error)
		return say("could not make the run directory", path, error);
	fresh.group = st.st_gid;
	error = lock(&fresh);
	if (error) {
		if (fresh.lock_fd >= 0)
			close(fresh.lock_fd);
		return error;
	}
	*run_dir = fresh;
	return 0;
}

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
	if (!error)
		dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return say("could not make", path, error ? error : -errno);
	for (size_t s = 0; s < config->service_count; s++) {
		const struct config_service *service = &config->services[s];

		snprintf(target, sizeof(target), "../%s" SOCKET_SUFFIX, service->name);
		for (size_t l = 0; l < service->listen_count; l++) {
			config_listen_format(&service->listen[l], text, sizeof(text));
			if (symlinkat(target, dir, text))
				return say("could not make the link for", text, -errno);
		}
	}
	return 0;
}

int run_dir_listen(const struct run_dir *run_dir, const char *service, int *result)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = -1;
	int size;

	size = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s" SOCKET_SUFFIX, run_dir->path, service);
	if (size >= (int)sizeof(address.sun_path))
		return say("too long a path for a socket:", run_dir->path, -ENAMETOOLONG);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return say("could not make the socket", address.sun_path, -errno);
	/* Not under another name first: the name that it is bound to is what a server that inherited its end knows. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return say("could not bind", address.sun_path, -errno);
	/*
	 * Anybody may connect: whether a process may serve is decided when it registers (delivery.h). Otherwise the
	 * workers of a server that has dropped its privileges could not register again after a restart of the daemon.
	 */
	if (chmod(address.sun_path, 0666) || listen(fd, SERVER_BACKLOG))
		return say("could not listen on", address.sun_path, -errno);
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
	/* The file goes while it is locked, so that it cannot be another daemon's. */
	snprintf(path, sizeof(path), "%s/" LOCK_FILE, run_dir->path);
	unlink(path);
	close(run_dir->lock_fd);
	run_dir->lock_fd = -1;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/file.h"
#include "shakeoffd/hook/key_file.h"

#define DIGITS (2 * MASTER_BYTES)
#define FILE_MAX 256 /* the digits, and white space around them */

struct complaint {
	const char *path;
	char *text;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static int complain(const struct complaint *complaint, int error,
							  const char *format, ...)
{
	int length = snprintf(complaint->text, complaint->size, "key file %s: ", complaint->path);
	va_list arguments;

	if (length < 0 || (size_t)length >= complaint->size)
		return error;
	va_start(arguments, format);
	vsnprintf(complaint->text + length, complaint->size - length, format, arguments);
	va_end(arguments);
	return error;
}

static struct key_file_state state_of(const struct stat *st)
{
	return (struct key_file_state){ .device = st->st_dev, .inode = st->st_ino, .changed = st->st_ctim };
}

static bool is_same(const struct key_file_state *a, const struct key_file_state *b)
{
	return a->device == b->device && a->inode == b->inode && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

/* ---------------------------------------------------------------------------------------------------------- reading */

static int open_file(const struct complaint *complaint, int *result)
{
	/* Non-blocking, because a pipe instead of a file must not hold up the daemon. */
	int fd = open(complaint->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 && errno == ELOOP)
		return complain(complaint, -ELOOP, "is a symbolic link: give the file itself");
	if (fd < 0)
		return complain(complaint, -errno, "cannot be opened: %s", strerror(errno));
	*result = fd;
	return 0;
}

/* Refuses the contents. No message may reveal anything of them, not even their length or the position of the fault. */
static int refuse_text(const struct complaint *complaint, int error)
{
	return complain(complaint, error,
			"is not one line of %d hexadecimal digits: `shakeoff key generate` prints one", DIGITS);
}

/*
 * Returns whether the file has an access control list. The mode then shows as the group's rights the maximum for the
 * entries of the list, which may name other users.
 */
static bool has_acl(int fd)
{
	return fgetxattr(fd, "system.posix_acl_access", NULL, 0) > 0;
}

/*
 * Checks the file. The messages contain no numbers, because a user who may name a key file must not learn about other
 * files.
 */
static int check(const struct complaint *complaint, int fd, const struct stat *st)
{
	mode_t mode = st->st_mode & 07777, forbidden = S_IRWXO | S_IWGRP | S_IXGRP;

	if (!S_ISREG(st->st_mode))
		return complain(complaint, -EINVAL, "is not a regular file");
	if (st->st_uid && st->st_uid != geteuid())
		return complain(complaint, -EPERM, "belongs to another user: it has to be root's");
	if (st->st_gid)
		forbidden |= S_IRGRP;
	if (mode & forbidden)
		return complain(complaint, -EPERM,
				"is open to others: chmod 600 it, and if they may have read it, make a new key");
	if (mode & S_IRGRP && has_acl(fd))
		return complain(
			complaint, -EPERM,
			"has an access control list: setfacl -b it, and if others may have read it, make a new key");
	if (st->st_size > FILE_MAX)
		return refuse_text(complaint, -EFBIG);
	return 0;
}

static int slurp(const struct complaint *complaint, int fd, char text[FILE_MAX + 1])
{
	ssize_t used = file_read_all(fd, text, FILE_MAX);

	if (used < 0)
		return complain(complaint, (int)used, "cannot be read: %s", strerror((int)-used));
	text[used] = '\0';
	if (strlen(text) != (size_t)used)
		return refuse_text(complaint, -EINVAL);
	return 0;
}

static int parse(const struct complaint *complaint, const char *text, unsigned char secret[MASTER_BYTES])
{
	static const char blank[] = " \t\r\n";
	size_t length;

	text += strspn(text, blank);
	length = strcspn(text, blank);
	if (text[length + strspn(text + length, blank)] || length != DIGITS ||
	    strspn(text, "0123456789abcdefABCDEF") != DIGITS)
		return refuse_text(complaint, -EINVAL);
	sodium_hex2bin(secret, MASTER_BYTES, text, length, NULL, NULL, NULL);
	if (sodium_is_zero(secret, MASTER_BYTES))
		return complain(complaint, -EINVAL, "has nothing but zeroes: `shakeoff key generate` prints a key");
	return 0;
}

/* The secrets in memory on the way from the file to a master. */
struct passage {
	char text[FILE_MAX + 1];
	unsigned char secret[MASTER_BYTES];
};

static int read_master(const struct complaint *complaint, int fd, struct passage *passage, struct master **master)
{
	int error = slurp(complaint, fd, passage->text);

	if (!error)
		error = parse(complaint, passage->text, passage->secret);
	if (error)
		return error;
	error = master_open(master, passage->secret);
	return error ? complain(complaint, error, "%s", strerror(-error)) : 0;
}

static int read_file(struct key_file *file, const struct complaint *complaint, struct master **master)
{
	struct passage *passage;
	cleanup_fd int fd = -1;
	struct stat st;
	int error;

	error = open_file(complaint, &fd);
	if (error)
		return error;
	if (fstat(fd, &st))
		return complain(complaint, -errno, "cannot be examined: %s", strerror(errno));
	file->read = file->seen = state_of(&st);
	error = check(complaint, fd, &st);
	if (error)
		return error;
	passage = master_memory(sizeof(*passage));
	if (!passage)
		return complain(complaint, -ENOMEM, "%s", strerror(ENOMEM));
	error = read_master(complaint, fd, passage, master);
	master_memory_close(passage);
	return error;
}

/*
 * Returns whether the error may pass without a change of the file: out of descriptors or memory, or a file server that
 * is away.
 */
static bool may_pass(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EIO || error == -ESTALE ||
	       error == -EAGAIN;
}

int key_file_read(struct key_file *file, struct master **master, char *text, size_t size)
{
	struct complaint complaint = { .path = file->path, .size = size };
	const struct key_file_state before = file->read;
	int error;

	complaint.text = text;
	file->read = file->seen;
	error = read_file(file, &complaint, master);
	if (may_pass(error))
		file->read = before;
	return error;
}

/* --------------------------------------------------------------------------------------------------------- changes */

bool key_file_changed(struct key_file *file)
{
	struct key_file_state now = { 0 };
	struct stat st;
	bool settled;

	if (!fstatat(AT_FDCWD, file->path, &st, AT_SYMLINK_NOFOLLOW))
		now = state_of(&st);
	settled = is_same(&now, &file->seen);
	file->seen = now;
	return settled && !is_same(&now, &file->read);
}

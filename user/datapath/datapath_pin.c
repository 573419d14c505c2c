/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pins links and other objects, and finds the link of an interface again. */
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"
#include "common/process.h"
#include "common/log.h"

#define BPFFS_ROOT "/sys/fs/bpf"

static char bpffs_dir[PATH_MAX];
static bool bpffs_given; /* the user gave the directory: it must work */

/* Returns the inode number of a path; 0 on failure: no file has that number. */
static unsigned long long inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

int datapath_set_bpffs(const char *dir)
{
	unsigned long long inode;

	if (dir) {
		if (*dir != '/' || strlen(dir) > sizeof(bpffs_dir) - 64)
			return -EINVAL;
		strcpy(bpffs_dir, dir);
		bpffs_given = true;
		return 0;
	}
	inode = inode_of("/proc/self/ns/net");
	if (!inode)
		return -errno;
	snprintf(bpffs_dir, sizeof(bpffs_dir), BPFFS_ROOT "/shakeoff/%llu", inode);
	bpffs_given = false;
	return 0;
}

static int bpffs_dir_known(void)
{
	return *bpffs_dir ? 0 : datapath_set_bpffs(NULL);
}

/* Checks the directory, or the existing part of the path to it. */
static bool on_bpffs(const char *path)
{
	char existing[PATH_MAX];
	struct statfs fs;

	strcpy(existing, path);
	while (statfs(existing, &fs)) {
		char *slash = strrchr(existing, '/');

		/* EPERM: names on bpffs have no dots. */
		if ((errno != ENOENT && errno != EPERM) || !slash || slash == existing)
			return false;
		*slash = '\0';
	}
	return fs.f_type == BPF_FS_MAGIC;
}

/*
 * Returns whether a mount made now outlives this process: whether its mount namespace is that of its outermost
 * ancestor. (Process 1 is not checked, because some containers forbid to inspect it.) If that is unknown it returns
 * false.
 */
static bool mounts_persist(void)
{
	unsigned long long ours = inode_of("/proc/self/ns/mnt"), outermost = 0;

	for (pid_t pid = process_parent(getpid()); pid > 0; pid = process_parent(pid)) {
		unsigned long long inode;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
		inode = inode_of(path);
		if (!inode)
			break;
		outermost = inode;
	}
	return ours && ours == outermost;
}

static int make_path(const char *path)
{
	char partial[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		size_t length = slash ? (size_t)(slash - path) : strlen(path);

		memcpy(partial, path, length);
		partial[length] = '\0';
		if (mkdir(partial, 0700) && errno != EEXIST)
			return -errno;
		if (!slash)
			return 0;
	}
}

/*
 * Returns whether only root can change a directory: then the pins in it are shakeoff's. A sticky directory is accepted
 * because the owners of the directories in it are checked in turn.
 */
static bool is_safe(const struct stat *st)
{
	return S_ISDIR(st->st_mode) && (!st->st_uid || st->st_uid == geteuid()) &&
	       (!(st->st_mode & (S_IWGRP | S_IWOTH)) || st->st_mode & S_ISVTX);
}

/* Checks this for every existing directory of the path. The last one may not be sticky either. */
static bool path_is_safe(const char *path)
{
	char partial[PATH_MAX];
	struct stat st;

	for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		size_t length = slash ? (size_t)(slash - path) : strlen(path);

		memcpy(partial, path, length);
		partial[length] = '\0';
		if (lstat(partial, &st))
			return errno == ENOENT;
		if (!is_safe(&st))
			return false;
		if (!slash)
			return !(st.st_mode & (S_IWGRP | S_IWOTH));
	}
}

/* Makes the directories. Another process may remove the empty parent between the two calls: then it tries once more. */
static int make_directories(const char *path)
{
	int result = make_path(path);

	return result == -ENOENT ? make_path(path) : result;
}

/*
 * Refuses an unsafe directory. A user may have made the default one before: then programs are attached without a pin.
 */
static int refuse_unsafe(void)
{
	if (bpffs_given) {
		detail_set("users other than root can change %.180s, or a directory above it", bpffs_dir);
		return -ENOTDIR;
	}
	log_warn_limited("users other than root can change %s, or a directory above it: nothing is pinned there",
			 bpffs_dir);
	return -EOPNOTSUPP;
}

/* Makes the directory. -EOPNOTSUPP: a pin would not stay here. */
static int bpffs_make(void)
{
	int result;

	result = bpffs_dir_known();
	if (result)
		return result;
	if (on_bpffs(bpffs_dir)) {
		if (!path_is_safe(bpffs_dir))
			return refuse_unsafe();
		result = make_directories(bpffs_dir);
		if (!result && !path_is_safe(bpffs_dir)) /* a user may have made it first */
			return refuse_unsafe();
		if (!result || !bpffs_given)
			return result;
		detail_set("cannot make %.180s: %s", bpffs_dir,
			   result == -EPERM ? "names on a BPF file system have no dots" : strerror(-result));
		return -ENOTDIR;
	}
	if (bpffs_given) {
		detail_set("%.200s is not on a BPF file system", bpffs_dir);
		return -ENOTDIR;
	}
	if (!mounts_persist() || mount("bpf", BPFFS_ROOT, "bpf", 0, "mode=0700"))
		return -EOPNOTSUPP;
	return make_directories(bpffs_dir);
}

int bpffs_prepare(enum datapath_owner owner, bool *by_link)
{
	int result = owner == DATAPATH_OWNER_NETLINK ? -EOPNOTSUPP : bpffs_make();

	if (result && result != -EOPNOTSUPP)
		return result;
	*by_link = !result;
	return 0;
}

static const struct pin_suffix {
	enum hook hook;
	enum datapath_owner owner;
	const char *text;
} pin_suffixes[] = {
	{ HOOK_XDP, DATAPATH_OWNER_ATTACH, ":attach" },
	{ HOOK_XDP, DATAPATH_OWNER_DAEMON, ":daemon" },
	{ HOOK_TCX, DATAPATH_OWNER_ATTACH, ":admit-attach" },
	{ HOOK_TCX, DATAPATH_OWNER_DAEMON, ":admit-daemon" },
};

#define PIN_SUFFIXES (sizeof(pin_suffixes) / sizeof(pin_suffixes[0]))

static const char *pin_suffix(enum hook hook, enum datapath_owner owner)
{
	for (size_t i = 0; i < PIN_SUFFIXES; i++)
		if (pin_suffixes[i].hook == hook && pin_suffixes[i].owner == owner)
			return pin_suffixes[i].text;
	return "";
}

/* Names on bpffs must not contain dots, but interface names may: the index distinguishes eth0.1 from eth0_1. */
static void pin_path(enum hook hook, const char *ifname, unsigned int ifindex, enum datapath_owner owner, char *path,
		     size_t size)
{
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "%s", ifname);
	for (char *dot = name; (dot = strchr(dot, '.'));)
		*dot = '_';
	snprintf(path, size, "%s/%s:%u%s", bpffs_dir, name, ifindex, pin_suffix(hook, owner));
}

static bool pin_is_ours(const char *name, struct hook_link *link)
{
	const char *suffix = strrchr(name, ':');

	for (size_t i = 0; suffix && i < PIN_SUFFIXES; i++) {
		if (!strcmp(suffix, pin_suffixes[i].text)) {
			link->hook = pin_suffixes[i].hook;
			link->owner = pin_suffixes[i].owner;
			return true;
		}
	}
	return false;
}

static int link_info(int fd, struct bpf_link_info *info)
{
	uint32_t size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &size) ? -errno : 0;
}

/*
 * BPF_LINK_TYPE_TCX (kernel 6.6): the headers of libbpf 1.1 do not have it. Its interface is at the same offset as that
 * of XDP.
 */
#define LINK_TYPE_TCX 11

static bool link_is_at(int fd, enum hook hook, unsigned int ifindex, uint32_t prog_id)
{
	uint32_t type = hook == HOOK_XDP ? BPF_LINK_TYPE_XDP : LINK_TYPE_TCX;
	struct bpf_link_info info;

	return !link_info(fd, &info) && info.type == type && info.xdp.ifindex == ifindex && info.prog_id == prog_id;
}

/*
 * Finds a link among shakeoff's pins. Pins of removed interfaces are removed on the way: their links are attached to
 * nothing.
 */
static int pinned_link_find(enum hook hook, unsigned int ifindex, uint32_t prog_id, struct hook_link *found)
{
	struct dirent *entry;
	int result = -ENOENT;
	DIR *dir;

	if (bpffs_dir_known() || !path_is_safe(bpffs_dir) || !(dir = opendir(bpffs_dir)))
		return -ENOENT;
	while ((entry = readdir(dir))) {
		struct bpf_link_info info;
		struct hook_link link;
		cleanup_fd int fd = -1;

		if (!pin_is_ours(entry->d_name, &link))
			continue;
		snprintf(link.pin, sizeof(link.pin), "%.*s/%s", PATH_MAX - 300, bpffs_dir, entry->d_name);
		fd = bpf_obj_get(link.pin);
		if (fd < 0 || link_info(fd, &info))
			continue;
		if (!info.xdp.ifindex) {
			unlink(link.pin);
		} else if (result && link.hook == hook && link_is_at(fd, hook, ifindex, prog_id)) {
			link.fd = take_fd(&fd);
			*found = link;
			result = 0;
		}
	}
	closedir(dir);
	return result;
}

int link_find(enum hook hook, unsigned int ifindex, uint32_t prog_id, struct hook_link *found)
{
	uint32_t id = 0;

	if (!pinned_link_find(hook, ifindex, prog_id, found))
		return 0;
	while (!link_id_after(id, &id)) {
		cleanup_fd int fd = link_by_id(id);

		if (fd < 0 && errno == EPERM)
			return -EPERM;
		if (fd < 0 || !link_is_at(fd, hook, ifindex, prog_id))
			continue;
		*found = (struct hook_link){ .fd = take_fd(&fd), .hook = hook, .owner = DATAPATH_OWNER_ATTACH };
		return 0;
	}
	return errno == ENOENT ? -ENOENT : -errno;
}

/* Returns whether the path still pins this link, not a later one in its place. */
static bool is_pinned_as(const char *path, int link)
{
	cleanup_fd int pinned = bpf_obj_get(path);
	struct bpf_link_info info, other;

	return pinned >= 0 && !link_info(link, &info) && !link_info(pinned, &other) && info.id == other.id;
}

int link_remove(struct hook_link *link)
{
	int result = bpf_link_detach(link->fd) ? -errno : 0;

	if (!result && *link->pin && is_pinned_as(link->pin, link->fd))
		unlink(link->pin);
	close(link->fd);
	return result;
}

/* Pins an object, and replaces an earlier pin of that name. */
static int pin(int fd, const char *path)
{
	if (!bpf_obj_pin(fd, path) || (errno == EEXIST && !unlink(path) && !bpf_obj_pin(fd, path)))
		return 0;
	return -errno;
}

int link_pin(int fd, enum hook hook, const char *ifname, unsigned int ifindex, enum datapath_owner owner)
{
	char path[PATH_MAX + 64];

	pin_path(hook, ifname, ifindex, owner, path, sizeof(path));
	/* An interface that is gone may have left it: names and indexes are used again. */
	if (!pin(fd, path))
		return 0;
	detail_set("cannot pin the link as %.200s", path);
	return -errno;
}

/* Makes a name that differs from those of interfaces, which have a colon. */
static void kept_path(const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", bpffs_dir, name);
}

int bpffs_keep(int fd, const char *name)
{
	char path[PATH_MAX + 64];
	int result = bpffs_make();

	if (result)
		return result;
	kept_path(name, path, sizeof(path));
	return pin(fd, path);
}

int bpffs_take(const char *name)
{
	char path[PATH_MAX + 64];
	int result = bpffs_dir_known(), fd;

	if (result)
		return result;
	if (!path_is_safe(bpffs_dir))
		return -ENOENT;
	kept_path(name, path, sizeof(path));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

void bpffs_tidy(void)
{
	/* Each removal succeeds if the directory is empty; other network namespaces have theirs beside it. */
	if (!bpffs_dir_known() && !bpffs_given && !rmdir(bpffs_dir))
		rmdir(BPFFS_ROOT "/shakeoff");
}

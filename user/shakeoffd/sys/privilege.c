/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/log.h"
#include "shakeoffd/sys/privilege.h"
#include "shakeoffd/sys/syscall_filter.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	unsigned int capability;
	const char *name, *use;
} needed[] = {
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN", "to attach XDP programs and for TCP_REPAIR" },
	{ CAP_NET_RAW, "CAP_NET_RAW", "to give packets back to the kernel" },
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "to find BPF programs and maps" },
	{ CAP_BPF, "CAP_BPF", "to load BPF programs" },
	{ CAP_PERFMON, "CAP_PERFMON", "to load BPF programs that read packets" },
	{ CAP_SETPCAP, "CAP_SETPCAP", "to give up the others for good" },
};

static const unsigned int kept[] = {
	CAP_NET_ADMIN,        /* the queue handoff, SOCK_DESTROY, SIOCGSKNS, programs for interfaces that come later */
	CAP_NET_BIND_SERVICE, /* sockets of the queue handoff have the services' ports */
	CAP_SYS_NICE,         /* the heartbeat */
	CAP_BPF,              /* maps; programs for interfaces that come later */
	CAP_PERFMON, /* such programs: the verifier allows more (kernel/bpf/verifier.c, bpf_allow_ptr_leaks()) */
};

int privilege_check(void)
{
	capng_get_caps_process();
	for (size_t i = 0; i < COUNT(needed); i++) {
		if (capng_have_capability(CAPNG_EFFECTIVE, needed[i].capability))
			continue;
		log_error("%s is missing, %s: run it as root", needed[i].name, needed[i].use);
		return -EPERM;
	}
	return 0;
}

/* ---------------------------------------------------------------------------------------------------------- confine */

#define SECUREBITS                                                                                                     \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |               \
	 SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

static int failed(const char *what)
{
	int error = errno ? errno : EPERM;

	log_error("privileges cannot be given up: %s: %s", what, strerror(error));
	return -error;
}

static int not_so(const char *what)
{
	log_error("privileges have not been given up, although the kernel reported success: %s", what);
	return -EPERM;
}

/*
 * Returns whether the process has one thread: capabilities, no_new_privs and securebits belong to a thread, so other
 * threads would keep theirs.
 */
static bool is_single_thread(void)
{
	DIR *tasks = opendir("/proc/self/task");
	size_t count = 0;

	if (!tasks)
		return false;
	for (struct dirent *entry; (entry = readdir(tasks));)
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count == 1;
}

static bool is_among(const unsigned int *capabilities, size_t count, unsigned int capability)
{
	for (size_t i = 0; i < count; i++)
		if (capabilities[i] == capability)
			return true;
	return false;
}

/* Drops the other capabilities from the bounding set, up to the first number that the kernel does not know (EINVAL). */
static int bound(const unsigned int *keep, size_t count)
{
	for (unsigned int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		if (!is_among(keep, count, capability) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
			return failed("the bounding set");
	return 0;
}

static int set_capabilities(const unsigned int *keep, size_t count)
{
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < count; i++)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, keep[i]);
	return capng_apply(CAPNG_SELECT_CAPS) ? failed("capabilities") : 0;
}

static int verify(const unsigned int *keep, size_t count)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return not_so("no_new_privs");
	if (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) != SECUREBITS)
		return not_so("securebits");
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return not_so("core dumps");
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_get_caps_process())
		return not_so("capabilities cannot be read");
	for (unsigned int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
		bool may = is_among(keep, count, capability);

		if (capability <= CAP_LAST_CAP && (capng_have_capability(CAPNG_EFFECTIVE, capability) != may ||
						   capng_have_capability(CAPNG_PERMITTED, capability) != may ||
						   capng_have_capability(CAPNG_INHERITABLE, capability)))
			return not_so(capng_capability_to_name(capability));
		if (!may && prctl(PR_CAPBSET_READ, capability, 0, 0, 0))
			return not_so("the bounding set");
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0))
			return not_so("the ambient set");
	}
	return 0;
}

int privilege_confine(const unsigned int *wanted, size_t count)
{
	unsigned int keep[CAP_LAST_CAP + 1];
	size_t keep_count = 0;
	int error;

	if (!is_single_thread())
		return not_so("there is another thread");
	capng_clear(CAPNG_SELECT_ALL);
	capng_get_caps_process();
	for (size_t i = 0; i < count; i++)
		if (capng_have_capability(CAPNG_PERMITTED, wanted[i]))
			keep[keep_count++] = wanted[i];
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return failed("no_new_privs");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return failed("the ambient set");
	if (prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0))
		return failed("securebits");
	/* A core dump would contain the keys. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return failed("core dumps");
	error = bound(keep, keep_count);
	if (!error)
		error = set_capabilities(keep, keep_count);
	return error ? error : verify(keep, keep_count);
}

int privilege_drop(void)
{
	int error = privilege_confine(kept, COUNT(kept));

	if (error)
		return error;
	error = syscall_filter_daemon();
	if (error) {
		log_error("system calls cannot be filtered: %s", strerror(-error));
		return error;
	}
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2 ? 0 :
							not_so("the filter of system calls"); /* SECCOMP_MODE_FILTER */
}

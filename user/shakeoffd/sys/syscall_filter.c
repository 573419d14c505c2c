/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shakeoffd/sys/syscall_filter.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* names of heaps, glibc 2.38 and later: include/uapi/linux/prctl.h */
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * By name, because architectures have different calls; a name that this architecture lacks is left out. The list is
 * @system-service of systemd.exec(5) without processes, credentials, keyrings, timers of signals, System V IPC and
 * asynchronous I/O.
 */
static const char *const daemon_calls[] = {
	/* files */
	"_llseek",
	"access",
	"chmod",
	"chown",
	"close",
	"close_range",
	"copy_file_range",
	"dup",
	"dup2",
	"dup3",
	"faccessat",
	"faccessat2",
	"fadvise64",
	"fadvise64_64",
	"fallocate",
	"fchmod",
	"fchmodat",
	"fchmodat2",
	"fchown",
	"fchownat",
	"fcntl",
	"fcntl64",
	"fdatasync",
	"fgetxattr",
	"flock",
	"fstat",
	"fstat64",
	"fstatat64",
	"fstatfs",
	"fstatfs64",
	"fsync",
	"ftruncate",
	"ftruncate64",
	"getcwd",
	"getdents",
	"getdents64",
	"getxattr",
	"ioctl",
	"lchown",
	"lgetxattr",
	"link",
	"linkat",
	"lseek",
	"lstat",
	"lstat64",
	"memfd_create",
	"mkdir",
	"mkdirat",
	"newfstatat",
	"open",
	"openat",
	"openat2",
	"pipe",
	"pipe2",
	"pread64",
	"preadv",
	"preadv2",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"read",
	"readlink",
	"readlinkat",
	"readv",
	"rename",
	"renameat",
	"renameat2",
	"rmdir",
	"sendfile",
	"sendfile64",
	"stat",
	"stat64",
	"statfs",
	"statfs64",
	"statx",
	"symlink",
	"symlinkat",
	"truncate",
	"truncate64",
	"umask",
	"unlink",
	"unlinkat",
	"utimensat",
	"write",
	"writev",
	/* events */
	"_newselect",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"eventfd",
	"eventfd2",
	"inotify_add_watch",
	"inotify_init",
	"inotify_init1",
	"inotify_rm_watch",
	"poll",
	"ppoll",
	"ppoll_time64",
	"pselect6",
	"pselect6_time64",
	"select",
	"signalfd",
	"signalfd4",
	"timerfd_create",
	"timerfd_gettime",
	"timerfd_gettime64",
	"timerfd_settime",
	"timerfd_settime64",
	/* sockets, without socket() */
	"accept",
	"accept4",
	"bind",
	"connect",
	"getpeername",
	"getsockname",
	"getsockopt",
	"listen",
	"recv",
	"recvfrom",
	"recvmmsg",
	"recvmmsg_time64",
	"recvmsg",
	"send",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"setsockopt",
	"shutdown",
	/* memory, without calls that make it executable */
	"brk",
	"madvise",
	"membarrier",
	"mincore",
	"mlock",
	"mlock2",
	"mremap",
	"msync",
	"munlock",
	"munmap",
	/* threads, and what a process may ask about itself */
	"capget",
	"exit",
	"exit_group",
	"futex",
	"futex_time64",
	"futex_waitv",
	"get_robust_list",
	"getcpu",
	"getegid",
	"getegid32",
	"geteuid",
	"geteuid32",
	"getgid",
	"getgid32",
	"getgroups",
	"getgroups32",
	"getpgid",
	"getpgrp",
	"getpid",
	"getppid",
	"getpriority",
	"getrandom",
	"getresgid",
	"getresgid32",
	"getresuid",
	"getresuid32",
	"getrlimit",
	"getrusage",
	"getsid",
	"gettid",
	"getuid",
	"getuid32",
	"prlimit64",
	"restart_syscall",
	"rseq",
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"sched_getaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"sched_setaffinity",
	"sched_setparam",
	"sched_setscheduler",
	"sched_yield",
	"set_robust_list",
	"set_tid_address",
	"setpriority",
	"setrlimit",
	"sigaltstack",
	"sigreturn",
	"sysinfo",
	"ugetrlimit",
	"uname",
	"wait4",
	"waitid",
	/* time */
	"clock_getres",
	"clock_getres_time64",
	"clock_gettime",
	"clock_gettime64",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"gettimeofday",
	"nanosleep",
	"time",
	"times",
	/* calls of the architecture that glibc needs */
	"arch_prctl",
	"cacheflush",
	"riscv_flush_icache",
	"riscv_hwprobe",
};

static const char *const broker_calls[] = {
	"close", "exit", "exit_group", "recvmsg", "restart_syscall", "rt_sigreturn", "sendmsg",
};

/*
 * Without the commands that open objects by id (the broker makes some of these), and without tracepoints, iterators and
 * statistics.
 */
static const unsigned int daemon_bpf[] = {
	BPF_MAP_CREATE,
	BPF_MAP_LOOKUP_ELEM,
	BPF_MAP_UPDATE_ELEM,
	BPF_MAP_DELETE_ELEM,
	BPF_MAP_GET_NEXT_KEY,
	BPF_PROG_LOAD,
	BPF_OBJ_PIN,
	BPF_OBJ_GET,
	BPF_PROG_ATTACH,
	BPF_PROG_DETACH,
	BPF_PROG_TEST_RUN,
	BPF_OBJ_GET_INFO_BY_FD,
	BPF_PROG_QUERY,
	BPF_BTF_LOAD,
	BPF_MAP_LOOKUP_AND_DELETE_ELEM,
	BPF_MAP_FREEZE,
	BPF_MAP_LOOKUP_BATCH,
	BPF_MAP_UPDATE_BATCH,
	BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	BPF_MAP_DELETE_BATCH,
	BPF_LINK_CREATE,
	BPF_LINK_UPDATE,
	BPF_LINK_DETACH,
	BPF_PROG_BIND_MAP,
};

static const unsigned int broker_bpf[] = {
	BPF_PROG_GET_FD_BY_ID,
	BPF_MAP_GET_FD_BY_ID,
	BPF_LINK_GET_FD_BY_ID,
	BPF_LINK_GET_NEXT_ID,
};

static const unsigned int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET };

static const unsigned int prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP, PR_CAPBSET_READ, PR_SET_VMA };

static int allow_names(scmp_filter_ctx filter, const char *const *names, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		/* A negative number means another architecture's call, or one that this library does not know. */
		if (number >= 0)
			error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	return error;
}

/* Compares an argument of 32 bits, and ignores the bits above. */
static struct scmp_arg_cmp is(unsigned int argument, uint32_t value)
{
	return (struct scmp_arg_cmp){
		.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = UINT32_MAX, .datum_b = value
	};
}

/* Allows a call if its first argument is one of these values. */
static int allow_first(scmp_filter_ctx filter, int number, const unsigned int *values, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, is(0, values[i]));
	return error;
}

/*
 * Allows no memory that is both writable and executable, and none to become executable later. Libraries may still be
 * loaded, to look up names of users.
 */
static int allow_memory(scmp_filter_ctx filter, int number)
{
	int error = 0;

	if (number < 0)
		return 0;
	error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
				 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, 0));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
					 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_WRITE));
	if (!error && number != SCMP_SYS(mprotect))
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
					 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_EXEC));
	return error;
}

static int allow_memories(scmp_filter_ctx filter)
{
	int error = allow_memory(filter, SCMP_SYS(mmap));

	if (!error)
		error = allow_memory(filter, SCMP_SYS(mmap2));
	return error ? error : allow_memory(filter, SCMP_SYS(mprotect));
}

/* Allows new threads, but no processes. */
static int allow_threads(scmp_filter_ctx filter)
{
#ifdef __s390x__
	const struct scmp_arg_cmp thread = SCMP_A1(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
#else
	const struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
#endif
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, thread);

	return error ? error : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone3), 0);
}

/*
 * Adds a second filter; the strictest result of all filters counts. clone3() has its flags in memory, where a filter
 * cannot look: without clone3() glibc uses clone(). This filter does not log, because every new thread begins with
 * clone3(). It also forbids inserting characters into a terminal's input.
 */
static int refuse_some(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int error;

	if (!filter)
		return -ENOMEM;
	error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, is(1, TIOCSTI));
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

/* Allows signals to the process itself, as abort() sends. */
static int allow_own_signals(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, is(0, (uint32_t)getpid()));
}

/* Filters the daemon's calls. libseccomp returns negative errnos. */
int syscall_filter_daemon(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error;

	if (!filter)
		return -ENOMEM;
	error = refuse_some();
	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!error)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); /* if the kernel has an audit */
	if (!error)
		error = allow_names(filter, daemon_calls, COUNT(daemon_calls));
	if (!error)
		error = allow_first(filter, SCMP_SYS(bpf), daemon_bpf, COUNT(daemon_bpf));
	if (!error)
		error = allow_first(filter, SCMP_SYS(socket), families, COUNT(families));
	if (!error)
		error = allow_first(filter, SCMP_SYS(socketpair), families, 1);
	if (!error)
		error = allow_first(filter, SCMP_SYS(prctl), prctls, COUNT(prctls));
	if (!error)
		error = allow_memories(filter);
	if (!error)
		error = allow_threads(filter);
	if (!error)
		error = allow_own_signals(filter);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

int syscall_filter_broker(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int error;

	if (!filter)
		return -ENOMEM;
	error = allow_names(filter, broker_calls, COUNT(broker_calls));
	if (!error)
		error = allow_first(filter, SCMP_SYS(bpf), broker_bpf, COUNT(broker_bpf));
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

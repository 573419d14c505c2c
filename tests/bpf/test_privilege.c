/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a process can no longer do after it has given up its privileges: each in a separate process, which first shows
 * that it could.
 *
 * link: user/shakeoffd/sys/privilege.c user/shakeoffd/sys/syscall_filter.c user/common/log.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shakeoffd/sys/privilege.h"

enum { FINE = 0, NOT_BEFORE, NOT_GIVEN_UP, STILL_CAN, OTHERWISE };

/* 0, or an errno. */
typedef int (*attempt)(void);

/* before: whether it works as root. Afterwards it must fail with EPERM. */
static void cannot(attempt attempt, bool before)
{
	pid_t pid = fork();
	int status, error;

	if (!pid) {
		if (before && attempt())
			_exit(NOT_BEFORE);
		if (privilege_drop())
			_exit(NOT_GIVEN_UP);
		error = attempt();
		_exit(!error ? STILL_CAN : error == EPERM ? FINE : OTHERWISE);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int errno_of(long result)
{
	return result < 0 ? errno : 0;
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return errno_of(pid);
}

/* A program that does not exist: only a process that may try gets that error. */
static int try_exec(void)
{
	execl("/nonexistent", "nonexistent", (char *)NULL);
	return errno == ENOENT ? 0 : errno;
}

static int try_mount(void)
{
	return errno_of(umount("/nonexistent")) == ENOENT ? 0 : errno;
}

static int try_namespace(void)
{
	return errno_of(unshare(CLONE_NEWNS));
}

static int try_ptrace(void)
{
	return errno_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_keyring(void)
{
	return errno_of(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
}

static int try_signal(void)
{
	return errno_of(kill(getppid(), 0));
}

static int try_setuid(void)
{
	return errno_of(setuid(0));
}

/* Programs by id: without the syscall filter, EPERM would only show that the capability is gone. */
static int try_program_by_id(void)
{
	union bpf_attr attr = { .prog_id = UINT32_MAX };
	long result = syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));

	return result < 0 && errno == ENOENT ? 0 : errno_of(result);
}

static int try_tracepoint(void)
{
	union bpf_attr attr = { .raw_tracepoint.prog_fd = UINT32_MAX };
	long result = syscall(SYS_bpf, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));

	return result < 0 && errno == EBADF ? 0 : errno_of(result);
}

static int try_executable_memory(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? errno : 0;
}

static int try_make_executable(void)
{
	static char memory[8192] __attribute__((aligned(4096)));

	return errno_of(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}

/* The kernel reads 32 bits of the command. */
static int try_terminal_input(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	long result = syscall(SYS_ioctl, fd, (unsigned long)TIOCSTI | 1ul << 40, "");

	return result < 0 && errno == ENOTTY ? 0 : errno_of(result);
}

static int try_other_socket(void)
{
	int fd = socket(AF_ALG, SOCK_SEQPACKET, 0);

	/* A kernel without it reports that only to a process that has the permission. */
	return fd < 0 && errno == EAFNOSUPPORT ? 0 : errno_of(fd);
}

static int try_core_dumps(void)
{
	return errno_of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int try_capability(void)
{
	return errno_of(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
}

static int try_raw_socket(void)
{
	return errno_of(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static void processes_are_neither_made_nor_watched(void **state)
{
	(void)state;
	cannot(try_fork, true);
	cannot(try_exec, true);
	cannot(try_ptrace, false);
	cannot(try_signal, true);
	cannot(try_terminal_input, true);
}

static void mounts_namespaces_and_keyrings_are_out_of_reach(void **state)
{
	(void)state;
	cannot(try_mount, true);
	cannot(try_namespace, true);
	cannot(try_keyring, false);
}

static void bpf_works_as_far_as_the_daemon_needs_it(void **state)
{
	(void)state;
	cannot(try_program_by_id, true);
	cannot(try_tracepoint, true);
}

static void memory_does_not_become_code(void **state)
{
	(void)state;
	cannot(try_executable_memory, true);
	cannot(try_make_executable, true);
}

static void sockets_of_other_kinds_are_not_made(void **state)
{
	(void)state;
	cannot(try_other_socket, true);
	cannot(try_raw_socket, true);
}

static void privileges_do_not_come_back(void **state)
{
	(void)state;
	cannot(try_core_dumps, true);
	cannot(try_capability, false);
	cannot(try_setuid, true);
}

static void *run(void *argument)
{
	return argument;
}

/* Files, sockets, threads, maps by descriptor, priorities. */
static int do_the_daemons_work(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1 };
	pthread_t thread;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || write(fd, "", 1) != 1 || close(fd))
		return 10;
	if (pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL))
		return 11;
	if (syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)) < 0)
		return 12;
	if (socket(AF_INET6, SOCK_STREAM, 0) < 0 || socket(AF_UNIX, SOCK_SEQPACKET, 0) < 0 ||
	    socket(AF_NETLINK, SOCK_RAW, 0) < 0)
		return 13;
	return 0;
}

static void the_daemons_own_work_still_succeeds(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (!pid)
		_exit(privilege_drop() ? NOT_GIVEN_UP : do_the_daemons_work());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void *drop(void *result)
{
	*(int *)result = privilege_drop();
	return NULL;
}

/* The other thread would keep its privileges. */
static void a_process_with_threads_gets_an_error(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (!pid) {
		pthread_t thread;
		int result = 0;

		if (pthread_create(&thread, NULL, drop, &result) || pthread_join(thread, NULL))
			_exit(1);
		_exit(result < 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Without CAP_SETPCAP the bounding set remains: the process must report that. */
static void a_failure_is_reported(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (!pid) {
		struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
		struct __user_cap_data_struct data[2] = { 0 };

		if (syscall(SYS_capget, &header, data))
			_exit(1);
		data[0].effective &= ~(1u << CAP_SETPCAP);
		data[0].permitted &= ~(1u << CAP_SETPCAP);
		if (syscall(SYS_capset, &header, data))
			_exit(2);
		_exit(privilege_drop() < 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_are_neither_made_nor_watched),
		cmocka_unit_test(mounts_namespaces_and_keyrings_are_out_of_reach),
		cmocka_unit_test(bpf_works_as_far_as_the_daemon_needs_it),
		cmocka_unit_test(memory_does_not_become_code),
		cmocka_unit_test(sockets_of_other_kinds_are_not_made),
		cmocka_unit_test(privileges_do_not_come_back),
		cmocka_unit_test(the_daemons_own_work_still_succeeds),
		cmocka_unit_test(a_process_with_threads_gets_an_error),
		cmocka_unit_test(a_failure_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

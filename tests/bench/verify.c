/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * verify OBJECT...: loads the programs of BPF objects and prints the results of the running kernel's verifier, a line a
 * program:
 *
 *	object program instructions states peak_states stack
 *
 * instructions: processed by the verifier (its limit is 1,000,000). states: explored, in all. peak_states: kept at one
 * time. stack: bytes of the frames of all its functions together. A program that this kernel refuses is reported on
 * stderr, with exit status 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* enum bpf_verifier log levels (include/linux/bpf_verifier.h): BPF_LOG_STATS. */
#define LOG_STATS 4

#define LOG_SIZE (64u << 10)

/* linux/bpf.h: BPF_PROG_TYPE_NETFILTER, BPF_NETFILTER (6.4); libbpf 1.1 does not know the section. */
#define TYPE_NETFILTER 32
#define ATTACH_NETFILTER 45

/* The log has the frames of the program and its functions as "stack depth 32+0+64". */
static unsigned long stack_of(const char *log)
{
	const char *text = strstr(log, "stack depth ");
	unsigned long sum = 0;
	char *end;

	if (!text)
		return 0;
	for (text += strlen("stack depth ");; text = end + 1) {
		sum += strtoul(text, &end, 10);
		if (*end != '+')
			return sum;
	}
}

static unsigned long number_after(const char *log, const char *word)
{
	const char *text = strstr(log, word);

	return text ? strtoul(text + strlen(word), NULL, 10) : 0;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

static int verify(const char *path)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	int err;

	if (!object) {
		perror(path);
		return 1;
	}
	bpf_object__for_each_program(program, object) {
		char *log = calloc(1, LOG_SIZE);

		if (!strcmp(bpf_program__section_name(program), "netfilter")) {
			bpf_program__set_type(program, TYPE_NETFILTER);
			bpf_program__set_expected_attach_type(program, ATTACH_NETFILTER);
		}
		if (!log || bpf_program__set_log_buf(program, log, LOG_SIZE) ||
		    bpf_program__set_log_level(program, LOG_STATS)) {
			fprintf(stderr, "%s: cannot give %s a log\n", path, bpf_program__name(program));
			return 1;
		}
	}
	err = bpf_object__load(object);
	if (err)
		fprintf(stderr, "%s: the kernel refuses it: %s\n", path, strerror(-err));
	bpf_object__for_each_program(program, object) {
		size_t size;
		const char *log = bpf_program__log_buf(program, &size);

		if (!err)
			printf("%s %s %lu %lu %lu %lu\n", base, bpf_program__name(program),
			       number_after(log, "processed "), number_after(log, "total_states "),
			       number_after(log, "peak_states "), stack_of(log));
		free((char *)log);
	}
	bpf_object__close(object);
	return err != 0;
}

int main(int argc, char **argv)
{
	int status = 0;

	libbpf_set_print(quiet);
	for (int i = 1; i < argc; i++)
		status |= verify(argv[i]);
	return status;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shakeoffd/sys/sysctls.h"

static const char *const paths[SYSCTL_COUNT] = {
#define X(constant, name) "/proc/sys/net/" name,
	SYSCTLS(X)
#undef X
};

void sysctls_open(struct sysctls *sysctls)
{
	memset(sysctls->texts, 0, sizeof(sysctls->texts));
	for (int i = 0; i < SYSCTL_COUNT; i++)
		sysctls->fds[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
	sysctls_changed(sysctls);
}

void sysctls_close(struct sysctls *sysctls)
{
	for (int i = 0; i < SYSCTL_COUNT; i++)
		if (sysctls->fds[i] >= 0)
			close(sysctls->fds[i]);
}

bool sysctls_changed(struct sysctls *sysctls)
{
	bool changed = false;

	for (int i = 0; i < SYSCTL_COUNT; i++) {
		char text[SYSCTL_TEXT] = { 0 };

		if (sysctls->fds[i] < 0 || pread(sysctls->fds[i], text, sizeof(text) - 1, 0) <= 0 ||
		    !strcmp(text, sysctls->texts[i]))
			continue;
		memcpy(sysctls->texts[i], text, sizeof(text));
		changed = true;
	}
	return changed;
}

int sysctls_get(const struct sysctls *sysctls, enum sysctl which, int index, int otherwise)
{
	const char *text = sysctls->texts[which];
	char *end;
	long value = strtol(text, &end, 10);

	for (; index && end != text; index--) {
		text = end;
		value = strtol(text, &end, 10);
	}
	return end == text || value < INT_MIN || value > INT_MAX ? otherwise : (int)value;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The constants of the ABI by name: what JSON and tables call them, and what they mean. Verdicts have a table of their own (verdicts.h). */
#ifndef SHAKEOFF_COMMON_NAMES_H
#define SHAKEOFF_COMMON_NAMES_H

#include <shakeoff/abi.h>

struct named {
	const char *name;
	const char *help;
};

/* Each is indexed by its enum. */
extern const struct named bypass_table[SHAKEOFF_BYPASS_COUNT];
extern const struct named cause_table[SHAKEOFF_CAUSE_COUNT];
extern const struct named no_socket_table[SHAKEOFF_NO_SOCKET_KIND_COUNT];
extern const struct named refusal_table[SHAKEOFF_REFUSAL_COUNT];

/* Returns the help text of a reason; "?" for a number that is none. */
const char *bypass_help(enum shakeoff_bypass bypass);

#endif

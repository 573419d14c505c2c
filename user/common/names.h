/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names and help texts of the ABI's constants, for JSON and for tables. The verdicts have a table of their own
 * (verdicts.h).
 */
#ifndef SHAKEOFF_COMMON_NAMES_H
#define SHAKEOFF_COMMON_NAMES_H

#include <shakeoff/abi.h>

struct named {
	const char *name;
	const char *help;
};

/* The index of each table is its enum. */
extern const struct named bypass_table[SHAKEOFF_BYPASS_COUNT];
extern const struct named cause_table[SHAKEOFF_CAUSE_COUNT];
extern const struct named no_socket_table[SHAKEOFF_NO_SOCKET_KIND_COUNT];
extern const struct named refusal_table[SHAKEOFF_REFUSAL_COUNT];

/* Returns the help text of a reason; "?" for an unknown number. */
const char *bypass_help(enum shakeoff_bypass bypass);

#endif

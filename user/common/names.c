/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "common/names.h"

#define NAMED(constant, name, help) [SHAKEOFF_##constant] = { name, help },

const struct named bypass_table[SHAKEOFF_BYPASS_COUNT] = { SHAKEOFF_BYPASS_REASONS(NAMED) };
const struct named cause_table[SHAKEOFF_CAUSE_COUNT] = { SHAKEOFF_CAUSES(NAMED) };
const struct named no_socket_table[SHAKEOFF_NO_SOCKET_KIND_COUNT] = { SHAKEOFF_NO_SOCKET_KINDS(NAMED) };
const struct named refusal_table[SHAKEOFF_REFUSAL_COUNT] = { SHAKEOFF_REFUSALS(NAMED) };

const char *bypass_help(enum shakeoff_bypass bypass)
{
	return bypass < SHAKEOFF_BYPASS_COUNT ? bypass_table[bypass].help : "?";
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and values of earlier versions: what is said instead of "unknown". */
#ifndef SHAKEOFF_CONFIG_RETIRED_H
#define SHAKEOFF_CONFIG_RETIRED_H

#include <stddef.h>

struct retired_key {
	const char *name;
	const char *value; /* NULL: any */
	const char *instead;
};

extern const struct retired_key retired_keys[];
extern const size_t retired_key_count;

/* Returns what to write instead of a key that is none any more, as a sentence, or NULL if it was never one. */
const char *retired_key(const char *name, const char *value);

/* Returns the same for a value of a key that does not take it any more. */
const char *retired_value(const char *name, const char *value);

/* Returns the same for a limit in the form RATE or RATE/BURST. */
const char *retired_limit(const char *value);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and values of earlier versions, and messages that explain them better than "unknown". */
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

/* Returns a sentence with what to write instead of a key that no longer exists, or NULL if it never existed. */
const char *retired_key(const char *name, const char *value);

/* Returns the same for a value that its key no longer takes. */
const char *retired_value(const char *name, const char *value);

/* Returns the same for a limit in the form RATE or RATE/BURST. */
const char *retired_limit(const char *value);

#endif

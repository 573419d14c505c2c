/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Words of rules. */
#ifndef SHAKEOFFD_FIREWALL_RULESET_WORD_H
#define SHAKEOFFD_FIREWALL_RULESET_WORD_H

#include <stdbool.h>
#include <string.h>

static inline bool word_is(const char *word, const char *other)
{
	return !strcmp(word, other);
}

/* Returns whether a word is in a list, whose last entry is NULL. */
static inline bool word_is_one_of(const char *word, const char *const *words)
{
	while (*words && !word_is(word, *words))
		words++;
	return *words;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SHAKEOFF_CLI_SUGGEST_H
#define SHAKEOFF_CLI_SUGGEST_H

/*
 * Returns the name (the last is NULL) that was probably meant: a name that differs by at most two letters or that
 * begins with the typed word. Or NULL.
 */
const char *suggest(const char *typed, const char *const *names);

#endif

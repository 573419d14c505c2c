/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SHAKEOFF_CLI_SUGGEST_H
#define SHAKEOFF_CLI_SUGGEST_H

/* Of the names (the last is NULL) the one that was probably meant: at most two letters off or a beginning. Or NULL. */
const char *suggest(const char *typed, const char *const *names);

#endif

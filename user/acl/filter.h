/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Adds prefixes to the filter of the ACL (shakeoff/acl.h). */
#ifndef SHAKEOFF_ACL_FILTER_H
#define SHAKEOFF_ACL_FILTER_H

#include <stddef.h>

#include <shakeoff/acl.h>

#include "common/prefix.h"

/* Returns the SHAKEOFF_ACL_SHRINK for a number of prefixes, with room for as many again. */
uint32_t acl_filter_shrink(size_t prefixes);

/*
 * Marks every address of the prefix in the filter's SHAKEOFF_ACL_BLOCKS blocks. acl: SHAKEOFF_ACL_* so far. Returns the
 * flags that the hook needs from now on. The hook may read the filter meanwhile.
 */
uint32_t acl_filter_add(struct shakeoff_acl_block *blocks, const struct prefix *prefix, uint32_t acl);

#endif

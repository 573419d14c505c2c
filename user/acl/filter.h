/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How prefixes come into the filter of the lists (shakeoff/list.h). */
#ifndef SHAKEOFF_ACL_FILTER_H
#define SHAKEOFF_ACL_FILTER_H

#include <stddef.h>

#include <shakeoff/acl.h>

#include "common/prefix.h"

/* Returns the SHAKEOFF_ACL_SHRINK for twice as many prefixes as there are. */
uint32_t acl_filter_shrink(size_t prefixes);

/*
 * Marks every address of the prefix in the filter's SHAKEOFF_ACL_BLOCKS blocks. lists: SHAKEOFF_ACL_* so far; returns
 * what the hook has to know from now on. It may read the filter meanwhile.
 */
uint32_t acl_filter_add(struct shakeoff_acl_block *blocks, const struct prefix *prefix, uint32_t acl);

#endif

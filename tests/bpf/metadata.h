/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the XDP program tells the tc program: bpf/core/metadata.h, for tests, which never fill one in. */
#ifndef SHAKEOFF_TESTS_METADATA_H
#define SHAKEOFF_TESTS_METADATA_H

#include "core/metadata.h"

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The metadata from the XDP program to the tc program (bpf/core/metadata.h), for tests, which only read it. */
#ifndef SHAKEOFF_TESTS_METADATA_H
#define SHAKEOFF_TESTS_METADATA_H

#include "core/metadata.h"

#endif

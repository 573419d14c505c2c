/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SHAKEOFF_VERSION_H
#define SHAKEOFF_VERSION_H

#define SHAKEOFF_VERSION "0.1.0"

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs and user space share: maps, keys, values, events.
 *
 * Rules: fixed-width types, explicit padding (always zero), sizes asserted. Values are in host byte order unless their
 * type says __be16/__be32. Times are CLOCK_MONOTONIC in nanoseconds (bpf_ktime_get_ns()). No map is pinned: user space
 * finds the program of an interface by netlink and its maps by id, and knows them by their names (maps.h).
 */
#ifndef SHAKEOFF_ABI_H
#define SHAKEOFF_ABI_H

#include <shakeoff/address.h>
#include <shakeoff/connection.h>
#include <shakeoff/control.h>
#include <shakeoff/event.h>
#include <shakeoff/interface.h>
#include <shakeoff/issued.h>
#include <shakeoff/route.h>
#include <shakeoff/service.h>
#include <shakeoff/synack_rate.h>
#include <shakeoff/verdict.h>

/*
 * The name of the control map ends in the number of this ABI. User space refuses a program of another shakeoff version,
 * whose control map has another number, instead of misreading its maps. Raise the number with every change of these
 * headers that a map or a record shows.
 */
#define SHAKEOFF_ABI 8
#define SHAKEOFF_CONTROL_PREFIX "shakeoff_v"
#define SHAKEOFF_STRING_OF(x) #x
#define SHAKEOFF_STRING(x) SHAKEOFF_STRING_OF(x)

/* The name of the control map. maps.h has the names of the others. */
#define SHAKEOFF_MAP_CONTROL SHAKEOFF_CONTROL_PREFIX SHAKEOFF_STRING(SHAKEOFF_ABI)

#endif

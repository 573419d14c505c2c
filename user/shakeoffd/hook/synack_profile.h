/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel would offer in a SYN-ACK that leaves by an interface, unless its socket or route has other values:
 * computed from the interface's MTUs and from sysctls.
 */
#ifndef SHAKEOFFD_HOOK_SYNACK_PROFILE_H
#define SHAKEOFFD_HOOK_SYNACK_PROFILE_H

#include <stdint.h>

#include <shakeoff/abi.h>
#include "shakeoffd/hook/devices.h"
#include "shakeoffd/sys/sysctls.h"

/*
 * Learns from the kernel over lo which part of a receive buffer it offers as window. If lo does not answer, it is half,
 * the kernel's own default. Call it first, and after changes of sysctls.
 */
void profile_learn(const struct sysctls *sysctls);

/* Fills in a profile for a device. The caller fills in `admits` and `in_vrf`. */
void profile_fill(const struct device *device, const struct sysctls *sysctls, struct shakeoff_interface *profile);

/*
 * Returns tcp_full_space() of a socket with this SO_RCVBUF (as getsockopt() returns it); 0: the usual one, tcp_rmem[1].
 * Any thread.
 */
uint32_t profile_full_space(uint32_t receive_buffer);

#endif

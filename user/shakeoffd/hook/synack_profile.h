/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel would offer in a SYN-ACK that leaves by an interface, as far as socket and route say nothing else: computed from
 * the interface's MTUs and from sysctls.
 */
#ifndef SHAKEOFFD_HOOK_SYNACK_PROFILE_H
#define SHAKEOFFD_HOOK_SYNACK_PROFILE_H

#include <stdint.h>

#include <shakeoff/abi.h>
#include "shakeoffd/hook/devices.h"
#include "shakeoffd/sys/sysctls.h"

/*
 * Asks the kernel over lo how much of a receive buffer it offers as window; where lo does not answer it is half, the kernel's own
 * default. To be called first, and after changes of sysctls.
 */
void profile_learn(const struct sysctls *sysctls);

/* For a device; who admits and what is in a VRF is for the caller to fill. */
void profile_fill(const struct device *device, const struct sysctls *sysctls, struct shakeoff_interface *profile);

/* tcp_full_space() of a socket with this SO_RCVBUF (as getsockopt() tells it); 0: the usual one, tcp_rmem[1]. Any thread. */
uint32_t profile_full_space(uint32_t receive_buffer);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel would offer in a SYN-ACK. Nothing of it is computed here: the daemon makes a handshake with itself over
 * the loopback interface, with the MSS that the interface's MTU gives, and reads what the kernel offered.
 */
#ifndef SHAKEOFF_PROFILE_H
#define SHAKEOFF_PROFILE_H

#include <stdint.h>

#include <shakeoff/abi.h>
#include <shakeoffd/sysctls.h>

/* For an interface of this MTU; `admits` is for the caller to fill. 0 or a negative errno: -ENETUNREACH: lo is down. */
int profile_ask(uint32_t mtu, const struct sysctls *sysctls, struct shakeoff_interface *profile);

/* The window and scale of a listening socket with this SO_RCVBUF (as getsockopt() tells it) on Ethernet's MTU. */
int profile_window(int receive_buffer, uint16_t *window, uint8_t *wscale);

#endif

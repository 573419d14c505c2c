/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The windows that go with the receive buffers of listening sockets: asked of the kernel once for each size (profile.h). */
#ifndef SHAKEOFF_WINDOWS_H
#define SHAKEOFF_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

#define WINDOWS_MAX 64

struct windows {
	uint32_t usual; /* receive buffer of a socket whose owner has not set it: tcp_rmem[1] */
	struct {
		uint32_t receive_buffer;
		uint16_t window_max;
		uint8_t wscale;
	} known[WINDOWS_MAX];
	size_t count;
};

/* After a change of sysctls: nothing that was asked holds any more. */
void windows_reset(struct windows *windows, uint32_t usual);

/* As in shakeoff_service: those of the interface for the usual buffer, and where the kernel does not tell. */
void windows_get(struct windows *windows, uint32_t receive_buffer, uint16_t *window_max, uint8_t *wscale);

#endif

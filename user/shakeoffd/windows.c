/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <shakeoff/abi.h>
#include <shakeoffd/profile.h>
#include <shakeoffd/windows.h>

void windows_reset(struct windows *windows, uint32_t usual)
{
	windows->usual = usual;
	windows->count = 0;
}

void windows_get(struct windows *windows, uint32_t receive_buffer, uint16_t *window_max, uint8_t *wscale)
{
	size_t i = 0;

	*window_max = UINT16_MAX;
	*wscale = SHAKEOFF_NO_WSCALE;
	if (!receive_buffer || receive_buffer == windows->usual)
		return;
	while (i < windows->count && windows->known[i].receive_buffer != receive_buffer)
		i++;
	if (i == windows->count) {
		uint16_t window;
		uint8_t scale;

		profile_window(receive_buffer, &window, &scale);
		/* A host with so many sizes asks now and then for one again. */
		i = windows->count < WINDOWS_MAX ? windows->count++ : receive_buffer % WINDOWS_MAX;
		windows->known[i].receive_buffer = receive_buffer;
		windows->known[i].window_max = window;
		windows->known[i].wscale = scale;
	}
	*window_max = windows->known[i].window_max;
	*wscale = windows->known[i].wscale;
}

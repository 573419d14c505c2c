/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Closing connections' descriptors without ever blocking. */
#ifndef SHAKEOFF_DESCRIPTOR_H
#define SHAKEOFF_DESCRIPTOR_H

/*
 * Closes the daemon's duplicate of a connection that a server has taken. If the server has set SO_LINGER and closed its own
 * descriptor already, this would wait as the server's close() should have: then a thread does it.
 */
void descriptor_close(int fd);

/* Closes with an RST to the client. */
void descriptor_reset(int fd);

/* Raises the limit of descriptors as far as it can be. */
void descriptor_raise_limit(void);

#endif

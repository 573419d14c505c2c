/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Prefixes of addresses: 192.0.2.0/24, 2001:db8::/32, 192.0.2.1 (a host: /32 or /128). */
#ifndef SHAKEOFF_PREFIX_H
#define SHAKEOFF_PREFIX_H

#include <linux/types.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefix {
	__be32 address[4]; /* IPv4: the first word alone; zero behind the length */
	uint8_t len;       /* 0..32, 0..128 */
	bool ipv6;
};

#define PREFIX_LEN_MAX(ipv6) ((ipv6) ? 128 : 32)

/*
 * Reads a prefix. -EINVAL: `error` has what was read and what is allowed, as part of a sentence. Bits behind the length
 * are refused: 192.0.2.1/24 may mean the host or the network.
 */
int prefix_read(const char *text, struct prefix *prefix, char *error, size_t error_size);

/* Writes a prefix as prefix_read() reads it; a host without its length. */
#define PREFIX_TEXT 52
void prefix_write(const struct prefix *prefix, char *text, size_t size);

#endif

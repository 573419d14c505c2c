/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A second parser of TCP options, written for clarity and after RFC 9293, section 3.1 and the kernel's
 * tcp_parse_options(), not after bpf/lib/tcpopt.h: tests and the fuzzer compare the two.
 */
#ifndef SHAKEOFF_TESTS_TCPOPT_REFERENCE_H
#define SHAKEOFF_TESTS_TCPOPT_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/tcpopt.h"

struct reference_options {
	bool has_mss, has_wscale, has_sack, has_timestamps, has_auth;
	uint16_t mss;
	uint8_t wscale;
	uint32_t tsval, tsecr;
};

static inline uint32_t reference_be32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Reads one option with its kind and length, which is complete. */
static inline void reference_option(const uint8_t *option, size_t len, struct reference_options *found)
{
	switch (option[0]) {
	case 2: /* maximum segment size */
		if (len == 4) {
			found->has_mss = true;
			found->mss = option[2] << 8 | option[3];
		}
		break;
	case 3: /* window scale; a value above 14 counts as 14 (RFC 7323, section 2.3) */
		if (len == 3) {
			found->has_wscale = true;
			found->wscale = option[2] < 14 ? option[2] : 14;
		}
		break;
	case 4: /* SACK permitted */
		if (len == 2)
			found->has_sack = true;
		break;
	case 8: /* timestamps */
		if (len == 10) {
			found->has_timestamps = true;
			found->tsval = reference_be32(option + 2);
			found->tsecr = reference_be32(option + 6);
		}
		break;
	case 19: /* TCP-MD5 */
	case 29: /* TCP-AO */ found->has_auth = true; break;
	default: break;
	}
}

static inline struct reference_options reference_read(const uint8_t *bytes, size_t len)
{
	struct reference_options found = { 0 };

	while (len > 0 && bytes[0] != 0) {
		size_t option_len = 1;

		if (bytes[0] != 1) {
			if (len < 2 || bytes[1] < 2 || bytes[1] > len)
				break;
			option_len = bytes[1];
			reference_option(bytes, option_len, &found);
		}
		bytes += option_len;
		len -= option_len;
	}
	return found;
}

/* Copies the options in the format that the parser wants: words, followed by zeros. */
static inline void reference_words(const uint8_t *bytes, size_t len, uint32_t words[TCPOPT_BUFFER_WORDS])
{
	memset(words, 0, TCPOPT_BUFFER_WORDS * sizeof(words[0]));
	memcpy(words, bytes, len);
}

/* Returns whether both parsers have the same result. */
static inline bool reference_agrees(const struct reference_options *reference, const struct tcpopt *opt)
{
	if (opt->mss != (reference->has_mss ? reference->mss : 0) || opt->sack != reference->has_sack ||
	    opt->wscale != (reference->has_wscale ? reference->wscale : SHAKEOFF_NO_WSCALE) ||
	    opt->timestamps != reference->has_timestamps || opt->auth != reference->has_auth)
		return false;
	return !opt->timestamps || (opt->tsval == reference->tsval && opt->tsecr == reference->tsecr);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer: any bytes as TCP options; the parser, its fast path and the reference of the unit tests must agree. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../unit/tcpopt_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcpopt slow = { .wscale = SHAKEOFF_NO_WSCALE }, fast = slow;
	size_t len = size < TCPOPT_MAX_BYTES ? size & ~(size_t)3 : TCPOPT_MAX_BYTES;
	struct reference_options reference = reference_read(data, len);
	uint32_t words[TCPOPT_BUFFER_WORDS];

	reference_words(data, len, words);
	tcpopt_read(words, len, &slow);
	if (!reference_agrees(&reference, &slow) || slow.position > len)
		abort();
	if (len == TCPOPT_LINUX_SYN_BYTES && tcpopt_read_linux_syn(words, &fast) &&
	    !reference_agrees(&reference, &fast))
		abort();
	return 0;
}

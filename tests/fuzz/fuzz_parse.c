/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libFuzzer: any bytes as a frame. The verifier holds the parser in the kernel; here the sanitizers do, and what it says of a frame is
 * compared with the frame's length.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/ctx.h"
#include "packet/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *buffer = malloc(2 + size), *frame = buffer + 2; /* so that IP headers are aligned: NET_IP_ALIGN */
	__u32 words[TCPOPT_BUFFER_WORDS] = { 0 };
	struct packet packet = { 0 };
	int result, length;

	if (!buffer)
		abort();
	memcpy(frame, data, size);
	result = parse_packet(frame, frame + size, &packet);
	if (result > 0 || result < PARSE_CHAIN)
		abort();
	if (!result) {
		if (packet.l4_offset + sizeof(struct tcphdr) > size || packet.l4_offset > MAX_L4_OFFSET_MASK)
			abort();
		if (tcp_lengths_fit(&packet, (__u32)size)) {
			length = tcp_options_copy(frame, frame + size, &packet, words);
			if (length != packet.header_len - (int)sizeof(struct tcphdr))
				abort();
		}
	}
	free(buffer);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A final ACK has claimed its tuple (validated.h): what follows, whichever way the connection is handed over. */
#ifndef SHAKEOFF_BPF_SOCKET_OPENED_H
#define SHAKEOFF_BPF_SOCKET_OPENED_H

/* hints: of filter_note(). */
static __always_inline void connection_noted(const struct packet *packet, const struct hook_ctx *hook, __u8 hints,
					     bool established)
{
	filter_note(&packet->flow, hook->control, hints);
	source_proved(hook->service_id, hook->service->enqueued, established);
}

/* The same for one that waits for its server, or is on the way there, from now on. */
static __always_inline void connection_established(const struct packet *packet, const struct hook_ctx *hook, __u8 hints)
{
	half_open_forget(hook);
	connection_noted(packet, hook, hints, 1);
	__sync_fetch_and_add(&hook->service->enqueued, 1);
}

#endif

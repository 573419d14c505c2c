/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends SYN-ACKs of the hook again if no ACK has answered them, as the kernel does with its own.
 *
 * The hook keeps the list (bpf/handle/resend.h), and this code goes through it several times a second. The time of each
 * SYN-ACK decides what to do, so there is no other state, and a restarted daemon goes on where the last one was.
 *
 * Spoofed SYNs gain little by it: a service's list is short, entries are given up sooner the longer it gets, the frames
 * per second are limited in total and per prefix, and in a flood the list is dropped.
 */
#ifndef SHAKEOFFD_HOOK_RESEND_H
#define SHAKEOFFD_HOOK_RESEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "shakeoffd/hook/prefix_budget.h"

/* Maximum of frames sent by one half_open_tick(), over all services. */
#define HALF_OPEN_FRAMES_A_TICK 400

struct half_open_counts;

struct half_open {
	struct datapath **datapaths;
	size_t datapath_count;
	struct half_open_counts *counts; /* one per datapath */
	struct prefix_budget budget;
	int fd;
	uint64_t looked_ns;
	unsigned int retries; /* 0..SHAKEOFF_SYNACK_RETRIES_MAX */
};

/* Opens the resending. retries: as half_open_set_retries(). 0 or a negative errno. Needs CAP_NET_RAW. */
int half_open_open(struct half_open *half_open, struct datapath **datapaths, size_t datapath_count,
		   unsigned int retries, uint64_t now_ns);
void half_open_close(struct half_open *half_open); /* also for one that is all zero */

/* Sets how many times a SYN-ACK is sent again: as the sysctl says, at most SHAKEOFF_SYNACK_RETRIES_MAX. */
void half_open_set_retries(struct half_open *half_open, unsigned int retries);

/*
 * Sends what is due. Call it several times a second, with the hook's clock. 0, or the negative errno of a failed read.
 */
int half_open_tick(struct half_open *half_open, uint64_t now_ns);

/*
 * Return whether a repetition falls in (from_ns, to_ns], and whether all are over. The first repetition is 1 s after
 * the SYN-ACK; each further interval is twice the one before.
 */
bool half_open_is_due(uint64_t answered_ns, uint64_t from_ns, uint64_t to_ns, unsigned int retries);
bool half_open_is_over(uint64_t answered_ns, uint64_t now_ns, unsigned int retries);

/* Returns the number of repetitions for a service with this number of half-open connections. */
unsigned int half_open_retries(unsigned int configured, uint32_t half_open);

#endif

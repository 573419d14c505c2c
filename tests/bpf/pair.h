/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection of two sockets of the host, and what its client's segments look like.
 *
 * cmocka.h and what it needs has to be included before.
 */
#ifndef SHAKEOFF_TESTS_PAIR_H
#define SHAKEOFF_TESTS_PAIR_H

#include "harness.h"
#include "sockets.h"

struct pair {
	int listener, client, server;
	uint16_t port;    /* the client's */
	uint32_t snd_nxt; /* the client's next sequence number */
	uint32_t tsval;   /* its clock */
	struct segment segment;
};

extern struct pair pair;

int pair_setup(void **state); /* for each test */
int pair_teardown(void **state);

void pair_open(const struct family *family); /* all of these */
void pair_listen(const struct family *family);
void pair_connect(const struct family *family);
void pair_measure(void); /* reads the client's sequence number and clock, as long as it has a socket */
void pair_close(int *fd);

/* A segment of the client with these flags. */
struct segment of_pair(uint8_t flags);

/* The receive sequence number of the server's socket in TIME-WAIT: behind the client's FIN. */
uint32_t time_wait_rcv_nxt(void);

/* A SYN of the tuple, with an ISN relative to what the TIME-WAIT expects; timestamps relative to the client's clock. */
struct segment syn_of_pair(int32_t isn_step, bool timestamps, int32_t clock_step);

/* Segments of the tuple with every kind of flags pass, and a SYN does with this verdict. */
void assert_all_pass(enum shakeoff_verdict syn);

#endif

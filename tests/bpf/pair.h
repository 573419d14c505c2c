/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection of two sockets of the host, and segments as its client would send them.
 *
 * Include cmocka.h and the headers it needs before this one.
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
void pair_measure(void); /* Reads the client's sequence number and clock while it has a socket. */
void pair_close(int *fd);

/* Returns a segment of the client with these flags. */
struct segment of_pair(uint8_t flags);

/* Returns the receive sequence number of the server's socket in TIME-WAIT: after the client's FIN. */
uint32_t time_wait_rcv_nxt(void);

/*
 * Returns a SYN of the tuple; its ISN is relative to what the TIME-WAIT expects, its timestamps to the client's clock.
 */
struct segment syn_of_pair(int32_t isn_step, bool timestamps, int32_t clock_step);

/* Asserts that segments of the tuple with every combination of flags pass, and a SYN with this verdict. */
void assert_all_pass(enum shakeoff_verdict syn);

#endif

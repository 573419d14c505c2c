/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values in the form that people read. */
#ifndef SHAKEOFF_TEXT_H
#define SHAKEOFF_TEXT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes "10.9.0.1:80", "[2001:db8::1]:443". `address`: IPv4 mapped; `port`: host byte order. */
#define TEXT_ENDPOINT 64
void text_endpoint(const struct in6_addr *address, uint16_t port, char *text, size_t size);

/* Writes at most two units: "350 ms", "12 s", "3 min 5 s", "2 h 10 min", "4 d 3 h". */
#define TEXT_DURATION 32
void text_duration(uint64_t nanoseconds, char *text, size_t size);

/*
 * Reads a duration as it is typed: 90, 90s, 10m, 1h30m, 7d, 2w; larger units come first. Whole seconds, from one second
 * to ten years; returns false for anything else.
 */
bool text_read_duration(const char *text, uint64_t *nanoseconds);
/* Writes a duration in that form: "1h30m". Rounded up to seconds. */
void text_write_duration(uint64_t nanoseconds, char *text, size_t size);

/*
 * Copies a text and replaces every byte that a terminal could take for a command by '?'. A text that does not fit ends
 * in "...".
 */
void text_printable(const char *from, char *text, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How full the filter of recently issued cookies is (shakeoff/issued.h). */
#ifndef SHAKEOFF_COMMON_ISSUED_H
#define SHAKEOFF_COMMON_ISSUED_H

#include <stdint.h>

#include <shakeoff/issued.h>

#define ISSUED_FIELD_BITS 16 /* for each of a note's three bits */
#define ISSUED_FIELD_MASK ((1u << ISSUED_FIELD_BITS) - 1)

/* Returns the false positive rate of cookies of this word, if it belongs to the period. */
static inline double issued_word_rate(uint64_t word, uint32_t period)
{
	double share = 1;

	if (!shakeoff_issued_has(word, period, 0))
		return 0;
	for (int shift = 0; shift < SHAKEOFF_ISSUED_TAG_SHIFT; shift += ISSUED_FIELD_BITS)
		share *= (double)__builtin_popcountll(word >> shift & ISSUED_FIELD_MASK) / ISSUED_FIELD_BITS;
	return share;
}

/*
 * Returns the present false positive rate, 0 to 1: the fraction of cookies never issued that seem issued. words: 2 *
 * SHAKEOFF_ISSUED_WORDS of them; they may change meanwhile.
 */
static inline double issued_false_positive_rate(const uint64_t *words, uint64_t now_ns)
{
	uint32_t period = shakeoff_issued_period(now_ns);
	const uint64_t *present = words + shakeoff_issued_index(period, 0);
	const uint64_t *previous = words + shakeoff_issued_index(period - 1, 0);
	double sum = 0;

	for (uint32_t i = 0; i < SHAKEOFF_ISSUED_WORDS; i++) {
		double in_present = issued_word_rate(__atomic_load_n(&present[i], __ATOMIC_RELAXED), period);
		double in_previous = issued_word_rate(__atomic_load_n(&previous[i], __ATOMIC_RELAXED), period - 1);

		sum += 1 - (1 - in_present) * (1 - in_previous);
	}
	return sum / SHAKEOFF_ISSUED_WORDS;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "common/verdicts.h"

const struct verdict_info verdict_table[SHAKEOFF_VERDICT_COUNT] = {
#define X(constant, name, action, counts, help) [SHAKEOFF_##constant] = { name, #action, counts, help },
	SHAKEOFF_VERDICTS(X)
#undef X
};

void verdict_totals_add(struct verdict_totals *totals, const uint64_t counts[SHAKEOFF_VERDICT_COUNT])
{
	for (int i = 0; i < SHAKEOFF_VERDICT_COUNT; i++) {
		const struct verdict_info *verdict = &verdict_table[i];

		if (verdict->counts & SHAKEOFF_COUNTS_SYN)
			totals->syn_received += counts[i];
		if (verdict->counts & SHAKEOFF_COUNTS_SYNACK)
			totals->synack_sent += counts[i];
		if (verdict->counts & SHAKEOFF_COUNTS_ACK_VALID)
			totals->ack_valid += counts[i];
		if (verdict->counts & SHAKEOFF_COUNTS_ACK_INVALID)
			totals->ack_invalid += counts[i];
		if (verdict->counts & SHAKEOFF_COUNTS_NO_SOCKET)
			totals->out_of_state += counts[i];
		if (verdict->counts & SHAKEOFF_COUNTS_OVERFLOW)
			totals->overflow += counts[i];
		if (!strcmp(verdict->action, "PASS"))
			totals->passed += counts[i];
	}
}

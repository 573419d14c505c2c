/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "shakeoffd/hook/tc_order.h"

/* Notes that the program is first. */
static void settle(struct tc_order *order, uint64_t now_ns)
{
	if (!order->first_ns)
		order->first_ns = now_ns;
	if (now_ns - order->first_ns >= TC_ORDER_SETTLED_NS)
		order->contested = false;
	if (now_ns - order->first_ns < TC_ORDER_CALM_NS)
		return;
	order->moves = 0;
	order->retry_ns = order->retry_wait_ns = 0;
}

static void put_off(struct tc_order *order, uint64_t now_ns)
{
	uint64_t wait_ns = order->retry_wait_ns ? 2 * order->retry_wait_ns : TC_ORDER_RETRY_NS;

	order->retry_wait_ns = wait_ns < TC_ORDER_RETRY_MAX_NS ? wait_ns : TC_ORDER_RETRY_MAX_NS;
	order->retry_ns = now_ns + order->retry_wait_ns;
}

bool tc_order_look(struct tc_order *order, enum datapath_position position, uint64_t now_ns)
{
	if (position == DATAPATH_POSITION_FIRST) {
		settle(order, now_ns);
		return false;
	}
	order->first_ns = 0;
	if (position == DATAPATH_POSITION_GONE) /* another function puts missing programs back */
		return false;
	if (order->moves >= TC_ORDER_MOVES) {
		order->contested = true;
		if (now_ns < order->retry_ns)
			return false;
	}
	order->moves++;
	if (order->moves >= TC_ORDER_MOVES)
		put_off(order, now_ns);
	return true;
}

static void hold(struct tc_flow *flow, uint64_t now_ns)
{
	flow->hold_ns = flow->hold_ns ? 2 * flow->hold_ns : TC_FLOW_HOLD_NS;
	if (flow->hold_ns > TC_FLOW_HOLD_MAX_NS)
		flow->hold_ns = TC_FLOW_HOLD_MAX_NS;
	flow->until_ns = now_ns + flow->hold_ns;
	flow->missing_ns = 0;
}

void tc_flow_excuse(struct tc_flow *flow, const struct shakeoff_admissions *counted)
{
	flow->seen = *counted;
	flow->missing_ns = 0;
}

bool tc_flow_look(struct tc_flow *flow, const struct shakeoff_admissions *counted, uint64_t now_ns)
{
	bool came = counted->reached != flow->seen.reached;

	if (flow->until_ns && (came || now_ns >= flow->until_ns)) {
		flow->until_ns = flow->missing_ns = 0;
		flow->held_ns = now_ns;
		flow->seen = *counted;
	}
	if (flow->until_ns)
		return true;
	if (flow->hold_ns && came && now_ns - flow->held_ns >= flow->hold_ns)
		flow->hold_ns = 0;
	/* Signed, because the two counters are not read at the same time. */
	if (came || (int64_t)(counted->claimed - flow->seen.claimed) <= 0) {
		flow->seen = *counted;
		flow->missing_ns = 0;
		return false;
	}
	if (!flow->missing_ns)
		flow->missing_ns = now_ns;
	if (counted->claimed - flow->seen.claimed < TC_FLOW_MISSING || now_ns - flow->missing_ns < TC_FLOW_PATIENCE_NS)
		return false;
	hold(flow, now_ns);
	return true;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What nearly every function needs: the daemon's word, a service, the CPU's working memory. Only here are these maps looked up. */
#ifndef SHAKEOFF_BPF_CORE_STATE_H
#define SHAKEOFF_BPF_CORE_STATE_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "lib/compiler.h"

/*
 * Never NULL. Functions that are not static are verified once, on their own, where static ones are followed again from
 * every call; until kernel 5.12 they take nothing but ctx and numbers, so they find their working memory by themselves.
 */
static __always_inline struct scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* Never NULL. */
static __always_inline struct shakeoff_control *control_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&CONTROL_MAP, &zero);
}

/* NULL only for what is no id of a service. */
static __always_inline struct shakeoff_service *service_get(__u32 service_id)
{
	return bpf_map_lookup_elem(&service_state, &service_id);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What nearly every function needs: the control map, a service, the CPU's working memory. Only this file looks these
 * maps up.
 */
#ifndef SHAKEOFF_BPF_CORE_STATE_H
#define SHAKEOFF_BPF_CORE_STATE_H

#include "core/kernel.h"

#include <bpf/bpf_helpers.h>

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "core/maps.h"
#include "lib/compiler.h"

/*
 * Returns the CPU's working memory; never NULL. The verifier checks a global function once, on its own, and a static
 * one again at every call. Until kernel 5.12 global functions take only ctx and numbers, so each gets its working
 * memory here.
 */
static __always_inline struct scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* Returns the control map's only element; never NULL. */
static __always_inline struct shakeoff_control *control_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&CONTROL_MAP, &zero);
}

/* Returns a service, or NULL if there is no such id. */
static __always_inline struct shakeoff_service *service_get(__u32 service_id)
{
	return bpf_map_lookup_elem(&service_state, &service_id);
}

#endif

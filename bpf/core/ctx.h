/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef SHAKEOFF_BPF_CORE_CTX_H
#define SHAKEOFF_BPF_CORE_CTX_H

/* No verdict yet: the walk goes on. */
#define VERDICT_NONE SHAKEOFF_VERDICT_COUNT

/* What the hook knows of a packet's service and of the moment, looked up once. */
struct hook_ctx {
	struct shakeoff_control *control;
	struct shakeoff_service *service;
	struct scratch *scratch;
	__u32 service_id;
	__u32 frame_len;
	__u64 now_ns;
	bool allowed; /* the lists say so: no limit holds for the source */
};

#endif

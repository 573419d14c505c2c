/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which service a packet is for, whether it is being served, and whether its accept queue has room. */
#ifndef SHAKEOFF_BPF_SERVICE_H
#define SHAKEOFF_BPF_SERVICE_H

/* The one look-up that traffic of nobody's costs. Returns NULL, or the id of the service of this address and port. */
static __always_inline __u32 *service_find(const struct packet *packet)
{
	const struct cookie_flow *flow = &packet->flow;

	if (flow->ipv6) {
		struct shakeoff_address6 key = {.port = flow->server_port};

		__builtin_memcpy(key.address, flow->server, sizeof(key.address));
		return bpf_map_lookup_elem(&addresses6, &key);
	}
	struct shakeoff_address4 key = {.address = flow->server[0], .port = flow->server_port};

	return bpf_map_lookup_elem(&addresses4, &key);
}

enum service_health {
	SERVICE_SERVED,      /* answer */
	SERVICE_DAEMON_DOWN, /* the daemon may come back: answer nothing new, go on validating */
	SERVICE_UNSERVED,    /* no server, or no daemon for longer than a cookie lives: the kernel's business */
};

static __always_inline enum service_health service_health(const struct shakeoff_service *service,
							   const struct shakeoff_control *control, __u64 now_ns)
{
	__u64 heartbeat = control->heartbeat_ns;
	__u64 silence = now_ns - heartbeat;

	if (!(service->flags & SHAKEOFF_SERVICE_SERVED) || !heartbeat)
		return SERVICE_UNSERVED;
	/* The heartbeat of another CPU may have been written after our clock was read: not a silence of 584 years. */
	if ((__s64)silence <= (__s64)SHAKEOFF_HEARTBEAT_TIMEOUT_NS)
		return SERVICE_SERVED;
	if (silence <= SHAKEOFF_HEARTBEAT_TIMEOUT_NS + SHAKEOFF_COOKIE_LIFETIME_NS)
		return SERVICE_DAEMON_DOWN;
	return SERVICE_UNSERVED;
}

static __always_inline _Bool service_full(const struct shakeoff_service *service)
{
	return (__s64)(service->enqueued - service->dequeued) >= (__s64)service->capacity;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The map of tuples whose final ACK was accepted. */
#ifndef SHAKEOFF_BPF_VALIDATED_H
#define SHAKEOFF_BPF_VALIDATED_H

#define EEXIST 17

static __always_inline void tuple_of(const struct cookie_flow *flow, struct shakeoff_tuple *tuple)
{
	if (flow->ipv6) {
		__builtin_memcpy(tuple->remote, flow->client, sizeof(tuple->remote));
		__builtin_memcpy(tuple->local, flow->server, sizeof(tuple->local));
	} else {
		tuple->remote[0] = tuple->remote[1] = tuple->local[0] = tuple->local[1] = 0;
		tuple->remote[2] = tuple->local[2] = to_be32(0xffff);
		tuple->remote[3] = flow->client[0];
		tuple->local[3] = flow->server[0];
	}
	tuple->remote_port = flow->client_port;
	tuple->local_port = flow->server_port;
}

/*
 * Claims the tuple for this opening. Returns false when another CPU was quicker with a duplicate of the same ACK. An
 * entry of an earlier connection is replaced; the caller has made sure that it is one.
 */
static __always_inline _Bool tuple_claim(const struct opening *opening, const struct walk *walk, _Bool replace)
{
	const struct shakeoff_tuple *tuple = &walk->scratch->tuple;
	struct shakeoff_validated entry = {
		.opened_ns = walk->now_ns,
		.client_isn = opening->client_isn,
		.cookie = opening->cookie,
		.service = walk->service_id,
		.replaced = opening->replaced,
	};

	if (replace)
		bpf_map_delete_elem(&validated, tuple);
	return bpf_map_update_elem(&validated, tuple, &entry, BPF_NOEXIST) != -EEXIST;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the XDP program passes to the tc program with a validated ACK, in front of the frame (XDP metadata). Nothing in
 * it comes from the wire; the magic number distinguishes it from metadata of other programs and drivers.
 */
#ifndef SHAKEOFF_BPF_CORE_METADATA_H
#define SHAKEOFF_BPF_CORE_METADATA_H

#include <shakeoff/abi.h>

#include "core/ctx.h"
#include "lib/compiler.h"
#include "lib/cookie.h"
#include "lib/tcpopt.h"

/* Makes the magic number, with shakeoff_control.metadata_secret, which is unknown to others. */
#define METADATA_MAGIC 0x5ac0ff03u

/*
 * The only metadata of a segment that arrived on another CPU than the ACK that it follows. The segment may be here
 * before the connection's socket exists, and waits for it. Also marks a segment that has waited, in __sk_buff.cb.
 */
#define METADATA_WAITS 0x5ac0ff83u

static __always_inline __u32 metadata_magic(const struct shakeoff_control *control, __u32 constant)
{
	return constant ^ control->metadata_secret;
}

#define METADATA_SACK 0x1
#define METADATA_TIMESTAMPS 0x2
#define METADATA_ECN 0x4

/* Host byte order. The size of metadata is a multiple of 4 and at most 32 (bpf_xdp_adjust_meta()). */
struct metadata {
	__u32 magic;
	__u32 service;
	__u32 tsval;
	__u32 ts_base; /* as in struct handshake */
	__u16 mss;
	__u8 snd_wscale; /* the client's; SHAKEOFF_NO_WSCALE: neither */
	__u8 rcv_wscale;
	__u32 flags; /* METADATA_* */
};

/*
 * Fills the metadata. Leaves SACK out if its sysctl was set to 0 after the SYN-ACK: the kernel would refuse the
 * request.
 */
static __always_inline void metadata_fill(struct metadata *metadata, const struct shakeoff_control *control,
					  __u32 service, const struct shakeoff_interface *profile,
					  const struct handshake *handshake, __u8 rcv_wscale, const struct tcpopt *opt)
{
	const struct cookie_options *options = &handshake->options;

	metadata->magic = metadata_magic(control, METADATA_MAGIC);
	metadata->service = service;
	metadata->tsval = opt->tsval;
	metadata->ts_base = handshake->ts_base;
	metadata->mss = options->mss;
	metadata->snd_wscale = options->wscale;
	metadata->rcv_wscale = rcv_wscale;
	metadata->flags = (options->sack && profile->sack ? METADATA_SACK : 0) |
			  (options->timestamps ? METADATA_TIMESTAMPS : 0) | (options->ecn ? METADATA_ECN : 0);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

#include "shakeoffd/selftest/probe_frame.h"

#define HOPS 64
#define WINDOW 65535
#define MSS4 1460 /* of Ethernet */
#define MSS6 1440

/*
 * Locally administered (IEEE 802, section 8.2). A bridge complains about frames with the address of one of its own
 * interfaces.
 */
static const uint8_t sender_mac[ETH_ALEN] = { 0x02, 0x00, 0x5a, 0xc0, 0xff, 0x02 };

_Static_assert(SHAKEOFF_PROBE_TCP4 == ETH_HLEN + sizeof(struct iphdr), "IPv4 without options");
_Static_assert(SHAKEOFF_PROBE_TCP6 == ETH_HLEN + sizeof(struct ip6_hdr), "IPv6 without extension headers");
_Static_assert(SHAKEOFF_PROBE_FRAME_LEN == SHAKEOFF_PROBE_TCP6 + sizeof(struct tcphdr) + TCPOLEN_MAXSEG,
	       "TCP with MSS");

/* Adds 16-bit words as they are in memory (RFC 1071). `size` is even. */
static uint32_t sum_words(const void *data, size_t size)
{
	const uint8_t *byte = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i += 2) {
		uint16_t word;

		memcpy(&word, byte + i, sizeof(word));
		sum += word;
	}
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

struct segment {
	struct tcphdr tcp;
	uint8_t mss[TCPOLEN_MAXSEG]; /* of a SYN */
};

static uint16_t segment_size(const struct probe_flow *flow)
{
	return flow->kind == PROBE_SYN ? sizeof(struct segment) : sizeof(struct tcphdr);
}

/* Fills in the TCP header. addresses: source and destination side by side, as in every IP header. */
static void fill_tcp(uint8_t *to, const struct shakeoff_probe *common, uint32_t index, const struct probe_flow *flow,
		     uint16_t mss, const void *addresses, size_t addresses_size)
{
	uint16_t size = segment_size(flow);
	struct segment segment = {
		.tcp = {
			.source = common->source_port,
			.dest = htons(flow->port),
			.seq = htonl(common->seq + index),
			.doff = size / 4 & 0xf,
			.window = htons(WINDOW),
		},
		.mss = { TCPOPT_MAXSEG, TCPOLEN_MAXSEG, (uint8_t)(mss >> 8), (uint8_t)mss },
	};

	if (flow->kind == PROBE_SYN) {
		segment.tcp.syn = 1;
	} else {
		segment.tcp.ack = 1;
		segment.tcp.ack_seq = htonl(common->ack);
	}
	segment.tcp.check = fold(sum_words(addresses, addresses_size) + htons(IPPROTO_TCP) + htons(size) +
				 sum_words(&segment, size));
	memcpy(to, &segment, size);
}

static void fill_ipv4(uint8_t *to, const struct probe_flow *flow)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tot_len = htons((uint16_t)(sizeof(ip) + segment_size(flow))),
		.frag_off = htons(IP_DF),
		.ttl = HOPS,
		.protocol = IPPROTO_TCP,
	};

	memcpy(&ip.saddr, &flow->source.s6_addr[12], sizeof(ip.saddr));
	memcpy(&ip.daddr, &flow->address.s6_addr[12], sizeof(ip.daddr));
	ip.check = fold(sum_words(&ip, sizeof(ip)));
	memcpy(to, &ip, sizeof(ip));
}

static void fill_ipv6(uint8_t *to, const struct probe_flow *flow)
{
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6u << 28),
		.ip6_plen = htons(segment_size(flow)),
		.ip6_nxt = IPPROTO_TCP,
		.ip6_hlim = HOPS,
		.ip6_src = flow->source,
		.ip6_dst = flow->address,
	};

	memcpy(to, &ip, sizeof(ip));
}

void probe_frame_fill(struct shakeoff_probe_frame *probe, const struct shakeoff_probe *common, uint32_t index,
		      const struct probe_flow *flow)
{
	struct ethhdr eth = { .h_proto = htons(ETH_P_IPV6) };
	uint8_t *ip = &probe->frame[ETH_HLEN];

	memset(probe, 0, sizeof(*probe));
	memcpy(eth.h_dest, common->group, sizeof(eth.h_dest));
	memcpy(eth.h_source, sender_mac, sizeof(eth.h_source));
	if (IN6_IS_ADDR_V4MAPPED(&flow->address)) {
		eth.h_proto = htons(ETH_P_IP);
		fill_ipv4(ip, flow);
		fill_tcp(&probe->frame[SHAKEOFF_PROBE_TCP4], common, index, flow, MSS4,
			 ip + offsetof(struct iphdr, saddr), 8);
	} else {
		fill_ipv6(ip, flow);
		fill_tcp(&probe->frame[SHAKEOFF_PROBE_TCP6], common, index, flow, MSS6,
			 ip + offsetof(struct ip6_hdr, ip6_src), 32);
	}
	memcpy(probe->frame, &eth, sizeof(eth));
}

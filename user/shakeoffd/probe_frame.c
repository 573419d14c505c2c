/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

#include <shakeoffd/probe_frame.h>

#define HOPS 64
#define WINDOW 65535

/*
 * Locally administered (IEEE 802, section 8.2). A bridge complains of frames that seem to come from an interface of its
 * own.
 */
static const uint8_t sender_mac[ETH_ALEN] = { 0x02, 0x00, 0x5a, 0xc0, 0xff, 0x02 };

_Static_assert(SHAKEOFF_PROBE_TCP4 == ETH_HLEN + sizeof(struct iphdr), "IPv4 without options");
_Static_assert(SHAKEOFF_PROBE_TCP6 == ETH_HLEN + sizeof(struct ip6_hdr), "IPv6 without extension headers");
_Static_assert(SHAKEOFF_PROBE_FRAME_LEN == SHAKEOFF_PROBE_TCP6 + sizeof(struct tcphdr), "TCP without options");

/* RFC 1071, over 16-bit words as they lie in memory. `size` is even. */
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

/* addresses: both, side by side, as in every IP header. */
static void fill_tcp(uint8_t *to, const struct shakeoff_probe *common, uint32_t index, uint16_t port,
		     const void *addresses, size_t addresses_size)
{
	struct tcphdr tcp = {
		.source = common->source_port,
		.dest = htons(port),
		.seq = htonl(common->seq + index),
		.ack_seq = htonl(common->ack),
		.doff = sizeof(tcp) / 4,
		.ack = 1,
		.window = htons(WINDOW),
	};

	tcp.check = fold(sum_words(addresses, addresses_size) + htons(IPPROTO_TCP) + htons(sizeof(tcp)) +
			 sum_words(&tcp, sizeof(tcp)));
	memcpy(to, &tcp, sizeof(tcp));
}

static void fill_ipv4(uint8_t *to, const struct shakeoff_probe *common, const struct in6_addr *address)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tot_len = htons(sizeof(ip) + sizeof(struct tcphdr)),
		.frag_off = htons(IP_DF),
		.ttl = HOPS,
		.protocol = IPPROTO_TCP,
		.saddr = common->source4,
	};

	memcpy(&ip.daddr, &address->s6_addr[12], sizeof(ip.daddr));
	ip.check = fold(sum_words(&ip, sizeof(ip)));
	memcpy(to, &ip, sizeof(ip));
}

static void fill_ipv6(uint8_t *to, const struct shakeoff_probe *common, const struct in6_addr *address)
{
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6u << 28),
		.ip6_plen = htons(sizeof(struct tcphdr)),
		.ip6_nxt = IPPROTO_TCP,
		.ip6_hlim = HOPS,
		.ip6_dst = *address,
	};

	memcpy(&ip.ip6_src, common->source6, sizeof(ip.ip6_src));
	memcpy(to, &ip, sizeof(ip));
}

void probe_frame_fill(struct shakeoff_probe_frame *probe, const struct shakeoff_probe *common, uint32_t index,
		      const struct in6_addr *address, uint16_t port)
{
	struct ethhdr eth = { .h_proto = htons(ETH_P_IPV6) };
	uint8_t *ip = &probe->frame[ETH_HLEN];

	memset(probe, 0, sizeof(*probe));
	memcpy(eth.h_dest, common->group, sizeof(eth.h_dest));
	memcpy(eth.h_source, sender_mac, sizeof(eth.h_source));
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		eth.h_proto = htons(ETH_P_IP);
		fill_ipv4(ip, common, address);
		fill_tcp(&probe->frame[SHAKEOFF_PROBE_TCP4], common, index, port, ip + offsetof(struct iphdr, saddr),
			 8);
	} else {
		fill_ipv6(ip, common, address);
		fill_tcp(&probe->frame[SHAKEOFF_PROBE_TCP6], common, index, port,
			 ip + offsetof(struct ip6_hdr, ip6_src), 32);
	}
	memcpy(probe->frame, &eth, sizeof(eth));
}

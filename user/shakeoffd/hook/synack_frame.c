/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>

#include "shakeoffd/hook/synack_frame.h"

#define TAG_LEN 4
#define TAGS_MAX 2
#define CHECK_OFFSET offsetof(struct tcphdr, th_sum)

static uint16_t read16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return ntohs(value);
}

static void write16(uint8_t *at, uint16_t value)
{
	value = htons(value);
	memcpy(at, &value, sizeof(value));
}

/* Finds the IP header and its protocol, after as many VLAN tags as the hook answers. */
static size_t find_ip(const uint8_t *frame, size_t len, uint16_t *protocol)
{
	size_t at = 2 * ETH_ALEN;

	for (int tags = 0;; tags++, at += TAG_LEN) {
		if (at + sizeof(*protocol) > len)
			return 0;
		*protocol = read16(frame + at);
		if (tags == TAGS_MAX || (*protocol != ETHERTYPE_VLAN && *protocol != 0x88a8))
			return at + sizeof(*protocol);
	}
}

/* Returns the offset of a complete TCP header; 0: there is none. */
static size_t find_tcp(const uint8_t *frame, size_t len)
{
	uint16_t protocol;
	size_t at = find_ip(frame, len, &protocol);

	if (!at)
		return 0;
	if (protocol == ETHERTYPE_IP && at + sizeof(struct iphdr) <= len &&
	    frame[at + offsetof(struct iphdr, protocol)] == IPPROTO_TCP)
		at += (size_t)(frame[at] & 0xf) * 4;
	else if (protocol == ETHERTYPE_IPV6 && at + sizeof(struct ip6_hdr) <= len &&
		 frame[at + offsetof(struct ip6_hdr, ip6_nxt)] == IPPROTO_TCP)
		at += sizeof(struct ip6_hdr);
	else
		return 0;
	if (at + sizeof(struct tcphdr) > len || (frame[at + 13] & (TH_SYN | TH_ACK)) != (TH_SYN | TH_ACK) ||
	    at + (size_t)(frame[at + 12] >> 4) * 4 > len)
		return 0;
	return at;
}

/* Returns the offset of the TSval in the TCP header; 0: there is none. */
static size_t find_tsval(const uint8_t *tcp)
{
	size_t end = (size_t)(tcp[12] >> 4) * 4, at = sizeof(struct tcphdr);

	while (at < end && tcp[at] != TCPOPT_EOL) {
		if (tcp[at] == TCPOPT_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= end || tcp[at + 1] < 2 || at + tcp[at + 1] > end)
			return 0;
		if (tcp[at] == TCPOPT_TIMESTAMP)
			return tcp[at + 1] == TCPOLEN_TIMESTAMP ? at + 2 : 0;
		at += tcp[at + 1];
	}
	return 0;
}

/* Returns the checksum after a word has changed from `from` to `to` (RFC 1624). */
static uint16_t checksum_change(uint16_t checksum, uint16_t from, uint16_t to)
{
	uint32_t sum = (uint16_t)~checksum + (uint16_t)~from + (uint32_t)to;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

bool synack_frame_later(uint8_t *frame, size_t len, uint32_t ms)
{
	size_t at = find_tcp(frame, len), tsval_at = at ? find_tsval(frame + at) : 0;
	uint8_t *tcp = frame + at;
	uint16_t checksum;
	uint32_t tsval;

	/* The hook aligns it to 16-bit words; otherwise the checksum would add it in other halves. */
	if (!tsval_at || tsval_at % 2)
		return false;
	tsval = ((uint32_t)read16(tcp + tsval_at) << 16 | read16(tcp + tsval_at + 2)) + ms;
	checksum = read16(tcp + CHECK_OFFSET);
	checksum = checksum_change(checksum, read16(tcp + tsval_at), tsval >> 16);
	checksum = checksum_change(checksum, read16(tcp + tsval_at + 2), tsval & 0xffff);
	write16(tcp + tsval_at, tsval >> 16);
	write16(tcp + tsval_at + 2, tsval & 0xffff);
	write16(tcp + CHECK_OFFSET, checksum);
	return true;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of TCP segments: made from a description, and read back by a separate parser that checks every length and
 * checksum. No code is common with bpf/.
 */
#ifndef SHAKEOFF_TESTS_FRAME_H
#define SHAKEOFF_TESTS_FRAME_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FRAME_MAX 32768

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define URG 0x20
#define ECE 0x40
#define CWR 0x80

#define FRAGMENT_DF 0x4000
#define FRAGMENT_MF 0x2000

struct bytes {
	const void *data;
	size_t len;
};

#define BYTES(...)                                                                                                     \
	{                                                                                                              \
		(const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })                             \
	}

/* A missing value is what a client of the tests' service would send; zero means the default everywhere. */
struct segment {
	const char *from, *to; /* default 198.51.100.7 and 10.9.0.1; one of them with a colon makes it IPv6 */
	uint16_t sport, dport; /* default 40000 and 80 */
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window; /* default 64240 */
	struct bytes options, payload;

	int tags;          /* VLAN tags: 0..3 */
	bool provider_tag; /* the outer tag is 802.1ad */
	bool priority_tag; /* VLAN id 0: the tags carry a priority and name no VLAN (802.1Q, 6.7) */
	uint16_t vlan;     /* id of the outer tag; default 100, and one more for each inner tag */
	bool group;        /* to a multicast MAC address */
	bool other_mac;    /* to the MAC address of another host, frame_other_mac */
	bool reply;        /* from the host to the client: MAC addresses swapped */
	uint16_t ethertype;
	uint8_t protocol, ttl, tos;
	uint16_t fragment;       /* IPv4's flags and offset, host byte order */
	struct bytes ip_options; /* IPv4 */
	uint8_t first_extension; /* IPv6: type of the first of `extensions`; each of them names the next */
	struct bytes extensions;

	size_t padding; /* after the IP packet, of zeros */
	bool zero_sport, zero_dport;
	uint8_t doff;            /* instead of the correct value, in words */
	bool no_doff;            /* 0 */
	uint8_t reserved;        /* the four bits of TCP after the header length */
	int longer;              /* the IP length is this many bytes too large */
	uint8_t ip_header_words; /* instead of the correct value */
};

struct frame {
	size_t len, l3, l4;
	uint8_t bytes[FRAME_MAX];
};

static const uint8_t frame_host_mac[6] = { 0x02, 0, 0, 0, 0, 0x01 };
static const uint8_t frame_other_mac[6] = { 0x02, 0, 0, 0, 0, 0x03 };
static const uint8_t frame_client_mac[6] = { 0x02, 0, 0, 0, 0, 0x02 };

static inline void put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static inline uint16_t get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* Returns the checksum of RFC 1071, by its definition. */
static inline uint32_t sum_bytes(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/*
 * Returns the TCP checksum over a segment that includes its own checksum field: 0 if correct. addresses: both, as in
 * the IP header.
 */
static inline uint16_t tcp_checksum(const uint8_t *addresses, size_t addresses_len, const uint8_t *tcp, size_t len)
{
	const uint8_t pseudo[4] = { 0, IPPROTO_TCP, len >> 8, len };
	uint32_t sum = sum_bytes(0, addresses, addresses_len);

	return ~sum_bytes(sum_bytes(sum, pseudo, sizeof(pseudo)), tcp, len);
}

static inline size_t put_bytes(uint8_t *at, struct bytes bytes)
{
	if (bytes.len)
		memcpy(at, bytes.data, bytes.len);
	return bytes.len;
}

static inline bool segment_is_ipv6(const struct segment *segment)
{
	return (segment->from && strchr(segment->from, ':')) || (segment->to && strchr(segment->to, ':'));
}

static inline size_t frame_put_tcp(uint8_t *at, const struct segment *segment)
{
	size_t len = 20;

	put16(at, segment->zero_sport ? 0 : segment->sport ? segment->sport : 40000);
	put16(at + 2, segment->zero_dport ? 0 : segment->dport ? segment->dport : 80);
	put32(at + 4, segment->seq);
	put32(at + 8, segment->ack);
	at[12] = segment->no_doff ? 0 : (segment->doff ? segment->doff : 5 + segment->options.len / 4) << 4;
	at[12] |= segment->reserved;
	at[13] = segment->flags;
	put16(at + 14, segment->window ? segment->window : 64240);
	put32(at + 16, 0);
	len += put_bytes(at + len, segment->options);
	return len + put_bytes(at + len, segment->payload);
}

static inline size_t frame_put_ethernet(uint8_t *at, const struct segment *segment)
{
	uint16_t type = segment->ethertype ? segment->ethertype : segment_is_ipv6(segment) ? 0x86dd : 0x0800;
	size_t len = 12;

	memcpy(at, segment->reply ? frame_client_mac : frame_host_mac, 6);
	memcpy(at + 6, segment->reply ? frame_host_mac : frame_client_mac, 6);
	if (segment->other_mac)
		memcpy(at, frame_other_mac, 6);
	if (segment->group)
		at[0] |= 1;
	for (int i = 0; i < segment->tags; i++, len += 4) {
		put16(at + len, i == 0 && segment->provider_tag ? 0x88a8 : 0x8100);
		put16(at + len + 2, segment->priority_tag ? 0xa000 : (segment->vlan ? segment->vlan : 100) + i);
	}
	put16(at + len, type);
	return len + 2;
}

static inline void frame_put_ipv4(struct frame *frame, const struct segment *segment)
{
	uint8_t *ip = frame->bytes + frame->l3;
	size_t header = 20 + segment->ip_options.len, tcp_len;

	memset(ip, 0, header);
	ip[0] = 0x40 | (segment->ip_header_words ? segment->ip_header_words : header / 4);
	ip[1] = segment->tos;
	put16(ip + 6, segment->fragment);
	ip[8] = segment->ttl ? segment->ttl : 57;
	ip[9] = segment->protocol ? segment->protocol : IPPROTO_TCP;
	inet_pton(AF_INET, segment->from ? segment->from : "198.51.100.7", ip + 12);
	inet_pton(AF_INET, segment->to ? segment->to : "10.9.0.1", ip + 16);
	put_bytes(ip + 20, segment->ip_options);
	frame->l4 = frame->l3 + header;
	tcp_len = frame_put_tcp(ip + header, segment);
	put16(ip + header + 16, tcp_checksum(ip + 12, 8, ip + header, tcp_len));
	put16(ip + 2, header + tcp_len + segment->longer);
	put16(ip + 10, ~sum_bytes(0, ip, header));
	frame->len = frame->l4 + tcp_len;
}

static inline void frame_put_ipv6(struct frame *frame, const struct segment *segment)
{
	uint8_t *ip = frame->bytes + frame->l3;
	size_t header = 40 + segment->extensions.len, tcp_len;
	uint8_t protocol = segment->protocol ? segment->protocol : IPPROTO_TCP;

	put32(ip, 6u << 28 | (uint32_t)segment->tos << 20 | (segment->reply ? 0 : 0x12345)); /* a flow label */
	ip[6] = segment->extensions.len ? segment->first_extension : protocol;
	ip[7] = segment->ttl ? segment->ttl : 57;
	inet_pton(AF_INET6, segment->from ? segment->from : "2001:db8:7::7", ip + 8);
	inet_pton(AF_INET6, segment->to ? segment->to : "2001:db8::1", ip + 24);
	put_bytes(ip + 40, segment->extensions);
	frame->l4 = frame->l3 + header;
	tcp_len = frame_put_tcp(ip + header, segment);
	put16(ip + header + 16, tcp_checksum(ip + 8, 32, ip + header, tcp_len));
	put16(ip + 4, segment->extensions.len + tcp_len + segment->longer);
	frame->len = frame->l4 + tcp_len;
}

static inline void frame_make(struct frame *frame, const struct segment *segment)
{
	frame->l3 = frame_put_ethernet(frame->bytes, segment);
	if (segment_is_ipv6(segment))
		frame_put_ipv6(frame, segment);
	else
		frame_put_ipv4(frame, segment);
	memset(frame->bytes + frame->len, 0, segment->padding);
	frame->len += segment->padding;
}

/* The fields of a frame that leaves the host. Host byte order. */
struct reading {
	bool ipv6;
	size_t l3, ip_len; /* length of the IP packet */
	uint16_t sport, dport, window;
	uint32_t seq, ack;
	uint8_t flags, ttl, tos;        /* tos, or traffic class */
	uint8_t client[16], server[16]; /* destination and source; IPv4 uses the first 4 bytes */
	uint8_t options[40];
	size_t options_len, payload_len;
	uint32_t tsval,
		tsecr; /* if there are timestamps at the position where a SYN-ACK has them, with or without MSS */
	bool timestamps;
};

static inline const char *frame_read_ip(const uint8_t *ip, size_t len, struct reading *reading)
{
	size_t address = reading->ipv6 ? 16 : 4;
	const uint8_t *addresses = ip + (reading->ipv6 ? 8 : 12);

	if (len < (reading->ipv6 ? 40 : 20))
		return "too short for its IP header";
	if (!reading->ipv6 && (ip[0] != 0x45 || get32(ip + 4) != FRAGMENT_DF))
		return "not IPv4 without options, id 0, DF";
	if (reading->ipv6 && (get32(ip) & 0xf00fffff) != 6u << 28)
		return "not IPv6 with flow label 0";
	if (ip[reading->ipv6 ? 6 : 9] != IPPROTO_TCP)
		return "not TCP";
	if (!reading->ipv6 && (uint16_t)~sum_bytes(0, ip, 20))
		return "wrong IPv4 checksum";
	reading->ip_len = reading->ipv6 ? 40 + get16(ip + 4) : get16(ip + 2);
	reading->ttl = ip[reading->ipv6 ? 7 : 8];
	reading->tos = reading->ipv6 ? get16(ip) >> 4 : ip[1];
	memcpy(reading->server, addresses, address);
	memcpy(reading->client, addresses + address, address);
	return reading->ip_len > len ? "IP length beyond the frame" : NULL;
}

static inline const char *frame_read_tcp(const uint8_t *tcp, size_t len, struct reading *reading)
{
	size_t at;

	if (len < 20 || tcp[12] >> 4 < 5 || (size_t)(tcp[12] >> 4) * 4 > len || tcp[12] & 0xf)
		return "TCP header's length does not fit";
	reading->sport = get16(tcp);
	reading->dport = get16(tcp + 2);
	reading->seq = get32(tcp + 4);
	reading->ack = get32(tcp + 8);
	reading->flags = tcp[13];
	reading->window = get16(tcp + 14);
	reading->options_len = (tcp[12] >> 4) * 4 - 20;
	reading->payload_len = len - 20 - reading->options_len;
	memcpy(reading->options, tcp + 20, reading->options_len);
	at = reading->options[0] == 2 ? 6 : 2; /* stop here: a clock value after it may look like an option */
	if (at + 10 <= reading->options_len && reading->options[at] == 8 && reading->options[at + 1] == 10) {
		reading->timestamps = true;
		reading->tsval = get32(reading->options + at + 2);
		reading->tsecr = get32(reading->options + at + 6);
	}
	return get16(tcp + 18) ? "urgent pointer" : NULL;
}

/* Reads a frame that the hook sends. Returns NULL, or a description of the error. */
static inline const char *frame_read(const uint8_t *bytes, size_t len, struct reading *reading)
{
	const char *wrong;
	size_t l4;

	memset(reading, 0, sizeof(*reading));
	if (len < 60)
		return "shorter than Ethernet allows";
	for (reading->l3 = 14; get16(bytes + reading->l3 - 2) == 0x8100 || get16(bytes + reading->l3 - 2) == 0x88a8;)
		reading->l3 += 4;
	reading->ipv6 = get16(bytes + reading->l3 - 2) == 0x86dd;
	wrong = frame_read_ip(bytes + reading->l3, len - reading->l3, reading);
	if (wrong)
		return wrong;
	l4 = reading->l3 + (reading->ipv6 ? 40 : 20);
	wrong = frame_read_tcp(bytes + l4, reading->l3 + reading->ip_len - l4, reading);
	if (wrong)
		return wrong;
	if (tcp_checksum(bytes + reading->l3 + (reading->ipv6 ? 8 : 12), reading->ipv6 ? 32 : 8, bytes + l4,
			 reading->l3 + reading->ip_len - l4))
		return "wrong TCP checksum";
	for (size_t i = reading->l3 + reading->ip_len; i < len; i++)
		if (bytes[i])
			return "padding that is not zero";
	return len > 60 && len > reading->l3 + reading->ip_len ? "longer than its packet" : NULL;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verdicts: every packet that the hook sees gets exactly one verdict and is counted once.
 *
 * One X-macro gives the enum, the counter's name, the XDP action, the totals that it counts towards (a set of
 * SHAKEOFF_COUNTS_*) and the help text, so that they cannot drift apart.
 *
 * A new verdict goes to the end of its block; tools read the table by name, never by number.
 */
#ifndef SHAKEOFF_VERDICT_H
#define SHAKEOFF_VERDICT_H

/* The totals that `shakeoff stats` shows. */
#define SHAKEOFF_COUNTS_SYN 0x01u         /* a SYN to an address of a service */
#define SHAKEOFF_COUNTS_SYNACK 0x02u      /* a SYN-ACK with a cookie was sent */
#define SHAKEOFF_COUNTS_ACK_VALID 0x04u   /* a final ACK with a valid cookie: a connection */
#define SHAKEOFF_COUNTS_ACK_INVALID 0x08u /* an ACK without a socket that opened no connection */
#define SHAKEOFF_COUNTS_OVERFLOW 0x10u    /* refused because the accept queue was full */
#define SHAKEOFF_COUNTS_NO_SOCKET 0x20u   /* a segment without a socket that opened no connection */

/*
 * X(CONSTANT, name, XDP action without its prefix, SHAKEOFF_COUNTS_*, help)
 *
 * PASS: the kernel gets the packet unchanged. TX: the hook replies. DROP: the packet ends here; that includes packets
 * that the daemon takes over through the ring buffer.
 */
/* clang-format off */
#define SHAKEOFF_VERDICTS(X)                                                                                           \
	X(NO_SERVICE, "no_service", PASS, 0, "not for a service")                                                      \
	X(FRAG_PASS, "frag_pass", PASS, 0, "an IP fragment of TCP; the kernel reassembles it")                         \
	X(SOCKET, "socket", PASS, 0, "belongs to an existing socket")                                                  \
	X(SYN_SOCKET, "syn_socket", PASS, SHAKEOFF_COUNTS_SYN,                                                         \
	  "a SYN for a tuple that has a socket; the kernel handles it")                                                \
	X(SYN_TCP_AUTH, "syn_tcp_auth", PASS, SHAKEOFF_COUNTS_SYN,                                                     \
	  "a SYN with TCP-MD5 or TCP-AO; only the kernel has the key")                                                 \
	X(SYN_NO_KEY, "syn_no_key", PASS, SHAKEOFF_COUNTS_SYN,                                                         \
	  "no cookie key, interface profile or tc program yet, or ACKs do not reach the tc program")                   \
	X(SYN_NO_SERVER, "syn_no_server", PASS, SHAKEOFF_COUNTS_SYN,                                                   \
	  "the service has no server, or none that the hook finds, or its daemon is gone")                             \
	X(SYN_IDLE, "syn_idle", PASS, SHAKEOFF_COUNTS_SYN, "no flood: the kernel makes the handshake")                 \
	X(SYN_BYPASS, "syn_bypass", PASS, SHAKEOFF_COUNTS_SYN,                                                         \
	  "for a bypassed listening socket: only the kernel can serve it")                                             \
	X(SYN_SMALL_MSS, "syn_small_mss", PASS, SHAKEOFF_COUNTS_SYN,                                                   \
	  "the client's MSS is smaller than a cookie can encode: the kernel makes the handshake")                      \
	X(SYN_TTL, "syn_ttl", PASS, SHAKEOFF_COUNTS_SYN,                                                               \
	  "its time to live is below the listening socket's IP_MINTTL: the kernel drops it")                           \
	X(ACK_TTL, "ack_ttl", PASS, 0, "the same for a final ACK")                                                     \
	X(SYN_UNROUTED, "syn_unrouted", PASS, SHAKEOFF_COUNTS_SYN,                                                     \
	  "from the host's own address, or without a route back: the kernel handles it")                               \
	X(ACK_UNROUTED, "ack_unrouted", PASS, 0, "the final ACK of such a source")                                     \
	X(ACK_NO_SERVER, "ack_no_server", PASS, SHAKEOFF_COUNTS_NO_SOCKET,                                             \
	  "a segment without a socket for a service that has no server")                                               \
	X(ACK_IDLE, "ack_idle", PASS, 0, "no flood: a segment that may have a socket; the kernel handles it")          \
	X(ACK_KERNEL_COOKIE, "ack_kernel_cookie", PASS, 0, "the final ACK for a SYN cookie of the kernel")             \
	X(ACK_ADMITTED, "ack_admitted", PASS, SHAKEOFF_COUNTS_ACK_VALID,                                               \
	  "the final ACK of a handshake, given to the listening socket")                                               \
	X(SEGMENT_AFTER_ACK, "segment_after_ack", PASS, 0,                                                             \
	  "followed its final ACK to the listening socket before the connection's socket existed")                     \
	X(SEGMENT_EARLY, "segment_early", PASS, 0,                                                                     \
	  "came on another CPU than its final ACK: waits until the connection's socket exists")                        \
	X(ACK_TO_INPUT, "ack_to_input", PASS, 0,                                                                       \
	  "a final ACK for the daemon; counts as ack_valid when the kernel's input path (firewall, rp_filter, IPsec) " \
	  "lets it through")                                                                                           \
	X(SEGMENT_TO_INPUT, "segment_to_input", PASS, 0,                                                               \
	  "followed its final ACK before the socket existed; likewise counts as segment_queued after the input path")  \
	X(NO_SOCKET_PASS, "no_socket_pass", PASS, SHAKEOFF_COUNTS_NO_SOCKET,                                           \
	  "a segment without a socket while these are few: the kernel refuses it")                                     \
	X(SYNACK_SENT, "synack_sent", TX, SHAKEOFF_COUNTS_SYN | SHAKEOFF_COUNTS_SYNACK, "answered with a SYN cookie")  \
	X(SYN_OVERFLOW_RESET, "syn_overflow_reset", TX, SHAKEOFF_COUNTS_SYN | SHAKEOFF_COUNTS_OVERFLOW,                \
	  "accept queue full: SYN refused with RST")                                                                   \
	X(SYN_SHARE_RESET, "syn_share_reset", TX, SHAKEOFF_COUNTS_SYN | SHAKEOFF_COUNTS_OVERFLOW,                      \
	  "the source holds its fair share of the accept queue: SYN refused with RST")                                 \
	X(ACK_SHARE_RESET, "ack_share_reset", TX, SHAKEOFF_COUNTS_OVERFLOW,                                            \
	  "the source holds its fair share of the accept queue: final ACK refused with RST")                           \
	X(ACK_OVERFLOW_RESET, "ack_overflow_reset", TX, SHAKEOFF_COUNTS_OVERFLOW,                                      \
	  "accept queue full: final ACK refused with RST")                                                             \
	X(ACK_VALID, "ack_valid", DROP, SHAKEOFF_COUNTS_ACK_VALID,                                                     \
	  "the final ACK of a handshake, given to the daemon")                                                         \
	X(SEGMENT_QUEUED, "segment_queued", DROP, 0,                                                                   \
	  "followed its final ACK before the socket existed; given to the daemon")                                     \
	X(SYN_OVERFLOW_DROP, "syn_overflow_drop", DROP, SHAKEOFF_COUNTS_SYN | SHAKEOFF_COUNTS_OVERFLOW,                \
	  "accept queue full: SYN not answered")                                                                       \
	X(ACK_OVERFLOW_DROP, "ack_overflow_drop", DROP, SHAKEOFF_COUNTS_OVERFLOW,                                      \
	  "accept queue full: final ACK ignored")                                                                      \
	X(SYN_SHARE_DROP, "syn_share_drop", DROP, SHAKEOFF_COUNTS_SYN | SHAKEOFF_COUNTS_OVERFLOW,                      \
	  "the source holds its fair share of the accept queue: SYN not answered")                                     \
	X(ACK_SHARE_DROP, "ack_share_drop", DROP, SHAKEOFF_COUNTS_OVERFLOW,                                            \
	  "the source holds its fair share of the accept queue: final ACK ignored")                                    \
	X(SYN_SOURCE_RATE, "syn_source_rate", DROP, SHAKEOFF_COUNTS_SYN, "beyond source-syn-limit")                    \
	X(ACK_SOURCE_RATE, "ack_source_rate", DROP, 0, "beyond source-limit: final ACK ignored")                       \
	X(SYN_PREFIX_RATE, "syn_prefix_rate", DROP, SHAKEOFF_COUNTS_SYN,                                               \
	  "the reply-budget of the source's prefix is used up")                                                        \
	X(SYN_UNROUTED_RATE, "syn_unrouted_rate", DROP, SHAKEOFF_COUNTS_SYN,                                           \
	  "like syn_unrouted, beyond the rate that may pass")                                                          \
	X(SYN_MSS_DROP, "syn_mss_drop", DROP, SHAKEOFF_COUNTS_SYN,                                                     \
	  "queue handoff: the client's MSS is smaller than a cookie can encode")                                       \
	X(SYN_DAEMON_DOWN, "syn_daemon_down", DROP, SHAKEOFF_COUNTS_SYN,                                               \
	  "the daemon has no heartbeat: the client will try again")                                                    \
	X(SYN_INVALID, "syn_invalid", DROP, SHAKEOFF_COUNTS_SYN,                                                       \
	  "a SYN with flags, options, ports or addresses that no TCP sends")                                           \
	X(ACK_BAD_COOKIE, "ack_bad_cookie", DROP, SHAKEOFF_COUNTS_ACK_INVALID | SHAKEOFF_COUNTS_NO_SOCKET,             \
	  "an ACK without a valid cookie; without timestamps perhaps an old one")                                      \
	X(ACK_NOT_ISSUED, "ack_not_issued", DROP, SHAKEOFF_COUNTS_ACK_INVALID | SHAKEOFF_COUNTS_NO_SOCKET,             \
	  "while an attacker forges cookies: a valid cookie that was not issued recently")                             \
	X(ACK_EXPIRED, "ack_expired", DROP, SHAKEOFF_COUNTS_ACK_INVALID | SHAKEOFF_COUNTS_NO_SOCKET,                   \
	  "an ACK with an expired cookie, according to its timestamps")                                                \
	X(ACK_REPLAYED, "ack_replayed", DROP, SHAKEOFF_COUNTS_ACK_INVALID | SHAKEOFF_COUNTS_NO_SOCKET,                 \
	  "a late duplicate of an ACK that already opened its connection")                                             \
	X(RING_FULL, "ring_full", DROP, 0,                                                                             \
	  "the ring buffer to the daemon was full or missing: the client sends again")                                 \
	X(RST_NO_SOCKET, "rst_no_socket", DROP, SHAKEOFF_COUNTS_NO_SOCKET,                                             \
	  "an RST without a socket: an abandoned handshake, or noise")                                                 \
	X(SYNACK_NO_SOCKET, "synack_no_socket", DROP, SHAKEOFF_COUNTS_NO_SOCKET,                                       \
	  "a SYN-ACK that belongs to no handshake of this host")                                                       \
	X(BAD_SEGMENT, "bad_segment", DROP, SHAKEOFF_COUNTS_NO_SOCKET,                                                 \
	  "a segment without a socket, with flags, ports or addresses that no TCP sends")                              \
	X(ACL_BLOCKED, "acl_blocked", DROP, 0, "from a blocked source: `shakeoff acl show`")                           \
	X(NO_SOCKET_DROP, "no_socket_drop", DROP, SHAKEOFF_COUNTS_ACK_INVALID | SHAKEOFF_COUNTS_NO_SOCKET,             \
	  "while idle, beyond the rate of segments without a socket: an ACK or FIN without a connection")              \
	X(BAD_HEADER, "bad_header", DROP, 0, "a truncated TCP header, or lengths that do not fit the packet")          \
	X(IPV6_EXTHDR, "ipv6_exthdr", DROP, 0, "more IPv6 extension headers than TCP normally has in front")           \
	X(FRAG_SYN, "frag_syn", DROP, 0, "a fragment with a SYN; no TCP fragments a SYN")                              \
	X(FRAG_TINY, "frag_tiny", DROP, 0, "a fragment that splits the TCP header, or would overwrite it")             \
	X(FRAG_RATE, "frag_rate", DROP, 0, "an IP fragment of TCP beyond the rate that may pass")
/* clang-format on */

enum shakeoff_verdict {
#define X(constant, name, action, counts, help) SHAKEOFF_##constant,
	SHAKEOFF_VERDICTS(X)
#undef X
		SHAKEOFF_VERDICT_COUNT
};

#endif

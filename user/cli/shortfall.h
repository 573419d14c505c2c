/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parts of the configured protection that are missing: for the exit status of `shakeoff status`, and to explain it. */
#ifndef SHAKEOFF_CLI_SHORTFALL_H
#define SHAKEOFF_CLI_SHORTFALL_H

#include "cli/view.h"

/*
 * X(CONSTANT, name, help). Intended states are no shortfall: what an old kernel cannot do, a VRF, an interface that is
 * down, an interface that the configuration does not name, and bypassed services.
 */
/* clang-format off */
#define SHORTFALLS(X)                                                                                                  \
	X(SHORTFALL_DAEMON_NOT_RUNNING, "daemon_not_running", "shakeoffd does not run: nothing is answered")           \
	X(SHORTFALL_DAEMON_DEAD, "daemon_dead", "shakeoffd is dead or hangs")                                          \
	X(SHORTFALL_NO_KEYS, "no_keys", "there are no cookie keys yet")                                                \
	X(SHORTFALL_INTERFACE_MISSING, "interface_missing",                                                            \
	  "the configuration names it, but it does not exist, or does not have this daemon's XDP program")             \
	X(SHORTFALL_OTHER_VERSION, "other_version", "its XDP program is of another version of shakeoff")               \
	X(SHORTFALL_RULES_UNREAD, "rules_unread",                                                                      \
	  "the firewall's rules cannot be read: services that obey them are bypassed")                                 \
	X(SHORTFALL_NO_TC, "no_tc", "there is no tc program at ingress: listening sockets are bypassed")               \
	X(SHORTFALL_TC_ORDER, "tc_order", "another tc program runs before shakeoff's at ingress")                      \
	X(SHORTFALL_TC_LOST, "tc_lost", "validated ACKs do not reach the tc program")                                  \
	X(SHORTFALL_NOT_YET, "not_yet", "the daemon has not set it up yet")                                            \
	X(SHORTFALL_NO_TC_EGRESS, "no_tc_egress",                                                                      \
	  "there is no tc program at egress: connections that this host opens are not noted")                          \
	X(SHORTFALL_TC_ORDER_EGRESS, "tc_order_egress", "another tc program runs before shakeoff's at egress")
/* clang-format on */

enum shortfall_kind {
#define X(constant, name, help) constant,
	SHORTFALLS(X)
#undef X
		SHORTFALL_KIND_COUNT
};

struct shortfall {
	enum shortfall_kind kind;
	char interfaces[256];        /* of these interfaces; never "" */
	struct datapath_front front; /* of the two about order: the program that runs first */
};

struct shortfalls {
	struct shortfall *list;
	size_t count;
};

/*
 * Finds the shortfalls of the whole view, or of an interface and its daemon. 0 or -ENOMEM; the caller frees the list in
 * any case.
 */
int shortfalls_find(const struct view *view, const char *ifname, struct shortfalls *shortfalls);

const char *shortfall_name(enum shortfall_kind kind);

/* Writes "s0: another tc program runs before shakeoff's at ingress: NAME, id 7". */
#define SHORTFALL_SENTENCE 512
void shortfall_sentence(const struct shortfall *shortfall, char *text, size_t size);

#endif

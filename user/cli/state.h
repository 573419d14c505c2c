/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the daemon and the services do at the moment, in the words of the person who looks after them. */
#ifndef SHAKEOFF_CLI_STATE_H
#define SHAKEOFF_CLI_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <shakeoff/abi.h>

#include "common/names.h"
#include "cli/output.h"

enum daemon_state { DAEMON_NEVER, DAEMON_ALIVE, DAEMON_DEAD };

/* Of the heartbeat; *age_ns: how long ago the last one was. */
enum daemon_state daemon_state(const struct shakeoff_control *control, uint64_t now_ns, uint64_t *age_ns);

/*
 * X(CONSTANT, name, in a summary, colour): what needs attention comes first. FLOOD and ALWAYS are one state to the hook, but
 * not to who looks: one of them passes.
 */
/* clang-format off */
#define SERVICE_STATES(X)                                                                                              \
	X(STATE_FLOOD, "active", "active", COLOUR_WARN)                                                              \
	X(STATE_OUT_OF_STATE, "dropping out-of-state segments", "dropping out-of-state segments", COLOUR_WARN)                                    \
	X(STATE_DAEMON_DOWN, "daemon down", "without their daemon", COLOUR_BAD)                                        \
	X(STATE_NO_KEYS, "waiting for keys", "waiting for keys", COLOUR_BAD)                                           \
	X(STATE_NO_TC, "no tc program", "without a tc program", COLOUR_BAD)                                            \
	X(STATE_UNPROTECTED, "not protected", "not protected", COLOUR_BAD)                                             \
	X(STATE_NO_ROOM, "no room", "without room", COLOUR_BAD)                                                        \
	X(STATE_NO_ADDRESS, "no address", "without an address", COLOUR_WARN)                                           \
	X(STATE_ELSEWHERE, "not protected", "on other devices", COLOUR_BAD)                                            \
	X(STATE_TAG_HIDDEN, "bypassed", "behind a VLAN", COLOUR_WARN)                                        \
	X(STATE_BYPASSED, "bypassed", "bypassed", COLOUR_WARN)                                         \
	X(STATE_WAITING, "waiting for a server", "waiting for a server", COLOUR_WARN)                                  \
	X(STATE_NO_SERVER, "no server", "without a server", COLOUR_WARN)                                                         \
	X(STATE_ALWAYS, "active", "always active", COLOUR_GOOD)                                                      \
	X(STATE_IDLE, "idle", "idle", COLOUR_GOOD)
/* clang-format on */

enum service_state {
#define X(constant, name, summary, colour) constant,
	SERVICE_STATES(X)
#undef X
		SERVICE_STATE_COUNT
};

struct service_state_info {
	const char *name;
	const char *summary; /* "3 ..." */
	enum colour colour;
};
extern const struct service_state_info service_state_table[SERVICE_STATE_COUNT];

/* Why the service is bypassed: as the daemon has found, or the hook has seen of the socket. BYPASS_NONE: it is not. */
enum shakeoff_bypass service_bypass(const struct shakeoff_service *service);

/* `admits`: the tc program works on one of the interfaces. */
enum service_state service_state(const struct shakeoff_service *service, const struct shakeoff_control *control,
				 bool admits, uint64_t now_ns);

/*
 * Why what comes in by an interface is not answered for listening sockets. X(CONSTANT, name, in the table of interfaces, help); what
 * is nearer to working comes later.
 */
/* clang-format off */
#define INTERFACE_OBSTACLES(X)                                                                                         \
	X(OBSTACLE_NONE, "", "works", "")                                                                              \
	X(OBSTACLE_NO_ETHERNET, "no_ethernet", "no: no Ethernet header",                                               \
	  "the device carries packets without an Ethernet header: attach to the Ethernet devices of this host")        \
	X(OBSTACLE_VRF_DEVICE, "vrf_device", "no: a VRF's own device",                                                 \
	  "no packet comes in by a VRF's own device: attach to its ports")                                             \
	X(OBSTACLE_KERNEL, "old_kernel", "no: needs Linux 6.9", "this kernel has no bpf_sk_assign_tcp_reqsk")              \
	X(OBSTACLE_VRF, "vrf", "no: in a VRF",                                                                         \
	  "the interface belongs to a VRF, for which the kernel looks sockets up; the hook does not find them")        \
	X(OBSTACLE_NOT_NAMED, "not_named", "no: not shakeoffd's",                                                      \
	  "the daemon's configuration does not name the interface, or the daemon has lost it: its log says more")      \
	X(OBSTACLE_NO_TC, "no_tc", "no: no tc program",                                                                \
	  "the XDP program has no tc program beside it: `shakeoff attach IFACE`, or shakeoffd, puts it there")         \
	X(OBSTACLE_TC_ORDER, "tc_order", "no: not first",                                                               \
	  "another tc program stands before ours, and may let nothing come to it: SYNs pass to the kernel")         \
	X(OBSTACLE_TC_LOST, "tc_lost", "no: ACKs are lost",                                                             \
	  "validated ACKs do not come to the tc program, though it stands first: SYNs pass to the kernel for a while") \
	X(OBSTACLE_NOT_YET, "not_yet", "not yet", "the daemon has not taken the interface up yet")                     \
	X(OBSTACLE_DOWN, "down", "no: it is down", "the interface is down, or has no carrier: nothing comes in")
/* clang-format on */

enum interface_obstacle {
#define X(constant, name, column, help) constant,
	INTERFACE_OBSTACLES(X)
#undef X
		OBSTACLE_COUNT
};

/* Where a service is reached. */
struct service_presence {
	enum interface_obstacle obstacle; /* of the interface that is nearest to working; NONE: one does */
	bool answers; /* for services with the queue handoff, which need no tc program: an interface is known to the hook */
	bool hides_tags;  /* VLAN tags may be beside the frames */
	size_t addresses; /* that lead to it */
	size_t tagged;    /* of these, those of VLAN devices */
	size_t elsewhere; /* and those of devices by which nothing comes to the hook */
};

/* What is left of a state that says that the service is protected, where it cannot be reached through the hook. */
enum service_state service_state_there(enum service_state state, const struct shakeoff_service *service,
				       const struct service_presence *presence);

extern const struct named obstacle_table[OBSTACLE_COUNT];
extern const struct named reason_no_room, reason_no_address, reason_elsewhere, reason_tag_hidden;

/* Returns "works", or why the tc program does not: for the table of interfaces. */
const char *obstacle_column(enum interface_obstacle obstacle);

/* Why it is in that state; both texts are "" where the state says all. */
struct named service_reason(const struct shakeoff_service *service, enum service_state state);
struct named service_reason_there(const struct shakeoff_service *service, enum service_state state,
				  enum interface_obstacle obstacle);

/* Whether segments of no socket are dropped though nothing else is; and what came when it began. In every state. */
bool service_drops_out_of_state(const struct shakeoff_service *service, uint64_t now_ns);
struct named service_out_of_state(const struct shakeoff_service *service);

/* Since when, for a flood, out-of-state segments, or the idle time after a flood. False: there is no such time. */
bool service_since(const struct shakeoff_service *service, enum service_state state, uint64_t now_ns, uint64_t *age_ns);

/* Whether an attacker tries to forge cookies of the service, and for how long. */
bool service_forgery(const struct shakeoff_service *service, uint64_t now_ns, uint64_t *age_ns);

const char *service_handoff_name(const struct shakeoff_service *service);
const char *service_overflow_name(const struct shakeoff_service *service);
const char *service_syncookies_name(const struct shakeoff_service *service);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* States of the daemon and the services, in the words of an operator. */
#ifndef SHAKEOFF_CLI_STATE_H
#define SHAKEOFF_CLI_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <shakeoff/abi.h>

#include "common/names.h"
#include "cli/output.h"

enum daemon_state { DAEMON_NEVER, DAEMON_ALIVE, DAEMON_DEAD };

/* Returns the state according to the heartbeat; *age_ns: time since the last heartbeat. */
enum daemon_state daemon_state(const struct shakeoff_control *control, uint64_t now_ns, uint64_t *age_ns);

/*
 * X(CONSTANT, name, in a summary, colour): states that need attention come first. FLOOD and ALWAYS are one state for
 * the hook, but different for an operator: a flood ends.
 */
/* clang-format off */
#define SERVICE_STATES(X)                                                                                              \
	X(STATE_FLOOD, "active", "active", COLOUR_WARN)                                                                \
	X(STATE_OUT_OF_STATE, "dropping out-of-state segments", "dropping out-of-state segments", COLOUR_WARN)         \
	X(STATE_DAEMON_DOWN, "daemon down", "without their daemon", COLOUR_BAD)                                        \
	X(STATE_NO_KEYS, "waiting for keys", "waiting for keys", COLOUR_BAD)                                           \
	X(STATE_NO_TC, "no tc program", "without a tc program", COLOUR_BAD)                                            \
	X(STATE_UNPROTECTED, "not protected", "not protected", COLOUR_BAD)                                             \
	X(STATE_NO_ROOM, "no room", "without room", COLOUR_BAD)                                                        \
	X(STATE_NO_ADDRESS, "no address", "without an address", COLOUR_WARN)                                           \
	X(STATE_ELSEWHERE, "not protected", "on other devices", COLOUR_BAD)                                            \
	X(STATE_TAG_HIDDEN, "bypassed", "behind a VLAN", COLOUR_WARN)                                                  \
	X(STATE_BYPASSED, "bypassed", "bypassed", COLOUR_WARN)                                                         \
	X(STATE_WAITING, "waiting for a server", "waiting for a server", COLOUR_WARN)                                  \
	X(STATE_NO_SERVER, "no server", "without a server", COLOUR_WARN)                                               \
	X(STATE_ALWAYS, "active", "always active", COLOUR_GOOD)                                                        \
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

/* Returns why the service is bypassed, as found by the daemon, or by the hook at the socket. BYPASS_NONE: it is not. */
enum shakeoff_bypass service_bypass(const struct shakeoff_service *service);

/* Returns the state of a service. `admits`: the tc program works on one of the interfaces. */
enum service_state service_state(const struct shakeoff_service *service, const struct shakeoff_control *control,
				 bool admits, uint64_t now_ns);

/*
 * Why packets of an interface are not answered for listening sockets. X(CONSTANT, name, in the table of interfaces,
 * help). The obstacles that are nearest to working come last.
 */
/* clang-format off */
#define INTERFACE_OBSTACLES(X)                                                                                         \
	X(OBSTACLE_NONE, "", "works", "")                                                                              \
	X(OBSTACLE_NO_ETHERNET, "no_ethernet", "no: no Ethernet header",                                               \
	  "the device carries packets without an Ethernet header: attach to the Ethernet devices of this host")        \
	X(OBSTACLE_VRF_DEVICE, "vrf_device", "no: a VRF's own device",                                                 \
	  "no packets come in at a VRF's own device: attach to its ports")                                             \
	X(OBSTACLE_KERNEL, "old_kernel", "no: needs Linux 6.9", "this kernel has no bpf_sk_assign_tcp_reqsk")          \
	X(OBSTACLE_VRF, "vrf", "no: in a VRF",                                                                         \
	  "the interface belongs to a VRF: the kernel looks up its sockets there, and the hook does not find them")    \
	X(OBSTACLE_NOT_NAMED, "not_named", "no: not shakeoffd's",                                                      \
	  "the daemon's configuration does not name the interface, or the daemon has lost it: its log says more")      \
	X(OBSTACLE_NO_TC, "no_tc", "no: no tc program",                                                                \
	  "the XDP program has no tc program beside it: run `shakeoff attach IFACE` or start shakeoffd")               \
	X(OBSTACLE_TC_ORDER, "tc_order", "no: not first",                                                              \
	  "another tc program runs before shakeoff's, and may keep packets from it: SYNs pass to the kernel")          \
	X(OBSTACLE_TC_LOST, "tc_lost", "no: ACKs are lost",                                                            \
	  "validated ACKs do not reach the tc program, though it runs first: SYNs pass to the kernel for a while")     \
	X(OBSTACLE_NOT_YET, "not_yet", "not yet", "the daemon has not set the interface up yet")                       \
	X(OBSTACLE_DOWN, "down", "no: it is down", "the interface is down, or has no carrier: nothing comes in")
/* clang-format on */

enum interface_obstacle {
#define X(constant, name, column, help) constant,
	INTERFACE_OBSTACLES(X)
#undef X
		OBSTACLE_COUNT
};

/* Where packets reach a service. */
struct service_presence {
	enum interface_obstacle obstacle; /* of the interface that is nearest to working; NONE: one works */
	bool answers;     /* the hook knows an interface: enough for the queue handoff, which needs no tc program */
	bool hides_tags;  /* VLAN tags may be beside the frames */
	size_t addresses; /* addresses of the service */
	size_t tagged;    /* of these, addresses of VLAN devices */
	size_t elsewhere; /* of these, addresses of devices without packets for the hook */
};

/* Returns the state of a service that is not reached through the hook, in place of a state in which it is protected. */
enum service_state service_state_there(enum service_state state, const struct shakeoff_service *service,
				       const struct service_presence *presence);

extern const struct named obstacle_table[OBSTACLE_COUNT];
extern const struct named reason_no_room, reason_no_address, reason_elsewhere, reason_tag_hidden;

/* Returns "works", or why the tc program does not: for the table of interfaces. */
const char *obstacle_column(enum interface_obstacle obstacle);

/* Returns why the service is in that state; both texts are "" if the state explains itself. */
struct named service_reason(const struct shakeoff_service *service, enum service_state state);
struct named service_reason_there(const struct shakeoff_service *service, enum service_state state,
				  enum interface_obstacle obstacle);

/* Returns whether out-of-state segments are dropped while everything else passes, in any state of the service. */
bool service_drops_out_of_state(const struct shakeoff_service *service, uint64_t now_ns);
struct named service_out_of_state(const struct shakeoff_service *service);

/*
 * Returns since when: the beginning of a flood, of dropping out-of-state segments, or of the idle time after a flood.
 * False: there is no such time.
 */
bool service_since(const struct shakeoff_service *service, enum service_state state, uint64_t now_ns, uint64_t *age_ns);

/* Returns whether an attacker tries to forge cookies of the service, and for how long. */
bool service_forgery(const struct shakeoff_service *service, uint64_t now_ns, uint64_t *age_ns);

const char *service_handoff_name(const struct shakeoff_service *service);
const char *service_overflow_name(const struct shakeoff_service *service);
const char *service_syncookies_name(const struct shakeoff_service *service);

#endif

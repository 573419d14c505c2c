/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the daemon and the services do at the moment, in the words of the person who looks after them. */
#ifndef SHAKEOFF_STATE_H
#define SHAKEOFF_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <shakeoff/abi.h>

#include "shakeoff/output.h"

enum daemon_state { DAEMON_NEVER, DAEMON_ALIVE, DAEMON_DEAD };

/* Of the heartbeat; *age_ns: how long ago the last one was. */
enum daemon_state daemon_state(const struct shakeoff_control *control, uint64_t now_ns, uint64_t *age_ns);

/*
 * X(CONSTANT, name, in a summary, colour): what needs attention comes first. FLOOD and ALWAYS are one state to the hook, but
 * not to who looks: one of them passes.
 */
/* clang-format off */
#define SERVICE_STATES(X)                                                                                              \
	X(STATE_FLOOD, "engaged", "engaged", COLOUR_WARN)                                                              \
	X(STATE_STRAYS, "dropping strays", "dropping strays in peace", COLOUR_WARN)                                    \
	X(STATE_DAEMON_DOWN, "daemon down", "without their daemon", COLOUR_BAD)                                        \
	X(STATE_NO_KEYS, "waiting for keys", "waiting for keys", COLOUR_BAD)                                           \
	X(STATE_NO_TC, "no tc program", "without a tc program", COLOUR_BAD)                                            \
	X(STATE_LEFT, "left to the kernel", "left to the kernel", COLOUR_WARN)                                         \
	X(STATE_WAITING, "waiting for a server", "waiting for a server", COLOUR_WARN)                                  \
	X(STATE_UNSERVED, "unserved", "unserved", COLOUR_WARN)                                                         \
	X(STATE_ALWAYS, "engaged", "always engaged", COLOUR_GOOD)                                                      \
	X(STATE_PEACE, "peace", "in peace", COLOUR_GOOD)
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

/* `admits`: the tc program works on one of the interfaces. */
enum service_state service_state(const struct shakeoff_service *service, const struct shakeoff_control *control,
				 bool admits, uint64_t now_ns);

/* A reason's name, and what it means. */
struct service_reason {
	const char *name;
	const char *help;
};
extern const struct service_reason left_table[SHAKEOFF_LEFT_COUNT];
extern const struct service_reason cause_table[SHAKEOFF_ENGAGE_CAUSE_COUNT];
extern const struct service_reason stray_table[SHAKEOFF_STRAY_KIND_COUNT];

/* Why it is in that state; both texts are "" where the state says all. */
struct service_reason service_reason(const struct shakeoff_service *service, enum service_state state);

/* Whether segments of no socket are dropped though nothing else is; and what came when it began. In every state. */
bool service_drops_strays(const struct shakeoff_service *service, uint64_t now_ns);
struct service_reason service_strays(const struct shakeoff_service *service);

/* Since when, for a flood, strays, or the peace after a flood. False: there is no such time. */
bool service_since(const struct shakeoff_service *service, enum service_state state, uint64_t now_ns, uint64_t *age_ns);

/* Whether cookies of the service are being guessed, and for how long. */
bool service_guessed(const struct shakeoff_service *service, uint64_t now_ns, uint64_t *age_ns);

const char *service_handoff_name(const struct shakeoff_service *service);
const char *service_overflow_name(const struct shakeoff_service *service);
const char *service_engage_name(const struct shakeoff_service *service);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by the parts of auto_service.h: auto_service.c (services that come and go), auto_service_room.c (who gets a
 * service id).
 */
#ifndef SHAKEOFFD_DISCOVERY_AUTO_SERVICE_INTERNAL_H
#define SHAKEOFFD_DISCOVERY_AUTO_SERVICE_INTERNAL_H

#include "shakeoffd/discovery/auto_service.h"

/* Count a service for its user: when it gets its id, and when it gives the id up. */
void auto_service_count_in(struct auto_services *services, struct auto_service *discovered);
void auto_service_count_out(struct auto_services *services, const struct auto_service *discovered);

/* Returns whether the user of these sockets may have one more id. */
bool auto_service_has_quota_remaining(struct auto_services *services, const struct listener *listener);

/* Note that there is no id for these sockets, or that there is one again. */
void auto_service_turn_away(struct auto_services *services, struct listener *listener);
void auto_service_note_room(struct auto_services *services, struct listener *listener);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by the parts of service.h: service.c (open, handoff), service_publish.c (memory shared with the hook),
 * service_count.c (connections).
 */
#ifndef SHAKEOFFD_HOOK_SERVICE_INTERNAL_H
#define SHAKEOFFD_HOOK_SERVICE_INTERNAL_H

#include "shakeoffd/hook/service.h"

/* The hook and the command line share the memory of instances; each field has one writer (shakeoff/service.h). */
#define shared_get(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define shared_set(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define shared_add(field, value) __atomic_fetch_add(&(field), (value), __ATOMIC_RELAXED)

/* Writes a service's configuration into one of its instances. The flags come last: they make the instance count. */
void service_publish_config(struct service *service, struct service_instance *slot);

/* Writes the daemon's state of a service into all its instances. */
void service_publish(struct service *service);

/* Writes the capacity for waiting connections: the whole service's capacity less what the other instances count. */
void service_publish_capacity(struct service *service);

#endif

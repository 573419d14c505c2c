/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of service.h share: service.c (open, handoff), service_publish.c (the slots), service_count.c
 * (connections).
 */
#ifndef SHAKEOFFD_HOOK_SERVICE_INTERNAL_H
#define SHAKEOFFD_HOOK_SERVICE_INTERNAL_H

#include "shakeoffd/hook/service.h"

/* The slots are memory shared with the hook and with the command line; each field has one writer (abi.h). */
#define shared_get(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define shared_set(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define shared_add(field, value) __atomic_fetch_add(&(field), (value), __ATOMIC_RELAXED)

/*
 * Writes what the configuration says of a service into one of its slots. The flags come last: they make the slot count.
 */
void service_publish_config(struct service *service, struct service_instance *slot);

/* Writes what the daemon knows about a service into all of its slots. */
void service_publish(struct service *service);

/* Writes how many connections may wait: the whole service's capacity less what the other slots count. */
void service_publish_capacity(struct service *service);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The stages of the daemon: how each starts and stops. Their order is the table in daemon.c.
 *
 * A stage that starts returns 0, or logs what is wrong and returns a negative errno. stop_*() undoes the start, also
 * one that has failed halfway. A stage that leaves nothing to undo has no stop_*().
 */
#ifndef SHAKEOFFD_STAGES_H
#define SHAKEOFFD_STAGES_H

#include "shakeoffd/daemon.h"

/* ---- stage_process.c: what the process needs before it looks at the hook */

int start_sysctls(struct daemon *daemon);
void stop_sysctls(struct daemon *daemon);
int start_configuration(struct daemon *daemon);
void stop_configuration(struct daemon *daemon);
int check_privileges(struct daemon *daemon);
int start_broker(struct daemon *daemon);
void stop_broker(struct daemon *daemon);
int check_handoffs(struct daemon *daemon);
int start_rules_reader(struct daemon *daemon);
void stop_rules_reader(struct daemon *daemon);
int choose_bpffs(struct daemon *daemon);
int start_run_dir(struct daemon *daemon);
void stop_run_dir(struct daemon *daemon);

/* ---- stage_hook.c: what the hook is told, and the hook itself */

int start_interfaces(struct daemon *daemon);
void stop_interfaces(struct daemon *daemon);
int start_routes(struct daemon *daemon);
void stop_routes(struct daemon *daemon);
int start_keys(struct daemon *daemon);
void stop_keys(struct daemon *daemon);
int start_resend(struct daemon *daemon);
void stop_resend(struct daemon *daemon);
int publish_reply_budget(struct daemon *daemon);
int start_acl(struct daemon *daemon);
void stop_acl(struct daemon *daemon);
int start_services(struct daemon *daemon);
void stop_services(struct daemon *daemon);
int start_input(struct daemon *daemon);
void stop_input(struct daemon *daemon);
int start_hook(struct daemon *daemon);
void stop_hook(struct daemon *daemon);

/* ---- stage_queue.c: the queue handoff */

int start_event_loops(struct daemon *daemon);
void stop_event_loops(struct daemon *daemon);
int start_rings(struct daemon *daemon);
void stop_rings(struct daemon *daemon);
int start_accept_queues(struct daemon *daemon);
void stop_accept_queues(struct daemon *daemon);
int start_workers(struct daemon *daemon);
void stop_workers(struct daemon *daemon);

/* ---- stage_discovery.c: who listens where, and what may be answered */

int start_discovery(struct daemon *daemon);
void stop_discovery(struct daemon *daemon);
int start_rules(struct daemon *daemon);
int start_selftest(struct daemon *daemon);
void stop_selftest(struct daemon *daemon);
int publish_addresses(struct daemon *daemon);

/* ---- events.c: what the event loop of the main thread waits for */

int start_events(struct daemon *daemon);
void stop_events(struct daemon *daemon);

/* ---- stage_threads.c: what comes last, with fewer privileges */

int drop_privileges(struct daemon *daemon);
int start_threads(struct daemon *daemon);
void stop_threads(struct daemon *daemon);

#endif

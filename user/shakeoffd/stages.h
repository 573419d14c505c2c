/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The stages of the daemon: how each starts and stops. The table in daemon.c has their order.
 *
 * The functions that start a stage return 0, or log what is wrong and return a negative errno. stop_*() undoes the
 * start, also a start that failed halfway. A stage that leaves nothing to undo has no stop_*().
 */
#ifndef SHAKEOFFD_STAGES_H
#define SHAKEOFFD_STAGES_H

#include "shakeoffd/daemon.h"

/* ---- stage_process.c: the process before it uses the hook */

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

/* ---- stage_hook.c: the hook and its settings */

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

/* ---- stage_discovery.c: discovery, the reader of rules, the self-test */

int start_discovery(struct daemon *daemon);
void stop_discovery(struct daemon *daemon);
int start_rules(struct daemon *daemon);
int start_selftest(struct daemon *daemon);
void stop_selftest(struct daemon *daemon);
int publish_addresses(struct daemon *daemon);

/* ---- events.c: the events of the main thread */

int start_events(struct daemon *daemon);
void stop_events(struct daemon *daemon);

/* ---- stage_threads.c: the last stages, with fewer privileges */

int drop_privileges(struct daemon *daemon);
int start_threads(struct daemon *daemon);
void stop_threads(struct daemon *daemon);

#endif

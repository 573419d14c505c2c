/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Capabilities: which are needed, and what can be given up once everything is set up. */
#ifndef SHAKEOFF_PRIVILEGE_H
#define SHAKEOFF_PRIVILEGE_H

/* Says which capability is missing. 0 or -EPERM. */
int privilege_check(void);

/*
 * Keeps what the daemon needs while it runs. Finding programs and maps by their ids needs CAP_SYS_ADMIN, which is only
 * permitted, not effective, from here on: privilege_restore() raises it again. Before any thread is started.
 */
void privilege_drop(void);

/* For the calling thread. */
void privilege_restore(void);

#endif

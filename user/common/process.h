/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Information on processes from /proc. */
#ifndef SHAKEOFF_PROCESS_H
#define SHAKEOFF_PROCESS_H

#include <sys/types.h>

/* Returns the parent of a process: proc(5), /proc/PID/stat. 0: it is gone, or has no visible parent. */
pid_t process_parent(pid_t pid);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files interfaces*.c. */
#ifndef SHAKEOFFD_HOOK_INTERFACES_INTERNAL_H
#define SHAKEOFFD_HOOK_INTERFACES_INTERNAL_H

#include "shakeoffd/hook/interfaces.h"

/* The following files are in order: each calls only those above it. */

/* ---------------------------------------------------------------------------------------------- interfaces_device.c */

/* Returns whether something about the device itself prevents its use, and logs it. */
bool interfaces_report_refusal(struct interfaces *interfaces, const char *name);

/*
 * Returns whether the program sees no packets there: for example, `ip link` attached it to a device whose packets it
 * cannot read.
 */
bool interfaces_is_unserved(struct interfaces *interfaces, const struct datapath_attachment *found);

/*
 * Notes the effect of other devices on it, or on all of them (after everything is attached): a bond, VLAN devices
 * above.
 */
void interfaces_note_device(struct interfaces *interfaces, struct interface *interface);
void interfaces_note_devices(struct interfaces *interfaces);

/* --------------------------------------------------------------------------------------------- interfaces_profile.c */

/* Publishes a profile for an interface and the members of a bond. */
int interfaces_set_profile(const struct interfaces *interfaces, struct interface *interface,
			   const struct shakeoff_interface *profile);

/* Returns whether connections that are answered for there get to listening sockets, or why they do not. */
enum shakeoff_admits interface_admission(const struct interface *interface);

/* ----------------------------------------------------------------------------------------------- interfaces_admit.c */

/* Returns whether the tc program may be attached there. Logs it if a VRF prevents it. */
bool interface_may_admit(struct interface *interface);

/*
 * Attaches the tc program beside the XDP program if it is missing. Without it the interface serves only the queue
 * handoff.
 */
void interfaces_admit(struct interfaces *interfaces, struct interface *interface);

/* ----------------------------------------------------------------------------------------------------- interfaces.c */

/* Appends an empty interface. NULL: no memory. */
struct interface *interfaces_append(struct interfaces *interfaces);

/* Appends an interface that is only listed: its program stays as it is. 0 or -ENOMEM. */
int interfaces_append_unserved(struct interfaces *interfaces, const struct datapath_attachment *found);

/* Adopts the attachment that was found there. */
void interfaces_adopt(struct interface *interface, const struct datapath_attachment *found);

/* ---------------------------------------------------------------------------------------------- interfaces_attach.c */

int interfaces_attach_one(struct interfaces *interfaces, struct interface *interface);

/* Logs why the XDP program could not be attached, and returns `error`. */
int interfaces_report_attach(struct interfaces *interfaces, const char *name, int error);

/* Publishes which configured interfaces are missing, for `shakeoff status`, which does not read the configuration. */
void interfaces_publish_missing(const struct interfaces *interfaces);

#endif

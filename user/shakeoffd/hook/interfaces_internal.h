/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files interfaces*.c share. */
#ifndef SHAKEOFFD_HOOK_INTERFACES_INTERNAL_H
#define SHAKEOFFD_HOOK_INTERFACES_INTERNAL_H

#include "shakeoffd/hook/interfaces.h"

/* The files from here on stand in order: each calls those above it, none calls one below. */

/* ---------------------------------------------------------------------------------------------- interfaces_device.c */

/* Tells whether something about the device itself is in the way, and logs it. */
bool interfaces_report_refusal(struct interfaces *interfaces, const char *name);

/*
 * Tells whether the program sees nothing there: attached by `ip link`, say, to what carries nothing that it can read.
 */
bool interfaces_is_unserved(struct interfaces *interfaces, const struct datapath_attachment *found);

/* Notes what other devices make of it, or of all of them (after everything is attached): a bond, VLAN devices above. */
void interfaces_note_device(struct interfaces *interfaces, struct interface *interface);
void interfaces_note_devices(struct interfaces *interfaces);

/* --------------------------------------------------------------------------------------------- interfaces_profile.c */

/* Publishes for an interface, and the members of a bond, what `profile` says. */
int interfaces_set_profile(const struct interfaces *interfaces, struct interface *interface,
			   const struct shakeoff_interface *profile);

/* Returns whether what is answered there gets to listening sockets, or why it does not. */
enum shakeoff_admits interface_admission(const struct interface *interface);

/* ----------------------------------------------------------------------------------------------- interfaces_admit.c */

/* Tells whether the tc program may hang there. Says it if a VRF is in the way. */
bool interface_may_admit(struct interface *interface);

/*
 * Puts the tc program beside the XDP program if it is not there. Without it the interface serves the queue handoff
 * alone.
 */
void interfaces_admit(struct interfaces *interfaces, struct interface *interface);

/* ----------------------------------------------------------------------------------------------------- interfaces.c */

/* Returns a new one, which is empty. NULL: no memory. */
struct interface *interfaces_append(struct interfaces *interfaces);

/* Appends one that is only listed: its program stays as it is. 0 or -ENOMEM. */
int interfaces_append_unserved(struct interfaces *interfaces, const struct datapath_attachment *found);

/* Takes over what was found there. */
void interfaces_adopt(struct interface *interface, const struct datapath_attachment *found);

/* ---------------------------------------------------------------------------------------------- interfaces_attach.c */

int interfaces_attach_one(struct interfaces *interfaces, struct interface *interface);

/* Logs why the XDP program could not be attached, and returns `error`. */
int interfaces_report_attach(struct interfaces *interfaces, const char *name, int error);

/* Publishes which configured interfaces are missing, for `shakeoff status`, which does not read the configuration. */
void interfaces_publish_missing(const struct interfaces *interfaces);

#endif

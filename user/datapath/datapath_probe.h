/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs of the self-test (shakeoff/probe.h): frames that the kernel receives as if they came from an interface.
 * Functions return 0 or a negative errno; datapath_detail() returns more.
 */
#ifndef SHAKEOFF_DATAPATH_DATAPATH_PROBE_H
#define SHAKEOFF_DATAPATH_DATAPATH_PROBE_H

#include <stdint.h>

#include <shakeoff/probe.h>

struct datapath_probe;

/* Loads the programs. */
int datapath_probe_open(struct datapath_probe **probe);
void datapath_probe_close(struct datapath_probe *probe);

/*
 * Makes a listening socket the end of the probes: every packet that reaches it is dropped, and noted if it is a probe.
 */
int datapath_probe_catch(const struct datapath_probe *probe, int listener);

/*
 * Returns the frames, SHAKEOFF_PROBE_MAX of them. Fill them in before a run, and read `arrived` before
 * datapath_probe_end(). Shared memory.
 */
struct shakeoff_probe_frame *datapath_probe_frames(struct datapath_probe *probe);

/*
 * Opens the map that tells the tc program of an interface which probes to expect. -ENOENT: there is no such program.
 * Needs CAP_SYS_ADMIN.
 */
int datapath_probe_map(unsigned int ifindex, int *map);

/*
 * Lets the interface receive the first common->count frames, and then a RST after each of them. Takes some 20 ms.
 * Normally the frames have arrived when it returns; where receive packet steering moves them to another CPU, they
 * arrive soon after.
 */
int datapath_probe_run(struct datapath_probe *probe, int map, unsigned int ifindex,
		       const struct shakeoff_probe *common);

/* Tells the tc program that the run of probes is over. */
int datapath_probe_end(int map);

#endif

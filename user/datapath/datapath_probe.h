/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs of the self-test (shakeoff/probe.h): frames that the kernel receives as if they came from an interface.
 * Functions return 0 or a negative errno; datapath_detail() says more.
 */
#ifndef SHAKEOFF_DATAPATH_DATAPATH_PROBE_H
#define SHAKEOFF_DATAPATH_DATAPATH_PROBE_H

#include <stdint.h>

#include <shakeoff/probe.h>

struct datapath_probe;

/* Loads the programs. */
int datapath_probe_open(struct datapath_probe **probe);
void datapath_probe_close(struct datapath_probe *probe);

/* Makes a listening socket the end of the probes: whatever reaches it is dropped, and noted if it is one of them. */
int datapath_probe_catch(const struct datapath_probe *probe, int listener);

/*
 * The frames, SHAKEOFF_PROBE_MAX of them: to be filled in before a run, and to be looked at (`arrived`) before
 * datapath_probe_end(). Shared memory.
 */
struct shakeoff_probe_frame *datapath_probe_frames(struct datapath_probe *probe);

/*
 * Opens the map that tells the tc program of an interface what to look for. -ENOENT: there is no such program. Needs
 * CAP_SYS_ADMIN.
 */
int datapath_probe_map(unsigned int ifindex, int *map);

/*
 * The interface receives the first common->count frames, and then a RST after each of them. Takes some 20 ms. As a rule
 * they have got to where they get to when it returns; where receive packet steering takes them to another CPU, soon
 * after.
 */
int datapath_probe_run(struct datapath_probe *probe, int map, unsigned int ifindex,
		       const struct shakeoff_probe *common);

/* No probes are under way any more: the tc program is told. */
int datapath_probe_end(int map);

#endif

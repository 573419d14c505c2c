/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <shakeoff/socket_filter.h>

#include "out_of_state.h"

int listeners[2], client, accepted;

int out_of_state_setup(void **state)
{
	listeners[0] = listeners[1] = client = accepted = -1;
	harness_reset(state);
	harness.control->flags |= SHAKEOFF_FILTER_READY;
	return 0;
}

int out_of_state_teardown(void **state)
{
	(void)state;
	reset_socket(&client);
	reset_socket(&accepted);
	for (size_t i = 0; i < COUNT(listeners); i++)
		if (listeners[i] >= 0)
			close(listeners[i]);
	return 0;
}

void listens(enum shakeoff_syncookies syncookies)
{
	service_listens(syncookies);
	listeners[0] = listening_socket(&ipv4, ipv4.server, 5);
	listeners[1] = listening_socket(&ipv6, ipv6.server, 5);
}

void surge_since(uint64_t surge_age_ns)
{
	harness.service->out_of_state.since_ns = monotonic_ns() - 60 * SECOND;
	harness.service->out_of_state.last_ns = monotonic_ns() - surge_age_ns;
}

void surge_note(void)
{
	surge_since(0);
}

int out_of_state_start(void **state)
{
	int error = harness_start(state);

	return error ? error : system("ip link add s1 type veth peer name c1");
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "listener.h"

int listener, other_member, clients[LISTENER_CLIENTS];

int listener_setup(void **state)
{
	listener = other_member = -1;
	for (int i = 0; i < LISTENER_CLIENTS; i++)
		clients[i] = -1;
	return harness_reset(state);
}

void address_set(__u32 value)
{
	struct shakeoff_address4 address = { .port = htons(80) };

	inet_pton(AF_INET, ipv4.server, &address.address);
	assert_int_equal(bpf_map_update_elem(harness.addresses4, &address, &value, BPF_ANY), 0);
	generation_raise();
}

int listener_teardown(void **state)
{
	(void)state;
	address_set(SERVICE);
	for (int i = 0; i < LISTENER_CLIENTS; i++)
		reset_socket(&clients[i]);
	if (listener >= 0)
		close(listener);
	if (other_member >= 0)
		close(other_member);
	return 0;
}

void listens(enum shakeoff_syncookies syncookies)
{
	service_listens(syncookies);
	listener = listening_socket(&ipv4, ipv4.server, 5);
}

struct metadata metadata_read(void)
{
	struct metadata metadata;

	assert_int_equal(harness.metadata_len, sizeof(metadata));
	memcpy(&metadata, harness.metadata, sizeof(metadata));
	assert_int_equal(metadata.magic, METADATA_MAGIC);
	assert_int_equal(metadata.service, SERVICE);
	return metadata;
}

struct metadata admitted(struct client *client, const struct segment *syn)
{
	client_connect(client, syn);
	assert_verdict(&client->ack, SHAKEOFF_ACK_ADMITTED);
	expect_no_event();
	return metadata_read();
}

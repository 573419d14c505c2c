/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The owner of each of the host's addresses: configured services first, then the listening socket that the kernel would
 * choose.
 *
 * link: user/shakeoffd/discovery/endpoints.c user/shakeoffd/discovery/listeners.c
 * link: user/shakeoffd/discovery/own_addresses.c user/shakeoffd/sys/rtnetlink.c user/common/netlink_dump.c
 * link: user/common/text.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "shakeoffd/discovery/endpoints.h"

static struct in6_addr address(const char *text)
{
	struct in6_addr address;

	assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

/* The host has 10.9.0.1, 10.9.0.2, 2001:db8::1. */
static struct in6_addr host[3];
static struct own_addresses own = { .list = host, .count = 3 };
static struct config_listen web_listen = { .family = AF_INET, .port = 80 };
static struct config_service web = { .name = "web", .listen = &web_listen, .listen_count = 1 };
static struct config_listen exclude = { .family = AF_UNSPEC, .port = 80 };
static struct config config;
static struct listeners listeners;
static struct endpoints endpoints;

static void unchanged(void *context, struct listener *listener, const struct listener_facts *before)
{
	(void)context;
	(void)listener;
	(void)before;
}

static void listening(const char *text, uint8_t family)
{
	struct sock_diag_listener socket = {
		.address = address(text), .port = 80, .family = family, .dualstack = family == AF_INET6, .backlog = 1
	};

	assert_int_equal(listeners_see(&listeners, &socket, false), 0);
}

/* "10.9.0.1=web 10.9.0.2=0.0.0.0:80"; a configured service without a socket: "web-". */
static const char *found(void)
{
	const struct endpoints_world world = { .config = &config, .listeners = &listeners, .own = &own };
	static char text[512];

	listeners_settle(&listeners, unchanged, NULL);
	assert_int_equal(endpoints_find(&world, 80, &endpoints), 0);
	text[0] = '\0';
	for (size_t i = 0; i < endpoints.count; i++) {
		const struct served_endpoint *endpoint = &endpoints.list[i];
		char at[INET6_ADDRSTRLEN], name[SHAKEOFF_NAME_LEN] = "";
		size_t used = strlen(text);

		inet_ntop(AF_INET6, &endpoint->address, at, sizeof(at));
		if (endpoint->listener)
			listener_name(endpoint->listener, name, sizeof(name));
		if (endpoint->configured != ENDPOINT_DISCOVERED)
			strcpy(name, endpoint->listener ? "web" : "web-");
		snprintf(text + used, sizeof(text) - used, "%s%s=%s", used ? " " : "",
			 strncmp(at, "::ffff:", 7) ? at : at + 7, name);
	}
	return text;
}

static int begin(void **state)
{
	(void)state;
	host[0] = address("::ffff:10.9.0.1");
	host[1] = address("::ffff:10.9.0.2");
	host[2] = address("2001:db8::1");
	web_listen = (struct config_listen){ .family = AF_INET, .port = 80, .address = host[0] };
	exclude = (struct config_listen){ .family = AF_UNSPEC, .port = 80 };
	config = (struct config){ .discover = true, .services = &web, .excludes = &exclude };
	return listeners_open(&listeners);
}

static int end(void **state)
{
	(void)state;
	listeners_close(&listeners);
	endpoints_free(&endpoints);
	return 0;
}

static void a_socket_on_any_address_has_all_addresses_of_the_host(void **state)
{
	(void)state;
	listening("::", AF_INET6);
	assert_string_equal(found(), "10.9.0.1=*:80 10.9.0.2=*:80 2001:db8::1=*:80");
	listening("::", AF_INET);
	assert_string_equal(found(), "10.9.0.1=0.0.0.0:80 10.9.0.2=0.0.0.0:80");
}

static void a_more_specific_socket_wins(void **state)
{
	(void)state;
	listening("::", AF_INET6);
	listening("::ffff:10.9.0.2", AF_INET);
	assert_string_equal(found(), "10.9.0.1=*:80 10.9.0.2=10.9.0.2:80 2001:db8::1=*:80");
}

static void sockets_on_loopback_and_on_foreign_addresses_are_ignored(void **state)
{
	(void)state;
	listening("::ffff:127.0.0.1", AF_INET);
	listening("::1", AF_INET6);
	listening("::ffff:10.9.0.77", AF_INET);
	assert_string_equal(found(), "");
}

static void sockets_on_separate_addresses_are_found_in_order(void **state)
{
	(void)state;
	listening("2001:db8::1", AF_INET6);
	listening("::ffff:10.9.0.2", AF_INET);
	listening("::ffff:10.9.0.1", AF_INET);
	assert_string_equal(found(), "10.9.0.1=10.9.0.1:80 10.9.0.2=10.9.0.2:80 2001:db8::1=[2001:db8::1]:80");
}

static void a_configured_address_belongs_to_the_configured_service(void **state)
{
	(void)state;
	config.service_count = 1;
	assert_string_equal(found(), "10.9.0.1=web-");
	listening("::", AF_INET6);
	assert_string_equal(found(), "10.9.0.1=web 10.9.0.2=*:80 2001:db8::1=*:80");
}

static void excluded_addresses_are_omitted(void **state)
{
	(void)state;
	config.exclude_count = 1;
	listening("::", AF_INET6);
	assert_string_equal(found(), "");
	exclude = (struct config_listen){ .family = AF_INET, .port = 80, .address = host[1] };
	listening("::", AF_INET6);
	assert_string_equal(found(), "10.9.0.1=*:80 2001:db8::1=*:80");
}

static void an_exclusion_does_not_touch_a_configured_service(void **state)
{
	(void)state;
	config.exclude_count = config.service_count = 1;
	listening("::", AF_INET6);
	assert_string_equal(found(), "10.9.0.1=web");
}

static void without_discovery_only_configured_services_are_found(void **state)
{
	(void)state;
	config.discover = false;
	config.service_count = 1;
	listening("::", AF_INET6);
	assert_string_equal(found(), "10.9.0.1=web");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_socket_on_any_address_has_all_addresses_of_the_host),
		TEST(a_more_specific_socket_wins),
		TEST(sockets_on_loopback_and_on_foreign_addresses_are_ignored),
		TEST(sockets_on_separate_addresses_are_found_in_order),
		TEST(a_configured_address_belongs_to_the_configured_service),
		TEST(excluded_addresses_are_omitted),
		TEST(an_exclusion_does_not_touch_a_configured_service),
		TEST(without_discovery_only_configured_services_are_found),
	};

	return cmocka_run_group_tests_name("endpoints", tests, NULL, NULL);
}

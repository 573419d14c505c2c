/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include <common/log.h>
#include <shakeoffd/privilege.h>

static const struct {
	unsigned int capability;
	const char *name, *use;
} needed[] = {
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN", "to attach XDP programs and for TCP_REPAIR" },
	{ CAP_NET_RAW, "CAP_NET_RAW", "to give packets back to the kernel" },
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "to find BPF programs and maps" },
};

#define KEPT_COUNT 4
static const unsigned int kept[KEPT_COUNT] = {
	CAP_NET_ADMIN,        /* TCP_REPAIR, SOCK_DESTROY, SIOCGSKNS */
	CAP_NET_BIND_SERVICE, /* repaired sockets have the services' ports */
	CAP_SYS_NICE,         /* the heartbeat */
	CAP_BPF,              /* maps, once found */
};

int privilege_check(void)
{
	capng_get_caps_process();
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (capng_have_capability(CAPNG_EFFECTIVE, needed[i].capability))
			continue;
		log_error("%s is missing, %s: run it as root", needed[i].name, needed[i].use);
		return -EPERM;
	}
	return 0;
}

/* Older kernels know no CAP_BPF; there map operations by descriptor need nothing. */
static bool is_permitted(unsigned int capability)
{
	return capng_have_capability(CAPNG_PERMITTED, capability);
}

void privilege_drop(void)
{
	bool keep[KEPT_COUNT];

	capng_get_caps_process();
	for (size_t i = 0; i < KEPT_COUNT; i++)
		keep[i] = is_permitted(kept[i]);
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < KEPT_COUNT; i++)
		if (keep[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, kept[i]);
	capng_update(CAPNG_ADD, CAPNG_PERMITTED, CAP_SYS_ADMIN);
	if (capng_apply(CAPNG_SELECT_CAPS))
		log_debug("capabilities stay as they are: %m");
}

void privilege_restore(void)
{
	capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
	if (capng_apply(CAPNG_SELECT_CAPS))
		log_debug("CAP_SYS_ADMIN could not be raised again: %m");
}

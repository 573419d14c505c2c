/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network interfaces and the programs at their XDP hooks, over rtnetlink. */
#ifndef SHAKEOFF_LINK_H
#define SHAKEOFF_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The hooks of an interface: the driver's, the generic one, and the card's own. */
enum link_xdp { LINK_XDP_DRIVER, LINK_XDP_GENERIC, LINK_XDP_OFFLOAD, LINK_XDP_COUNT };

#define LINK_KIND_LEN 16

struct link_entry {
	unsigned int ifindex;
	char name[IFNAMSIZ];
	uint32_t mtu;
	uint32_t prog_id[LINK_XDP_COUNT]; /* 0: none */
	uint16_t type;                    /* ARPHRD_* */
	char kind[LINK_KIND_LEN];         /* as `ip -d link` shows it: "bond", "vlan", "tun"; "" for a card */
	unsigned int master;              /* ifindex of the bridge, bond or VRF that it is a port of; 0: none */
	unsigned int lower;               /* ifindex of the device below it in this network namespace; 0: none */
	bool in_vrf;                      /* a port of a VRF device */
	bool inactive;                    /* an inactive member of a bond, which drops incoming frames */
	bool up;                          /* it is up, and has a carrier */
	bool has_mac;
	uint8_t mac[6];
	uint16_t vlan_id;   /* of a VLAN device */
	bool vlan_provider; /* likewise: its tag is of 802.1ad */
};

struct nlmsghdr;

/* Parses an RTM_NEWLINK message. */
void link_parse(const struct nlmsghdr *header, struct link_entry *entry);

/* Reads an interface of this network namespace. -ENODEV: there is none. */
int link_get(const char *name, struct link_entry *entry);

/* Reads it by its number, whatever its present name is. */
int link_get_index(unsigned int ifindex, struct link_entry *entry);

/* Lists every interface of this network namespace. *list is malloc()ed. */
int link_list(struct link_entry **list, size_t *count);

#endif

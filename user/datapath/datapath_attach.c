/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds, attaches and detaches the XDP programs of interfaces. Finds the programs of control groups that see the input
 * for their sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"
#include "common/log.h"

#define ETHERNET_MTU 1500

static int attachment_read_program(struct datapath_attachment *attachment)
{
	struct program program;
	struct control control;
	cleanup_fd int fd = program_by_id(attachment->prog_id);
	int result;

	if (fd < 0)
		return -errno;
	result = program_read(fd, &program);
	if (result)
		return result;
	strcpy(attachment->prog_name, program.name);
	attachment->ours = program_control(&program, &control);
	if (attachment->ours) {
		attachment->abi = control.abi;
		attachment->control_id = control.id;
	}
	return 0;
}

/*
 * Reads what is attached to a link. Of several programs (driver and card, for example) it returns shakeoff's. -ENOENT:
 * there is none.
 */
static int attachment_read(const struct link_entry *link, struct datapath_attachment *attachment)
{
	struct datapath_attachment chosen = { 0 };

	for (int i = 0; i < LINK_XDP_COUNT; i++) {
		struct datapath_attachment at = {
			.ifindex = link->ifindex,
			.mtu = link->mtu,
			.prog_id = link->prog_id[i],
			.native = i != LINK_XDP_GENERIC,
		};
		int result;

		if (!at.prog_id)
			continue;
		strcpy(at.ifname, link->name);
		result = attachment_read_program(&at);
		if (result == -ENOENT) /* detached in the meantime */
			continue;
		if (result)
			return result;
		if (!chosen.prog_id || (at.ours && !chosen.ours))
			chosen = at;
	}
	if (!chosen.prog_id)
		return -ENOENT;
	if (chosen.ours)
		chosen.admit_id = admit_find(chosen.ifindex, chosen.control_id);
	if (chosen.ours)
		chosen.outgoing_id = outgoing_find(chosen.ifindex, chosen.control_id);
	*attachment = chosen;
	return 0;
}

int datapath_look(const char *ifname, struct datapath_attachment *attachment)
{
	struct link_entry link;
	int result;

	detail_clear();
	result = link_get(ifname, &link);
	return result ? result : attachment_read(&link, attachment);
}

/* Looks up what is attached to an interface. -EEXIST: a program that does not belong to shakeoff. */
static int look_ours(const char *ifname, struct datapath_attachment *attachment)
{
	int result = datapath_look(ifname, attachment);

	return !result && !attachment->ours ? -EEXIST : result;
}

int datapath_list(struct datapath_attachment **list, size_t *count)
{
	cleanup_free struct datapath_attachment *found = NULL;
	cleanup_free struct link_entry *links = NULL;
	size_t link_count, found_count = 0;
	int result;

	detail_clear();
	result = link_list(&links, &link_count);
	if (result)
		return result;
	found = calloc(link_count ? link_count : 1, sizeof(*found));
	if (!found)
		return -ENOMEM;
	for (size_t i = 0; i < link_count; i++) {
		result = attachment_read(&links[i], &found[found_count]);
		if (result && result != -ENOENT)
			return result;
		found_count += !result;
	}
	*list = take_pointer(found);
	*count = found_count;
	return 0;
}

int datapath_owner(const char *ifname, enum datapath_owner *owner)
{
	struct datapath_attachment attachment;
	struct hook_link link;
	int result;

	result = look_ours(ifname, &attachment);
	if (result)
		return result;
	result = link_find(HOOK_XDP, attachment.ifindex, attachment.prog_id, &link);
	if (result == -ENOENT) {
		*owner = DATAPATH_OWNER_NETLINK;
		return 0;
	}
	if (result)
		return result;
	close(link.fd);
	*owner = link.owner;
	return 0;
}

int datapath_cgroup_ingress(const char *directory, uint32_t ids[DATAPATH_CGROUP_MAX], uint32_t *count)
{
	cleanup_fd int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t flags, found = DATAPATH_CGROUP_MAX;

	if (fd < 0)
		return -errno;
	/* -ENOSPC: there are more programs; those that fit are returned. */
	if (bpf_prog_query(fd, BPF_CGROUP_INET_INGRESS, BPF_F_QUERY_EFFECTIVE, &flags, ids, &found) && errno != ENOSPC)
		return -errno;
	*count = found < DATAPATH_CGROUP_MAX ? found : DATAPATH_CGROUP_MAX;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ attach and detach */

/* How a program is attached: by a pinned link, or by netlink if nothing can be pinned. */
struct attaching {
	struct datapath *datapath;
	const struct link_entry *interface;
	bool by_link;
	int link; /* output */
};

static int attach_program(struct attaching *attaching, int program, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	int fd;

	if (!attaching->by_link)
		return bpf_xdp_attach(attaching->interface->ifindex, program, flags | XDP_FLAGS_UPDATE_IF_NOEXIST,
				      NULL);
	fd = bpf_link_create(program, attaching->interface->ifindex, BPF_XDP, &options);
	if (fd < 0)
		return -errno;
	attaching->link = fd;
	return 0;
}

/*
 * Attaches in native mode. If the MTU exceeds a buffer, drivers refuse a program that wants a packet in a single
 * buffer, each with an error of its own. Then a program for several buffers (kernel 5.18 and later) is tried.
 */
static int attach_native(struct attaching *attaching)
{
	int result = attach_program(attaching, attaching->datapath->program, XDP_FLAGS_DRV_MODE);

	if (!result || result == -EBUSY || result == -EEXIST || result == -EPERM ||
	    attaching->interface->mtu <= ETHERNET_MTU)
		return result;
	if (datapath_load_frags(attaching->datapath) ||
	    attach_program(attaching, attaching->datapath->frags, XDP_FLAGS_DRV_MODE))
		return result;
	detail_clear();
	return 0;
}

static int attach_in_mode(struct attaching *attaching, enum datapath_mode mode)
{
	int result = -EOPNOTSUPP;

	if (mode != DATAPATH_MODE_GENERIC)
		result = attach_native(attaching);
	if (!result || mode == DATAPATH_MODE_NATIVE || result == -EBUSY || result == -EEXIST || result == -EPERM)
		return result;
	return attach_program(attaching, attaching->datapath->program, XDP_FLAGS_SKB_MODE);
}

static uint32_t mode_flag(const struct datapath_attachment *attachment)
{
	return attachment->native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

/* Removes a program from an interface, no matter how it was attached. `program`: a descriptor of it. */
static int remove_program(const struct datapath_attachment *attachment, int program)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = program);
	struct hook_link link;
	int result;

	result = link_find(HOOK_XDP, attachment->ifindex, attachment->prog_id, &link);
	if (result == -ENOENT)
		return bpf_xdp_detach(attachment->ifindex, mode_flag(attachment) | XDP_FLAGS_REPLACE, &options);
	return result ? result : link_remove(&link);
}

/* Restores the replaced program when the new one cannot be attached. */
static void restore_program(const struct datapath_attachment *attachment, int program)
{
	if (program >= 0 && bpf_xdp_attach(attachment->ifindex, program, mode_flag(attachment), NULL))
		log_warn("%s: the XDP program that was there (id %u) could not be put back", attachment->ifname,
			 attachment->prog_id);
}

static int attach_and_pin(struct attaching *attaching, enum datapath_mode mode, enum datapath_owner owner)
{
	cleanup_fd int link = -1; /* not pinned: closing it removes the program */
	int result;

	result = attach_in_mode(attaching, mode);
	if (result)
		return result;
	link = attaching->link;
	if (!attaching->by_link)
		return 0;
	return link_pin(link, HOOK_XDP, attaching->interface->name, attaching->interface->ifindex, owner);
}

/*
 * Makes the tc program follow the present XDP program, and removes the tc program of another one. Without it
 * connections cannot be given to listening sockets; everything else works.
 */
static void replace_admit(const struct attaching *attaching, enum datapath_owner owner)
{
	int result = admit_remove(attaching->interface->ifindex);

	if (result >= 0)
		result = admit_attach(attaching->datapath, attaching->interface, owner, attaching->by_link);
	if (result && result != -EOPNOTSUPP)
		log_warn("%s: the tc program could not be attached, so listening sockets are bypassed: %s%s%s",
			 attaching->interface->name, strerror(-result), *datapath_detail() ? ": " : "",
			 datapath_detail());
	detail_clear();
}

int datapath_attach(struct datapath *datapath, const char *ifname, enum datapath_mode mode, enum datapath_owner owner,
		    bool replace)
{
	struct attaching attaching = { .datapath = datapath, .link = -1 };
	struct datapath_attachment present = { 0 };
	struct link_entry interface;
	cleanup_fd int old = -1;
	int result;

	detail_clear();
	result = link_get(ifname, &interface);
	if (result)
		return result;
	attaching.interface = &interface;
	result = attachment_read(&interface, &present);
	if (result && result != -ENOENT)
		return result;
	if (!result && !present.ours && !replace)
		return -EEXIST;

	result = bpffs_prepare(owner, &attaching.by_link);
	if (result)
		return result;

	if (present.prog_id) {
		old = program_by_id(present.prog_id);
		if (old < 0)
			return -errno;
		result = remove_program(&present, old);
		if (result)
			return result;
	}
	result = attach_and_pin(&attaching, mode, owner);
	if (result) {
		restore_program(&present, old);
		bpffs_tidy();
		return result;
	}
	replace_admit(&attaching, owner);
	return 0;
}

int datapath_admit_attach(struct datapath *datapath, const char *ifname, enum datapath_owner owner)
{
	struct datapath_attachment attachment;
	struct link_entry interface;
	bool by_link;
	int result;

	result = look_ours(ifname, &attachment);
	if (result)
		return result;
	if (attachment.control_id != datapath->control_id) {
		detail_set("its XDP program uses other maps");
		return -ENOENT;
	}
	/* A failure at egress leaves the program at ingress untouched. */
	if (attachment.admit_id)
		return admit_attach_outgoing(datapath, attachment.ifindex);
	result = link_get(ifname, &interface);
	if (!result)
		result = bpffs_prepare(owner, &by_link);
	if (result)
		return result;
	result = admit_remove(interface.ifindex); /* it works on other maps */
	if (result >= 0)
		result = admit_attach(datapath, &interface, owner, by_link);
	if (result)
		bpffs_tidy();
	return result;
}

/* Detaches a tc program that remained alone after the XDP program was removed with `ip link`. */
static int detach_remainder(const char *ifname, int result)
{
	struct link_entry interface;

	if (link_get(ifname, &interface) || admit_remove(interface.ifindex) <= 0)
		return result;
	bpffs_tidy();
	return 0;
}

/*
 * Returns whether an interface of this network namespace still works on these maps. If that is unknown it returns true.
 */
static bool control_is_used(uint32_t control_id)
{
	struct datapath_attachment *list;
	bool used = false;
	size_t count;

	if (datapath_list(&list, &count))
		return true;
	for (size_t i = 0; i < count; i++)
		used = used || (list[i].ours && list[i].control_id == control_id);
	free(list);
	return used;
}

int datapath_detach(const char *ifname)
{
	struct datapath_attachment attachment;
	cleanup_fd int program = -1;
	int result;

	result = look_ours(ifname, &attachment);
	if (result)
		return detach_remainder(ifname, result);
	program = program_by_id(attachment.prog_id);
	if (program < 0)
		return -errno;
	result = remove_program(&attachment, program);
	if (!result)
		result = admit_remove(attachment.ifindex);
	if (result < 0)
		return result;
	if (!control_is_used(attachment.control_id))
		input_forget(attachment.control_id);
	bpffs_tidy();
	return 0;
}

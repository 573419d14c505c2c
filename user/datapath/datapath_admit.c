/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds, attaches and removes the tc programs at the tcx hooks of interfaces. */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"

#include "admit.skel.h"

/* BPF_TCX_INGRESS of enum bpf_attach_type (kernel 6.6): the headers of libbpf 1.1 do not have it. */
#define TCX_INGRESS 46
#define TCX_EGRESS 47

/* Programs at one hook: BPF_MPROG_MAX, include/linux/bpf_mprog.h. */
#define TCX_PROGRAMS_MAX 64

/*
 * BPF_F_BEFORE without a program: before all others. Another program that lets a packet pass to the stack ends the
 * iteration over the hook, and one that changes the packet's head may move or drop what the XDP program wrote in front
 * of it. The tc program of shakeoff disturbs no other program: it changes only what the XDP program validated, and
 * hands every packet on to the next program.
 */
#define TCX_FIRST (1u << 3)

bool datapath_can_admit(void)
{
	static enum { UNKNOWN, CAN, CANNOT } answer;
	struct btf *btf;

	if (answer != UNKNOWN)
		return answer == CAN;
	btf = btf__load_vmlinux_btf();
	answer = btf && btf__find_by_name_kind(btf, "bpf_sk_assign_tcp_reqsk", BTF_KIND_FUNC) > 0 &&
				 btf__find_by_name_kind(btf, "tcx_link_attach", BTF_KIND_FUNC) > 0 ?
			 CAN :
			 CANNOT;
	btf__free(btf);
	return answer == CAN;
}

/* Returns whether the functions of bpf/socket/conntrack.h exist: in the kernel itself, or in a loaded module. */
static bool conntrack_is_known(void)
{
	struct btf *btf = btf__load_vmlinux_btf(), *module = NULL;
	bool known = btf && btf__find_by_name_kind(btf, "bpf_ct_change_timeout", BTF_KIND_FUNC) > 0;

	if (btf && !known) {
		module = btf__load_module_btf("nf_conntrack", btf);
		known = module && btf__find_by_name_kind(module, "bpf_ct_change_timeout", BTF_KIND_FUNC) > 0;
	}
	btf__free(module);
	btf__free(btf);
	return known;
}

/* ------------------------------------------------------------------------------------------------------------ find */

struct tcx_programs {
	uint32_t ids[TCX_PROGRAMS_MAX];
	uint32_t count; /* 0 also if there is no such hook */
};

static void tcx_query(unsigned int ifindex, int hook, struct tcx_programs *programs)
{
	programs->count = TCX_PROGRAMS_MAX;
	if (bpf_prog_query(ifindex, hook, 0, NULL, programs->ids, &programs->count))
		programs->count = 0;
}

static bool program_uses(uint32_t prog_id, uint32_t map_id)
{
	cleanup_fd int fd = program_by_id(prog_id);
	struct program program;

	if (fd < 0 || program_read(fd, &program))
		return false;
	for (uint32_t i = 0; i < program.map_count; i++)
		if (program.map_ids[i] == map_id)
			return true;
	return false;
}

static uint32_t tcx_find(unsigned int ifindex, int hook, uint32_t control_id)
{
	struct tcx_programs programs;

	tcx_query(ifindex, hook, &programs);
	for (uint32_t i = 0; i < programs.count; i++)
		if (program_uses(programs.ids[i], control_id))
			return programs.ids[i];
	return 0;
}

uint32_t admit_find(unsigned int ifindex, uint32_t control_id)
{
	return tcx_find(ifindex, TCX_INGRESS, control_id);
}

uint32_t outgoing_find(unsigned int ifindex, uint32_t control_id)
{
	return tcx_find(ifindex, TCX_EGRESS, control_id);
}

uint32_t datapath_admit_id(const struct datapath *datapath, unsigned int ifindex)
{
	return admit_find(ifindex, datapath->control_id);
}

uint32_t datapath_outgoing_id(const struct datapath *datapath, unsigned int ifindex)
{
	return outgoing_find(ifindex, datapath->control_id);
}

static int tcx_hook(enum datapath_hook hook)
{
	return hook == DATAPATH_INGRESS ? TCX_INGRESS : TCX_EGRESS;
}

enum datapath_position datapath_position(unsigned int ifindex, enum datapath_hook hook, uint32_t prog_id)
{
	struct tcx_programs programs = { .count = TCX_PROGRAMS_MAX };

	/* The hook is gone with its interface; other failures have no consequences. */
	if (bpf_prog_query(ifindex, tcx_hook(hook), 0, NULL, programs.ids, &programs.count))
		return errno == ENODEV ? DATAPATH_POSITION_GONE : DATAPATH_POSITION_FIRST;
	for (uint32_t i = 0; i < programs.count; i++)
		if (programs.ids[i] == prog_id)
			return i ? DATAPATH_POSITION_BEHIND : DATAPATH_POSITION_FIRST;
	return DATAPATH_POSITION_GONE;
}

void datapath_front(unsigned int ifindex, enum datapath_hook hook, struct datapath_front *front)
{
	struct tcx_programs programs;
	struct program program = { 0 };
	cleanup_fd int fd = -1;

	*front = (struct datapath_front){ 0 };
	tcx_query(ifindex, tcx_hook(hook), &programs);
	if (!programs.count)
		return;
	front->id = programs.ids[0];
	fd = program_by_id(front->id);
	if (fd >= 0 && !program_read(fd, &program))
		snprintf(front->name, sizeof(front->name), "%s", program.name);
}

/* ---------------------------------------------------------------------------------------------------------- remove */

/* Removes a program of shakeoff. Returns 1 if it was removed. */
static int tcx_remove_ours(unsigned int ifindex, int hook, uint32_t prog_id)
{
	cleanup_fd int fd = program_by_id(prog_id);
	struct program program;
	struct hook_link link;
	struct control control;
	int result;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	result = program_read(fd, &program);
	if (result || !program_control(&program, &control))
		return result;
	result = link_find(HOOK_TCX, ifindex, prog_id, &link);
	if (!result)
		result = link_remove(&link);
	else if (result == -ENOENT)
		result = bpf_prog_detach2(fd, ifindex, hook) ? -errno : 0;
	return result ? result : 1;
}

static int tcx_remove_all(unsigned int ifindex, int hook)
{
	struct tcx_programs programs;
	int removed = 0;

	tcx_query(ifindex, hook, &programs);
	for (uint32_t i = 0; i < programs.count; i++) {
		int result = tcx_remove_ours(ifindex, hook, programs.ids[i]);

		if (result < 0)
			return result;
		removed += result;
	}
	return removed;
}

int admit_remove(unsigned int ifindex)
{
	int removed = tcx_remove_all(ifindex, TCX_EGRESS);

	return removed < 0 ? removed : tcx_remove_all(ifindex, TCX_INGRESS);
}

/* ---------------------------------------------------------------------------------------------------------- attach */

static int admit_load(struct datapath *datapath)
{
	struct admit *object;
	int result;

	if (datapath->admit >= 0 && datapath->outgoing >= 0)
		return 0;
	cleanup_fd_function(&datapath->admit);
	cleanup_fd_function(&datapath->outgoing);
	datapath->admit = datapath->outgoing = -1;
	object = admit__open();
	if (!object)
		return -errno;
	object->rodata->conntrack_is_known = conntrack_is_known();
	result = object_share_maps(object->obj, datapath);
	if (!result)
		result = admit__load(object);
	if (!result)
		result = datapath->outgoing = duplicate(bpf_program__fd(object->progs.shakeoff_outgoing));
	if (result >= 0)
		result = datapath->admit = duplicate(bpf_program__fd(object->progs.shakeoff_admit));
	admit__destroy(object);
	return result < 0 ? result : 0;
}

/*
 * Loads a second instance of both programs: one instance runs in front of an interface while the other, behind it, is
 * removed. It is loaded together with the first, because a daemon that has dropped its privileges cannot load it later.
 */
static int spare_load(struct datapath *datapath)
{
	int admit = datapath->admit, outgoing = datapath->outgoing, result;

	if (datapath->spare_admit >= 0 && datapath->spare_outgoing >= 0)
		return 0;
	datapath->admit = datapath->outgoing = -1;
	result = admit_load(datapath);
	datapath->spare_admit = datapath->admit;
	datapath->spare_outgoing = datapath->outgoing;
	datapath->admit = admit;
	datapath->outgoing = outgoing;
	return result;
}

int datapath_admit_prepare(struct datapath *datapath)
{
	int result;

	detail_clear();
	if (!datapath_can_admit())
		return -EOPNOTSUPP;
	result = admit_load(datapath);
	return result ? result : spare_load(datapath);
}

static int tcx_attach(int program, const struct link_entry *interface, enum datapath_owner owner, bool by_link)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = TCX_FIRST);
	cleanup_fd int link = -1; /* not pinned: closing it removes the program */

	if (!by_link)
		return bpf_prog_attach(program, interface->ifindex, TCX_INGRESS, TCX_FIRST) ? -errno : 0;
	link = bpf_link_create(program, interface->ifindex, TCX_INGRESS, &options);
	if (link < 0)
		return -errno;
	return link_pin(link, HOOK_TCX, interface->name, interface->ifindex, owner);
}

/* Attaches it without a link: it stays as long as the interface, or until it is removed with the other. */
static int outgoing_attach(const struct datapath *datapath, unsigned int ifindex)
{
	if (outgoing_find(ifindex, datapath->control_id))
		return 0;
	return bpf_prog_attach(datapath->outgoing, (int)ifindex, TCX_EGRESS, TCX_FIRST) ? -errno : 0;
}

int admit_attach(struct datapath *datapath, const struct link_entry *interface, enum datapath_owner owner, bool by_link)
{
	int result;

	if (!datapath_can_admit())
		return -EOPNOTSUPP;
	result = admit_load(datapath);
	if (!result)
		result = tcx_attach(datapath->admit, interface, owner, by_link);
	if (!result)
		result = outgoing_attach(datapath, interface->ifindex);
	/* The attaching command and the daemon that notices may do it at the same time: then the other was first. */
	return result == -EEXIST && admit_find(interface->ifindex, datapath->control_id) ? 0 : result;
}

int admit_attach_outgoing(struct datapath *datapath, unsigned int ifindex)
{
	int result = admit_load(datapath);

	return result ? result : outgoing_attach(datapath, ifindex);
}

/* ------------------------------------------------------------------------------------------------------------ move */

static uint32_t id_of_program(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

/* An attached program, with its link, found before its pin is given to another. */
struct attached {
	int program;
	int found; /* 0: attached by a link; -ENOENT: without one */
	struct hook_link link;
};

static int attached_find(unsigned int ifindex, uint32_t prog_id, struct attached *attached)
{
	attached->program = program_by_id(prog_id);
	if (attached->program < 0)
		return -errno;
	attached->found = link_find(HOOK_TCX, ifindex, prog_id, &attached->link);
	if (!attached->found || attached->found == -ENOENT)
		return 0;
	close(attached->program);
	return attached->found;
}

/* Removes an attached program. One that is gone in the meantime counts as removed. */
static int attached_remove(struct attached *attached, unsigned int ifindex, int hook)
{
	int result = 0;

	if (!attached->found)
		result = link_remove(&attached->link);
	else if (bpf_prog_detach2(attached->program, (int)ifindex, hook) && errno != ENOENT)
		result = -errno;
	close(attached->program);
	return result;
}

static void attached_leave(struct attached *attached)
{
	if (!attached->found)
		close(attached->link.fd);
	close(attached->program);
}

/* Attaches the instance that is not in `before` yet: the kernel has a program only once at a hook. */
static int tcx_attach_again(struct datapath *datapath, const struct link_entry *interface, enum datapath_hook hook,
			    enum datapath_owner owner, uint32_t before, uint32_t *id)
{
	int program = hook == DATAPATH_INGRESS ? datapath->admit : datapath->outgoing, result;
	bool by_link;

	*id = id_of_program(program);
	if (*id == before) {
		program = hook == DATAPATH_INGRESS ? datapath->spare_admit : datapath->spare_outgoing;
		*id = id_of_program(program);
	}
	if (!*id)
		return -errno;
	if (hook == DATAPATH_EGRESS)
		return bpf_prog_attach(program, (int)interface->ifindex, TCX_EGRESS, TCX_FIRST) ? -errno : 0;
	result = bpffs_prepare(owner, &by_link);
	return result ? result : tcx_attach(program, interface, owner, by_link);
}

/* Removes shakeoff's remaining earlier programs. There are none unless an earlier removal failed. */
static int tcx_remove_but(unsigned int ifindex, int hook, uint32_t control_id, uint32_t but)
{
	struct tcx_programs programs;
	int result = 0;

	tcx_query(ifindex, hook, &programs);
	for (uint32_t i = 0; i < programs.count && result >= 0; i++)
		if (programs.ids[i] != but && program_uses(programs.ids[i], control_id))
			result = tcx_remove_ours(ifindex, hook, programs.ids[i]);
	return result < 0 ? result : 0;
}

int datapath_admit_to_front(struct datapath *datapath, const char *ifname, enum datapath_hook hook,
			    enum datapath_owner owner)
{
	struct link_entry interface;
	struct attached before;
	uint32_t id;
	int result;

	detail_clear();
	if (!datapath_can_admit())
		return -EOPNOTSUPP;
	result = link_get(ifname, &interface);
	if (result)
		return result;
	id = tcx_find(interface.ifindex, tcx_hook(hook), datapath->control_id);
	if (!id)
		return -ENOENT;
	result = attached_find(interface.ifindex, id, &before);
	if (result)
		return result;
	result = datapath_admit_prepare(datapath);
	if (!result)
		result = tcx_attach_again(datapath, &interface, hook, owner, id, &id);
	if (result) {
		attached_leave(&before);
		return result;
	}
	result = attached_remove(&before, interface.ifindex, tcx_hook(hook));
	return result ? result : tcx_remove_but(interface.ifindex, tcx_hook(hook), datapath->control_id, id);
}

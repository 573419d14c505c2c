/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Loads a datapath from the embedded object, or opens it by the ids of what is attached. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <shakeoff/socket_filter.h>
#include <shakeoff/source.h>
#include <shakeoff/validated.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"

#include "handshake.skel.h"

/* The maps according to the ABI. A program of shakeoff with other maps is refused instead of misreading it. */
static const struct map_spec {
	const char *name;
	uint32_t type, key_size, value_size;
	uint32_t entries; /* exactly, for arrays; 0: any */
	uint32_t flags;   /* at least */
} map_specs[MAP_COUNT] = {
#define X(constant, name, type, key, value, entries, flags)                                                            \
	[constant] = { name, BPF_MAP_TYPE_##type, sizeof(key), sizeof(value), entries, flags },
	SHAKEOFF_MAPS(X)
#undef X
};

int program_read(int fd, struct program *program)
{
	struct bpf_prog_info info = {
		.map_ids = (uintptr_t)program->map_ids,
		.nr_map_ids = PROGRAM_MAPS_MAX,
	};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	snprintf(program->name, sizeof(program->name), "%s", info.name);
	program->map_count = info.nr_map_ids < PROGRAM_MAPS_MAX ? info.nr_map_ids : PROGRAM_MAPS_MAX;
	return 0;
}

int map_info(int fd, struct bpf_map_info *info)
{
	uint32_t size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &size) ? -errno : 0;
}

int map_inner(const struct datapath *datapath, enum map outer, uint32_t index, int *fd)
{
	uint32_t id;
	int found;

	if (bpf_map_lookup_elem(datapath->maps[outer], &index, &id))
		return -errno;
	found = map_by_id(id);
	if (found < 0)
		return -errno;
	*fd = found;
	return 0;
}

/* Returns the number in a control map's name, or 0 for the name of another map. */
static int control_abi(const char *name)
{
	const char *number = name + strlen(SHAKEOFF_CONTROL_PREFIX);

	if (strncmp(name, SHAKEOFF_CONTROL_PREFIX, strlen(SHAKEOFF_CONTROL_PREFIX)))
		return 0;
	return *number && !number[strspn(number, "0123456789")] ? atoi(number) : 0;
}

bool program_control(const struct program *program, struct control *control)
{
	for (uint32_t i = 0; i < program->map_count; i++) {
		cleanup_fd int map = map_by_id(program->map_ids[i]);
		struct bpf_map_info info;

		if (map < 0 || map_info(map, &info) || !control_abi(info.name))
			continue;
		*control = (struct control){ .id = info.id, .abi = control_abi(info.name) };
		return true;
	}
	return false;
}

static size_t whole_pages(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

#define CONTROL_SIZE whole_pages(sizeof(struct shakeoff_control))
#define SERVICES_SIZE whole_pages(sizeof(struct shakeoff_service) * SHAKEOFF_MAX_SERVICES)

#define FILTERS_SIZE whole_pages(2 * sizeof(struct shakeoff_filter))

static struct datapath *datapath_new(void)
{
	struct datapath *datapath = calloc(1, sizeof(*datapath));

	if (!datapath)
		return NULL;
	for (int i = 0; i < MAP_COUNT; i++)
		datapath->maps[i] = -1;
	datapath->program = datapath->frags = datapath->admit = datapath->outgoing = -1;
	datapath->spare_admit = datapath->spare_outgoing = -1;
	datapath->input[0] = datapath->input[1] = -1;
	datapath->control = MAP_FAILED;
	datapath->services = MAP_FAILED;
	datapath->filters = MAP_FAILED;
	return datapath;
}

void datapath_close(struct datapath *datapath)
{
	if (!datapath)
		return;
	if (datapath->control != MAP_FAILED)
		munmap(datapath->control, CONTROL_SIZE);
	if (datapath->services != MAP_FAILED)
		munmap(datapath->services, SERVICES_SIZE);
	if (datapath->filters != MAP_FAILED)
		munmap(datapath->filters, FILTERS_SIZE);
	for (int i = 0; i < MAP_COUNT; i++)
		cleanup_fd_function(&datapath->maps[i]);
	cleanup_fd_function(&datapath->program);
	cleanup_fd_function(&datapath->frags);
	cleanup_fd_function(&datapath->admit);
	cleanup_fd_function(&datapath->outgoing);
	cleanup_fd_function(&datapath->spare_admit);
	cleanup_fd_function(&datapath->spare_outgoing);
	for (int i = 0; i < 2; i++)
		cleanup_fd_function(&datapath->input[i]);
	free(datapath);
}

static void cleanup_datapath_function(struct datapath **datapath)
{
	int saved = errno;

	datapath_close(*datapath);
	errno = saved;
}
#define cleanup_datapath __attribute__((cleanup(cleanup_datapath_function)))

static int map_check(const struct map_spec *spec, const struct bpf_map_info *info)
{
	if (info->type == spec->type && info->key_size == spec->key_size && info->value_size == spec->value_size &&
	    (!spec->entries || info->max_entries == spec->entries) && (info->map_flags & spec->flags) == spec->flags)
		return 0;
	detail_set("its map %s has another shape", spec->name);
	return -EPROTO;
}

static void *map_shared(const struct datapath *datapath, enum map map, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, datapath->maps[map], 0);
}

/* Checks the maps when all are open, and maps the shared memory. */
static int datapath_finish(struct datapath *datapath)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		struct bpf_map_info info;
		int result;

		if (datapath->maps[i] < 0) {
			detail_set("it has no map %s", map_specs[i].name);
			return -EPROTO;
		}
		result = map_info(datapath->maps[i], &info);
		if (!result)
			result = map_check(&map_specs[i], &info);
		if (result)
			return result;
		if (i == MAP_CONTROL)
			datapath->control_id = info.id;
	}
	datapath->control = map_shared(datapath, MAP_CONTROL, CONTROL_SIZE);
	if (datapath->control == MAP_FAILED)
		return -errno;
	datapath->services = map_shared(datapath, MAP_SERVICES, SERVICES_SIZE);
	if (datapath->services == MAP_FAILED)
		return -errno;
	datapath->filters = map_shared(datapath, MAP_FILTER, FILTERS_SIZE);
	return datapath->filters == MAP_FAILED ? -errno : 0;
}

int object_share_maps(struct bpf_object *object, const struct datapath *datapath)
{
	int result = 0;

	for (int i = 0; i < MAP_COUNT && !result; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, map_specs[i].name);

		if (map)
			result = bpf_map__reuse_fd(map, datapath->maps[i]);
	}
	return result;
}

/* Loads one of the object's two programs. With `shared` it works on the maps of that datapath instead of its own. */
static int object_load(bool frags, const struct datapath *shared, struct handshake **loaded)
{
	struct handshake *object = handshake__open();
	int result = 0;

	if (!object)
		return -errno;
	bpf_program__set_autoload(object->progs.shakeoff_xdp, !frags);
	bpf_program__set_autoload(object->progs.shakeoff_xdp_frags, frags);
	if (shared)
		result = object_share_maps(object->obj, shared);
	if (!result)
		result = handshake__load(object);
	if (result) {
		handshake__destroy(object);
		return result;
	}
	*loaded = object;
	return 0;
}

int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

static bool kernel_too_old(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 0 ||
	       libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, NULL) == 0;
}

static int datapath_take(struct datapath *datapath, struct handshake *object)
{
	datapath->program = duplicate(bpf_program__fd(object->progs.shakeoff_xdp));
	if (datapath->program < 0)
		return datapath->program;
	for (int i = 0; i < MAP_COUNT; i++) {
		datapath->maps[i] =
			duplicate(bpf_map__fd(bpf_object__find_map_by_name(object->obj, map_specs[i].name)));
		if (datapath->maps[i] < 0)
			return datapath->maps[i];
	}
	return datapath_finish(datapath);
}

int datapath_load(struct datapath **loaded)
{
	cleanup_datapath struct datapath *datapath = datapath_new();
	struct handshake *object;
	int result;

	detail_clear();
	if (!datapath)
		return -ENOMEM;
	result = object_load(false, NULL, &object);
	if (result)
		return result != -EPERM && kernel_too_old() ? -ENOSYS : result;
	result = datapath_take(datapath, object);
	handshake__destroy(object);
	if (!result)
		*loaded = take_pointer(datapath);
	return result;
}

int datapath_load_frags(struct datapath *datapath)
{
	struct handshake *object;
	int result;

	if (datapath->frags >= 0)
		return 0;
	result = object_load(true, datapath, &object);
	if (result)
		return result;
	datapath->frags = duplicate(bpf_program__fd(object->progs.shakeoff_xdp_frags));
	handshake__destroy(object);
	return datapath->frags < 0 ? datapath->frags : 0;
}

int datapath_open(const struct datapath_attachment *attachment, struct datapath **opened)
{
	cleanup_datapath struct datapath *datapath = datapath_new();
	struct program program;
	int result;

	detail_clear();
	if (!datapath)
		return -ENOMEM;
	if (!attachment->ours || attachment->abi != SHAKEOFF_ABI) {
		detail_set("it belongs to another version of shakeoff");
		return -EPROTO;
	}
	datapath->program = program_by_id(attachment->prog_id);
	if (datapath->program < 0)
		return -errno;
	if (attachment->admit_id) {
		datapath->admit = program_by_id(attachment->admit_id);
		datapath->outgoing = program_by_id(attachment->outgoing_id);
	}
	result = program_read(datapath->program, &program);
	if (result)
		return result;

	for (uint32_t i = 0; i < program.map_count; i++) {
		cleanup_fd int fd = map_by_id(program.map_ids[i]);
		struct bpf_map_info info;

		if (fd < 0 || map_info(fd, &info))
			return -errno;
		for (int k = 0; k < MAP_COUNT; k++)
			if (!strcmp(info.name, map_specs[k].name) && datapath->maps[k] < 0)
				datapath->maps[k] = take_fd(&fd);
	}
	result = datapath_finish(datapath);
	if (!result)
		*opened = take_pointer(datapath);
	return result;
}

uint32_t datapath_control_id(const struct datapath *datapath)
{
	return datapath->control_id;
}

struct shakeoff_control *datapath_control(struct datapath *datapath)
{
	return datapath->control;
}

struct shakeoff_service *datapath_services(struct datapath *datapath)
{
	return datapath->services;
}

struct shakeoff_filter *datapath_filter(struct datapath *datapath, uint32_t which)
{
	return &datapath->filters[which & 1];
}

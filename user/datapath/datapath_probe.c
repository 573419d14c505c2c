/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "datapath/datapath_internal.h"
#include "datapath/datapath_probe.h"

#include "probe.skel.h"

/*
 * The kernel runs this number of frames and then receives them all together, like the frames that a driver received at
 * once. A RST must not be in the same batch as its probe, because connection tracking knows a connection only after its
 * packet has come through.
 */
#define BATCH 64

struct datapath_probe {
	struct probe *object;
	struct shakeoff_probe_frame *frames;
};

#define FRAMES_SIZE (SHAKEOFF_PROBE_MAX * sizeof(struct shakeoff_probe_frame))

int datapath_probe_open(struct datapath_probe **opened)
{
	struct datapath_probe *probe = calloc(1, sizeof(*probe));
	int error;

	detail_clear();
	if (!probe)
		return -ENOMEM;
	probe->frames = MAP_FAILED;
	probe->object = probe__open_and_load();
	error = probe->object ? 0 : -errno;
	if (!error) {
		probe->frames = mmap(NULL, FRAMES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				     bpf_map__fd(probe->object->maps.probe_frames), 0);
		error = probe->frames == MAP_FAILED ? -errno : 0;
	}
	if (error) {
		datapath_probe_close(probe);
		return error;
	}
	*opened = probe;
	return 0;
}

void datapath_probe_close(struct datapath_probe *probe)
{
	if (!probe)
		return;
	if (probe->frames != MAP_FAILED)
		munmap(probe->frames, FRAMES_SIZE);
	probe__destroy(probe->object);
	free(probe);
}

int datapath_probe_catch(const struct datapath_probe *probe, int listener)
{
	int program = bpf_program__fd(probe->object->progs.probe_arrive);

	return setsockopt(listener, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)) ? -errno : 0;
}

struct shakeoff_probe_frame *datapath_probe_frames(struct datapath_probe *probe)
{
	return probe->frames;
}

static int find_map(const struct program *program, int *map)
{
	for (uint32_t i = 0; i < program->map_count; i++) {
		cleanup_fd int fd = map_by_id(program->map_ids[i]);
		struct bpf_map_info info;

		if (fd < 0 || map_info(fd, &info))
			return -errno;
		if (strcmp(info.name, SHAKEOFF_MAP_PROBE) || info.value_size != sizeof(struct shakeoff_probe))
			continue;
		*map = take_fd(&fd);
		return 0;
	}
	return -ENOENT;
}

int datapath_probe_map(unsigned int ifindex, int *map)
{
	struct datapath_attachment attachment;
	cleanup_fd int fd = -1;
	struct program program;
	char name[IF_NAMESIZE];
	int error;

	if (!if_indextoname(ifindex, name))
		return -errno;
	error = datapath_look(name, &attachment);
	if (error)
		return error;
	if (!attachment.admit_id)
		return -ENOENT;
	fd = program_by_id(attachment.admit_id);
	if (fd < 0)
		return -errno;
	error = program_read(fd, &program);
	return error ? error : find_map(&program, map);
}

static int publish(int map, const struct shakeoff_probe *common)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(map, &zero, common, BPF_ANY) ? -errno : 0;
}

int datapath_probe_run(struct datapath_probe *probe, int map, unsigned int ifindex, const struct shakeoff_probe *common)
{
	uint8_t frame[SHAKEOFF_PROBE_FRAME_LEN] = { 0 };
	struct xdp_md context = { .data_end = sizeof(frame), .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, options, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH,
		    .data_in = frame, .data_size_in = sizeof(frame), .ctx_in = &context,
		    .ctx_size_in = sizeof(context));
	uint32_t whole = (common->count + BATCH - 1) / BATCH * BATCH;
	int error = publish(map, common);

	detail_clear();
	if (error)
		return error;
	probe->object->bss->first_seq = common->seq;
	probe->object->bss->frame_count = common->count;
	probe->object->bss->resets_from = whole;
	probe->object->bss->next_run = 0;
	options.repeat = (int)(whole + common->count);
	error = bpf_prog_test_run_opts(bpf_program__fd(probe->object->progs.probe_send), &options) ? -errno : 0;
	if (error)
		datapath_probe_end(map);
	return error;
}

int datapath_probe_end(int map)
{
	return publish(map, &(struct shakeoff_probe){ 0 });
}

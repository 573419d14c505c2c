/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The data path as user space sees it, and the only owner of libbpf: programs, links, maps, rings.
 *
 * A datapath is one loaded object: the maps that one or several interfaces share. It is either loaded here or found by
 * netlink on an interface (IFLA_XDP -> program id -> map ids), where `ip link`, `shakeoff attach` or an earlier daemon
 * put it. Functions return 0 or a negative errno; on failure output parameters are unchanged. Not thread-safe, with one
 * exception: lookups and updates of map elements are single system calls and may run in any thread.
 */
#ifndef SHAKEOFF_DATAPATH_DATAPATH_H
#define SHAKEOFF_DATAPATH_DATAPATH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shakeoff/abi.h>
#include <shakeoff/source.h>

struct datapath;
struct datapath_ring;

enum datapath_mode { DATAPATH_MODE_AUTO, DATAPATH_MODE_NATIVE, DATAPATH_MODE_GENERIC };

/*
 * The tc program (bpf/admit.bpf.c) gives validated ACKs to listening sockets. It is attached at the tcx ingress hook of
 * an interface, beside the XDP program, and works on the same maps. It comes and goes with the XDP program:
 * datapath_attach() attaches it if the kernel can, datapath_detach() and a replacement remove it.
 */

/* How the program of an interface was attached. */
enum datapath_owner {
	DATAPATH_OWNER_NETLINK, /* `ip link`: no bpf link */
	DATAPATH_OWNER_ATTACH,  /* `shakeoff attach`: link pinned as BPFFS_DIR/IFNAME:IFINDEX:attach */
	DATAPATH_OWNER_DAEMON,  /* shakeoffd: link pinned as BPFFS_DIR/IFNAME:IFINDEX:daemon */
};

/* The program at the XDP hook of an interface. */
struct datapath_attachment {
	unsigned int ifindex;
	char ifname[16];
	uint32_t mtu;
	uint32_t prog_id;
	char prog_name[16];
	bool ours;            /* false: a foreign program */
	int abi;              /* of shakeoff's: its SHAKEOFF_ABI */
	bool native;          /* driver mode (or offload), not generic */
	uint32_t control_id;  /* of shakeoff's: id of its control map; equal for interfaces that share a datapath */
	uint32_t admit_id;    /* id of the tc program at tcx ingress that shares these maps; 0: none */
	uint32_t outgoing_id; /* likewise at egress */
};

/*
 * To get descriptors of BPF objects by their ids takes CAP_SYS_ADMIN; nothing else here does once programs are
 * attached. A process that has dropped the capability sets a finder that does it instead. A finder returns a
 * descriptor, or for DATAPATH_NEXT_LINK the next id, or a negative errno; datapath_find() asks the kernel itself.
 */
enum datapath_object { DATAPATH_PROGRAM, DATAPATH_MAP, DATAPATH_LINK, DATAPATH_NEXT_LINK };
typedef int (*datapath_find_fn)(enum datapath_object object, uint32_t id);
int datapath_find(enum datapath_object object, uint32_t id);
void datapath_find_by(datapath_find_fn find); /* NULL: datapath_find() again */

/*
 * Sets where links are pinned. bpffs_dir: NULL for /sys/fs/bpf/shakeoff/INODE-OF-THE-NETNS. The directory is made when
 * needed, and bpffs is mounted on /sys/fs/bpf if necessary. Where that is impossible, or would not outlive the present
 * process (the private /sys of `ip netns exec`), programs are attached by netlink, without a link.
 */
int datapath_set_bpffs(const char *bpffs_dir);

/*
 * Returns what libbpf, the verifier or a driver reported about this thread's last failure, as part of a sentence; "" if
 * nothing. Valid until the thread's next call.
 */
const char *datapath_detail(void);

/*
 * Loads the embedded object: new maps, no key, no service. -EPERM without the privileges, -ENOSYS on a kernel too old.
 */
int datapath_load(struct datapath **datapath);

/*
 * Attaches to an interface and pins the link. AUTO: native, or generic if the driver cannot. `replace` also replaces a
 * foreign program; without it a foreign program gives -EEXIST. datapath_look() returns what runs afterwards.
 */
int datapath_attach(struct datapath *datapath, const char *ifname, enum datapath_mode mode, enum datapath_owner owner,
		    bool replace);

/*
 * Attaches the tc program beside an XDP program of this datapath that is attached already (by `ip link`, for example).
 * The owner's pin is BPFFS_DIR/IFNAME:IFINDEX:admit-OWNER. 0 also if it is attached already; -EOPNOTSUPP: this kernel
 * has no bpf_sk_assign_tcp_reqsk or no tcx (both: 6.9 and later); -ENOENT: no XDP program, or one that works on other
 * maps; -EEXIST: a foreign one.
 */
int datapath_admit_attach(struct datapath *datapath, const char *ifname, enum datapath_owner owner);

/*
 * Loads the tc programs now, for interfaces that come later. Functions of kernel modules (of connection tracking, for
 * example) are found by ids of BTF objects, which takes CAP_SYS_ADMIN. -EOPNOTSUPP: this kernel has no such programs.
 */
int datapath_admit_prepare(struct datapath *datapath);

/* Returns the id of the tc program at an interface that works on this datapath's maps; 0: none. */
uint32_t datapath_admit_id(const struct datapath *datapath, unsigned int ifindex);

/* Returns the same for the tc program at egress, which notes the connections that the host opens. */
uint32_t datapath_outgoing_id(const struct datapath *datapath, unsigned int ifindex);

enum datapath_hook { DATAPATH_INGRESS, DATAPATH_EGRESS };

/*
 * The position of a program among the tc programs of a hook. Programs run in order. One that does not go on to the next
 * (TCX_PASS, TCX_DROP, TCX_REDIRECT) hides the packet from those behind it. Filters of tc (clsact) run after all of
 * these.
 */
enum datapath_position {
	DATAPATH_POSITION_GONE,
	DATAPATH_POSITION_BEHIND, /* another program runs before it */
	DATAPATH_POSITION_FIRST,
};

/*
 * Returns the position by a single system call, for which CAP_NET_ADMIN is enough. If it cannot be found out it returns
 * FIRST, which has no consequences.
 */
enum datapath_position datapath_position(unsigned int ifindex, enum datapath_hook hook, uint32_t prog_id);

/* The program that runs before all others at a hook. */
struct datapath_front {
	uint32_t id; /* 0: there is none */
	char name[16];
};
void datapath_front(unsigned int ifindex, enum datapath_hook hook, struct datapath_front *front);

/*
 * Moves the attached tc program of a hook before all others. A second instance is attached there, and only then is the
 * first removed: every packet meets at least one. Errors as in datapath_admit_attach(). Both program ids of the
 * interface may change.
 */
int datapath_admit_to_front(struct datapath *datapath, const char *ifname, enum datapath_hook hook,
			    enum datapath_owner owner);

/* Returns whether this kernel can complete handshakes into listening sockets at all. */
bool datapath_can_admit(void);

/*
 * Attaches the netfilter program (bpf/input.bpf.c) at the end of LOCAL_IN, where the daemon gets connections of the
 * queue handoff, for both IP families of this network namespace. It is pinned as BPFFS_DIR/input4_CONTROL-ID and
 * input6_CONTROL-ID, so that it outlives a killed daemon. Programs of an earlier daemon are replaced without a gap.
 * -EOPNOTSUPP: this kernel has no BPF programs there (6.4 and later have them).
 */
int datapath_input_attach(struct datapath *datapath);
void datapath_input_detach(struct datapath *datapath);
bool datapath_can_input(void);

/*
 * Returns the programs that see the input for sockets of a control group (cgroup2), including those of the groups above
 * it. 0 or a negative errno.
 */
#define DATAPATH_CGROUP_MAX 64
int datapath_cgroup_ingress(const char *directory, uint32_t ids[DATAPATH_CGROUP_MAX], uint32_t *count);

/*
 * Returns the SO_MARK for frames that a packet socket sends over lo; they then come in at the interface whose index is
 * their SO_PRIORITY. 0: this kernel cannot (6.6 and later can), or datapath_input_attach() was not called yet.
 */
uint32_t datapath_return_mark(void);

/*
 * Detaches shakeoff's program from an interface, no matter how it was attached, and removes its pins. -ENOENT: none;
 * -EEXIST: a foreign one. It also detaches a tc program that has remained alone (`ip link set dev IFACE xdp off`).
 */
int datapath_detach(const char *ifname);

/* Returns in *owner who attached shakeoff's program to this interface. */
int datapath_owner(const char *ifname, enum datapath_owner *owner);

/* Describes what is attached to an interface. -ENODEV: no such interface, -ENOENT: nothing. */
int datapath_look(const char *ifname, struct datapath_attachment *attachment);

/*
 * Lists every interface of this network namespace that has an XDP program, shakeoff's or foreign. *list is malloc()ed.
 */
int datapath_list(struct datapath_attachment **list, size_t *count);

/* Opens the maps of an attachment of shakeoff. -EPROTO: another ABI. */
int datapath_open(const struct datapath_attachment *attachment, struct datapath **datapath);
void datapath_close(struct datapath *datapath); /* closes descriptors; attached programs stay */
uint32_t datapath_control_id(const struct datapath *datapath);

/*
 * Returns the memory shared with the hook; valid until datapath_close(). Fields have one writer each (shakeoff/): use
 * relaxed atomics.
 */
struct shakeoff_control *datapath_control(struct datapath *datapath);
struct shakeoff_service *datapath_services(struct datapath *datapath);              /* SHAKEOFF_MAX_SERVICES of them */
struct shakeoff_filter *datapath_filter(struct datapath *datapath, uint32_t which); /* 0 or 1; see socket_filter.h */

/* Addresses of services. `address`: IPv4 mapped; `port`: host byte order; `value`: as in shakeoff/address.h. */
int datapath_address_set(struct datapath *datapath, const struct in6_addr *address, uint16_t port, uint32_t value);
int datapath_address_get(struct datapath *datapath, const struct in6_addr *address, uint16_t port, uint32_t *value);
int datapath_address_remove(struct datapath *datapath, const struct in6_addr *address, uint16_t port);
/*
 * Calls back for every address; the callback may remove the address that it is given. Stops at a callback's non-zero
 * return.
 */
int datapath_address_each(struct datapath *datapath,
			  int (*callback)(void *context, const struct in6_addr *address, uint16_t port, uint32_t value),
			  void *context);

int datapath_interface_set(struct datapath *datapath, uint32_t ifindex, const struct shakeoff_interface *interface);
int datapath_interface_get(struct datapath *datapath, uint32_t ifindex, struct shakeoff_interface *interface);
int datapath_interface_remove(struct datapath *datapath, uint32_t ifindex);

/* Reads the counters of ACKs that were validated at an interface, since it was first set. */
int datapath_admissions(struct datapath *datapath, uint32_t ifindex, struct shakeoff_admissions *admissions);

/*
 * Routes (shakeoff/route.h). datapath_routes_announce() tells the hook whether it has to look them up: with true after
 * the first is there, with false before the last is removed. It also tells the hook that its earlier look-ups may be
 * outdated.
 */
struct prefix;
int datapath_route_set(struct datapath *datapath, const struct prefix *prefix, const struct shakeoff_route *route);
int datapath_route_remove(struct datapath *datapath, const struct prefix *prefix);
/* Calls back for every route, in no order; the callback may not change them. Stops at a callback's non-zero return. */
int datapath_route_each(struct datapath *datapath, bool ipv6,
			int (*callback)(void *context, const struct prefix *prefix, const struct shakeoff_route *route),
			void *context);
void datapath_routes_announce(struct datapath *datapath, bool ipv6, bool any);
/*
 * Gives the hook a prefix that it need not look up, one of SHAKEOFF_PLAIN4 or SHAKEOFF_PLAIN6; NULL: none at this
 * index. Take it back before a prefix inside of it is published.
 */
void datapath_routes_plain(struct datapath *datapath, bool ipv6, size_t index, const struct prefix *prefix);

/*
 * Sets and removes the host's own addresses (own4, own6). datapath_own_announce() gives the hook their bits, and
 * whether there are prefixes of several addresses among them. It also tells the hook that its earlier look-ups may be
 * outdated.
 */
int datapath_own_set(struct datapath *datapath, const struct prefix *prefix);
int datapath_own_remove(struct datapath *datapath, const struct prefix *prefix);
int datapath_own_clear(struct datapath *datapath);
void datapath_own_announce(struct datapath *datapath, const uint32_t bits[SHAKEOFF_OWN_WORDS], bool prefixes);

/* Replaces the hook's neighbours by these; `next_hops` has the same indexes. Neighbours without room are left out. */
int datapath_neighbours_set(struct datapath *datapath, const struct shakeoff_neighbour *neighbours,
			    const struct shakeoff_next_hop *next_hops, size_t count);

/* Replaces the VLAN tags of frames that the host accepts: SHAKEOFF_VLAN_KEY(). */
int datapath_vlans_set(struct datapath *datapath, const uint32_t *keys, size_t count);

int datapath_key_set(struct datapath *datapath, uint32_t slot, const struct shakeoff_epoch_key *key);

/* Sums up the verdict counters of all CPUs. */
int datapath_verdicts(struct datapath *datapath, uint64_t counts[SHAKEOFF_VERDICT_COUNT]);
int datapath_service_counters(struct datapath *datapath, uint32_t service, struct shakeoff_service_counters *counters);
int datapath_service_counters_reset(struct datapath *datapath, uint32_t service);

/* Reads or forgets a validated tuple. -ENOENT: the tuple is not in the map. */
int datapath_validated_get(struct datapath *datapath, const struct shakeoff_tuple *tuple,
			   struct shakeoff_validated *entry);
int datapath_validated_forget(struct datapath *datapath, const struct shakeoff_tuple *tuple);

/*
 * The map of half-open connections: calls back for each, perhaps twice if the map changes meanwhile. Entries for which
 * the callback returns true are removed. One thread.
 */
typedef bool (*datapath_half_open_fn)(void *context, const struct shakeoff_tuple *tuple,
				      const struct shakeoff_half_open *entry);
int datapath_half_open_each(struct datapath *datapath, datapath_half_open_fn callback, void *context);
bool datapath_half_open_is_empty(struct datapath *datapath);

/* The map of sources: calls back for each, perhaps twice if the map changes meanwhile. */
typedef void (*datapath_source_fn)(void *context, const struct shakeoff_source_key *key,
				   const struct shakeoff_source *source);
int datapath_source_each(struct datapath *datapath, datapath_source_fn callback, void *context);

/*
 * Returns the false positive rate of the issued cookies, 0 to 1: the fraction of cookies never issued that seem issued
 * (shakeoff/issued.h). now_ns: CLOCK_MONOTONIC.
 */
int datapath_issued_false_positive_rate(struct datapath *datapath, uint64_t now_ns, double *share);

/*
 * Makes `count` ring buffers (1..SHAKEOFF_MAX_RINGS) if the map has none yet. Rings of an earlier daemon are kept with
 * their contents. *actual: how many there are now; those of an earlier daemon may be more or fewer.
 */
int datapath_rings_prepare(struct datapath *datapath, uint32_t count, uint32_t *actual);

/*
 * Opens ring `index` to consume it. The callback gets each event (size: of the record, at least header plus packet_len;
 * smaller records are skipped before the call). One thread a ring.
 */
typedef void (*datapath_event_fn)(void *context, const struct shakeoff_event *event);
int datapath_ring_open(struct datapath *datapath, uint32_t index, datapath_event_fn callback, void *context,
		       struct datapath_ring **ring);
int datapath_ring_fd(const struct datapath_ring *ring); /* readable when there are events, for epoll */
int datapath_ring_consume(struct datapath_ring *ring);  /* consumes the present events; returns how many */
void datapath_ring_close(struct datapath_ring *ring);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <err.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

struct peer {
	struct bpf_object *obj;
	struct peer_config *config;
};

/* Prints only libbpf's warnings. */
static int warnings(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static struct bpf_map *map_named(const struct peer *peer, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(peer->obj, name);

	if (!map)
		errx(1, "peer.bpf.o has no map %s", name);
	return map;
}

struct peer *peer_open(uint32_t ring_bytes)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct bpf_program *prog;

	libbpf_set_print(warnings);
	peer->obj = bpf_object__open_file(PEER_OBJECT, NULL);
	if (!peer->obj)
		err(1, PEER_OBJECT);
	bpf_map__set_max_entries(map_named(peer, "ring0"), ring_bytes);
	bpf_map__set_max_entries(map_named(peer, "ring1"), ring_bytes);
	bpf_object__for_each_program(prog, peer->obj) bpf_program__set_autoload(prog, true);
	if (bpf_object__load(peer->obj))
		err(1, "loading " PEER_OBJECT);
	peer->config = mmap(NULL, sizeof(*peer->config), PROT_READ | PROT_WRITE, MAP_SHARED,
			    bpf_map__fd(map_named(peer, "config")), 0);
	if (peer->config == MAP_FAILED)
		err(1, "mmap");
	*peer->config = (struct peer_config){ .pid = (uint32_t)getpid(), .rings = 2 };
	return peer;
}

struct bpf_program *peer_program(struct peer *peer, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(peer->obj, name);

	if (!prog)
		errx(1, "peer.bpf.o has no program %s", name);
	return prog;
}

int peer_attach(struct peer *peer, const char *name)
{
	struct bpf_link *link = bpf_program__attach(peer_program(peer, name));
	int fd;

	if (!link)
		err(1, "attaching %s", name);
	fd = dup(bpf_link__fd(link));
	bpf_link__destroy(link);
	return fd;
}

int peer_ring_fd(const struct peer *peer, unsigned ring)
{
	return bpf_map__fd(map_named(peer, ring ? "ring1" : "ring0"));
}

struct peer_config *peer_config(struct peer *peer)
{
	return peer->config;
}

void peer_close(struct peer *peer)
{
	if (!peer)
		return;
	munmap(peer->config, sizeof(*peer->config));
	bpf_object__close(peer->obj);
	free(peer);
}

/* ---- run time -------------------------------------------------------------------------------- */

/* Run times are counted until this process ends, since it keeps the descriptor. */
void stats_on(void)
{
	if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		err(1, "BPF_ENABLE_STATS");
}

static struct bpf_prog_info info_of(int fd)
{
	struct bpf_prog_info info;
	uint32_t size = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		err(1, "program info");
	return info;
}

struct runs program_runs(uint32_t id)
{
	int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info;

	if (fd < 0)
		err(1, "program %u", id);
	info = info_of(fd);
	close(fd);
	return (struct runs){ info.run_cnt, info.run_time_ns };
}

struct runs programs_runs(const uint32_t *ids, unsigned n)
{
	struct runs sum = { 0, 0 };

	for (unsigned i = 0; i < n; i++) {
		struct runs r = program_runs(ids[i]);

		sum.count += r.count;
		sum.ns += r.ns;
	}
	return sum;
}

uint32_t program_id(const struct bpf_program *prog)
{
	return info_of(bpf_program__fd(prog)).id;
}

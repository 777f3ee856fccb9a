/* SPDX-License-Identifier: BSD-2-Clause */
/* maps.c - the maps of units: which ones a load creates, how large, and which ones stay */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../base/text.h"
#include "answer.h"
#include "unit.h"

#define CONSTS ".rodata.ks"

void ks__maps_init(struct ks__maps *maps, struct ks__fds *fds)
{
	memset(maps, 0, sizeof(*maps));
	maps->fds = fds;
}

void ks__maps_close(struct ks__maps *maps)
{
	for (unsigned i = 0; i < maps->n; i++)
		ks__fd_close(maps->fds, maps->map[i].fd);
	free(maps->map);
	ks__maps_init(maps, maps->fds);
}

void ks__maps_close_storage(struct ks__maps *maps)
{
	for (unsigned i = 0; i < maps->n; i++) {
		struct ks__map *map = &maps->map[i];

		if (map->fd < 0 ||
		    (map->type != BPF_MAP_TYPE_TASK_STORAGE && !strstr(map->name, CONSTS)))
			continue;
		ks__fd_close(maps->fds, map->fd);
		map->fd = -1;
	}
}

struct ks__map *ks__maps_find(struct ks__maps *maps, const char *name)
{
	for (unsigned i = 0; i < maps->n; i++)
		if (maps->map[i].fd >= 0 && !strcmp(maps->map[i].name, name))
			return &maps->map[i];
	return NULL;
}

/* The kernel waits a grace period of 10 ms for each entry, or once for a batch since 6.8. */
int ks__map_put_fds(int fd, const int *inner_fds, unsigned n, int batch)
{
	uint32_t keys[KS_BPF_RINGS] = { 0 };
	int rc = 0;

	if (n > KS_BPF_RINGS)
		return -E2BIG;
	for (uint32_t i = 0; i < n; i++)
		keys[i] = i;
	if (batch && !ks__map_put_batch(fd, keys, inner_fds, n))
		return 0;
	for (unsigned i = 0; i < n && !rc; i++)
		rc = ks__map_put(fd, &keys[i], &inner_fds[i], BPF_ANY);
	return rc;
}

static int ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && !strcmp(name + n - m, end);
}

static int asked_for(const struct ks__unit *unit, const char *name)
{
	for (const char *const *const *list = unit->wanted; list && *list; list++)
		for (const char *const *m = *list; *m; m++)
			if (!strcmp(*m, name))
				return 1;
	return 0;
}

/*
 * 1: the load must create this map. A probe may name two maps for one purpose: X in task storage,
 * and X_hash for kernels without task storage.
 */
static int needed(const struct ks__unit *unit, const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	int storage = unit->consts->task_storage;

	if (bpf_map__is_internal(map))
		return 1;
	if (!asked_for(unit, name))
		return 0;
	if (!strcmp(name, "ks_rings"))
		return unit->consts->ring;
	if (!strcmp(name, "ks_perf"))
		return !unit->consts->ring;
	if (bpf_map__type(map) == BPF_MAP_TYPE_TASK_STORAGE)
		return storage;
	return !(storage && ends_with(name, "_hash"));
}

static int size_map(const struct ks__unit *unit, struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	if (!strcmp(name, "ks_cpus") || !strcmp(name, "ks_perf") || ends_with(name, "_stats"))
		return bpf_map__set_max_entries(map, unit->n_cpus);
	if (!strcmp(name, "ks_pids"))
		return bpf_map__set_max_entries(map, unit->n_pids);
	if (ends_with(name, "_rows"))
		return bpf_map__set_max_entries(map, unit->n_cpus + unit->consts->n_threads);
	if (!strcmp(name, "ks_threads") || !strcmp(name, "ks_free") || !strcmp(name, "ks_who_hash"))
		return bpf_map__set_max_entries(map, unit->consts->n_threads);
	return 0;
}

static int set_consts(const struct ks__unit *unit, struct bpf_map *map)
{
	if (!strstr(bpf_map__name(map), CONSTS))
		return 0;
	return bpf_map__set_initial_value(map, unit->consts, sizeof(*unit->consts));
}

/* Allocates an entry for each map of the object. */
static int make_room(struct ks__maps *maps, const struct bpf_object *obj)
{
	const struct bpf_map *map;
	unsigned n = 0;

	if (maps->map)
		return 0;
	bpf_object__for_each_map(map, obj) n++;
	maps->map = calloc(n + 1, sizeof(*maps->map));
	if (!maps->map)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		maps->map[i].fd = -1;
	maps->n = n;
	return 0;
}

int ks__maps_prepare(const struct ks__unit *unit, struct bpf_object *obj)
{
	int rc = make_room(unit->maps, obj);
	struct bpf_map *map;
	unsigned i = 0;

	if (rc)
		return rc;
	unit->maps->loads++; /* a load that fails drops only the maps with this number */
	bpf_object__for_each_map(map, obj)
	{
		int fd = unit->maps->map[i++].fd;

		if (fd >= 0)
			rc = bpf_map__reuse_fd(map, fd);
		else if (!needed(unit, map))
			rc = bpf_map__set_autocreate(map, false);
		else
			rc = size_map(unit, map);
		if (!rc && fd < 0)
			rc = set_consts(unit, map);
		if (rc)
			return rc;
	}
	return 0;
}

/* Memory of a map as the kernel reports it in /proc, in bytes; 0: not reported. */
static uint64_t map_bytes(const struct ks *ks, int fd)
{
	char path[48], text[512];
	const char *line;

	snprintf(path, sizeof(path), "self/fdinfo/%d", fd);
	if (ks__text_string(ks->proc_fd, path, text, sizeof(text)) <= 0)
		return 0;
	line = strstr(text, "memlock:");
	return line ? strtoull(line + 8, NULL, 10) : 0;
}

static int keep_map(const struct ks__unit *unit, const struct bpf_map *map, struct ks__map *kept)
{
	int fd = ks__fd_keep(unit->maps->fds, ks__fd_copy(bpf_map__fd(map)));

	if (fd < 0)
		return fd;
	kept->type = bpf_map__type(map);
	kept->key_size = bpf_map__key_size(map);
	kept->value_size = bpf_map__value_size(map);
	kept->max_entries = bpf_map__max_entries(map);
	kept->bytes = map_bytes(unit->features->ks, fd);
	snprintf(kept->name, sizeof(kept->name), "%s", bpf_map__name(map));
	kept->fd = fd;
	return 0;
}

int ks__maps_keep(const struct ks__unit *unit, struct bpf_object *obj)
{
	struct ks__maps *maps = unit->maps;
	struct bpf_map *map;
	unsigned i = 0;

	bpf_object__for_each_map(map, obj)
	{
		struct ks__map *kept = &maps->map[i++];
		int rc;

		if (bpf_map__fd(map) < 0 || kept->fd >= 0)
			continue;
		rc = keep_map(unit, map, kept);
		if (rc)
			return rc;
		kept->load = maps->loads;
	}
	return 0;
}

int ks__map_is_new(const struct ks__maps *maps, const struct ks__map *map)
{
	return map->fd >= 0 && map->load == maps->loads;
}

void ks__maps_drop(struct ks__maps *maps)
{
	for (unsigned i = 0; i < maps->n; i++) {
		struct ks__map *map = &maps->map[i];

		if (!ks__map_is_new(maps, map))
			continue;
		ks__fd_close(maps->fds, map->fd);
		map->fd = -1;
	}
}

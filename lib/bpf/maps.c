/* SPDX-License-Identifier: BSD-2-Clause */
/* maps.c - the maps of units: which are made, how long, and what stays of them */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../base/text.h"
#include "unit.h"

void ks__maps_init(struct ks__maps *maps)
{
	memset(maps, 0, sizeof(*maps));
	for (unsigned i = 0; i < KS__UNIT_MAPS; i++)
		maps->map[i].fd = -1;
}

void ks__maps_close(struct ks__maps *maps)
{
	for (unsigned i = 0; i < KS__UNIT_MAPS; i++)
		if (maps->map[i].fd >= 0)
			close(maps->map[i].fd);
	ks__maps_init(maps);
}

struct ks__map *ks__maps_find(struct ks__maps *maps, const char *name)
{
	for (unsigned i = 0; i < maps->n; i++)
		if (maps->map[i].fd >= 0 && !strcmp(maps->map[i].name, name))
			return &maps->map[i];
	return NULL;
}

/* The kernel waits a grace period of 10 ms for each; since 6.8 for a batch of them only once. */
int ks__map_put_fds(int fd, const int *inner_fds, unsigned n, int batch)
{
	uint32_t keys[KS_BPF_RINGS] = { 0 }, count = n;

	if (n > KS_BPF_RINGS)
		return -E2BIG;
	for (uint32_t i = 0; i < n; i++)
		keys[i] = i;
	if (batch && !bpf_map_update_batch(fd, keys, inner_fds, &count, NULL))
		return 0;
	for (unsigned i = 0; i < n; i++)
		if (bpf_map_update_elem(fd, &keys[i], &inner_fds[i], BPF_ANY))
			return -errno;
	return 0;
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

/* A probe may name two maps for one purpose: X, in task storage, and X_hash for kernels without. */
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
	if (!strstr(bpf_map__name(map), ".rodata.ks"))
		return 0;
	return bpf_map__set_initial_value(map, unit->consts, sizeof(*unit->consts));
}

int ks__maps_prepare(const struct ks__unit *unit, struct bpf_object *obj)
{
	struct bpf_map *map;
	unsigned i = 0;
	int rc = 0;

	bpf_object__for_each_map(map, obj)
	{
		int fd = i < KS__UNIT_MAPS ? unit->maps->map[i].fd : -1;

		if (i++ == KS__UNIT_MAPS)
			return -E2BIG;
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

/* The kernel's own figure; 0 where /proc does not tell. */
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
	int fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return -errno;
	kept->type = bpf_map__type(map);
	kept->key_size = bpf_map__key_size(map);
	kept->value_size = bpf_map__value_size(map);
	kept->max_entries = bpf_map__max_entries(map);
	kept->bytes = map_bytes(unit->features->ks, fd);
	snprintf(kept->name, sizeof(kept->name), "%s", bpf_map__name(map));
	kept->fd = fd;
	return 0;
}

/* Those that the unit added; `new` marks them, to be given back on failure. */
int ks__maps_keep(const struct ks__unit *unit, struct bpf_object *obj, uint32_t *new)
{
	struct bpf_map *map;
	unsigned i = 0;

	bpf_object__for_each_map(map, obj)
	{
		struct ks__map *kept = &unit->maps->map[i];

		if (bpf_map__fd(map) >= 0 && kept->fd < 0) {
			int rc = keep_map(unit, map, kept);

			if (rc)
				return rc;
			*new |= 1u << i;
		}
		i++;
	}
	unit->maps->n = i;
	return 0;
}

void ks__maps_drop(const struct ks__unit *unit, uint32_t new)
{
	for (unsigned i = 0; i < KS__UNIT_MAPS; i++) {
		if (!(new & 1u << i))
			continue;
		close(unit->maps->map[i].fd);
		unit->maps->map[i].fd = -1;
	}
}

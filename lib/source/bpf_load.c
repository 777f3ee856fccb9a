/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_load.c - loads and attaches kernel programs */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../bpf/answer.h"
#include "bpf.h"

/*
 * Size of the map ks_pids: the live processes of a tree; in a nested pid namespace half as many. It
 * takes 2.5 MiB from the first load on: programs keep the map that they were loaded with, and the
 * scope may become a tree later. It is preallocated, as tracing programs need before Linux 6.1.
 */
#define PIDS_MAX 32768
#define PROGS_MAX (KS__BPF_CLIENTS * KS__PROGS_MAX)

static const char *const common_maps[] = { "ks_control", "ks_cpus",     "ks_buckets", "ks_rings",
					   "ks_perf",    "ks_pids",     "ks_threads", "ks_free",
					   "ks_who",     "ks_who_hash", "ks_roles",   NULL };

int ks__bpf_choose(const struct ks__bpf *b, uint32_t number, const char *variant)
{
	const struct ks__bpf_client *c = &b->clients[number];

	for (unsigned i = 0; i < c->n_variants; i++)
		if (!c->state[i].note.error && (!variant || !strcmp(c->variants[i].name, variant)))
			return (int)i;
	return -1;
}

/* ---- loading --------------------------------------------------------------------------------- */

struct pick {
	struct ks__bpf_client *client;
	uint32_t number;
	int variant;
};

static void count_bytes(struct ks__bpf *b)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < b->maps.n; i++)
		if (b->maps.map[i].fd >= 0)
			bytes += b->maps.map[i].bytes;
	atomic_store(&b->map_bytes, bytes);
}

static int open_stream(struct ks__bpf *b, char *why, size_t size)
{
	struct ks *ks = b->base.ks;
	struct ks__map *rings = ks__maps_find(&b->maps, "ks_rings");
	struct ks__map *perf = ks__maps_find(&b->maps, "ks_perf");
	struct ks__stream_opts opts = {
		.epoll_fd = ks->epoll_fd,
		.fds = &ks->fds,
		.batch_ms = ks->opts.batch_ms,
		.ring_bytes = ks->opts.ring_bytes,
		.n_cpus = ks->n_cpus,
		.cpus = (const void *)atomic_load(&b->tables.cpus.mem),
		.perf_map_fd = perf ? perf->fd : -1,
	};
	struct ks__stream *stream;
	int fds[KS_BPF_RINGS], rc;
	unsigned n;

	if (!rings && !perf)
		return -ENOENT;
	rc = ks__stream_open(&opts, &stream, why, size);
	if (rc)
		return rc;
	n = ks__stream_rings(stream);
	for (unsigned i = 0; i < n; i++)
		fds[i] = ks__stream_ring_fd(stream, i);
	if (n)
		rc = ks__map_put_fds(rings->fd, fds, n,
				     !ks__feature(&b->features, KS__FEATURE_BATCH));
	if (rc)
		ks__stream_close(stream, 1);
	else
		atomic_store(&b->stream, stream);
	return rc;
}

static int wire_threads(struct ks__bpf *b)
{
	struct ks__map *threads = ks__maps_find(&b->maps, "ks_threads");
	struct ks__map *empty = ks__maps_find(&b->maps, "ks_free");
	struct ks__map *hash = ks__maps_find(&b->maps, "ks_who_hash");

	if (!threads || !empty)
		return -ENOENT;
	b->threads.who_fd = hash ? hash->fd : -1;
	return ks__threads_map(&b->threads, threads->fd, empty->fd, threads->max_entries,
			       b->base.ks->n_cpus, b->control.map, !b->consts.atomic_fetch);
}

/* Maps the map NAME_rows of a probe, if it has one. */
static int wire_rows(struct ks__bpf *b, uint32_t probe, const char *const *maps)
{
	for (; *maps; maps++) {
		size_t n = strlen(*maps);
		struct ks__map *rows;

		if (n < 5 || strcmp(*maps + n - 5, "_rows"))
			continue;
		rows = ks__maps_find(&b->maps, *maps);
		return !rows ? -ENOENT :
			       ks__threads_map_rows(&b->threads, b->base.ks->slots[probe].probe,
						    rows->fd, rows->value_size);
	}
	return 0;
}

/* Maps into this process the maps of a unit that was loaded, and opens the stream. */
static int wire(struct ks__bpf *b, const struct pick *picks, unsigned n, char *why, size_t size)
{
	struct ks__map *control = ks__maps_find(&b->maps, "ks_control");
	struct ks__map *cpus = ks__maps_find(&b->maps, "ks_cpus");
	int rc = control && cpus ? 0 : -ENOENT;

	if (!rc && !b->control.map)
		rc = ks__control_map(&b->control, control->fd);
	if (!rc)
		rc = ks__table_map(&b->tables.cpus, cpus->fd, cpus->value_size, b->base.ks->n_cpus);
	if (!rc)
		rc = wire_threads(b);
	for (unsigned i = 0; i < n && !rc; i++) {
		const char *const *maps = picks[i].client->maps;
		struct ks__map *stats = maps ? ks__maps_find(&b->maps, maps[0]) : NULL;

		if (stats)
			rc = ks__table_map(&b->tables.stats[picks[i].number], stats->fd,
					   stats->value_size, b->base.ks->n_cpus);
		if (!rc && maps)
			rc = wire_rows(b, picks[i].number, maps);
	}
	if (!rc && !atomic_load(&b->stream)) {
		rc = ks__bpf_fill_pids(b);
		if (!rc)
			rc = ks__bpf_fill_roles(b);
		if (!rc)
			rc = open_stream(b, why, size);
	}
	if (rc && !why[0])
		snprintf(why, size, "maps cannot be used (%s)", ks_error_name(rc));
	return rc;
}

/*
 * Undoes wire(): drops the maps that this unit has created; after the first unit all of them. No
 * reader can be using the mappings of such a probe, since it was never on.
 */
static void unwire(struct ks__bpf *b, const struct pick *picks, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const char *const *maps = picks[i].client->maps;
		const struct ks__map *stats = maps ? ks__maps_find(&b->maps, maps[0]) : NULL;

		if (!stats || !ks__map_is_new(&b->maps, stats))
			continue;
		ks__table_unmap(&b->tables.stats[picks[i].number]);
		ks__threads_unmap_rows(&b->threads, picks[i].number);
	}
	if (!atomic_load(&b->stream))
		ks__bpf_leave_roles(b);
	ks__maps_drop(&b->maps);
	if (atomic_load(&b->stream))
		return;
	ks__threads_close(&b->threads);
	ks__control_unmap(&b->control);
	ks__tables_unmap(&b->tables);
}

static int load_picks(struct ks__bpf *b, const struct pick *picks, unsigned n, char *why,
		      size_t size)
{
	struct ks__program *progs[PROGS_MAX];
	const char *const *wanted[KS__BPF_CLIENTS + 2];
	struct ks__unit unit = { .features = &b->features,
				 .consts = &b->consts,
				 .maps = &b->maps,
				 .n_cpus = b->base.ks->n_cpus,
				 .n_pids = PIDS_MAX,
				 .wanted = wanted,
				 .progs = progs };
	unsigned n_wanted = 0;
	int rc, by_pointer = 0;

	wanted[n_wanted++] = common_maps;
	for (unsigned i = 0; i < n; i++) {
		struct ks__bpf_variant *v = &picks[i].client->state[picks[i].variant];

		by_pointer |= picks[i].client->variants[picks[i].variant].by_pointer;
		if (picks[i].client->maps)
			wanted[n_wanted++] = picks[i].client->maps;
		for (unsigned p = 0; p < v->n; p++)
			progs[unit.n_progs++] = &v->progs[p];
	}
	wanted[n_wanted] = NULL;
	why[0] = '\0';
	rc = ks__bpf_consts(b, by_pointer, why, size);
	if (!rc && !atomic_load(&b->stream))
		ks__bpf_scope_facts(b);
	if (!rc)
		rc = ks__unit_load(&unit, why, size);
	if (!rc) {
		rc = wire(b, picks, n, why, size);
		if (rc)
			unwire(b, picks, n);
	}
	for (unsigned i = 0; i < unit.n_progs && rc; i++)
		ks__program_close(progs[i], b->maps.fds);
	for (unsigned i = 0; i < n && !rc; i++) {
		picks[i].client->state[picks[i].variant].loaded = 1;
		picks[i].client->state[picks[i].variant].note.tried = 1;
	}
	return rc;
}

static unsigned pick(struct ks__bpf *b, uint32_t mask, const char *variant, struct pick *picks)
{
	unsigned n = 0;

	for (uint32_t c = 0; c < KS__BPF_CLIENTS; c++) {
		const char *name = c < KS__PROBES_MAX ? variant : NULL;
		int index = mask & 1u << c ? ks__bpf_choose(b, c, name) : -1;

		if (index >= 0 && !b->clients[c].state[index].loaded)
			picks[n++] = (struct pick){ &b->clients[c], c, index };
	}
	return n;
}

/* Refuses the variants whose programs the kernel has refused. Returns their number. */
static unsigned refuse_failed(struct ks__bpf *b, const struct pick *picks, unsigned n)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < n; i++) {
		struct ks__bpf_variant *v = &picks[i].client->state[picks[i].variant];

		for (unsigned p = 0; p < v->n; p++) {
			if (!v->progs[p].error)
				continue;
			v->note.tried = 1;
			ks__bpf_refuse(b, picks[i].client, picks[i].variant, v->progs[p].error,
				       v->progs[p].reason);
			refused++;
			break;
		}
	}
	return refused;
}

static void unload_variant(struct ks__bpf *b, struct ks__bpf_variant *v)
{
	if (atomic_load(&v->counted))
		return;
	for (unsigned i = 0; i < v->n; i++)
		ks__program_close(&v->progs[i], b->maps.fds);
	v->loaded = 0;
}

/* ---- task storage or hash map: where programs keep data of threads --------------------------- */

/*
 * Has any program counted? The programs of a tree keep no data of threads, so they do not matter.
 */
static int has_counted(const struct ks__bpf *b)
{
	for (unsigned c = 0; c < KS__BPF_CLIENTS; c++)
		for (unsigned i = 0; c != KS__BPF_TREE && i < b->clients[c].n_variants; i++)
			if (atomic_load(&b->clients[c].state[i].counted))
				return 1;
	return 0;
}

/* Switches to the hash map while task storage is still empty: unloads what was loaded for it. */
static void leave_storage(struct ks__bpf *b)
{
	for (unsigned c = 0; c < KS__BPF_CLIENTS; c++)
		for (unsigned i = 0; c != KS__BPF_TREE && i < b->clients[c].n_variants; i++)
			unload_variant(b, &b->clients[c].state[i]);
	ks__maps_close_storage(&b->maps);
	b->have_consts = 0;
}

/*
 * A program that gets only the raw address of a task cannot use task storage. All programs of a
 * handle must keep the data of threads in the same place, which is a constant of the load. Returns
 * 1: a variant was refused for that reason.
 */
static int refuse_by_pointer(struct ks__bpf *b, const struct pick *picks, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!b->have_consts || !b->consts.task_storage ||
		    !picks[i].client->variants[picks[i].variant].by_pointer)
			continue;
		if (!has_counted(b)) {
			leave_storage(b);
			return 0;
		}
		ks__bpf_refuse(b, picks[i].client, picks[i].variant, -KS_EUNAVAIL,
			       "it knows tasks only by address, but this handle already keeps "
			       "their data in task storage: open another handle and enable this "
			       "variant there first");
		return 1;
	}
	return 0;
}

static int load_mask(struct ks__bpf *b, uint32_t mask, const char *variant)
{
	struct pick picks[KS__BPF_CLIENTS];
	char why[256];
	unsigned n;

	while ((n = pick(b, mask, variant, picks))) {
		int rc;

		if (refuse_by_pointer(b, picks, n))
			continue;
		rc = load_picks(b, picks, n, why, sizeof(why));
		if (!rc)
			break;
		if (ks__answer_ends(rc))
			return ks__fail(b->base.ks, rc, "%s",
					why[0] ? why : "no memory to load programs");
		if (refuse_failed(b, picks, n))
			continue;
		if (n == 1) {
			picks[0].client->state[picks[0].variant].note.tried = 1;
			ks__bpf_refuse(b, picks[0].client, picks[0].variant, rc, why);
			continue;
		}
		/*
		 * no program is blamed: load each probe alone, so that one cannot fail the others
		 */
		for (unsigned i = 0; i < n; i++) {
			rc = load_mask(b, 1u << picks[i].number, variant);
			if (rc)
				return rc;
		}
		break;
	}
	return 0;
}

int ks__bpf_prepare(struct ks__bpf *b, uint32_t mask, const char *variant)
{
	struct pick picks[KS__BPF_CLIENTS];
	int rc = ks__bpf_setup(b);

	/* in the same unit: one more would parse the kernel's BTF once more */
	if (mask & ((1u << KS__PROBES_MAX) - 1))
		mask |= 1u << KS__BPF_THREADS;
	if (rc || b->error || !pick(b, mask, variant, picks))
		return rc;
	rc = load_mask(b, mask, variant);
	count_bytes(b);
#ifdef __GLIBC__
	if (b->base.ks->opts.flags & KS_OPEN_TRIM)
		malloc_trim(0);
#endif
	return rc;
}

/* ---- attaching ------------------------------------------------------------------------------- */

static void close_links(struct ks__bpf *b, struct ks__bpf_client *c)
{
	unsigned n = atomic_exchange(&c->n_links, 0);

	while (n)
		ks__fd_close(b->maps.fds, c->links[--n]);
	c->attached = -1;
}

static int attach_variant(struct ks__bpf *b, struct ks__bpf_client *c, int index, char *why,
			  size_t size)
{
	struct ks__bpf_variant *v = &c->state[index];

	for (unsigned i = 0; i < v->n; i++) {
		int fd = ks__fd_is_own(b->maps.fds, v->progs[i].fd) ?
				 ks__hook_attach(&v->progs[i].hook, b->base.ks, v->progs[i].fd, why,
						 size) :
				 -EBADF;

		fd = ks__fd_keep(b->maps.fds, fd);
		if (fd < 0) {
			close_links(b, c);
			return fd;
		}
		c->links[i] = fd;
		atomic_store(&c->n_links, i + 1);
	}
	c->attached = index;
	atomic_store(&v->counted, 1);
	return 0;
}

int ks__bpf_attach(struct ks__bpf *b, uint32_t number, const char *variant)
{
	struct ks__bpf_client *c = &b->clients[number];
	char why[256];
	int index, rc;

	if (c->attached >= 0)
		return 0;
	for (;;) {
		rc = ks__bpf_prepare(b, 1u << number, variant);
		if (rc)
			return rc;
		index = ks__bpf_choose(b, number, variant);
		if (index < 0)
			return -KS_EUNAVAIL;
		why[0] = '\0';
		rc = attach_variant(b, c, index, why, sizeof(why));
		if (!rc)
			break;
		if (rc == -EBADF)
			return ks__fail_closed(b->base.ks);
		if (ks__answer_ends(rc))
			return ks__fail(b->base.ks, rc, "%s",
					why[0] ? why : "no memory or descriptor to keep a link");
		unload_variant(b, &c->state[index]);
		ks__bpf_refuse(b, c, index, rc, why);
	}
	return 0;
}

void ks__bpf_detach(struct ks__bpf *b, uint32_t number)
{
	close_links(b, &b->clients[number]);
}

void ks__bpf_unload(struct ks__bpf *b)
{
	for (unsigned c = 0; c < KS__BPF_CLIENTS; c++) {
		struct ks__bpf_client *client = &b->clients[c];

		close_links(b, client);
		for (unsigned i = 0; i < client->n_variants; i++) {
			atomic_store(&client->state[i].counted, 0);
			unload_variant(b, &client->state[i]);
		}
		free(client->state);
		client->state = NULL;
		client->n_variants = 0;
	}
	ks__threads_close(&b->threads);
	ks__control_unmap(&b->control);
	ks__tables_unmap(&b->tables);
	ks__maps_close(&b->maps);
}

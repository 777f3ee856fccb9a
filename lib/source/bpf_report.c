/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_report.c - the ledger, and what ks_explain(), ks_check() and sizes report */
#include <string.h>

#include <linux/bpf.h>

#include "../bpf/machine.h"
#include "../data/doc.h"
#include "bpf.h"

/* ---- ledger ---------------------------------------------------------------------------------- */

/* Programs that were ever attached stay loaded until the handle is closed, with their counts. */
static void add_missed(struct ks__bpf *b, const struct ks__bpf_client *c, struct ks__ledger *ret)
{
	ret->missed_known = 1;
	for (unsigned i = 0; i < c->n_variants; i++) {
		struct ks__bpf_variant *v = &c->state[i];

		if (!atomic_load(&v->counted))
			continue;
		for (unsigned p = 0; p < v->n; p++) {
			struct ks__program_info info;

			if (ks__program_info(v->progs[p].fd, &info) || !info.missed_known ||
			    (ks__hook_by_perf(&v->progs[p].hook) &&
			     b->features.by_id[KS__FEATURE_PERF_MISSES].error)) {
				ret->missed_known = 0;
				continue;
			}
			ret->missed += info.missed;
		}
	}
}

/*
 * Reads the counts in this order: records that the host has got, outcomes of the programs, missed
 * runs. Counts only grow, so no difference between them can be negative.
 */
int ks__bpf_ledger(struct ks__source *s, uint32_t probe, int idle, struct ks__ledger *ret)
{
	struct ks__bpf *b = ks__bpf_of(s);
	struct ks__stream *stream = atomic_load(&b->stream);

	memset(ret, 0, sizeof(*ret));
	if (stream) {
		ret->delivered = ks__stream_delivered(stream, probe);
		ret->discarded = ks__stream_discarded(stream, probe);
	}
	if (stream && idle) {
		uint64_t counts[KS_BPF_PROBES] = { 0 };

		ks__stream_in_flight(stream, counts);
		ret->in_flight = counts[probe];
	}
	if (stream) /* published last: before that, a failed load may unmap the maps again */
		ks__tables_ledger(&b->tables, probe, ret);
	add_missed(b, &b->clients[probe], ret);
	ret->programs = atomic_load(&b->clients[probe].n_links);
	return 0;
}

/* ---- explain --------------------------------------------------------------------------------- */

static void explain_client(const struct ks__bpf_client *c, struct ks__doc *doc)
{
	for (unsigned i = 0; i < c->n_variants; i++) {
		const struct ks__bpf_variant *v = &c->state[i];

		for (unsigned p = 0; p < v->n && v->loaded; p++) {
			const struct ks__program *prog = &v->progs[p];
			struct ks__program_info info;

			if (ks__program_info(prog->fd, &info))
				continue;
			ks__doc_object(doc, NULL);
			ks__doc_str(doc, "name", prog->name);
			ks__doc_str(doc, "kind", ks__hook_name(&prog->hook));
			ks__doc_str(doc, "hook", prog->hook.target);
			ks__doc_bool(doc, "attached", c->attached == (int)i);
			ks__doc_u64(doc, "id", info.id);
			ks__doc_u64(doc, "bytes", info.bytes);
			ks__doc_u64(doc, "runs", info.runs);
			ks__doc_u64(doc, "run_ns", info.run_ns);
			ks__doc_close(doc);
		}
	}
}

static int is_one_of(const char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (!strcmp(*names, name))
			return 1;
	return 0;
}

static int owns(const struct ks__bpf *b, uint32_t probe, const char *map)
{
	if (probe != KS_PROBE_SELF)
		return is_one_of(b->clients[probe].maps, map);
	for (unsigned c = 0; c < KS__BPF_CLIENTS; c++)
		if (is_one_of(b->clients[c].maps, map))
			return 0;
	return 1;
}

static const char *map_kind(const struct ks__map *map)
{
	static const char *const names[] = {
		[BPF_MAP_TYPE_HASH] = "hash",
		[BPF_MAP_TYPE_ARRAY] = "array",
		[BPF_MAP_TYPE_PERF_EVENT_ARRAY] = "perf_event_array",
		[BPF_MAP_TYPE_LRU_HASH] = "lru_hash",
		[BPF_MAP_TYPE_ARRAY_OF_MAPS] = "array_of_maps",
		[BPF_MAP_TYPE_QUEUE] = "queue",
		[BPF_MAP_TYPE_TASK_STORAGE] = "task_storage",
	};

	return map->type < sizeof(names) / sizeof(names[0]) && names[map->type] ? names[map->type] :
										  "?";
}

static void explain_maps(const struct ks__bpf *b, uint32_t probe, struct ks__doc *doc)
{
	ks__doc_array(doc, "maps");
	for (unsigned i = 0; i < b->maps.n; i++) {
		const struct ks__map *map = &b->maps.map[i];

		if (map->fd < 0 || !owns(b, probe, map->name))
			continue;
		ks__doc_object(doc, NULL);
		ks__doc_str(doc, "name", map->name);
		ks__doc_str(doc, "kind", map_kind(map));
		ks__doc_u64(doc, "entries", map->max_entries);
		ks__doc_u64(doc, "bytes", map->bytes);
		ks__doc_close(doc);
	}
	ks__doc_close(doc);
}

void ks__bpf_explain(struct ks__source *s, uint32_t probe, struct ks__doc *doc)
{
	struct ks__bpf *b = ks__bpf_of(s);

	ks__doc_array(doc, "programs");
	if (probe == KS_PROBE_SELF) {
		explain_client(&b->clients[KS__BPF_TREE], doc);
		explain_client(&b->clients[KS__BPF_THREADS], doc);
	} else {
		explain_client(&b->clients[probe], doc);
	}
	ks__doc_close(doc);
	explain_maps(b, probe, doc);
}

/* ---- check and size -------------------------------------------------------------------------- */

void ks__bpf_check(struct ks__source *s, struct ks__doc *doc)
{
	struct ks__bpf *b = ks__bpf_of(s);
	int rc = ks__bpf_setup(b);

	ks__doc_object(doc, "bpf");
	ks__doc_bool(doc, "works", !rc && !b->error);
	ks__doc_str(doc, "reason", rc ? ks_error_name(rc) : b->error ? b->reason : NULL);
	ks__machine_doc(s->ks, doc);
	ks__features_doc(&b->features, doc);
	ks__doc_str(doc, "record_limit",
		    ks__feature(&b->features, KS__FEATURE_ATOMIC_FETCH) ?
			    "kept by each CPU for itself" :
			    "kept over all CPUs");
	ks__doc_close(doc);
}

void ks__bpf_size(struct ks__source *s, uint64_t *ret_kernel, uint64_t *ret_user)
{
	struct ks__bpf *b = ks__bpf_of(s);
	struct ks__stream *stream = atomic_load(&b->stream);
	uint64_t kernel = 0, user = 0;
	uint32_t fds = 0;

	if (stream)
		ks__stream_size(stream, &kernel, &user, &fds);
	*ret_kernel = kernel + atomic_load(&b->map_bytes);
	*ret_user = user + sizeof(*b) + atomic_load(&b->variants_bytes);
}

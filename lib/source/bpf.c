/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf.c - the source that uses kernel programs (eBPF) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../bpf/answer.h"
#include "bpf.h"

/* ---- open and close -------------------------------------------------------------------------- */

static const struct ks__variant tree_variants[] = {
	{ .name = "tp_btf",
	  .progs = { "tree_fork_tp_btf", "tree_exit_tp_btf", "tree_free_tp_btf" } },
	{ .name = "raw_tp",
	  .progs = { "tree_fork_raw_tp", "tree_exit_raw_tp", "tree_free_raw_tp" } },
	{ .name = "tracepoint",
	  .progs = { "tree_fork_tracepoint", "tree_exit_tracepoint", "tree_free_tracepoint" },
	  .initial_pidns = 1 },
	{ .name = NULL },
};

static const struct ks__variant thread_variants[] = {
	{ .name = "tp_btf",
	  .progs = { "thread_new_tp_btf", "thread_free_tp_btf", "thread_rename_tp_btf" } },
	{ .name = "raw_tp",
	  .progs = { "thread_new_raw_tp", "thread_free_raw_tp", "thread_rename_raw_tp" },
	  .by_pointer = 1 },
	{ .name = NULL },
};

static int bpf_open(struct ks *ks, struct ks__source **ret_source)
{
	struct ks__bpf *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->base.ops = &ks__source_bpf;
	b->base.ks = ks;
	b->roles_fd = -1;
	b->control.scope.self = (uint32_t)getpid();
	ks__features_init(&b->features, ks);
	ks__maps_init(&b->maps, &ks->fds);
	ks__threads_init(&b->threads, &ks->fds);
	for (unsigned c = 0; c < KS__BPF_CLIENTS; c++)
		b->clients[c].attached = -1;
	for (const struct ks__probe *const *p = ks__probes; *p; p++) {
		struct ks__bpf_client *c = &b->clients[(*p)->id];

		c->name = (*p)->name;
		c->variants = (*p)->variants;
		c->maps = (*p)->maps;
	}
	b->clients[KS__BPF_TREE].name = "tree";
	b->clients[KS__BPF_TREE].variants = tree_variants;
	b->clients[KS__BPF_THREADS].name = "threads";
	b->clients[KS__BPF_THREADS].variants = thread_variants;
	*ret_source = &b->base;
	return 0;
}

/* Makes the programs do nothing first: a forked child that still lives may hold their links. */
static void bpf_stop(struct ks__source *s)
{
	struct ks__bpf *b = ks__bpf_of(s);
	struct ks__stream *stream = atomic_load(&b->stream);

	for (uint32_t p = 0; p < KS__PROBES_MAX; p++)
		ks__control_live(&b->control, p, 0);
	ks__control_idle(&b->control);
	if (stream)
		ks__stream_publish(stream);
}

static void bpf_close(struct ks__source *s)
{
	struct ks__bpf *b = ks__bpf_of(s);

	bpf_stop(s);
	ks__stream_close(atomic_exchange(&b->stream, NULL), 1);
	ks__bpf_unload(b);
	free(b->roles);
	ks__features_free(&b->features);
	free(b);
}

static void bpf_close_forked(struct ks__source *s)
{
	struct ks__bpf *b = ks__bpf_of(s);

	ks__stream_close(atomic_exchange(&b->stream, NULL), 0);
	ks__bpf_unload(b);
	free(b->roles);
	ks__features_free(&b->features);
	free(b);
}

/* Rings are not mapped in a child. The api layer closes descriptors by its own list of them. */
static void bpf_leave_forked(struct ks__source *s)
{
	struct ks__bpf *b = ks__bpf_of(s);

	ks__threads_leave(&b->threads);
	ks__control_unmap(&b->control);
	ks__tables_unmap(&b->tables);
}

/* ---- settings -------------------------------------------------------------------------------- */

/*
 * The bounds of settings (lib/api/settings.c) keep each value within its word and burst_ns within
 * 2^54.
 */
static void convert(const struct ks__settings *in, struct ks_bpf_settings *out)
{
	memset(out, 0, sizeof(*out));
	out->generation = in->generation;
	if (!(in->flags & KS_ENABLE_NO_EVENTS))
		out->flags |= KS_WANT_EVENTS;
	if (!(in->flags & KS_ENABLE_NO_STATS))
		out->flags |= KS_WANT_STATS;
	if (in->identity & KS_IDENTITY_CGROUP)
		out->flags |= KS_WANT_CGROUP;
	if (in->identity & KS_IDENTITY_COMM)
		out->flags |= KS_WANT_COMM;
	out->sample_every = (uint32_t)in->sample_every;
	if (in->max_per_sec) {
		out->record_ns = 1000000000u / in->max_per_sec;
		out->burst_ns = out->record_ns * in->burst;
	}
	_Static_assert(sizeof(out->param) == sizeof(in->own),
		       "KS__PARAMS_OWN and KS_BPF_PARAMS must be equal");
	memcpy(out->param, in->own, sizeof(out->param));
}

static int bpf_apply(struct ks__source *s, uint32_t probe, const struct ks__settings *set)
{
	struct ks_bpf_settings out;

	convert(set, &out);
	ks__control_apply(&ks__bpf_of(s)->control, probe, &out);
	return 0;
}

static int bpf_admit(struct ks__source *s, int32_t pid)
{
	ks__control_also(&ks__bpf_of(s)->control, (uint32_t)pid);
	return 0;
}

/* ---- prepare, enable, disable ---------------------------------------------------------------- */

static int bpf_prepare(struct ks__source *s, uint32_t mask, const char *variant)
{
	struct ks__bpf *b = ks__bpf_of(s);

	if (b->tree_error)
		return 0;
	ks__bpf_reopen(b, mask | 1u << KS__BPF_THREADS);
	return ks__bpf_prepare(b, mask, variant);
}

static uint64_t valid_of(struct ks__bpf *b, uint32_t probe, int index)
{
	return b->base.ks->slots[probe].probe->valid &
	       ~(b->clients[probe].variants[index].lacks | b->clients[probe].lacks);
}

static int has_rows(const struct ks__bpf *b, uint32_t probe)
{
	return atomic_load(&b->threads.rows[probe].mem) != NULL;
}

/*
 * Keeps rows by thread only while the programs that see threads end are attached. Without them,
 * statistics have a total and the rest row.
 */
static int track_threads(struct ks__bpf *b)
{
	int on = 0, open = 0, rc = 0;

	for (uint32_t p = 0; p < KS__PROBES_MAX; p++) {
		if (b->clients[p].attached < 0 || !has_rows(b, p))
			continue;
		on = 1;
		open |= b->threads.rows[p].n_open != 0;
	}
	if (on)
		rc = ks__bpf_attach(b, KS__BPF_THREADS, NULL);
	on = on && !rc;
	ks__threads_track(&b->threads, on, open);
	if (!on)
		ks__bpf_detach(b, KS__BPF_THREADS);
	return ks__answer_ends(rc) ? rc : 0;
}

/* Returns the link of the task iterator of the attached variant, or -1. */
static int seed_link(const struct ks__bpf_client *c)
{
	const struct ks__bpf_variant *v = c->attached >= 0 ? &c->state[c->attached] : NULL;

	for (unsigned i = 0; v && i < v->n; i++)
		if (ks__hook_is_iter(&v->progs[i].hook))
			return c->links[i];
	return -1;
}

/* Attaches all programs before any of them counts: they begin at one moment. */
static int bpf_enable(struct ks__source *s, uint32_t probe, const char *variant,
		      uint32_t *ret_variant, uint64_t *ret_valid)
{
	struct ks__bpf *b = ks__bpf_of(s);
	int rc = b->tree_error ? -KS_EUNAVAIL : ks__bpf_attach(b, probe, variant);

	if (rc)
		return rc;
	rc = track_threads(b);
	if (rc) {
		ks__bpf_detach(b, probe);
		track_threads(b);
		return rc;
	}
	if (ks__stream_expect(atomic_load(&b->stream), probe))
		ks__consumer_poke(s->ks);
	if (b->threads.rows[probe].n_open) /* a run that goes on writes to rows */
		ks__control_settle(&b->control, probe);
	ks__threads_live(&b->threads, probe, 1);
	ks__control_live(&b->control, probe, 1);
	rc = ks__threads_seed(&b->threads, probe, seed_link(&b->clients[probe]));
	if (rc) {
		s->ops->disable(s, probe);
		return ks__fail(s->ks, rc,
				"%s: cannot read the state of the threads that already run (%s)",
				b->clients[probe].name, ks_error_name(rc));
	}
	*ret_variant = (uint32_t)b->clients[probe].attached;
	*ret_valid = valid_of(b, probe, b->clients[probe].attached);
	return 0;
}

/* Detaching a classic tracepoint or a kprobe is slow: the kernel waits 72 ms for each. */
static void bpf_disable(struct ks__source *s, uint32_t probe)
{
	struct ks__bpf *b = ks__bpf_of(s);

	ks__threads_seed(&b->threads, probe, -1);
	ks__control_live(&b->control, probe, 0);
	ks__bpf_detach(b, probe);
	ks__threads_live(&b->threads, probe, 0);
	track_threads(b);
}

/* ---- queries --------------------------------------------------------------------------------- */

static int bpf_note(struct ks__source *s, uint32_t probe, uint32_t index, struct ks__note *ret)
{
	struct ks__bpf *b = ks__bpf_of(s);
	int rc = ks__bpf_setup(b);

	if (rc)
		return rc;
	if (index >= b->clients[probe].n_variants)
		return -ENOENT;
	*ret = b->clients[probe].state[index].note;
	if (!ret->error && b->tree_error) {
		ret->error = b->tree_error;
		memcpy(ret->reason, b->tree_reason, sizeof(ret->reason));
	}
	return 0;
}

static int bpf_expect(struct ks__source *s, uint32_t probe, uint32_t *ret_variant,
		      uint64_t *ret_valid)
{
	struct ks__bpf *b = ks__bpf_of(s);
	int rc = ks__bpf_setup(b), index;

	if (rc)
		return rc;
	index = b->tree_error ? -1 : ks__bpf_choose(b, probe, NULL);
	if (index < 0)
		return -KS_EUNAVAIL;
	*ret_variant = (uint32_t)index;
	*ret_valid = valid_of(b, probe, index);
	return 0;
}

static int bpf_why(struct ks__source *s, uint32_t probe, uint64_t bit, char *buf, size_t size)
{
	struct ks__bpf *b = ks__bpf_of(s);
	int index = b->clients[probe].attached, rc = ks__bpf_setup(b);
	const struct ks__variant *v;

	if (rc)
		return rc;
	if (index < 0)
		index = ks__bpf_choose(b, probe, NULL);
	if (index < 0 || valid_of(b, probe, index) & bit)
		return 0;
	v = &b->clients[probe].variants[index];
	for (const struct ks__need *n = b->base.ks->slots[probe].probe->needs; n && n->bit; n++)
		if (n->bit & bit & b->clients[probe].lacks) {
			snprintf(buf, size, "%s: %s", v->name, n->why);
			return 1;
		}
	snprintf(buf, size, "%s: %s", v->name,
		 v->lacks & bit && v->lacks_why ? v->lacks_why : "this variant does not know it");
	return 1;
}

/* ---- consumer and readers -------------------------------------------------------------------- */

static int bpf_drain(struct ks__source *s, struct ks__sink *sink, unsigned max)
{
	struct ks__stream *stream =
		atomic_load_explicit(&ks__bpf_of(s)->stream, memory_order_acquire);

	if (!stream) /* published last: before that, a failed load may unmap the maps again */
		return 0;
	ks__threads_tidy(&ks__bpf_of(s)->threads);
	return ks__stream_drain(stream, sink, max);
}

static int bpf_arm(struct ks__source *s, uint64_t *ret_deadline_ns)
{
	struct ks__stream *stream =
		atomic_load_explicit(&ks__bpf_of(s)->stream, memory_order_acquire);

	*ret_deadline_ns = 0;
	return stream ? ks__stream_arm(stream, ret_deadline_ns) : 0;
}

static int bpf_read(struct ks__source *s, uint32_t probe, struct ks__rows *rows, int per_cpu)
{
	ks__table_read(&ks__bpf_of(s)->tables.stats[probe], rows, per_cpu);
	return 0;
}

static int bpf_read_groups(struct ks__source *s, uint32_t probe, struct ks__groups *groups)
{
	struct ks__bpf *b = ks__bpf_of(s);

	ks__threads_tidy(&b->threads);
	return ks__threads_read(&b->threads, probe, groups);
}

const struct ks__source_ops ks__source_bpf = {
	.kind = KS_SOURCE_BPF,
	.open = bpf_open,
	.close = bpf_close,
	.stop = bpf_stop,
	.close_forked = bpf_close_forked,
	.leave_forked = bpf_leave_forked,
	.prepare = bpf_prepare,
	.enable = bpf_enable,
	.disable = bpf_disable,
	.apply = bpf_apply,
	.set_scope = ks__bpf_set_scope,
	.set_role = ks__bpf_set_role,
	.admit = bpf_admit,
	.note = bpf_note,
	.expect = bpf_expect,
	.why = bpf_why,
	.drain = bpf_drain,
	.arm = bpf_arm,
	.read = bpf_read,
	.read_groups = bpf_read_groups,
	.ledger = ks__bpf_ledger,
	.explain = ks__bpf_explain,
	.check = ks__bpf_check,
	.size = ks__bpf_size,
};

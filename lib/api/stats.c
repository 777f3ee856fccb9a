/* SPDX-License-Identifier: BSD-2-Clause */
/* stats.c - readers of statistics */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/groups.h"
#include "../data/rows.h"
#include "api.h"

#define BY_WHOSE (KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE)

/* Groupings made from the rows of threads; a reader has a set of groups for each. */
static const uint16_t groupings[] = { KS_BY_TOTAL, KS_BY_PROCESS, KS_BY_CGROUP, KS_BY_ROLE };

#define GROUPINGS (sizeof(groupings) / sizeof(groupings[0]))

struct ks_reader {
	struct ks__core *core;
	atomic_int busy; /* a read is running: a forked child must not free the reader */
	uint32_t probe, by, flags;
	uint64_t since_ns;         /* when the next delta begins */
	uint64_t valid;            /* `valid` bits of the previous read */
	struct ks__rows now, base; /* blocks as in read_raw(); a delta read swaps them */
	struct ks__groups fine;    /* by process, cgroup and role together, at one moment */
	struct ks__groups groups[GROUPINGS], base_groups[GROUPINGS];
	struct ks_stats_self *self; /* KS_PROBE_SELF: the rows of the previous read */
	struct ks__table table;
	char error[KS_ERROR_MAX]; /* message of the last read that failed */
};

/* ---- raw blocks ------------------------------------------------------------------------------ */

/* If the sum differs from that of the previous read, events were counted: sets last_ns to now. */
static void note_seen(struct ks *ks, uint32_t probe, const struct ks__rows *total)
{
	uint64_t sum = 0;

	for (size_t w = 0; w < total->words; w++)
		sum += total->raw[w];
	if (atomic_exchange_explicit(&ks->slots[probe].seen, sum, memory_order_relaxed) != sum)
		atomic_store_explicit(&ks->last_ns[probe], ks__now(), memory_order_relaxed);
}

/*
 * Reads raw blocks. Block 0 is the total, blocks 1 to n_cpus are the CPUs, the last one holds
 * counts without a CPU (files). The total is the sum of the other blocks of the same read, so that
 * rows add up exactly. A reader without KS_BY_CPU has block 0 only.
 */
static int read_raw(struct ks *ks, uint32_t probe, struct ks__rows *into)
{
	unsigned was_on = atomic_load(&ks->slots[probe].was_on);
	const int total = into->n_rows == 1;

	memset(into->raw, 0, into->n_rows * into->words * sizeof(*into->raw));
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++) {
		struct ks__source *s = ks->sources[i];
		int files = s->ops->kind == KS_SOURCE_FILES;
		struct ks__rows part = *into;
		int rc;

		if (!(was_on & 1u << i))
			continue;
		if (!total) {
			part.raw += (files ? into->n_rows - 1 : 1) * into->words;
			part.n_rows = files ? 1 : into->n_rows - 2;
		}
		rc = s->ops->read(s, probe, &part, !files && !total);
		if (rc)
			return rc;
	}
	for (size_t row = 1; row < into->n_rows && !total; row++)
		for (size_t w = 0; w < into->words; w++)
			into->raw[w] += into->raw[row * into->words + w];
	note_seen(ks, probe, into);
	return 0;
}

static struct ks__rows slice(const struct ks__rows *rows, size_t first, size_t n)
{
	struct ks__rows part = *rows;

	part.raw += first * rows->words;
	part.n_rows = n;
	return part;
}

static int used(const struct ks__rows *rows, size_t row)
{
	for (size_t w = 0; w < rows->words; w++)
		if (rows->raw[row * rows->words + w])
			return 1;
	return 0;
}

static int build(struct ks_reader *r, uint64_t valid)
{
	int delta = r->flags & KS_READ_DELTA, rc = 0;
	size_t n = r->now.n_rows;
	struct ks__rows now, base;

	r->table.n_rows = r->table.n_buckets = 0;
	if (r->by & KS_BY_TOTAL) {
		now = slice(&r->now, 0, 1), base = slice(&r->base, 0, 1);
		rc = ks__table_add(&r->table, &now, delta ? &base : NULL, KS_BY_TOTAL, valid);
	}
	if (!rc && r->by & KS_BY_CPU) {
		/* show the block without a CPU only if it is not empty */
		size_t n_rows = used(&r->now, n - 1) ? n - 1 : n - 2;

		now = slice(&r->now, 1, n_rows), base = slice(&r->base, 1, n_rows);
		rc = ks__table_add(&r->table, &now, delta ? &base : NULL, KS_BY_CPU, valid);
		if (!rc && n_rows == n - 1) {
			struct ks_row *last =
				(void *)(r->table.rows + (r->table.n_rows - 1) * r->table.row_size);

			last->key = KS_NO_CPU;
		}
	}
	return rc;
}

/* ---- by process, cgroup or role -------------------------------------------------------------- */

/*
 * Fails if only fallbacks have counted: they cannot tell processes, cgroups and roles apart, so all
 * counts would be in the rest row, which the host could mistake for a result.
 */
static int refuse_whose(struct ks *ks, uint32_t probe)
{
	const struct ks__slot *slot = &ks->slots[probe];
	unsigned was_on = atomic_load(&slot->was_on);

	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++)
		if (was_on & 1u << i && ks->sources[i]->ops->read_groups)
			was_on = 0;
	if (!was_on)
		return 0;
	return ks__fail(ks, -KS_EUNAVAIL,
			"%s: its fallback %s cannot count by process, cgroup or role: read the "
			"total, or see ks_query_probe() for why no kernel program serves it",
			slot->probe->name, slot->probe->fallback->name);
}

/* Reads all sources in one pass, so that the rows of every grouping add up to the same total. */
static int read_fine(struct ks *ks, uint32_t probe, struct ks__groups *fine)
{
	unsigned was_on = atomic_load(&ks->slots[probe].was_on);
	const struct ks__struct *desc = ks->slots[probe].probe->stats;
	int rc = 0;

	ks__groups_empty(fine);
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i] && !rc; i++) {
		struct ks__source *s = ks->sources[i];
		struct ks__rows rows;

		if (!(was_on & 1u << i))
			continue;
		if (s->ops->read_groups) {
			rc = s->ops->read_groups(s, probe, fine);
			continue;
		}
		rc = ks__rows_init(&rows, desc, 1);
		if (!rc)
			rc = s->ops->read(s, probe, &rows, 0);
		if (!rc)
			rc = ks__groups_add_rest(fine, &rows);
		ks__rows_free(&rows);
	}
	return rc;
}

static int read_groups(struct ks_reader *r, struct ks *ks, struct ks__groups *groups)
{
	int rc = read_fine(ks, r->probe, &r->fine);

	for (unsigned i = 0; i < GROUPINGS && !rc; i++) {
		ks__groups_empty(&groups[i]);
		if (r->by & groupings[i])
			rc = ks__groups_fold(&groups[i], &r->fine, groupings[i]);
	}
	return rc;
}

/* Fills in the names of cgroups and roles. */
static void name_rows(struct ks *ks, struct ks__table *table, uint32_t by)
{
	struct ks__cgroups *cgroups = by & KS_BY_CGROUP ? ks__cgroups_of(ks, NULL) : NULL;
	uint64_t now = ks__now();

	for (size_t i = 0; i < table->n_rows; i++) {
		struct ks_row *row = (void *)(table->rows + i * table->row_size);

		if (row->by == KS_BY_ROLE && row->key)
			ks__role_name(ks, (uint32_t)row->key, row->name, sizeof(row->name));
		else if (row->by == KS_BY_CGROUP && row->key && cgroups)
			ks__cgroup_name(cgroups, row->key, now, row->name);
	}
}

static int build_groups(struct ks_reader *r, struct ks *ks, uint64_t valid)
{
	const struct ks__probe *probe = ks->slots[r->probe].probe;
	int delta = r->flags & KS_READ_DELTA, rc = 0;

	r->table.n_rows = r->table.n_buckets = 0;
	for (unsigned i = 0; i < GROUPINGS && !rc; i++)
		if (r->by & groupings[i])
			rc = ks__table_add_groups(&r->table, probe->stats, &r->groups[i],
						  delta ? &r->base_groups[i] : NULL, groupings[i],
						  valid & ~probe->buckets);
	if (!rc)
		name_rows(ks, &r->table, r->by);
	return rc;
}

/*
 * Only the rows of threads include intervals that have not ended yet. Takes the sums of the total
 * from there, all of one moment. Rows by CPU leave open intervals out.
 */
static int add_open(struct ks_reader *r, struct ks *ks, struct ks__rows *now)
{
	const struct ks__probe *probe = ks->slots[r->probe].probe;
	const uint64_t *total;
	int rc;

	if (!probe->open || r->by & KS_BY_CPU)
		return 0;
	rc = read_fine(ks, r->probe, &r->fine);
	ks__groups_empty(&r->groups[0]);
	if (!rc)
		rc = ks__groups_fold(&r->groups[0], &r->fine, KS_BY_TOTAL);
	total = rc ? NULL : ks__groups_find(&r->groups[0], &(struct ks__whose){ 0 });
	for (unsigned i = 0; total && probe->open[i]; i++) {
		int from = ks__groups_sum_word(probe->stats, probe->open[i]);
		int to = ks__rows_word(probe->stats, probe->open[i]);

		now->raw[to] = total[from];
	}
	return rc;
}

static int read_whose(struct ks_reader *r, struct ks *ks, uint64_t valid)
{
	int rc = read_groups(r, ks, r->groups);

	if (!rc)
		rc = build_groups(r, ks, valid);
	for (unsigned i = 0; i < GROUPINGS && !rc && r->flags & KS_READ_DELTA; i++) {
		struct ks__groups swap = r->base_groups[i];

		r->base_groups[i] = r->groups[i];
		r->groups[i] = swap;
	}
	return rc;
}

static int read_cpus(struct ks_reader *r, struct ks *ks, uint64_t valid)
{
	struct ks__rows swap;
	int rc = read_raw(ks, r->probe, &r->now);

	if (!rc)
		rc = add_open(r, ks, &r->now);
	if (!rc)
		rc = build(r, valid);
	if (rc || !(r->flags & KS_READ_DELTA))
		return rc;
	swap = r->base;
	r->base = r->now;
	r->now = swap;
	return 0;
}

static int read_table(struct ks_reader *r, struct ks *ks)
{
	struct ks__slot *slot = &ks->slots[r->probe];
	int delta = r->flags & KS_READ_DELTA, rc;
	uint64_t valid = atomic_load(&slot->valid);
	uint64_t shown = delta ? valid & r->valid : atomic_load(&slot->valid_ever);

	if (r->by & BY_WHOSE)
		rc = refuse_whose(ks, r->probe);
	else
		rc = 0;
	if (!rc)
		rc = r->by & BY_WHOSE ? read_whose(r, ks, shown) : read_cpus(r, ks, shown);
	if (!rc && delta)
		r->valid = valid;
	return rc;
}

static int read_self(struct ks_reader *r, struct ks *ks)
{
	struct ks_stats_self *base = r->flags & KS_READ_DELTA ? r->self : NULL;

	return ks__self_table(ks, r->by, base, &r->table);
}

/* ---- public ---------------------------------------------------------------------------------- */

void ks_reader_free(struct ks_reader *reader)
{
	if (!reader || (atomic_load(&reader->busy) && ks__forked(reader->core)))
		return;
	ks__rows_free(&reader->now);
	ks__rows_free(&reader->base);
	ks__groups_free(&reader->fine);
	for (unsigned i = 0; i < GROUPINGS; i++) {
		ks__groups_free(&reader->groups[i]);
		ks__groups_free(&reader->base_groups[i]);
	}
	ks__table_free(&reader->table);
	free(reader->self);
	ks__core_unref(reader->core);
	free(reader);
}

static int reader_init(struct ks_reader *r, struct ks *ks)
{
	const struct ks__probe *probe = ks->slots[r->probe].probe;
	size_t blocks;
	int rc;

	if (r->probe == KS_PROBE_SELF) {
		r->self = calloc(ks__self_rows(), sizeof(*r->self));
		if (!r->self)
			return -ENOMEM;
		ks__self_read(ks, 0, r->self);
		return 0;
	}
	ks__groups_init(&r->fine, ks__groups_words(probe->stats));
	for (unsigned i = 0; i < GROUPINGS; i++) {
		ks__groups_init(&r->groups[i], r->fine.words);
		ks__groups_init(&r->base_groups[i], r->fine.words);
	}
	if (r->by & BY_WHOSE) {
		rc = refuse_whose(ks, r->probe);
		return rc || !(r->flags & KS_READ_DELTA) ? rc : read_groups(r, ks, r->base_groups);
	}
	blocks = r->by & KS_BY_CPU ? ks->n_cpus + 2 : 1;
	rc = ks__rows_init(&r->now, probe->stats, blocks);
	if (!rc)
		rc = ks__rows_init(&r->base, probe->stats, blocks);
	if (!rc && r->flags & KS_READ_DELTA)
		rc = read_raw(ks, r->probe, &r->base);
	if (!rc && r->flags & KS_READ_DELTA)
		rc = add_open(r, ks, &r->base);
	return rc;
}

/* Which of these the probe has no rows by, and which it has: by name. */
static void say_by(const struct ks__probe *probe, uint32_t wrong, char *text, size_t size)
{
	static const char *const names[] = { "total", "CPU", "process", "cgroup", "role", "probe" };
	const uint32_t sets[] = { wrong, probe->by };
	size_t n = 0;

	for (unsigned set = 0; set < 2; set++) {
		const char *before = set ? "; it has rows by " : "";

		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) && n < size; i++)
			if (sets[set] >> i & 1) {
				n += (size_t)snprintf(text + n, size - n, "%s%s", before, names[i]);
				before = ", ";
			}
		if (!set && wrong >> (sizeof(names) / sizeof(names[0])) && n < size)
			n += (size_t)snprintf(text + n, size - n,
					      "%sbits that this library does not know", before);
	}
}

static int check_by(struct ks *ks, const struct ks__probe *probe, const struct ks_reader_opts *o)
{
	char text[160] = "";

	if (o->by & ~probe->by) {
		say_by(probe, o->by & ~probe->by, text, sizeof(text));
		return ks__fail(ks, -EINVAL, "%s has no rows by %s", probe->name, text);
	}
	if (o->flags & ~(uint32_t)KS_READ_DELTA || o->reserved)
		return ks__fail(ks, -EINVAL,
				"ks_reader_opts: flags may be KS_READ_DELTA, reserved must be 0");
	return 0;
}

int ks_reader_new(struct ks *ks, uint32_t probe, const struct ks_reader_opts *opts,
		  struct ks_reader **ret_reader)
{
	KS__ENTER(ks);
	KS__UNCANCELLED;
	struct ks_reader_opts o = { 0 };
	struct ks__slot *slot = ks__slot(ks, probe);
	struct ks_reader *r;
	int rc = 0;

	if (!slot || !ret_reader)
		return ks__end(ks, begun, -EINVAL);
	if (opts)
		rc = ks__opts_in(&o, sizeof(o), opts);
	if (rc)
		return ks__fail(ks, rc,
				"ks_reader_opts: size %zu must be 8 or more, bytes after %zu 0",
				opts->size, sizeof(o));
	if (o.by & KS_BY_CPU && o.by & BY_WHOSE)
		return ks__fail(ks, -EINVAL,
				"rows by CPU cannot be read together with rows by process, cgroup "
				"or role: create a reader for each");
	rc = check_by(ks, slot->probe, &o);
	if (rc)
		return rc;
	r = calloc(1, sizeof(*r));
	if (!r)
		return ks__end(ks, begun, -ENOMEM);
	r->core = ks->core;
	atomic_fetch_add(&r->core->refs, 1);
	r->probe = probe;
	r->by = o.by ? o.by : KS_BY_TOTAL;
	r->flags = o.flags;
	r->since_ns = ks__now();
	r->valid = atomic_load(&slot->since_ns) ? atomic_load(&slot->valid) : slot->probe->valid;
	rc = reader_init(r, ks);
	if (rc)
		ks_reader_free(r);
	else
		*ret_reader = r;
	return ks__end(ks, begun, rc);
}

/* Copies the message into the reader, where any thread can read it, even after ks_close(). */
static int keep_error(struct ks_reader *r, struct ks *ks, uint32_t begun, int rc)
{
	if (ks) {
		ks__errors_end(&ks->errors, begun, rc, "ks_read_stats");
		ks__errors_last(&ks->errors, r->error, sizeof(r->error));
	} else {
		ks__errors_print(r->error, sizeof(r->error), "ks_read_stats: %s (%s)",
				 ks_strerror(rc), ks_error_name(rc));
	}
	return rc;
}

int ks_reader_error(struct ks_reader *reader, char *buf, size_t size)
{
	if (!reader || (!buf && size))
		return -EINVAL;
	return snprintf(buf, size, "%s", reader->error);
}

static int read_now(struct ks_reader *reader, struct ks_stats *ret_stats)
{
	struct ks_stats s = { .size = sizeof(s) };
	struct ks *ks = reader->core->ks;
	struct ks__slot *slot = &ks->slots[reader->probe];
	struct ks__source *source;
	int rc;

	if (reader->probe != KS_PROBE_SELF && !atomic_load(&slot->since_ns))
		return ks__fail(ks, -KS_EOFF, "%s was never enabled", slot->probe->name);
	rc = reader->probe == KS_PROBE_SELF ? read_self(reader, ks) : read_table(reader, ks);
	if (rc)
		return rc;
	s.time_ns = ks__now();
	s.since_ns = reader->flags & KS_READ_DELTA ? reader->since_ns :
						     atomic_load(&slot->since_ns);
	reader->since_ns = s.time_ns;
	s.rows = reader->table.rows;
	s.n_rows = reader->table.n_rows;
	s.row_size = reader->table.row_size;
	s.buckets = reader->table.buckets;
	s.n_buckets = reader->table.n_buckets;
	s.id = slot->probe->stats->id;
	source = atomic_load(&slot->source);
	s.source = source ? source->ops->kind : KS_SOURCE_NONE;
	return ks__opts_out(ret_stats, &s, sizeof(s));
}

int ks_read_stats(struct ks_reader *reader, struct ks_stats *ret_stats)
{
	KS__UNCANCELLED;
	struct ks__core *core;
	uint32_t begun;
	int rc, saved = errno;

	if (!reader)
		return -EINVAL;
	if (ks__forked(reader->core))
		return keep_error(reader, NULL, 0, -KS_EFORKED);
	core = ks__hold(reader->core);
	if (!core)
		return keep_error(reader, NULL, 0, -KS_ECLOSED);
	atomic_store(&reader->busy, 1);
	begun = ks__errors_begin(&core->ks->errors);
	if (!ret_stats || ret_stats->size < sizeof(ret_stats->size))
		rc = -EINVAL; /* before read_now() moves the base of the delta */
	else
		rc = read_now(reader, ret_stats);
	if (rc)
		keep_error(reader, core->ks, begun, rc);
	atomic_store(&reader->busy, 0);
	ks__let_go(core);
	errno = saved;
	return rc;
}

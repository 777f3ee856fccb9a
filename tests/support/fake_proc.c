/* SPDX-License-Identifier: BSD-2-Clause */
/* fake_proc.c - see fake_proc.h */
#include "fake_proc.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../../bpf/shared.h"
#include "api/api.h"
#include "ks_test.h"

/* ---- a /proc --------------------------------------------------------------------------------- */

char *bed_path(struct bed *bed, int pid, const char *file)
{
	return g_strdup_printf("%s/%d%s%s", bed->dir, pid, file ? "/" : "", file ? file : "");
}

void bed_write(struct bed *bed, int pid, const char *file, const char *text)
{
	char *path = bed_path(bed, pid, file);
	FILE *f = fopen(path, "we");

	g_assert_nonnull(f);
	g_assert_cmpint(fputs(text, f), >=, 0);
	g_assert_cmpint(fclose(f), ==, 0);
	g_free(path);
}

void bed_link_exe(struct bed *bed, int pid, const char *target)
{
	char *path = bed_path(bed, pid, "exe");

	unlink(path);
	g_assert_cmpint(symlink(target, path), ==, 0);
	g_free(path);
}

void show_as(struct bed *bed, int pid, int ppid, const char *comm, unsigned long long ticks,
	     unsigned long long stack, unsigned flags, char state, int threads)
{
	char *dir = bed_path(bed, pid, NULL);
	char *text = g_strdup_printf(
		"%d (%s) %c %d 7 %d 0 -1 %u 0 0 0 0 0 0 0 0 20 0 %d 0 %llu 0 0 0 %llu 0 %llu 0\n",
		pid, comm, state, ppid, pid / 10, flags | (state == 'Z' ? EXITING : 0), threads,
		ticks, stack == IN_EXEC || state == 'Z' ? 0 : stack + 1,
		stack == IN_EXEC ? 0 : stack);

	g_mkdir_with_parents(dir, 0700);
	bed_write(bed, pid, "stat", text);
	g_free(text);
	g_free(dir);
}

void show(struct bed *bed, int pid, int ppid, const char *comm, unsigned long long ticks,
	  unsigned long long stack, unsigned flags)
{
	show_as(bed, pid, ppid, comm, ticks, stack, flags, 'S', 1);
}

void show_children(struct bed *bed, int first, int n)
{
	int i;

	for (i = 0; i < n; i++)
		show(bed, first + i, 100, "a", 60, 11, FORKNOEXEC);
}

void vanish(struct bed *bed, int pid)
{
	static const char *const files[] = { "stat", "status", "exe", "cgroup" };
	char *path;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(files); i++) {
		path = bed_path(bed, pid, files[i]);
		if (rmdir(path))
			unlink(path);
		g_free(path);
	}
	path = bed_path(bed, pid, NULL);
	g_assert_cmpint(rmdir(path), ==, 0);
	g_free(path);
}

/* ---- the source over it ---------------------------------------------------------------------- */

struct bed *bed_new(uint64_t ring_bytes)
{
	struct bed *bed = g_new0(struct bed, 1);
	struct ks_open_opts opts = { .size = sizeof(opts), .ring_bytes = ring_bytes };
	char *self;
	unsigned i;

	bed->dir = g_dir_make_tmp("ks-scan-XXXXXX", NULL);
	show(bed, 1, 0, "init", 1, 9, 0);
	show(bed, 100, 1, "host", 50, 9, 0);
	self = g_build_filename(bed->dir, "self", NULL);
	g_assert_cmpint(symlink("100", self), ==, 0);
	g_free(self);

	opts.proc_path = bed->dir;
	ks_assert_rc(ks_open(&opts, &bed->ks), 0);
	for (i = 0; bed->ks->sources[i]; i++)
		if (bed->ks->sources[i]->ops->kind == KS_SOURCE_FILES)
			bed->s = bed->ks->sources[i];
	g_assert_nonnull(bed->s);
	bed->set = (struct ks__settings){
		.generation = 3,
		.sample_every = 1,
		.identity = KS_IDENTITY_COMM,
		.interval_ms = 3600000,
	};
	ks_assert_rc(ks__rows_init(&bed->rows, bed->ks->slots[KS_PROBE_PROC].probe->stats, 1), 0);
	return bed;
}

void bed_apply(struct bed *bed)
{
	ks_assert_rc(bed->s->ops->apply(bed->s, KS_PROBE_PROC, &bed->set), 0);
}

void bed_enable(struct bed *bed)
{
	uint32_t variant = 99;
	uint64_t valid = 0;

	bed_apply(bed);
	ks_assert_rc(bed->s->ops->enable(bed->s, KS_PROBE_PROC, "procfs", &variant, &valid), 0);
	g_assert_cmpuint(valid, ==,
			 KS_HAS_PROC_PARENT | KS_HAS_PROC_START | KS_HAS_PROC_PATH |
				 KS_HAS_PROC_UID | KS_HAS_PROC_SESSION);
	g_assert_cmpstr(bed->ks->slots[KS_PROBE_PROC].probe->variants[variant - 1].name, !=, NULL);
	g_assert_null(bed->ks->slots[KS_PROBE_PROC].probe->variants[variant].name);
}

struct bed *bed_on(void)
{
	struct bed *bed = bed_new(0);
	struct ks__scope all = { .kind = KS_SCOPE_SYSTEM };

	ks_assert_rc(bed_set_scope(bed, &all), 0);
	bed_enable(bed);
	return bed;
}

static int by_number(const void *a, const void *b)
{
	const int32_t *p = a, *q = b;

	return (*p > *q) - (*p < *q);
}

int bed_set_scope(struct bed *bed, const struct ks__scope *scope)
{
	struct ks__scope next = *scope;
	int rc;

	next.foreign = 1; /* kill() knows nothing of these pids */
	next.pids = g_memdup2(scope->pids, scope->n_pids * sizeof(*scope->pids));
	next.starts = g_new0(uint64_t, scope->n_pids);
	if (next.n_pids)
		qsort(next.pids, next.n_pids, sizeof(*next.pids), by_number);
	for (uint32_t i = 0; i < next.n_pids; i++)
		ks_assert_rc(ks__scope_start(bed->ks, &next, next.pids[i], 1, &next.starts[i]), 0);
	rc = bed->s->ops->set_scope(bed->s, &next);
	ks__scope_free(rc ? &next : &bed->ks->scope);
	if (!rc)
		bed->ks->scope = next;
	return rc;
}

void bed_scope(struct bed *bed, uint32_t kind, int32_t a, int32_t b)
{
	int32_t pids[] = { a, b };
	struct ks__scope scope = { .kind = kind, .n_pids = (a != 0) + (b != 0), .pids = pids };

	ks_assert_rc(bed_set_scope(bed, &scope), 0);
}

int bed_look(struct bed *bed)
{
	memset(bed->rows.raw, 0, bed->rows.words * sizeof(*bed->rows.raw));
	return bed->s->ops->read(bed->s, KS_PROBE_PROC, &bed->rows, 0);
}

uint64_t bed_count(struct bed *bed, const char *field)
{
	return bed->rows.raw[ks__rows_word(bed->rows.desc, field)];
}

struct ks__ledger bed_ledger(struct bed *bed)
{
	struct ks__ledger b;
	char why[256] = "";

	ks_assert_rc(bed->s->ops->ledger(bed->s, KS_PROBE_PROC, 1, &b), 0);
	g_assert_cmpint(ks__ledger_check("proc", &b, 0, why, sizeof(why)), ==, 0);
	return b;
}

void bed_outcomes(struct bed *bed, uint64_t filtered, uint64_t aggregated, uint64_t submitted)
{
	struct ks__ledger b = bed_ledger(bed);

	g_assert_cmpuint(b.outcome[KS_FILTERED], ==, filtered);
	g_assert_cmpuint(b.outcome[KS_AGGREGATED], ==, aggregated);
	g_assert_cmpuint(b.outcome[KS_SUBMITTED], ==, submitted);
	g_assert_cmpuint(ks__ledger_fired(&b), ==, filtered + aggregated + submitted);
}

/* Every record has been read, so the ledger has none in flight. */
void bed_free(struct bed *bed)
{
	char *self = g_build_filename(bed->dir, "self", NULL);
	const char *name;
	GDir *dir;

	g_assert_cmpuint(bed_ledger(bed).in_flight, ==, 0);
	ks__rows_free(&bed->rows);
	ks_close(bed->ks);
	unlink(self);
	dir = g_dir_open(bed->dir, 0, NULL);
	while ((name = g_dir_read_name(dir)))
		vanish(bed, atoi(name));
	g_dir_close(dir);
	g_assert_cmpint(rmdir(bed->dir), ==, 0);
	g_free(self);
	g_free(bed->dir);
	g_free(bed);
}

/* ---- records as text ------------------------------------------------------------------------- */

struct text {
	GString *lines;
	unsigned room; /* stop after this many records */
};

static void put_proc(GString *lines, const struct ks_event *ev)
{
	const struct ks_event_proc_fork *fork = (const void *)ev;
	const struct ks_event_proc_exec *exec = (const void *)ev;
	const struct ks_event_proc_exit *exit = (const void *)ev;
	const uint64_t always = KS_HAS_PROC_START;
	const uint64_t perhaps = KS_HAS_PROC_PATH | KS_HAS_PROC_UID | KS_HAS_PROC_PARENT |
				 KS_HAS_PROC_SESSION;

	switch (ev->id) {
	case KS_EVENT_PROC_FORK:
		g_assert_cmpuint(ev->size, ==, sizeof(*fork));
		g_assert_cmpuint(fork->valid, ==, KS_HAS_PROC_START);
		g_assert_cmpint(fork->child_tid, ==, fork->child_pid);
		g_assert_cmpuint(fork->thread, ==, 0);
		g_string_append_printf(lines, "fork %d %s > %d\n", ev->pid, ev->comm,
				       fork->child_pid);
		break;
	case KS_EVENT_PROC_EXEC:
		g_assert_cmpuint(ev->size, ==, sizeof(*exec));
		g_assert_cmpuint(exec->valid & ~perhaps, ==, always);
		g_assert_cmpint(exec->old_tid, ==, 0);
		g_string_append_printf(lines, "exec %d %s of %d in %d by %d %s\n", ev->pid,
				       ev->comm, exec->ppid, exec->session,
				       exec->valid & KS_HAS_PROC_UID ? (int)exec->uid : -1,
				       exec->valid & KS_HAS_PROC_PATH ? exec->path : "?");
		break;
	case KS_EVENT_PROC_EXIT:
		g_assert_cmpuint(ev->size, ==, sizeof(*exit));
		g_assert_cmpuint(exit->valid & ~perhaps, ==, always);
		g_string_append_printf(lines, "exit %d %s of %d in %d\n", ev->pid, ev->comm,
				       exit->ppid, exit->session);
		break;
	default:
		g_assert_not_reached();
	}
}

static int put_text(const struct ks_event *ev, void *user)
{
	struct text *text = user;
	const struct ks_event_lost *lost = (const void *)ev;

	g_assert_cmpuint(ev->flags, ==, KS_FLAG_FALLBACK);
	g_assert_cmpuint(ev->cpu, ==, KS_NO_CPU);
	g_assert_cmpuint(ev->cgroup, ==, 0);
	g_assert_cmpuint((uintptr_t)ev % 8, ==, 0);
	if (ev->id == KS_EVENT_LOST) {
		g_assert_cmpuint(ev->size, ==, sizeof(*lost));
		g_assert_cmpuint(lost->from_ns, <=, lost->to_ns);
		g_string_append_printf(text->lines, "lost %d for %u of %d\n", (int)lost->lost,
				       lost->reason, (int)lost->probe);
	} else {
		g_assert_cmpint(ev->tid, ==, ev->pid);
		g_assert_cmpuint(ev->generation, ==, 3);
		put_proc(text->lines, ev);
	}
	return --text->room ? 0 : -1;
}

struct ks__sink bed_sink(struct bed *bed, ks_event_fn fn, void *user)
{
	return (struct ks__sink){ .fn = fn,
				  .user = user,
				  .alive = &bed->ks->core->wiped->alive,
				  .last_ns = bed->ks->last_ns };
}

unsigned bed_drain(struct bed *bed, unsigned max, const char *want)
{
	struct text text = { g_string_new(""), max };
	struct ks__sink sink = bed_sink(bed, put_text, &text);
	int n = bed->s->ops->drain(bed->s, &sink, max);

	g_assert_cmpint(n, >=, 0);
	g_assert_cmpstr(text.lines->str, ==, want);
	g_string_free(text.lines, TRUE);
	return (unsigned)n;
}

void bed_found(struct bed *bed, const char *want)
{
	ks_assert_rc(bed_look(bed), 0);
	bed_drain(bed, 1000, want);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `pagecache` counts pages exactly: requested, missed, read in, written and evicted, in
 * a number of phases whose pages are known and for the thread that did it; and that its records
 * name the reads that missed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <kernelsight/identity.h>

#include "pagecache_phases.h"
#include "support/counters.h"
#include "support/harness.h"
#include "support/ks_test.h"

/* ---- the file -------------------------------------------------------------------------------- */

struct file {
	char path[256];
	int fd;
};

/* One phase of a case. */
struct part {
	struct kt *t;
	struct file *f;
	uint32_t phase;
};

static unsigned cached(int fd, int from, int pages)
{
	void *at = mmap(NULL, (size_t)pages * PAGE, PROT_NONE, MAP_SHARED, fd, (off_t)from * PAGE);
	unsigned char in[N];
	unsigned n = 0;

	g_assert_true(at != MAP_FAILED);
	g_assert_cmpint(mincore(at, (size_t)pages * PAGE, in), ==, 0);
	munmap(at, (size_t)pages * PAGE);
	for (int i = 0; i < pages; i++)
		n += in[i] & 1;
	return n;
}

/* Returns 0 if the test was skipped because the folder for temporary files is in memory. */
static int file_open(struct file *f)
{
	int probe = work_file();

	if (probe < 0) {
		g_test_skip("the folder for temporary files is in memory: no page cache");
		return 1;
	}
	close(probe);
	mlockall(MCL_CURRENT); /* else our own code might leave memory and be read in again */
	g_snprintf(f->path, sizeof(f->path), "%s/ks-pagecache-XXXXXX", g_get_tmp_dir());
	f->fd = g_mkstemp_full(f->path, O_RDWR | O_CLOEXEC, 0600);
	g_assert_cmpint(f->fd, >=, 0);
	return 0;
}

static void file_close(struct file *f)
{
	close(f->fd);
	unlink(f->path);
}

static char *set_once(void *user)
{
	const struct part *part = user;
	int fd = part->f->fd;

	g_assert_cmpint(ftruncate(fd, 0), ==, 0);
	g_assert_cmpint(write_all(fd), ==, 0);
	g_assert_cmpint(fsync(fd), ==, 0);
	g_assert_cmpint(drop(fd), ==, 0);
	g_assert_cmpint(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), ==, 0);
	if (phases[part->phase].state == COLD)
		return ks_test_outside("number of pages in memory", cached(fd, 0, N), 0, 0);
	g_assert_cmpint(read_all(fd), ==, 0);
	return ks_test_outside("number of pages in memory", cached(fd, 0, N), N, N);
}

/*
 * Puts the file on disk in the wanted state. The machine may take pages away, or use them, at any
 * time.
 */
static void file_set(struct part *part)
{
	if (phases[part->phase].state == NEW)
		g_assert_cmpint(ftruncate(part->f->fd, 0), ==, 0);
	else
		ks_test_rounds(set_once, part);
}

/* These pages stay in memory until they are unlocked. */
static void *lock_pages(int fd)
{
	void *at = mmap(NULL, N * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	g_assert_true(at != MAP_FAILED);
	g_assert_cmpint(mlock(at, N * PAGE), ==, 0);
	return at;
}

/* ---- counted --------------------------------------------------------------------------------- */

static uint64_t known(const struct ks_stats_pagecache *row, uint64_t bit, uint64_t value)
{
	return row->row.valid & bit ? value : 0;
}

/*
 * The workload's own code is in memory, but mapped only when it first runs. It is larger with
 * AddressSanitizer.
 */
#define OWN_FAULTS 64
#define OWN_PAGES 2048

static char *not_mapped_as_planned(const struct phase *p, uint64_t faults, uint64_t pages)
{
	char *wrong = ks_test_outside("mapped_faults", faults, p->faults,
				      p->around ? OWN_FAULTS : UINT64_MAX);

	if (!wrong)
		wrong = ks_test_outside("mapped_pages", pages, p->around,
					p->around ? p->around + OWN_PAGES : UINT64_MAX);
	return wrong ? wrong : ks_test_outside("mapped", faults + pages, p->mapped, UINT64_MAX);
}

/* Returns what differs from the expected counts, among those that are known, or NULL. */
static char *not_as_planned(const struct phase *p, const struct ks_stats_pagecache *before,
			    const struct ks_stats_pagecache *row)
{
	int exact = !!(row->row.valid & KS_HAS_PAGECACHE_EXACT);
	uint64_t beyond = exact ? 0 : p->beyond, perhaps = exact ? 0 : p->beyond_missed;
	const struct {
		const char *name;
		uint64_t bit, is, want, more;
	} members[] = {
		{ "requested", KS_HAS_PAGECACHE_REQUESTS,
		  row->requested_pages - before->requested_pages, p->requested + beyond,
		  row->row.valid & KS_HAS_PAGECACHE_MISSES ? 0 : p->again },
		{ "missed", KS_HAS_PAGECACHE_MISSES, row->missed_pages - before->missed_pages,
		  p->missed, perhaps },
		{ "readin", KS_HAS_PAGECACHE_READIN, row->readin_pages - before->readin_pages,
		  p->readin, 0 },
		{ "written", KS_HAS_PAGECACHE_WRITES, row->write_pages - before->write_pages,
		  p->written, 0 },
		{ "evicted", KS_HAS_PAGECACHE_EVICTED, row->evicted_pages - before->evicted_pages,
		  p->evicted, 0 },
	};
	char *wrong = NULL;

	for (unsigned i = 0; !wrong && i < G_N_ELEMENTS(members); i++) {
		uint64_t want = known(row, members[i].bit, members[i].want);

		if (p->in_pieces && !(row->row.valid & KS_HAS_PAGECACHE_MISSES) &&
		    members[i].is < members[i].want)
			continue;
		if (p->alike && !(row->row.valid & KS_HAS_PAGECACHE_PIECES) &&
		    members[i].is < members[i].want)
			continue;
		wrong = ks_test_outside(members[i].name, members[i].is, want,
					want + known(row, members[i].bit, members[i].more));
	}
	if (!wrong && row->row.valid & KS_HAS_PAGECACHE_MAPPED)
		wrong = not_mapped_as_planned(p, row->mapped_faults - before->mapped_faults,
					      row->mapped_pages - before->mapped_pages);
	return wrong;
}

/*
 * No record is wanted and no pair is left: each run is filtered, counts, stores a miss, or is lost.
 */
static void is_balanced(struct kt *t, const struct ks_stats_self *before)
{
	struct ks_stats_self now;

	kt_ledger(t, &now);
	g_assert_cmpuint(now.fired - before->fired, ==,
			 now.filtered - before->filtered + now.aggregated - before->aggregated +
				 now.opened - before->opened + now.lost_ring - before->lost_ring +
				 now.lost_locked - before->lost_locked + now.lost_map -
				 before->lost_map);
}

/*
 * Runs once: the machine may take away pages of the file, or of a program, which then come back.
 * 5.10 checks a file's size only when it has a page. So a read at the end of a file brings in one
 * more, empty page, which mincore() shows.
 */
static char *play_phase(void *user)
{
	struct part *part = user;
	struct phase p = phases[part->phase];
	struct ks_stats_pagecache before, row;
	struct ks_stats_self ledger;
	struct kt *t = part->t;
	void *locked = NULL;
	char *wrong = NULL;
	struct plan *plan;
	struct work w;

	work_start(&w, run_phase);
	plan = w.page;
	plan->phase = part->phase;
	g_strlcpy(plan->path, part->f->path, sizeof(plan->path));
	file_set(part);
	if (p.state == WARM && !p.evicted)
		locked = lock_pages(part->f->fd);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_total(t, &before, sizeof(before));
	kt_ledger(t, &ledger);
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_total(t, &row, sizeof(row));
	is_balanced(t, &ledger);
	kt_drain(t);
	if (p.past_end)
		p.readin += cached(part->f->fd, N, 1);
	if (plan->refused)
		g_test_message("%s: %s", p.name, g_strerror((int)plan->refused));
	else
		wrong = not_as_planned(&p, &before, &row);
	if (wrong)
		g_test_message("in phase %s", p.name);
	if (locked)
		munmap(locked, N * PAGE);
	work_free(&w);
	return wrong;
}

static void table(struct kt *t)
{
	struct file f;

	if (file_open(&f))
		return;
	kt_enable(t, NULL, 0);
	for (uint32_t i = 0; i < n_phases; i++)
		ks_test_rounds(play_phase, &(struct part){ t, &f, i });
	file_close(&f);
}

/* ---- records --------------------------------------------------------------------------------- */

static void is_record(const struct ks_event_pagecache_miss *ev, const struct stat *st, pid_t pid)
{
	g_assert_cmpuint(ev->ev.size, ==, sizeof(*ev));
	g_assert_cmpint(ev->ev.pid, ==, pid);
	g_assert_cmpint(ev->ev.tid, ==, pid);
	g_assert_cmpuint(ev->ev.weight, ==, 1);
	g_assert_cmpuint(ev->ev.cgroup, ==, counters_cgroup());
	g_assert_cmpuint(ev->inode, ==, st->st_ino);
	g_assert_cmpuint(ev->device, ==, (uint64_t)major(st->st_dev) << 20 | minor(st->st_dev));
	g_assert_cmpuint(kt_field(ev, KS_EVENT_PAGECACHE_MISS, "pages", 0), ==, ev->pages);
}

/* All records arrive, each with the right place in the file. */
static char *records_once(void *user)
{
	static const struct ks_param each[] = { { .id = KS_PARAM_SAMPLE_EVERY, .value = 1 } };
	const struct ks_event_pagecache_miss *ev;
	struct ks_stats_pagecache before, row;
	struct part *part = user;
	struct kt *t = part->t;
	char *wrong = NULL;
	size_t at = 0, n;
	struct stat st;
	struct work w;

	kt_forget(t);
	work_start(&w, run_phase);
	*(struct plan *)w.page = (struct plan){ .phase = part->phase };
	g_strlcpy(((struct plan *)w.page)->path, part->f->path, sizeof(part->f->path));
	file_set(part);
	g_assert_cmpint(fstat(part->f->fd, &st), ==, 0);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, each, 1);
	kt_total(t, &before, sizeof(before));
	work_run(&w);
	kt_settle(t);
	for (n = 0; (ev = kt_next(t, KS_EVENT_PAGECACHE_MISS, &at)); n++) {
		is_record(ev, &st, w.pid);
		if (!wrong)
			wrong = ks_test_outside("offset", ev->offset, n * 4 * PAGE, n * 4 * PAGE);
		if (!wrong)
			wrong = ks_test_outside("number of pages", ev->pages, 4, 4);
	}
	if (!wrong)
		wrong = ks_test_outside("number of records", n, N / 4, N / 4);
	kt_total(t, &row, sizeof(row));
	if (!wrong)
		wrong = ks_test_outside("missed", row.missed_pages - before.missed_pages, N, N);
	work_free(&w);
	return wrong;
}

static int has_misses(struct kt *t)
{
	struct ks_stats_pagecache row;

	kt_enable(t, NULL, 0);
	kt_total(t, &row, sizeof(row));
	kt_disable(t);
	if (row.row.valid & KS_HAS_PAGECACHE_MISSES)
		return 1;
	g_test_skip("this variant does not know misses");
	return 0;
}

static void records(struct kt *t)
{
	struct file f;

	if (!has_misses(t) || file_open(&f))
		return;
	ks_test_rounds(records_once, &(struct part){ t, &f, phase_of(read_random_16k) });
	file_close(&f);
}

/* ---- owners ---------------------------------------------------------------------------------- */

#define WORDS ((sizeof(struct ks_stats_pagecache) - sizeof(struct ks_row)) / 8)

static void add_words(uint64_t sum[WORDS], const struct ks_stats_pagecache *row)
{
	for (size_t i = 0; i < WORDS; i++)
		sum[i] += (&row->requested_pages)[i];
}

static const struct ks_stats_pagecache *row_of(const struct ks_stats *stats, uint16_t by,
					       uint64_t key)
{
	const struct ks_stats_pagecache *row;

	for (size_t i = 0; (row = ks_stats_row(stats, i)); i++)
		if (row->row.by == by && row->row.key == key && !(row->row.flags & KS_ROW_REST))
			return row;
	g_error("no row by %u of %" G_GUINT64_FORMAT, by, key);
	return NULL;
}

static void same_sums(const struct ks_stats *stats)
{
	static const uint16_t by[] = { KS_BY_TOTAL, KS_BY_PROCESS, KS_BY_CGROUP, KS_BY_ROLE };
	const struct ks_stats_pagecache *row;
	uint64_t sums[4][WORDS] = { { 0 } };

	for (size_t i = 0; (row = ks_stats_row(stats, i)); i++)
		for (unsigned k = 0; k < 4; k++)
			if (row->row.by == by[k])
				add_words(sums[k], row);
	for (unsigned k = 1; k < 4; k++)
		g_assert_cmpmem(sums[k], sizeof(sums[k]), sums[0], sizeof(sums[0]));
}

static char *not_reader(const struct ks_stats_pagecache *row)
{
	const struct phase reader = { .requested = N, .missed = N, .readin = N };

	return not_as_planned(&reader, &(struct ks_stats_pagecache){ .requested_pages = 0 }, row);
}

static char *not_writer(const struct ks_stats_pagecache *row)
{
	const struct phase writer = { .written = MORE };

	return not_as_planned(&writer, &(struct ks_stats_pagecache){ .requested_pages = 0 }, row);
}

static void start(struct work *w, const struct part *part, int (*run)(int))
{
	work_start(w, run_phase);
	*(struct plan *)w->page = (struct plan){ .phase = phase_of(run) };
	g_strlcpy(((struct plan *)w->page)->path, part->f->path, sizeof(part->f->path));
}

/* Each round has roles of its own, so that their rows begin at zero. */
static int role_of(struct kt *t, pid_t pid, const char *what)
{
	char *name = g_strdup_printf("%s-%d", what, (int)pid);
	int role = ks_thread_role(t->ks, pid, name);

	g_free(name);
	g_assert_cmpint(role, >, 0);
	return role;
}

static void watch_both(struct kt *t, const struct work *r, const struct work *w)
{
	const int32_t pids[] = { r->pid, w->pid };
	struct ks_scope scope = {
		.size = sizeof(scope), .kind = KS_SCOPE_PIDS, .pids = pids, .n_pids = 2
	};

	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
}

/* One process reads, another one writes behind it. */
static char *whose_once(void *user)
{
	struct ks_reader_opts opts = {
		.size = sizeof(opts), .by = KS_BY_TOTAL | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE
	};
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_pagecache *total, *group;
	struct part *part = user;
	struct ks_reader *reader;
	int reading, writing;
	struct work r, w;
	char *wrong;

	start(&r, part, read_random);
	start(&w, part, append);
	file_set(part);
	watch_both(part->t, &r, &w);
	reading = role_of(part->t, r.pid, "reading");
	writing = role_of(part->t, w.pid, "writing");
	kt_enable(part->t, NULL, 0);
	work_run(&r);
	work_run(&w);
	kt_settle(part->t);
	ks_assert_ok(part->t->ks, ks_reader_new(part->t->ks, part->t->probe, &opts, &reader));
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	same_sums(&stats);
	wrong = not_reader(row_of(&stats, KS_BY_PROCESS, (uint64_t)r.pid));
	if (!wrong)
		wrong = not_reader(row_of(&stats, KS_BY_ROLE, (uint64_t)reading));
	if (!wrong)
		wrong = not_writer(row_of(&stats, KS_BY_PROCESS, (uint64_t)w.pid));
	if (!wrong)
		wrong = not_writer(row_of(&stats, KS_BY_ROLE, (uint64_t)writing));
	total = row_of(&stats, KS_BY_TOTAL, 0);
	group = row_of(&stats, KS_BY_CGROUP, counters_cgroup());
	g_assert_cmpuint(group->requested_pages, ==, total->requested_pages);
	g_assert_cmpuint(group->write_pages, ==, total->write_pages);
	ks_reader_free(reader);
	work_free(&r);
	work_free(&w);
	return wrong;
}

static void whose(struct kt *t)
{
	struct file f;

	if (file_open(&f))
		return;
	ks_test_rounds(whose_once, &(struct part){ t, &f, phase_of(read_random) });
	file_close(&f);
}

static void add(void)
{
	kt_add(KS_PROBE_PAGECACHE, "table", KT_FEATURES, table);
	kt_add(KS_PROBE_PAGECACHE, "records", KT_PERF | KT_BEST, records);
	kt_add(KS_PROBE_PAGECACHE, "whose", KT_FEATURES, whose);
}

/* Locks this program in memory: a page of it that is read in again would be counted. */
static void lock_program(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (strchr(line, '/') && sscanf(line, "%lx-%lx", &from, &to) == 2)
			mlock((const void *)from, to - from);
	fclose(maps);
}

int main(int argc, char **argv)
{
	lock_program();
	return kt_main(argc, argv, add);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `pagecache` counts pages as they were asked for, missed, brought in, written and taken
 * out, exactly, in each of a number of phases whose pages are known; for the thread that did it; and
 * that its records name the reads that missed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <kernelsight/identity.h>

#include "support/counters.h"
#include "support/harness.h"
#include "support/ks_test.h"

#define PAGE 4096
#define N 1000 /* pages of the file */
#define MORE 500
enum { TRIES = 5, STRAY = 2, READIN = 2 /* among the members that are compared */ };

static char buffer[256 * PAGE] __attribute__((aligned(PAGE)));

/* What a work finds in its page. */
struct plan {
	char path[256];
	uint32_t phase;
	uint32_t refused; /* errno of what cannot be done here */
};

/* ---- phases: in the child -------------------------------------------------------------------- */

static int reads(int fd, int n, size_t bytes, off_t from, off_t step)
{
	for (int i = 0; i < n; i++)
		if (pread(fd, buffer, bytes, from + i * step) != (ssize_t)bytes)
			return 1;
	return 0;
}

static int writes(int fd, int n, int from)
{
	for (int i = 0; i < n; i++)
		if (pwrite(fd, buffer, PAGE, (off_t)(from + i) * PAGE) != PAGE)
			return 1;
	return 0;
}

static int write_all(int fd)
{
	return writes(fd, N, 0);
}

static int append(int fd)
{
	return writes(fd, MORE, N);
}

/* A page is read to be modified: it comes in for the write. */
static int write_some(int fd)
{
	for (int i = 0; i < N; i++)
		if (pwrite(fd, buffer, 100, (off_t)i * PAGE + 50) != 100)
			return 1;
	return 0;
}

static int read_all(int fd)
{
	return reads(fd, N, PAGE, 0, PAGE);
}

static int read_random(int fd)
{
	return posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) || read_all(fd);
}

static int read_random_16k(int fd)
{
	return posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) ||
	       reads(fd, N / 4, 4 * PAGE, 0, 4 * PAGE);
}

/* Each of these touches two pages. */
static int read_unaligned(int fd)
{
	return reads(fd, N - 1, PAGE, 100, PAGE);
}

static int read_small(int fd)
{
	return reads(fd, N, 100, 50, PAGE);
}

/* In pieces of some folios; the last one ends behind the file. The same end in a second read. */
static int read_large(int fd)
{
	for (off_t at = 0; at < N * PAGE; at += sizeof(buffer))
		if (pread(fd, buffer, sizeof(buffer), at) <= 0)
			return 1;
	return reads(fd, 1, 4 * PAGE, 100 * PAGE, 0) || reads(fd, 1, 2 * PAGE, 102 * PAGE, 0) ||
	       pread(fd, buffer, PAGE, N * PAGE) != 0;
}

static int read_vector(int fd)
{
	struct iovec parts[] = { { buffer, 3 * PAGE }, { buffer + 8 * PAGE, 5 * PAGE } };

	for (int i = 0; i < N / 8; i++)
		if (preadv(fd, parts, 2, (off_t)i * 8 * PAGE) != 8 * PAGE)
			return 1;
	return 0;
}

static int read_mapped(int fd)
{
	volatile char *at = mmap(NULL, N * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return 1;
	for (int i = 0; i < N; i++)
		(void)at[i * PAGE];
	return munmap((void *)at, N * PAGE);
}

static int write_mapped(int fd)
{
	volatile char *at = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return 1;
	for (int i = 0; i < N; i++)
		at[i * PAGE] = 'm';
	return munmap((void *)at, N * PAGE);
}

static int read_direct(int fd)
{
	if (fcntl(fd, F_SETFL, O_DIRECT))
		return errno;
	return read_all(fd) || writes(fd, 10, 0);
}

static int send_all(int fd)
{
	int to = open("/dev/null", O_WRONLY | O_CLOEXEC);
	off_t at = 0;

	while (at < N * PAGE)
		if (sendfile(to, fd, &at, (size_t)(N * PAGE - at)) <= 0)
			return 1;
	return 0;
}

static int advise(int fd)
{
	return posix_fadvise(fd, 0, 32 * PAGE, POSIX_FADV_WILLNEED);
}

static int drop(int fd)
{
	return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int shrink(int fd)
{
	return ftruncate(fd, 0);
}

/* All that there is to count, of a file that is none. */
static int in_memory(int fd)
{
	fd = memfd_create("pagecache", MFD_CLOEXEC);
	return fd < 0 || write_all(fd) || read_all(fd) || read_mapped(fd) || drop(fd) ||
	       ftruncate(fd, 0);
}

/* The disk below the file, as a device. */
static int from_device(int fd)
{
	char name[] = "/var/tmp/ks-device-XXXXXX";
	struct stat st;
	int rc;

	if (fstat(fd, &st) || !mkdtemp(name))
		return 1;
	rc = rmdir(name) || mknod(name, S_IFBLK | 0600, st.st_dev);
	fd = rc ? -1 : open(name, O_RDONLY | O_CLOEXEC);
	unlink(name);
	return fd < 0 ? errno : reads(fd, 64, PAGE, 0, PAGE) || drop(fd);
}

enum state { NEW, COLD, WARM };

static const struct phase {
	const char *name;
	enum state state;
	int (*run)(int fd);
	uint64_t requested, missed, readin, written, evicted;
	uint64_t mapped; /* at least, by faults or around them */
	uint64_t
		beyond; /* requested behind the end of the file, where the program cannot know it */
	int in_pieces;  /* whose begin only a miss tells */
	int optional;
} phases[] = {
	{ "write", NEW, write_all, .written = N },
	{ "sequential", COLD, read_all, .requested = N, .missed = 1, .readin = N },
	{ "warm", WARM, read_all, .requested = N },
	{ "random", COLD, read_random, .requested = N, .missed = N, .readin = N },
	{ "mapped", COLD, read_mapped, .readin = N, .mapped = N },
	{ "overwrite", COLD, write_all, .written = N },
	{ "overwrite-100", COLD, write_some, .written = N },
	{ "append", COLD, append, .written = MORE },
	{ "direct", COLD, read_direct, .optional = 1 },
	/* by what goes into a pipe */
	{ "sendfile", COLD, send_all, .requested = N, .missed = 16, .readin = N },
	{ "sendfile-warm", WARM, send_all, .requested = N },
	{ "random-16k", COLD, read_random_16k, .requested = N, .missed = N, .readin = N,
	  .in_pieces = 1 },
	{ "unaligned", WARM, read_unaligned, .requested = 2 * (N - 1) },
	{ "small", WARM, read_small, .requested = N },
	{ "large", WARM, read_large, .requested = N + 6, .beyond = 24 },
	{ "vector", WARM, read_vector, .requested = N },
	{ "mapped-write", COLD, write_mapped, .readin = N, .mapped = N },
	{ "willneed", COLD, advise, .readin = 32 },
	{ "drop", WARM, drop, .evicted = N },
	{ "truncate", WARM, shrink, .evicted = N },
	{ "in-memory", WARM, in_memory, .mapped = 0 },
	{ "device", WARM, from_device, .beyond = 64, .optional = 1 },
};

static int run_phase(void *page)
{
	struct plan *plan = page;
	int fd = open(plan->path, O_RDWR | O_CLOEXEC), rc;

	work_pin(0);
	rc = fd < 0 ? 1 : phases[plan->phase].run(fd);
	if (rc && phases[plan->phase].optional)
		plan->refused = (uint32_t)rc;
	return rc && !plan->refused;
}

/* ---- the file -------------------------------------------------------------------------------- */

struct file {
	char path[256];
	int fd;
};

static unsigned cached(int fd)
{
	void *at = mmap(NULL, N * PAGE, PROT_NONE, MAP_SHARED, fd, 0);
	unsigned char in[N];
	unsigned n = 0;

	g_assert_true(at != MAP_FAILED);
	g_assert_cmpint(mincore(at, N * PAGE, in), ==, 0);
	munmap(at, N * PAGE);
	for (int i = 0; i < N; i++)
		n += in[i] & 1;
	return n;
}

/* 0, or skipped: the folder for temporary files lies in memory. */
static int file_open(struct file *f)
{
	int probe = work_file();

	if (probe < 0) {
		g_test_skip("the folder for temporary files lies in memory: no page cache");
		return 1;
	}
	close(probe);
	mlockall(MCL_CURRENT); /* or the machine may take our own code away, which comes in again */
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

/* On the disk as it shall be. The machine may take pages away at any time: 0 if it has. */
static int file_set(struct file *f, enum state state)
{
	g_assert_cmpint(ftruncate(f->fd, 0), ==, 0);
	if (state == NEW)
		return 1;
	g_assert_cmpint(write_all(f->fd), ==, 0);
	g_assert_cmpint(fsync(f->fd), ==, 0);
	g_assert_cmpint(drop(f->fd), ==, 0);
	g_assert_cmpint(posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM), ==, 0);
	return state == WARM ? read_all(f->fd) == 0 && cached(f->fd) == N : cached(f->fd) == 0;
}

/* Nothing takes these pages away until they are unlocked again. */
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

/* What was expected, member by member, where it is known. */
static int is_as_planned(const struct phase *p, const struct ks_stats_pagecache *before,
			 const struct ks_stats_pagecache *row)
{
	uint64_t beyond = row->row.valid & KS_HAS_PAGECACHE_EXACT ? 0 : p->beyond;
	const struct {
		const char *name;
		uint64_t bit, is, want;
	} members[] = {
		{ "requested", KS_HAS_PAGECACHE_REQUESTS,
		  row->requested_pages - before->requested_pages, p->requested + beyond },
		{ "missed", KS_HAS_PAGECACHE_MISSES, row->missed_pages - before->missed_pages,
		  p->missed },
		{ "readin", KS_HAS_PAGECACHE_READIN, row->readin_pages - before->readin_pages,
		  p->readin },
		{ "written", KS_HAS_PAGECACHE_WRITES, row->write_pages - before->write_pages,
		  p->written },
		{ "evicted", KS_HAS_PAGECACHE_EVICTED, row->evicted_pages - before->evicted_pages,
		  p->evicted },
	};
	uint64_t mapped = row->mapped_faults - before->mapped_faults + row->mapped_pages -
			  before->mapped_pages;
	int good = 1;

	for (unsigned i = 0; i < G_N_ELEMENTS(members); i++) {
		if (members[i].is == known(row, members[i].bit, members[i].want))
			continue;
		if (p->in_pieces && !(row->row.valid & KS_HAS_PAGECACHE_MISSES) &&
		    members[i].is < members[i].want)
			continue;
		g_test_message("%s: %s %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT, p->name,
			       members[i].name, members[i].is, members[i].want);
		if (i != READIN || members[i].is - members[i].want > STRAY)
			return 0;
		good = -1; /* a page of a program that was taken away came back: once more */
	}
	if (mapped < known(row, KS_HAS_PAGECACHE_MAPPED, p->mapped)) {
		g_test_message("%s: mapped %" G_GUINT64_FORMAT, p->name, mapped);
		good = 0;
	}
	return good;
}

/* 1: as planned. 0: not, but the machine has taken pages away meanwhile. */
static int try_phase(struct kt *t, struct file *f, uint32_t phase)
{
	const struct phase *p = &phases[phase];
	struct ks_stats_pagecache before, row;
	void *locked = NULL;
	struct plan *plan;
	struct work w;
	int good, taken;

	work_start(&w, run_phase);
	plan = w.page;
	plan->phase = phase;
	g_strlcpy(plan->path, f->path, sizeof(plan->path));
	taken = !file_set(f, p->state);
	if (p->state == WARM && !p->evicted)
		locked = lock_pages(f->fd);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	kt_total(t, &before, sizeof(before));
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	kt_total(t, &row, sizeof(row));
	good = plan->refused ? 1 : is_as_planned(p, &before, &row);
	if (plan->refused)
		g_test_message("%s: %s", p->name, g_strerror((int)plan->refused));
	taken |= good < 0 || p->evicted || (p->readin + p->written >= N && cached(f->fd) < N);
	if (locked)
		munmap(locked, N * PAGE);
	work_free(&w);
	g_assert_true(good || taken);
	return good > 0;
}

static void table(struct kt *t)
{
	struct file f;

	if (file_open(&f))
		return;
	for (uint32_t i = 0; i < G_N_ELEMENTS(phases); i++) {
		int tries = 0;

		while (!try_phase(t, &f, i))
			g_assert_cmpint(++tries, <, TRIES);
	}
	file_close(&f);
}

/* ---- records --------------------------------------------------------------------------------- */

static void records(struct kt *t)
{
	static const struct ks_param each[] = { { .id = KS_PARAM_SAMPLE_EVERY, .value = 1 } };
	const struct ks_event_pagecache_miss *ev;
	struct ks_stats_pagecache row;
	struct plan *plan;
	struct stat st;
	struct file f;
	struct work w;
	size_t at = 0, n;

	if (file_open(&f))
		return;
	work_start(&w, run_phase);
	plan = w.page;
	g_strlcpy(plan->path, f.path, sizeof(plan->path));
	while (phases[plan->phase].run != read_random_16k)
		plan->phase++;
	g_assert_true(file_set(&f, COLD));
	g_assert_cmpint(fstat(f.fd, &st), ==, 0);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, each, 1);
	work_run(&w);
	kt_settle(t);
	for (n = 0; (ev = kt_next(t, KS_EVENT_PAGECACHE_MISS, &at)); n++) {
		g_assert_cmpuint(ev->ev.size, ==, sizeof(*ev));
		g_assert_cmpint(ev->ev.pid, ==, w.pid);
		g_assert_cmpint(ev->ev.tid, ==, w.pid);
		g_assert_cmpuint(ev->ev.weight, ==, 1);
		g_assert_cmpuint(ev->ev.cgroup, ==, counters_cgroup());
		g_assert_cmpuint(ev->inode, ==, st.st_ino);
		g_assert_cmpuint(ev->device, ==,
				 (uint64_t)major(st.st_dev) << 20 | minor(st.st_dev));
		g_assert_cmpuint(ev->offset, ==, n * 4 * PAGE);
		g_assert_cmpuint(ev->pages, ==, 4);
		g_assert_cmpuint(kt_field(ev, KS_EVENT_PAGECACHE_MISS, "pages", 0), ==, 4);
	}
	g_assert_cmpuint(n, ==, N / 4);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.missed_pages, ==, N);
	file_close(&f);
	work_free(&w);
}

/* ---- whose ----------------------------------------------------------------------------------- */

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

static void is_reader(const struct ks_stats_pagecache *row)
{
	g_assert_cmpuint(row->requested_pages, ==, known(row, KS_HAS_PAGECACHE_REQUESTS, N));
	g_assert_cmpuint(row->missed_pages, ==, known(row, KS_HAS_PAGECACHE_MISSES, N));
	g_assert_cmpuint(row->readin_pages, ==, known(row, KS_HAS_PAGECACHE_READIN, N));
	g_assert_cmpuint(row->write_pages, ==, 0);
}

static void is_writer(const struct ks_stats_pagecache *row)
{
	g_assert_cmpuint(row->requested_pages, ==, 0);
	g_assert_cmpuint(row->missed_pages, ==, 0);
	g_assert_cmpuint(row->readin_pages, ==, 0);
	g_assert_cmpuint(row->write_pages, ==, known(row, KS_HAS_PAGECACHE_WRITES, MORE));
}

static void start(struct work *w, const struct file *f, int (*run)(int))
{
	struct plan *plan;

	work_start(w, run_phase);
	plan = w->page;
	g_strlcpy(plan->path, f->path, sizeof(plan->path));
	while (phases[plan->phase].run != run)
		plan->phase++;
}

/* One process reads, another one writes behind what that reads. */
static void whose(struct kt *t)
{
	struct ks_reader_opts opts = {
		.size = sizeof(opts), .by = KS_BY_TOTAL | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE
	};
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_PIDS };
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_pagecache *row;
	struct ks_reader *reader;
	int reading, writing;
	struct work r, w;
	struct file f;
	int32_t pids[2];

	if (file_open(&f))
		return;
	start(&r, &f, read_random);
	start(&w, &f, append);
	g_assert_true(file_set(&f, COLD));
	pids[0] = r.pid;
	pids[1] = w.pid;
	scope.pids = pids;
	scope.n_pids = 2;
	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
	reading = ks_thread_role(t->ks, r.pid, "reading");
	writing = ks_thread_role(t->ks, w.pid, "writing");
	g_assert_cmpint(reading, >, 0);
	g_assert_cmpint(writing, >, 0);
	kt_enable(t, NULL, 0);
	work_run(&r);
	work_run(&w);
	kt_settle(t);
	ks_assert_ok(t->ks, ks_reader_new(t->ks, t->probe, &opts, &reader));
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	same_sums(&stats);
	is_reader(row_of(&stats, KS_BY_PROCESS, (uint64_t)r.pid));
	is_reader(row_of(&stats, KS_BY_ROLE, (uint64_t)reading));
	is_writer(row_of(&stats, KS_BY_PROCESS, (uint64_t)w.pid));
	is_writer(row_of(&stats, KS_BY_ROLE, (uint64_t)writing));
	row = row_of(&stats, KS_BY_CGROUP, counters_cgroup());
	g_assert_cmpuint(row->requested_pages, ==, known(row, KS_HAS_PAGECACHE_REQUESTS, N));
	g_assert_cmpuint(row->write_pages, ==, known(row, KS_HAS_PAGECACHE_WRITES, MORE));
	ks_reader_free(reader);
	file_close(&f);
	work_free(&r);
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_PAGECACHE, "table", KT_FEATURES, table);
	kt_add(KS_PROBE_PAGECACHE, "records", KT_PERF | KT_BEST, records);
	kt_add(KS_PROBE_PAGECACHE, "whose", KT_FEATURES, whose);
}

/* A page of this program that came back would be one too many. */
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

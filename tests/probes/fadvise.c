/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `fadvise` counts and records each call correctly: kind, result, file, range, caller,
 * and the pages that really left memory; that it tells slow calls from fast ones; and that a call
 * which began before the probe was disabled is not counted after it is enabled again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/counters.h"
#include "support/harness.h"

#define PAGE 4096
#define PAGES 64
#define NO_DISK 77 /* exit status of a work */

static const struct ks_param every_call[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 } };

static void same_call(const struct ks_event_fadvise_call *ev, const struct fad_call *call)
{
	g_assert_cmpuint(ev->ev.size, ==, sizeof(*ev));
	g_assert_cmpuint(ev->ev.weight, ==, 1);
	g_assert_cmpuint(ev->advice, ==, call->advice);
	g_assert_cmpint(ev->fd, ==, call->fd);
	g_assert_cmpuint(ev->offset, ==, call->offset);
	g_assert_cmpuint(ev->length, ==, call->length);
	g_assert_true(ev->valid & KS_HAS_FADVISE_RESULT);
	g_assert_cmpint(ev->result, ==, call->result);
	g_assert_true(ev->valid & KS_HAS_FADVISE_DROPPED);
	g_assert_cmpuint(ev->dropped_pages, ==, call->dropped);
	g_assert_cmpuint(!!(ev->valid & KS_HAS_FADVISE_FILE), ==, call->inode != 0);
	g_assert_cmpuint(ev->inode, ==, call->inode);
	g_assert_cmpuint(ev->device, ==, call->device);
	g_assert_cmpuint(ev->duration_ns, >, 0);
	g_assert_cmpuint(ev->duration_ns, <=, call->duration_ns);
}

/* Reading a record by the schema's names gives the values of the struct. */
static void same_by_name(const struct ks_event_fadvise_call *ev)
{
	const uint32_t id = KS_EVENT_FADVISE_CALL;

	g_assert_cmpuint(kt_field(ev, id, "advice", 0), ==, ev->advice);
	g_assert_cmpint((int64_t)kt_field(ev, id, "result", 0), ==, ev->result);
	g_assert_cmpint((int64_t)kt_field(ev, id, "fd", 0), ==, ev->fd);
	g_assert_cmpuint(kt_field(ev, id, "offset", 0), ==, ev->offset);
	g_assert_cmpuint(kt_field(ev, id, "length", 0), ==, ev->length);
	g_assert_cmpuint(kt_field(ev, id, "inode", 0), ==, ev->inode);
	g_assert_cmpuint(kt_field(ev, id, "device", 0), ==, ev->device);
	g_assert_cmpuint(kt_field(ev, id, "duration_ns", 0), ==, ev->duration_ns);
	g_assert_cmpuint(kt_field(ev, id, "dropped_pages", 0), ==, ev->dropped_pages);
}

static void table_totals(struct kt *t)
{
	static const uint64_t calls[7] = { FAD_N + 5, FAD_N + 1, FAD_N + 2, FAD_N + 3,
					   FAD_N + 4, FAD_N + 5, 7 };
	static const uint64_t ok[7] = { FAD_N,     FAD_N + 1, FAD_N + 2, FAD_N + 3,
					FAD_N + 4, FAD_N + 5, 0 };
	static const uint64_t errors[4] = { 3, 7, 2, 0 };
	struct ks_stats_fadvise row;
	struct ks_stats_self ledger;

	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.row.valid, ==,
			 KS_HAS_FADVISE_RESULT | KS_HAS_FADVISE_DROPPED | KS_HAS_FADVISE_FILE);
	g_assert_cmpmem(row.calls, sizeof(row.calls), calls, sizeof(calls));
	g_assert_cmpmem(row.ok, sizeof(row.ok), ok, sizeof(ok));
	g_assert_cmpmem(row.errors, sizeof(row.errors), errors, sizeof(errors));
	g_assert_cmpuint(row.dropped_pages, ==, 0);
	g_assert_cmpuint(kt_field(&row, KS_STATS_FADVISE, "calls", KS_ADVICE_DONTNEED), ==, 14);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.opened, ==, FAD_CALLS);
	g_assert_cmpuint(ledger.submitted, ==, FAD_CALLS);
	g_assert_cmpuint(ledger.delivered, ==, FAD_CALLS);
	g_assert_cmpuint(ledger.fired, ==, 2 * FAD_CALLS + ledger.filtered);
}

/* The threads' own rows, read as those without a role, have the numbers of the CPUs' statistics. */
static void same_by_role(struct kt *t, struct ks_reader *reader)
{
	const size_t head = sizeof(struct ks_row), size = sizeof(struct ks_stats_fadvise);
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_stats_fadvise total;

	kt_total(t, &total, sizeof(total));
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	g_assert_cmpuint(stats.n_rows, ==, 1);
	g_assert_cmpmem((const char *)ks_stats_row(&stats, 0) + head, size - head,
			(const char *)&total + head, size - head);
}

static struct ks_reader *reader_by_role(struct kt *t)
{
	const struct ks_reader_opts opts = { .size = sizeof(opts), .by = KS_BY_ROLE };
	struct ks_reader *reader;

	ks_assert_ok(t->ks, ks_reader_new(t->ks, t->probe, &opts, &reader));
	return reader;
}

/* Calls out of scope are neither counted nor taken for the end of a call. */
static void table(struct kt *t)
{
	uint64_t cgroup = counters_cgroup();
	const struct ks_event_fadvise_call *ev;
	struct ks_reader *reader;
	struct fad_page *page;
	size_t at = 0, n;
	struct work w;

	work_start(&w, fad_table);
	page = w.page;
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	reader = reader_by_role(t);
	kt_enable(t, every_call, 1);
	posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL);
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	g_assert_cmpuint(page->n, ==, FAD_CALLS);
	g_assert_cmpuint(t->n, ==, FAD_CALLS);
	for (n = 0; (ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at)); n++) {
		same_call(ev, &page->call[n]);
		same_by_name(ev);
		g_assert_cmpuint(ev->ev.cpu, ==, 0);
		g_assert_cmpuint(ev->ev.flags, ==, 0);
		g_assert_cmpint(ev->ev.pid, ==, w.pid);
		g_assert_cmpint(ev->ev.tid, ==, w.pid);
		g_assert_cmpstr(ev->ev.comm, ==, page->comm);
		g_assert_cmpuint(ev->ev.cgroup, ==, cgroup);
		g_assert_cmpuint(ev->ev.time_ns, >, w.begin_ns);
		g_assert_cmpuint(ev->ev.time_ns, <, w.end_ns);
	}
	table_totals(t);
	same_by_role(t, reader);
	ks_reader_free(reader);
	work_free(&w);
}

/* ---- pages ---------------------------------------------------------------------------------- */

/*
 * The file's first half may be one large folio. Of the second half, written by pages, each page is
 * one.
 */
static int cached_file(void)
{
	static char data[PAGES * PAGE];
	int fd = work_file(), i;

	memset(data, 'k', sizeof(data));
	if (fd < 0 || pwrite(fd, data, sizeof(data) / 2, 0) != sizeof(data) / 2)
		_exit(NO_DISK);
	for (i = PAGES / 2; i < PAGES; i++)
		if (pwrite(fd, data, PAGE, i * PAGE) != PAGE)
			_exit(NO_DISK);
	if (fsync(fd) || pread(fd, data, sizeof(data), 0) != sizeof(data))
		_exit(NO_DISK);
	return fd;
}

static void no_disk(struct work *w)
{
	g_test_skip("the folder for temporary files is in memory: no page cache to drop");
	work_free(w);
}

/*
 * Three kinds of pages. Clean pages all leave memory. Mapped pages stay, and the call succeeds all
 * the same. Of a part of the file, those leave that mincore() no longer shows (folios leave as a
 * whole or stay).
 */
static int drop_pages(void *page)
{
	char *map;
	int fd;

	work_pin(0); /* one CPU, so that records come in the order of calls */
	fd = cached_file();
	fad_make(page, fd, 0, 0, POSIX_FADV_DONTNEED);
	fad_make(page, fd, 0, 0, POSIX_FADV_DONTNEED);

	fd = cached_file();
	map = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		return 1;
	fad_make(page, fd, 0, 0, POSIX_FADV_DONTNEED);
	munmap(map, PAGES * PAGE);
	fad_make(page, fd, PAGES / 2 * PAGE, PAGES / 4 * PAGE, POSIX_FADV_DONTNEED);
	fad_make(page, fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static char *drops_as_planned(const struct fad_page *page)
{
	static const struct {
		const char *name;
		uint64_t from, to, dropped; /* sums over calls */
	} plan[] = { { "dropped of clean pages", 0, 0, PAGES },
		     { "dropped of none", 1, 1, 0 },
		     { "dropped of mapped pages", 2, 2, 0 },
		     { "dropped in parts", 3, 4, PAGES } };
	char *wrong = NULL;

	for (size_t i = 0; !wrong && i < G_N_ELEMENTS(plan); i++) {
		uint64_t dropped = 0;

		for (uint64_t k = plan[i].from; k <= plan[i].to; k++)
			dropped += page->call[k].dropped;
		wrong = ks_test_outside(plan[i].name, dropped, plan[i].dropped, plan[i].dropped);
	}
	return wrong;
}

/* Runs once: the machine may take pages away, or hold them, at any time. */
static char *dropped_once(void *user)
{
	const struct ks_event_fadvise_call *ev;
	struct ks_stats_fadvise before, row;
	const struct fad_page *page;
	struct kt *t = user;
	size_t at = 0, n;
	struct work w;
	char *wrong;

	kt_forget(t);
	work_start(&w, drop_pages);
	page = w.page;
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, every_call, 1);
	kt_total(t, &before, sizeof(before));
	work_run(&w);
	if (w.status == NO_DISK << 8) {
		no_disk(&w);
		return NULL;
	}
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, 5);
	wrong = drops_as_planned(page);
	for (n = 0; !wrong && (ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at)); n++)
		same_call(ev, &page->call[n]);
	kt_total(t, &row, sizeof(row));
	if (!wrong)
		wrong = ks_test_outside("dropped", row.dropped_pages - before.dropped_pages,
					2 * PAGES, 2 * PAGES);
	g_assert_cmpuint(row.ok[KS_ADVICE_DONTNEED] - before.ok[KS_ADVICE_DONTNEED], ==, 5);
	work_free(&w);
	return wrong;
}

static void dropped(struct kt *t)
{
	struct ks_reader *reader = reader_by_role(t);

	ks_test_rounds(dropped_once, t);
	same_by_role(t, reader);
	ks_reader_free(reader);
}

/*
 * Pages that other processes drop meanwhile do not belong to this call, nor do those of
 * ftruncate().
 */
static int drop_otherwise(void *page)
{
	int fd = cached_file();

	if (ftruncate(fd, 0))
		return 1;
	fad_make(page, fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static void not_dropped(struct kt *t)
{
	struct ks_stats_fadvise row;
	struct work w;

	work_start(&w, drop_otherwise);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, every_call, 1);
	work_run(&w);
	if (w.status == NO_DISK << 8) {
		no_disk(&w);
		return;
	}
	kt_settle(t);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.calls[KS_ADVICE_DONTNEED], ==, 1);
	g_assert_cmpuint(row.dropped_pages, ==, 0);
	work_free(&w);
}

/* ---- slow and fast --------------------------------------------------------------------------- */

#define QUICK 2000
#define BIG (32u << 20)
#define THRESHOLD 50000

/* Writing back and dropping 32 MiB takes far longer than the threshold. The other calls do not. */
static int quick_and_slow(void *arg)
{
	struct fad_page *page = arg;
	int fd = cached_file(), i;
	char *data = malloc(BIG);

	if (!data)
		return 1;
	for (i = 0; i < QUICK; i++)
		fad_make(page, fd, 0, 0, POSIX_FADV_NORMAL);
	memset(data, 'b', BIG);
	if (pwrite(fd, data, BIG, 0) != BIG)
		return 1;
	fad_make(page, fd, 0, 0, POSIX_FADV_DONTNEED);
	free(data);
	return 0;
}

static void slow(struct kt *t)
{
	struct ks_param params[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = THRESHOLD } };
	const struct ks_event_fadvise_call *ev;
	struct ks_stats_fadvise row;
	struct ks_stats_self ledger;
	struct fad_page *page;
	size_t at = 0, n, i, drops = 0;
	struct work w;

	work_start(&w, quick_and_slow);
	page = w.page;
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, params, 1);
	work_run(&w);
	if (w.status == NO_DISK << 8) {
		no_disk(&w);
		return;
	}
	kt_settle(t);
	for (i = n = 0; i < page->n; i++) /* the caller's measurement is longer: an upper bound */
		n += page->call[i].duration_ns >= THRESHOLD;
	g_assert_cmpuint(t->n, >, 0);
	g_assert_cmpuint(t->n, <=, n);
	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at))) {
		g_assert_cmpuint(ev->duration_ns, >=, THRESHOLD);
		drops += ev->advice == POSIX_FADV_DONTNEED;
	}
	g_assert_cmpuint(drops, ==, 1);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.calls[KS_ADVICE_NORMAL], ==, QUICK);
	g_assert_cmpuint(row.calls[KS_ADVICE_DONTNEED], ==, 1);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.submitted, ==, t->n);
	g_assert_cmpuint(ledger.submitted + ledger.sampled_out + ledger.throttled, <=, QUICK + 1);
	work_free(&w);
}

/*
 * One quick call in ten has a record, with weight 10. Each slow call has a record with weight 1.
 * The weights add up to the number of calls, except for an incomplete group of ten on each CPU.
 */
static void sampled(struct kt *t)
{
	struct ks_param params[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 10000000 },
				     { .id = KS_PARAM_SAMPLE_EVERY, .value = 10 } };
	const struct ks_event_fadvise_call *ev;
	uint64_t stands_for = 0, quick = 0;
	struct ks_stats_fadvise row;
	struct ks_stats_self ledger;
	size_t at = 0;
	struct work w;

	work_start(&w, fad_many);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, params, 2);
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at))) {
		int is_slow = ev->duration_ns >= params[0].value;

		g_assert_cmpuint(ev->ev.weight, ==, is_slow ? 1 : 10);
		stands_for += ev->ev.weight;
		quick += !is_slow;
	}
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.calls[KS_ADVICE_SEQUENTIAL], ==, FAD_MANY);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.throttled, ==, 0);
	g_assert_cmpuint(ledger.submitted + ledger.sampled_out, ==, FAD_MANY);
	/* 1 in 10 of 10,000, however chosen: 1000, to 5 standard deviations */
	g_assert_cmpuint(quick, >=, 850);
	g_assert_cmpuint(quick, <=, 1150);
	g_assert_cmpuint(stands_for, >=, FAD_MANY - 1500);
	g_assert_cmpuint(stands_for, <=, FAD_MANY + 1500);
	work_free(&w);
}

/* ---- disabled and enabled within a call ------------------------------------------------------ */

#define TRIES 10

/*
 * Makes a call that lasts 50 ms, since every second page has to be written back. Then drops pages
 * outside any call of the time after it, and makes one call out of scope.
 */
static int outlast(void *page)
{
	int fd = cached_file(), other = cached_file(), i;

	for (i = 0; i < 4096; i++)
		if (pwrite(fd, "o", 1, (off_t)i * 2 * PAGE) != 1)
			return 1;
	fad_make(page, fd, 0, 0, POSIX_FADV_DONTNEED);
	raise(SIGSTOP);
	if (ftruncate(other, 0))
		return 1;
	raise(SIGSTOP);
	fad_make(page, -1, 0, 0, POSIX_FADV_RANDOM);
	return 0;
}

static void wait_stopped(pid_t pid)
{
	int status;

	g_assert_cmpint(waitpid(pid, &status, WUNTRACED), ==, pid);
	g_assert_true(WIFSTOPPED(status));
}

/*
 * Disables the probe during the call; the child has then stopped or ended. Returns 0 if the call
 * was over before.
 */
static int disable_within(struct kt *t, struct work *w)
{
	struct ks_stats_self before, ledger;
	pid_t done = 0;

	kt_watch(t, KS_SCOPE_PIDS, w->pid);
	kt_enable(t, every_call, 1);
	kt_ledger(t, &before);
	work_go(w);
	do {
		done = waitpid(w->pid, &w->status, WNOHANG | WUNTRACED);
		kt_ledger(t, &ledger);
	} while (!done && ledger.opened == before.opened);
	kt_disable(t);
	if (done)
		return 0;
	wait_stopped(w->pid);
	kt_ledger(t, &ledger);
	return ledger.submitted == before.submitted;
}

/* Returns 0 if the test was skipped. */
static int start_outlasting(struct kt *t, struct work *w)
{
	int i;

	for (i = 0; i < TRIES; i++) {
		work_start(w, outlast);
		if (disable_within(t, w))
			return 0;
		if (w->status == NO_DISK << 8) {
			no_disk(w);
			return 1;
		}
		kill(w->pid, SIGKILL);
		work_wait(w);
		work_free(w);
	}
	g_test_skip("no call lasted until the probe was disabled");
	return 1;
}

static void outlasted(struct kt *t)
{
	struct ks_stats_fadvise row, row_before;
	struct ks_stats_self ledger, before;
	struct work w;

	if (start_outlasting(t, &w))
		return;
	kt_drain(t);
	kt_forget(t);
	kt_total(t, &row_before, sizeof(row_before));
	kt_enable(t, every_call, 1);
	kt_ledger(t, &before);
	kill(w.pid, SIGCONT);
	wait_stopped(w.pid);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.aggregated, ==, before.aggregated);

	kt_watch(t, KS_SCOPE_PIDS, getpid());
	kill(w.pid, SIGCONT);
	work_wait(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, 0);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpmem(row.calls, sizeof(row.calls), row_before.calls, sizeof(row.calls));
	g_assert_cmpuint(row.dropped_pages, ==, row_before.dropped_pages);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.opened, ==, before.opened);
	g_assert_cmpuint(ledger.unmatched, ==, before.unmatched);
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_FADVISE, "table", KT_PERF | KT_FEATURES, table);
	kt_add(KS_PROBE_FADVISE, "dropped", KT_FEATURES, dropped);
	kt_add(KS_PROBE_FADVISE, "not-dropped", 0, not_dropped);
	kt_add(KS_PROBE_FADVISE, "slow", KT_PERF, slow);
	kt_add(KS_PROBE_FADVISE, "sampled", KT_PERF | KT_FEATURES, sampled);
	kt_add(KS_PROBE_FADVISE, "outlasted", 0, outlasted);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that counts are kept per owner, on kernels with and without optional features: of processes
 * side by side, of a process that moves through cgroups, while the probe is disabled and enabled,
 * and when the scope's cgroup is created again. Forks, execs and exits belong to the process that
 * made them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cgroup.h"
#include "support/counters.h"
#include "support/harness.h"
#include "support/ks_test.h"
#include "support/sums.h"

static void start(struct kt *t)
{
	struct ks_param params[] = { { .id = BURST_PARAM_RECORDS, .value = 1 },
				     { .id = KS_PARAM_SAMPLE_EVERY, .value = 0 } };

	kt_enable(t, params, 2);
}

static int call_number(void *page)
{
	sums_call(*(unsigned *)page);
	return 0;
}

/* Three processes called 10, 20 and 30 times. skipped: the kernel may have left out runs. */
static void assert_rows(struct work *w, const struct ks_stats *stats, int skipped)
{
	for (unsigned i = 0; i < 3; i++) {
		const struct ks_row *row = sums_row(stats, KS_BY_PROCESS, (uint64_t)w[i].pid);
		uint64_t n = row ? sums_of(stats, KS_BY_PROCESS, (uint64_t)w[i].pid) : 0;

		g_assert_cmpuint(n, <=, 10 * (i + 1));
		if (!row && skipped)
			continue;
		if (!skipped)
			g_assert_cmpuint(n, ==, 10 * (i + 1));
		g_assert_cmpuint(row->start_ns, >=, w[i].begin_ns);
		g_assert_cmpuint(row->start_ns, <, w[i].end_ns);
		g_assert_cmpstr(row->name, ==, "probes-tables");
	}
}

/* While one process is preempted in a program, the kernel skips the runs of the others. */
static void side_by_side(struct kt *t)
{
	struct work w[3];
	struct ks_reader *reader;
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_PIDS, .n_pids = 3 };
	struct ks_stats_self ledger;
	struct ks_stats stats;
	int32_t pids[3];
	uint64_t n;

	for (unsigned i = 0; i < 3; i++) {
		work_start(&w[i], call_number);
		*(unsigned *)w[i].page = 10 * (i + 1);
		pids[i] = w[i].pid;
	}
	scope.pids = pids;
	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
	start(t);
	reader = sums_reader(t->ks, 0);
	for (unsigned i = 0; i < 3; i++)
		work_go(&w[i]);
	for (unsigned i = 0; i < 3; i++)
		work_wait(&w[i]);
	kt_ledger(t, &ledger);
	if (!kt_preempts())
		ledger.missed = 0;
	n = sums_read(reader, &stats);
	g_assert_cmpuint(n, <=, 60);
	g_assert_cmpuint(n + ledger.missed, >=, 60); /* other processes miss runs, too */
	g_assert_cmpuint(sums_of(&stats, KS_BY_CGROUP, counters_cgroup()), ==, n);
	g_assert_cmpuint(sums_of(&stats, KS_BY_ROLE, 0), ==, n);
	assert_rows(w, &stats, ledger.missed != 0);
	for (unsigned i = 0; i < 3; i++)
		work_free(&w[i]);
	ks_reader_free(reader);
}

/* ---- names ----------------------------------------------------------------------------------- */

static pthread_barrier_t turn; /* of the child */

static void *call_as_second(void *arg)
{
	sums_call(1);
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	prctl(PR_SET_NAME, "second");
	return arg;
}

/* The second thread has the first slot. */
static int rename_threads(void *page)
{
	pthread_t thread;

	(void)page;
	pthread_barrier_init(&turn, NULL, 2);
	if (pthread_create(&thread, NULL, call_as_second, NULL))
		return 1;
	pthread_barrier_wait(&turn);
	sums_call(2);
	prctl(PR_SET_NAME, "renamed");
	pthread_barrier_wait(&turn);
	return pthread_join(thread, NULL);
}

/*
 * Reads until the kernel has freed the process's tasks, and the row says that it is gone. Returns 0
 * if it does not say so soon: the program that sees it may have missed it, see wakes.h.
 */
static int is_gone(struct ks_reader *reader, pid_t pid, const char *name, uint64_t calls)
{
	uint64_t end = work_now() + 5 * UINT64_C(1000000000);
	const struct ks_row *row;
	struct ks_stats stats;

	do {
		sched_yield();
		sums_read(reader, &stats);
		row = sums_row(&stats, KS_BY_PROCESS, (uint64_t)pid);
		g_assert_nonnull(row); /* the rows of the dead stay for ten seconds */
		g_assert_cmpstr(row->name, ==, name);
		g_assert_cmpuint(sums_of(&stats, KS_BY_PROCESS, (uint64_t)pid), ==, calls);
	} while (row->flags != KS_ROW_GONE && work_now() < end);
	return row->flags == KS_ROW_GONE;
}

static int see_gone(struct kt *t, struct ks_reader *reader, work_fn fn, const char *name,
		    uint64_t calls)
{
	struct work w;
	int gone;

	work_start(&w, fn);
	*(unsigned *)w.page = (unsigned)calls;
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	gone = is_gone(reader, w.pid, name, calls);
	work_free(&w);
	return gone;
}

/* A process has the present name of its first thread, also when it is gone. */
static void renamed(struct kt *t)
{
	struct ks_reader *reader;
	int gone = 0;

	start(t);
	reader = sums_reader(t->ks, 0);
	see_gone(t, reader, rename_threads, "renamed", 3);
	for (int i = 0; i < 4 && !gone; i++)
		gone = see_gone(t, reader, call_number, "probes-tables", 7);
	g_assert_true(gone);
	ks_reader_free(reader);
}

/* ---- cgroups --------------------------------------------------------------------------------- */

#define CGROUPS ks_test_volume(4096, 16)
#define AGAIN ks_test_volume(256, 4) /* moving a process takes the kernel milliseconds */

static struct kt_cgroup *cgroups; /* shared with the child */

/*
 * Moves through all cgroups and once more through the first ones, with 1 + i calls in each, each
 * time.
 */
static int wander(void *page)
{
	(void)page;
	for (unsigned i = 0; i < CGROUPS + AGAIN; i++) {
		kt_cgroup_enter(&cgroups[i % CGROUPS], getpid());
		sums_call(1 + i % CGROUPS);
	}
	return 0;
}

static int make_cgroups(void)
{
	cgroups = g_new0(struct kt_cgroup, CGROUPS);
	for (unsigned i = 0; i < CGROUPS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "ks-table-%u", i);
		if (!kt_cgroup_make(&cgroups[i], name))
			return 0;
	}
	return 1;
}

static void check_cgroups(struct ks_reader *reader)
{
	struct ks_stats stats;

	g_assert_cmpuint(sums_read(reader, &stats), ==,
			 CGROUPS * (CGROUPS + 1) / 2 + AGAIN * (AGAIN + 1) / 2);
	for (unsigned i = 0; i < CGROUPS; i++) {
		const struct ks_row *row = sums_row(&stats, KS_BY_CGROUP, cgroups[i].id);

		g_assert_nonnull(row);
		g_assert_cmpuint(sums_of(&stats, KS_BY_CGROUP, cgroups[i].id), ==,
				 (1 + (i < AGAIN)) * (i + 1));
		g_assert_cmpstr(row->name, ==, strrchr(cgroups[i].path, '/') + 1);
	}
}

/*
 * A process moves through thousands of cgroups. Each cgroup's row has its part, also when the
 * cgroup is gone.
 */
static void wanderer(struct kt *t)
{
	struct ks_reader *reader;
	struct work w;

	if (!make_cgroups()) {
		g_test_skip("no cgroup of the memory controller can be made here");
		g_free(cgroups);
		return;
	}
	work_start(&w, wander);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	start(t);
	reader = sums_reader(t->ks, 0);
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	check_cgroups(reader);
	for (unsigned i = 0; i < CGROUPS; i++)
		kt_cgroup_remove(&cgroups[i]);
	check_cgroups(reader);
	ks_reader_free(reader);
	work_free(&w);
	g_free(cgroups);
}

struct seen {
	unsigned records, states;
	struct ks_event_state state;
};

static int see(const struct ks_event *ev, void *user)
{
	struct seen *seen = user;

	if (ev->id == KS_EVENT_STATE) {
		seen->states++;
		seen->state = *(const struct ks_event_state *)(const void *)ev;
		return 1; /* end the poll at once */
	}
	g_assert_cmpuint(ev->id, ==, BURST_EVENT);
	seen->records++;
	return 0;
}

/* Makes n calls by a process in the cgroup. */
static void call_within(const struct kt_cgroup *in, unsigned n)
{
	struct work w;

	work_start(&w, call_number);
	*(unsigned *)w.page = n;
	kt_cgroup_enter(in, w.pid);
	work_run(&w);
	work_free(&w);
}

/* When a service restarts, its cgroup gets another id. The scope follows within a second. */
static void made_anew(struct kt *t)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_CGROUP };
	struct kt_cgroup first, second;
	struct seen seen = { 0 };
	struct ks_stats stats;
	struct ks_reader *reader;

	if (!kt_cgroup_make(&first, "ks-anew")) {
		g_test_skip("no cgroup of the memory controller can be made here");
		return;
	}
	scope.cgroup = first.path;
	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
	kt_enable(t, NULL, 0);
	reader = sums_reader(t->ks, 0);
	call_within(&first, 5);
	kt_cgroup_remove(&first);
	g_assert_true(kt_cgroup_make(&second, "ks-anew"));
	g_assert_cmpuint(second.id, !=, first.id);
	while (!seen.states)
		g_assert_cmpint(ks_poll(t->ks, 60000, 0, see, &seen), !=, 0);
	g_assert_cmpuint(seen.state.probe, ==, BURST_PROBE);
	g_assert_cmpuint(seen.state.state, ==, KS_STATE_ON);
	g_assert_cmpuint(seen.state.cause, ==, KS_CAUSE_SCOPE);
	call_within(&second, 7);
	ks_assert_rc(ks_poll(t->ks, 60000, 0, see, &seen) > 0, 1);
	kt_disable(t);
	while (ks_poll(t->ks, 0, 0, see, &seen) > 0)
		;
	g_assert_cmpuint(seen.records, ==, 12);
	g_assert_cmpuint(seen.states, ==, 1);
	g_assert_cmpuint(sums_read(reader, &stats), ==, 12);
	g_assert_cmpuint(sums_of(&stats, KS_BY_CGROUP, first.id), ==, 5);
	g_assert_cmpuint(sums_of(&stats, KS_BY_CGROUP, second.id), ==, 7);
	ks_reader_free(reader);
	kt_cgroup_remove(&second);
}

/* ---- off and on ------------------------------------------------------------------------------ */

static void off_and_on(struct kt *t)
{
	uint64_t self = (uint64_t)getpid();
	struct ks_reader *all, *delta;
	struct ks_stats stats;

	start(t);
	all = sums_reader(t->ks, 0);
	delta = sums_reader(t->ks, KS_READ_DELTA);
	sums_call(3);
	g_assert_cmpuint(sums_read(delta, &stats), ==, 3);
	kt_disable(t);
	sums_call(100);
	g_assert_cmpuint(sums_read(all, &stats), ==, 3);
	start(t);
	sums_call(4);
	g_assert_cmpuint(sums_read(all, &stats), ==, 7);
	g_assert_cmpuint(sums_of(&stats, KS_BY_PROCESS, self), ==, 7);
	g_assert_cmpstr(sums_row(&stats, KS_BY_PROCESS, self)->name, ==, "probes-tables");
	g_assert_cmpuint(sums_read(delta, &stats), ==, 4);
	g_assert_cmpuint(sums_of(&stats, KS_BY_PROCESS, self), ==, 4);
	ks_reader_free(all);
	ks_reader_free(delta);
}

/* ---- proc ------------------------------------------------------------------------------------ */

static const struct ks_stats_proc *proc_row(struct ks_stats *stats, uint64_t pid)
{
	return (const void *)sums_row(stats, KS_BY_PROCESS, pid);
}

/* A fork belongs to the parent, an exit to the process that ends. */
static void families(struct kt *t)
{
	struct ks_reader_opts opts = { .size = sizeof(opts),
				       .by = KS_BY_TOTAL | KS_BY_PROCESS | KS_BY_CGROUP };
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_proc *row, *total;
	struct ks_reader *reader;
	struct proc_page *page;
	uint64_t read_ns;
	struct work w;

	work_start(&w, proc_forks);
	kt_watch(t, KS_SCOPE_TREE, w.pid);
	kt_enable(t, NULL, 0);
	ks_assert_ok(t->ks, ks_reader_new(t->ks, t->probe, &opts, &reader));
	work_run(&w);
	page = w.page;
	g_assert_cmpuint(page->n, ==, PROC_FORKS);
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	read_ns = work_now();
	row = proc_row(&stats, (uint64_t)w.pid);
	g_assert_cmpuint(row->processes, ==, PROC_FORKS);
	g_assert_cmpuint(row->process_exits, ==, 1);
	g_assert_cmpuint(row->lifetime_ns.count, ==, 1);
	g_assert_cmpuint(row->lifetime_ns.sum, <=, w.end_ns - w.begin_ns);
	g_assert_cmpuint(row->failed, ==, 0);
	for (unsigned i = PROC_FORKS - 20; i < PROC_FORKS; i++) {
		/* rows of dead processes stay for ten seconds */
		if (page->child[i].end_ns + 5000000000 < read_ns)
			continue;
		row = proc_row(&stats, (uint64_t)page->child[i].pid);
		g_assert_nonnull(row);
		g_assert_cmpuint(row->processes, ==, 0);
		g_assert_cmpuint(row->process_exits, ==, 1);
		g_assert_cmpuint(row->failed, ==, i % 256 != 0);
		g_assert_cmpuint(row->lifetime_ns.sum, <=,
				 page->child[i].end_ns - page->child[i].begin_ns);
	}
	total = (const void *)sums_row(&stats, KS_BY_TOTAL, 0);
	g_assert_cmpuint(total->process_exits, ==, PROC_FORKS + 1);
	row = (const void *)sums_row(&stats, KS_BY_CGROUP, counters_cgroup());
	g_assert_cmpmem(&row->processes, sizeof(*row) - sizeof(row->row), &total->processes,
			sizeof(*row) - sizeof(row->row));
	ks_reader_free(reader);
	work_free(&w);
}

static void add(void)
{
	kt_add(BURST_PROBE, "side-by-side", KT_UNEVEN | KT_FEATURES | KT_RAW, side_by_side);
	kt_add(BURST_PROBE, "renamed", KT_UNEVEN | KT_FEATURES | KT_RAW, renamed);
	kt_add(BURST_PROBE, "wanderer", KT_UNEVEN | KT_BEST, wanderer);
	kt_add(BURST_PROBE, "made-anew", KT_UNEVEN | KT_BEST, made_anew);
	kt_add(BURST_PROBE, "off-and-on", KT_UNEVEN | KT_FEATURES | KT_RAW, off_and_on);
	kt_add(KS_PROBE_PROC, "families", KT_RAW, families);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

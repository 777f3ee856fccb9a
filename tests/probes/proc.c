/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `proc` records each process and thread that begins and each that ends, with the ids,
 * exit statuses and signals that the parent sees, and threads apart from processes.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc_checks.h"

/* ---- processes ------------------------------------------------------------------------------ */

static void check_fork(const struct kt *t, const struct ks_event_proc_fork *ev,
		       const struct proc_child *child, pid_t parent)
{
	const struct ks_event_proc_exit *end = proc_end_of_child(t, child);

	g_assert_cmpuint(ev->ev.size, ==, sizeof(*ev));
	g_assert_cmpint(ev->ev.pid, ==, parent);
	g_assert_cmpint(ev->ev.tid, ==, parent);
	g_assert_cmpint(ev->child_pid, ==, child->pid);
	g_assert_cmpint(ev->child_tid, ==, child->pid);
	g_assert_cmpuint(ev->thread, ==, 0);
	g_assert_cmpuint(ev->ev.time_ns, >, child->begin_ns);
	g_assert_cmpuint(ev->ev.time_ns, <, child->end_ns);
	g_assert_cmpint(kt_field(ev, KS_EVENT_PROC_FORK, "child_pid", 0), ==, child->pid);

	g_assert_cmpint(end->ev.pid, ==, child->pid);
	g_assert_cmpint(end->thread, ==, 0);
	g_assert_cmpuint(end->ev.time_ns, >=, ev->ev.time_ns);
	g_assert_cmpuint(end->ev.time_ns, <, child->end_ns);
	g_assert_true(end->valid & KS_HAS_PROC_PARENT);
	g_assert_cmpint(end->ppid, ==, parent);
	g_assert_true(end->valid & KS_HAS_PROC_SESSION);
	g_assert_cmpint(end->session, ==, getsid(0));
	g_assert_cmpuint(ev->ev.flags | end->ev.flags, ==, 0);
	g_assert_true(end->valid & KS_HAS_PROC_START);
	g_assert_cmpuint(end->start_ns, >, child->begin_ns);
	g_assert_cmpuint(end->start_ns, <, child->end_ns);
	if (ev->valid & KS_HAS_PROC_START)
		g_assert_cmpuint(ev->start_ns, ==, end->start_ns);
	else
		g_assert_cmpstr(t->variant, ==, "tracepoint");
	proc_ended_as(end, child->status);
}

/* Lifetimes add up to those in the records, and to no more than the parent waited. */
static void check_lifetimes(struct kt *t, const struct work *w)
{
	const struct proc_page *page = w->page;
	uint64_t recorded = 0, waited = w->end_ns - w->begin_ns;
	const struct ks_event_proc_exit *ev;
	struct ks_stats_proc row;
	size_t at = 0;
	uint32_t i;

	while ((ev = kt_next(t, KS_EVENT_PROC_EXIT, &at)))
		if (!ev->thread)
			recorded += ev->ev.time_ns - ev->start_ns;
	for (i = 0; i < page->n; i++)
		waited += page->child[i].end_ns - page->child[i].begin_ns;
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.lifetime_ns.sum, ==, recorded);
	g_assert_cmpuint(row.lifetime_ns.sum, <, waited);
	g_assert_cmpuint(row.lifetime_ns.zeros, ==, 0);
}

static void forks(struct kt *t)
{
	struct ks_reader *reader = proc_reader(t);
	const struct proc_page *page;
	struct ks_stats_proc row;
	struct work w;
	uint32_t i;

	proc_watch(t, &w, proc_forks);
	page = w.page;
	g_assert_cmpint(w.status, ==, 0);
	proc_totals(t, PROC_FORKS, 0, 0, PROC_FORKS + 1, 0);
	for (i = 0; i < page->n; i++)
		check_fork(t, proc_begin_of(t, &page->child[i]), &page->child[i], w.pid);
	proc_ended_as(proc_end_of(t, w.pid), w.status);
	kt_total(t, &row, sizeof(row));
	/* each 256th exits with 0 */
	g_assert_cmpuint(row.failed, ==, PROC_FORKS - (PROC_FORKS + 255) / 256);
	g_assert_cmpuint(row.killed, ==, 0);
	check_lifetimes(t, &w);
	proc_same_rows(t, reader);
	work_free(&w);
}

static int end_at_once(void *page)
{
	(void)page;
	return 0;
}

/* The one value observed is in the right bucket. */
static void bucket(struct kt *t)
{
	const struct ks_event_proc_exit *end;
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_proc *row;
	struct ks_reader *reader;
	double lifetime;
	struct work w;

	proc_watch(t, &w, end_at_once);
	end = proc_end_of(t, w.pid);
	lifetime = (double)(end->ev.time_ns - end->start_ns);
	ks_assert_ok(t->ks, ks_reader_new(t->ks, t->probe, NULL, &reader));
	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	row = ks_stats_row(&stats, 0);
	g_assert_cmpuint(row->lifetime_ns.count, ==, 1);
	g_assert_cmpuint(row->lifetime_ns.n, ==, 1);
	g_assert_cmpuint(stats.buckets[row->lifetime_ns.at], ==, 1);
	g_assert_cmpfloat(lifetime, >, ks_hist_bound(row->lifetime_ns.lowest - 1));
	g_assert_cmpfloat(lifetime, <=, ks_hist_bound(row->lifetime_ns.lowest));
	ks_reader_free(reader);
	work_free(&w);
}

/*
 * Signals that kill a process by default. Each kills one process without a core file and one with
 * it.
 */
static int may_kill(int sig)
{
	static const int others[] = { SIGCHLD, SIGCONT, SIGSTOP,  SIGTSTP, SIGTTIN,
				      SIGTTOU, SIGURG,  SIGWINCH, 32,      33 };
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(others); i++)
		if (sig == others[i])
			return 0;
	return 1;
}

static void die(int sig, rlim_t core)
{
	struct rlimit limit = { core, core };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(sig, SIG_DFL);
	setrlimit(RLIMIT_CORE, &limit);
	kill(getpid(), sig);
	_exit(99);
}

static int killed_children(void *arg)
{
	struct proc_page *page = arg;
	int sig, core;
	pid_t pid;

	if (chdir(g_getenv("KS_TEST_DIR")))
		return 1;
	for (sig = 1; sig <= 64; sig++) {
		for (core = 0; may_kill(sig) && core < 2; core++) {
			struct proc_child *c = &page->child[page->n++];

			c->begin_ns = work_now();
			pid = fork();
			if (pid == 0)
				die(sig, core ? 64 << 20 : 0);
			if (waitpid(pid, &c->status, 0) != pid || !WIFSIGNALED(c->status))
				return 1;
			c->end_ns = work_now();
			c->pid = pid;
		}
	}
	return 0;
}

static void signals(struct kt *t)
{
	char *dir = g_dir_make_tmp("ks-core-XXXXXX", NULL);
	char *pattern = NULL;
	struct ks_reader *reader = proc_reader(t);
	const struct proc_page *page;
	struct ks_stats_proc row;
	unsigned cores = 0;
	struct work w;
	uint32_t i;

	g_setenv("KS_TEST_DIR", dir, 1);
	proc_watch(t, &w, killed_children);
	proc_remove_dir(dir);
	g_free(dir);
	page = w.page;
	g_assert_cmpint(w.status, ==, 0);
	g_assert_cmpuint(page->n, ==, 2 * 54);
	proc_totals(t, page->n, 0, 0, page->n + 1, 0);
	for (i = 0; i < page->n; i++) {
		proc_ended_as(proc_end_of_child(t, &page->child[i]), page->child[i].status);
		cores += !!WCOREDUMP(page->child[i].status);
	}
	g_file_get_contents("/proc/sys/kernel/core_pattern", &pattern, NULL, NULL);
	if (pattern && pattern[0] != '|' && pattern[0] != '/')
		g_assert_cmpuint(cores, >, 0);
	g_free(pattern);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.killed, ==, page->n);
	g_assert_cmpuint(row.failed, ==, 0);
	proc_same_rows(t, reader);
	work_free(&w);
}

/* ---- threads -------------------------------------------------------------------------------- */

#define THREADS ks_test_volume(1000, 100)

static int many_threads(void *arg)
{
	struct proc_page *page = arg;
	unsigned i, n = THREADS;
	pthread_t thread;

	for (i = 0; i < n; i++) {
		struct proc_child *c = &page->child[i];

		c->begin_ns = work_now();
		if (pthread_create(&thread, NULL, proc_note_tid, &c->pid))
			return 1;
		pthread_join(thread, NULL);
		/* before 6.16 its end is reported a little later */
		while (syscall(SYS_tgkill, getpid(), c->pid, 0) == 0)
			sched_yield();
		c->end_ns = work_now();
	}
	page->n = n;
	return 0;
}

static void threads(struct kt *t)
{
	const struct ks_event_proc_fork *ev;
	const struct ks_event_proc_exit *end;
	const struct proc_page *page;
	struct work w;
	uint32_t i;

	proc_watch(t, &w, many_threads);
	page = w.page;
	g_assert_cmpint(w.status, ==, 0);
	proc_totals(t, 0, THREADS, 0, 1, THREADS);
	g_assert_cmpuint(page->n, ==, THREADS);
	for (i = 0; i < page->n; i++) {
		ev = proc_begin_of(t, &page->child[i]);
		g_assert_cmpuint(ev->thread, ==, 1);
		g_assert_cmpint(ev->ev.pid, ==, w.pid);
		g_assert_cmpint(ev->child_pid, ==, w.pid);
		end = proc_end_of_child(t, &page->child[i]);
		g_assert_cmpuint(end->thread, ==, 1);
		g_assert_cmpint(end->ev.pid, ==, w.pid);
		g_assert_cmpint(end->status, ==, 0);
		g_assert_cmpuint(end->start_ns, >, w.begin_ns);
		if (ev->valid & KS_HAS_PROC_START)
			g_assert_cmpuint(end->start_ns, ==, ev->start_ns);
	}
	g_assert_cmpuint(proc_end_of(t, w.pid)->thread, ==, 0);
	work_free(&w);
}

#define FAMILIES 10
#define EACH 7
/* Each child begins and ends, half of them exec; their threads; the end of the parent. */
#define MIXED_EVENTS (FAMILIES * (2 * 2 + 1 + 2 * EACH) + 1)

static int family(void)
{
	pthread_t threads_of[EACH];
	int32_t tids[EACH];
	int i;

	for (i = 0; i < EACH; i++)
		if (pthread_create(&threads_of[i], NULL, proc_note_tid, &tids[i]))
			return 1;
	for (i = 0; i < EACH; i++)
		pthread_join(threads_of[i], NULL);
	return 0;
}

/* Makes processes with threads, and as many with posix_spawn() (vfork and exec). */
static int mixed_children(void *arg)
{
	char *const args[] = { (char *)KS_CHAIN, NULL }, *const env[] = { NULL };
	int i, status, bad = 0;
	pid_t pid;

	(void)arg;
	for (i = 0; i < FAMILIES; i++) {
		pid = fork();
		if (pid == 0)
			_exit(family());
		bad |= waitpid(pid, &status, 0) != pid || status;
		bad |= posix_spawn(&pid, KS_CHAIN, NULL, NULL, args, env);
		bad |= waitpid(pid, &status, 0) != pid || status;
	}
	return bad;
}

/* The end of a thread takes so long that another thread may end on the same CPU. */
static void mixed(struct kt *t)
{
	struct ks_reader *reader = proc_reader(t);
	struct ks_stats_self ledger;
	struct work w;

	proc_watch(t, &w, mixed_children);
	g_assert_cmpint(w.status, ==, 0);
	kt_ledger(t, &ledger);
	work_free(&w);
	proc_same_rows(t, reader);
	g_test_message("%lu runs left out", (unsigned long)ledger.missed);
	/*
	 * Other processes count as well, so there are only bounds. Nothing preempts programs at
	 * perf events.
	 */
	if (kt_preempts_events() && ledger.missed && strcmp(t->variant, "tracepoint")) {
		g_assert_cmpuint(t->n, <=, MIXED_EVENTS);
		g_assert_cmpuint(t->n + ledger.missed, >=, MIXED_EVENTS);
		return;
	}
	proc_totals(t, 2 * FAMILIES, FAMILIES * EACH, FAMILIES, 2 * FAMILIES + 1, FAMILIES * EACH);
	g_assert_cmpuint(t->n, ==, MIXED_EVENTS);
}

static void add(void)
{
	kt_add(KS_PROBE_PROC, "forks", KT_PERF | KT_FEATURES, forks);
	kt_add(KS_PROBE_PROC, "bucket", 0, bucket);
	kt_add(KS_PROBE_PROC, "signals", 0, signals);
	kt_add(KS_PROBE_PROC, "threads", KT_PERF, threads);
	kt_add(KS_PROBE_PROC, "mixed", 0, mixed);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

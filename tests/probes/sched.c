/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `sched` counts each switch of each thread as /proc does, that run, queue and sleep
 * times add up to elapsed time, and that N sleeps count as N sleeps.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kernelsight/identity.h>

#include "sched_cast.h"
#include "support/ks_test.h"
#include "support/wakes.h"

#define LATE 6 /* threads made while the probe is enabled: one stays, one ends */

static struct cast *cast; /* of the child */

static struct ks_stats_sched process_row(struct kt *t, pid_t pid)
{
	struct ks_reader *reader = cast_reader(t, KS_BY_PROCESS);
	struct ks_stats_sched row = { .voluntary = 0 };

	cast_row(reader, KS_BY_PROCESS, (uint64_t)pid, &row);
	ks_reader_free(reader);
	return row;
}

static uint64_t wall_of(const struct ks_stats_sched *row)
{
	return row->runq_ns.sum + row->oncpu_ns.sum + row->offcpu_ns.sum;
}

/* ---- the cast -------------------------------------------------------------------------------- */

static void play(unsigned part)
{
	volatile unsigned spin;
	char c = 0;

	switch (part) {
	case 1:
		for (unsigned i = 0; i < 100; i++)
			cast_nap(MS);
		break;
	case 2:
	case 3:
		for (unsigned i = 0; i < 2000; i++) {
			if (part == 2 && write(cast->pipes[0][1], &c, 1) != 1)
				_exit(1);
			if (read(cast->pipes[part == 2][0], &c, 1) != 1)
				_exit(1);
			if (part == 3 && write(cast->pipes[1][1], &c, 1) != 1)
				_exit(1);
		}
		break;
	case 4:
		for (unsigned i = 0; i < 5000; i++)
			sched_yield();
		break;
	default:
		for (spin = 0; spin < 100000000; spin++)
			;
	}
}

static void *actor(void *arg)
{
	unsigned part = (unsigned)(uintptr_t)arg;

	__atomic_store_n(&cast->tid[part], (int32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	cast_wait(cast, 1);
	if (part == LATE)
		cast_wait(cast, 2);
	play(part);
	if (part != LATE + 1)
		cast_wait(cast, 3);
	return NULL;
}

static int play_all(void *page)
{
	pthread_t thread[CAST_THREADS];

	cast = page;
	if (pipe(cast->pipes[0]) || pipe(cast->pipes[1]))
		return 1;
	for (unsigned i = 1; i < LATE; i++)
		pthread_create(&thread[i], NULL, actor, (void *)(uintptr_t)i);
	__atomic_store_n(&cast->tid[0], getpid(), __ATOMIC_RELEASE);
	cast_wait(cast, 1);
	for (unsigned i = LATE; i < CAST_THREADS; i++)
		pthread_create(&thread[i], NULL, actor, (void *)(uintptr_t)i);
	pthread_join(thread[LATE + 1], NULL);
	__atomic_store_n(&cast->ready, 1, __ATOMIC_RELEASE);
	cast_wait(cast, 3);
	for (unsigned i = 1; i <= LATE; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

/*
 * Counts switches of threads that exist before, that are made meanwhile, and that end, compared
 * with wait4().
 */
static void switches(struct kt *t)
{
	struct cast_counts before[LATE], sum = { 0 };
	struct ks_stats_sched row;
	uint64_t want;
	struct cast *c;
	struct work w;

	work_start(&w, play_all);
	c = w.page;
	work_go(&w);
	cast_all_asleep(&w, c, LATE);
	for (unsigned i = 0; i < LATE; i++)
		before[i] = cast_counts(w.pid, c->tid[i]);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	cast_next(c);
	cast_next(c);
	cast_all_asleep(&w, c, LATE + 1);
	cast_next(c);
	work_wait(&w);
	for (unsigned i = 0; i < LATE; i++) {
		sum.voluntary += before[i].voluntary;
		sum.preempted += before[i].preempted;
	}
	/* wait4() misses the last switch of a thread, except perhaps that of the main thread */
	want = (uint64_t)w.usage.ru_nvcsw - sum.voluntary + CAST_THREADS;
	do
		kt_total(t, &row, sizeof(row));
	while (row.voluntary < want - 1 && work_now() - w.end_ns < 60000ull * MS);
	kt_settle(t);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.voluntary, >=, want - 1);
	g_assert_cmpuint(row.voluntary, <=, want);
	/* it also misses preemptions between a thread's last accounting and its end */
	want = (uint64_t)w.usage.ru_nivcsw - sum.preempted;
	g_assert_cmpuint(row.preempted, >=, want);
	g_assert_cmpuint(row.preempted, <=, want + 2 * CAST_THREADS);
	work_free(&w);
}

/* Returns the row of a role, all zero if there is none yet. */
static struct ks_stats_sched role_row(struct ks_reader *reader, unsigned role)
{
	struct ks_stats_sched row = { .voluntary = 0 };

	cast_row(reader, KS_BY_ROLE, role, &row);
	return row;
}

/*
 * The kernel's own sums have other limits: it reads its clock some hundred instructions before the
 * hook in each switch, and its sums leave out time that a hypervisor takes from a running thread.
 */
static char *compare_times(const char *name, const struct ks_stats_sched *first,
			   const struct ks_stats_sched *last, const struct cast_counts *before,
			   const struct cast_counts *after, uint64_t stolen)
{
	uint64_t run = after->run_ns - before->run_ns, wait = after->wait_ns - before->wait_ns;
	uint64_t switches =
		after->voluntary - before->voluntary + after->preempted - before->preempted;
	uint64_t slack = switches * (kt_emulated() ? 500000 : 20000) + MS;
	char *wrong = ks_test_outside("time on the CPU", last->oncpu_ns.sum - first->oncpu_ns.sum,
				      run - MIN(run, run / 20 + slack),
				      run + run / 20 + slack + stolen);

	if (!wrong)
		wrong = ks_test_outside("time in a queue", last->runq_ns.sum - first->runq_ns.sum,
					wait - MIN(wait, wait / 20 + slack),
					wait + wait / 20 + slack);
	if (wrong)
		g_test_message("%s, after %u switches", name, (unsigned)switches);
	return wrong;
}

/* Compares exactly while the threads live, and each thread by a role of its own. */
static char *play_each(void *user)
{
	static const char *const names[] = { "main", "naps", "ping", "pong", "yields", "spins" };
	struct cast_counts before[LATE], after;
	uint64_t before_ns, on_ns, from_ns, to_ns, wall, stolen = work_stolen(), sum = 0;
	struct ks_stats_sched first[LATE], first_all, row;
	struct ks_reader *reader;
	char *wrong = NULL;
	struct kt *t = user;
	struct cast *c;
	struct work w;

	work_start(&w, play_all);
	c = w.page;
	work_go(&w);
	cast_all_asleep(&w, c, LATE);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	reader = cast_reader(t, KS_BY_ROLE);
	for (unsigned i = 0; i < LATE; i++) {
		ks_assert_rc(ks_thread_role(t->ks, c->tid[i], names[i]), (int)i + 1);
		before[i] = cast_counts(w.pid, c->tid[i]);
		first[i] = role_row(reader, i + 1);
	}
	first_all = process_row(t, w.pid);
	before_ns = work_now();
	kt_enable(t, NULL, 0);
	on_ns = work_now();
	cast_next(c);
	cast_next(c);
	cast_all_asleep(&w, c, LATE + 1);
	stolen = work_stolen() - stolen;
	for (unsigned i = 0; i < LATE; i++) {
		after = cast_counts(w.pid, c->tid[i]);
		from_ns = work_now();
		row = role_row(reader, i + 1);
		to_ns = work_now();
		wall = wall_of(&row) - wall_of(&first[i]);
		g_assert_cmpstr(row.row.name, ==, names[i]);
		g_assert_cmpuint(row.voluntary - first[i].voluntary, ==,
				 after.voluntary - before[i].voluntary);
		g_assert_cmpuint(row.preempted - first[i].preempted, ==,
				 after.preempted - before[i].preempted);
		g_assert_cmpuint(wall, >=, from_ns - on_ns);
		g_assert_cmpuint(wall, <=, to_ns - before_ns);
		if (!wrong)
			wrong = compare_times(names[i], &first[i], &row, &before[i], &after,
					      stolen);
		sum += wall;
	}
	ks_reader_free(reader);
	cast_next(c);
	work_wait(&w);
	kt_disable(t);
	/* including the threads made meanwhile, one of which has ended */
	row = process_row(t, w.pid);
	g_assert_cmpuint(wall_of(&row) - wall_of(&first_all), >, sum);
	work_free(&w);
	return wrong;
}

static void each_thread(struct kt *t)
{
	kt_enable(t, NULL, 0); /* so that rows exist at the start */
	kt_disable(t);
	ks_test_rounds(play_each, t);
}

/* ---- sleeps --------------------------------------------------------------------------------- */

#define NAPS 50

static int naps(void *page)
{
	cast = page;
	cast_nap(MS);
	__atomic_store_n(&cast->tid[0], getpid(), __ATOMIC_RELEASE);
	cast_wait(cast, 1);
	for (unsigned i = 0; i < NAPS; i++)
		cast_nap(5 * MS);
	__atomic_store_n(&cast->ready, 1, __ATOMIC_RELEASE);
	cast_wait(cast, 2);
	return 0;
}

/*
 * Each sleep is also a record, if asked for. A thread preempted between setting its timer and its
 * sleep sleeps less, or not at all. So /proc says how many sleeps there were, and a nap is sleep
 * time apart from the time that the thread ran or queued meanwhile.
 */
static void sleeps(struct kt *t)
{
	const struct ks_param block = { .id = KS_SCHED_PARAM_BLOCK_NS, .value = 5 * MS };
	const struct ks_event_sched_block *rec;
	struct ks_stats_sched first, last;
	struct cast_counts before, after;
	struct ks_stats_self ledger;
	size_t at = 0, found = 0;
	uint64_t ended, slept, stolen = work_stolen();
	unsigned woken, hidden;
	struct wakes wakes;
	struct cast *c;
	struct work w;
	int looked, passed = cast_state_passed();

	work_start(&w, naps);
	c = w.page;
	work_go(&w);
	cast_all_asleep(&w, c, 1);
	before = cast_counts(w.pid, w.pid);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, &block, 1);
	kt_total(t, &first, sizeof(first));
	wakes_begin(&wakes, w.pid);
	cast_next(c);
	cast_all_asleep(&w, c, 1);
	woken = wakes_end(&wakes, &looked, &hidden);
	after = cast_counts(w.pid, w.pid);
	kt_total(t, &last, sizeof(last));
	slept = after.voluntary - before.voluntary;
	g_assert_cmpuint(last.voluntary - first.voluntary, ==, slept);
	g_assert_cmpuint(slept, <=, NAPS + 1);
	g_assert_cmpuint(slept, >=, NAPS * 4 / 5);
	/* the sleep before the first step has ended; the sleep before the second goes on */
	ended = last.offcpu_ns.count - first.offcpu_ns.count;
	g_assert_cmpuint(ended, <=, slept);
	g_assert_cmpuint(ended, >=, slept - 1);
	if (looked)
		g_assert_cmpuint(last.wakeups - first.wakeups, ==, woken - hidden);
	g_assert_cmpuint(last.wakeups - first.wakeups, <=, slept);
	g_assert_cmpuint(wall_of(&last) - wall_of(&first), >=, NAPS * 5ull * MS);
	g_assert_cmpuint(last.offcpu_ns.sum - first.offcpu_ns.sum + (after.run_ns - before.run_ns) +
				 (after.wait_ns - before.wait_ns) + work_stolen() - stolen,
			 >=, NAPS * 5ull * MS);
	kt_drain(t);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.submitted, ==, t->n);
	g_assert_cmpuint(ledger.opened, <=, 1); /* the thread, unless the variant looks at none */
	while ((rec = kt_next(t, KS_EVENT_SCHED_BLOCK, &at))) {
		g_assert_cmpint(rec->ev.pid, ==, w.pid);
		g_assert_cmpint(rec->ev.tid, ==, w.pid);
		g_assert_cmpuint(rec->block_ns, >=, 5 * MS);
		cast_check_state(rec, passed);
		g_assert_cmpuint(rec->sleep_state & 3, ==, rec->valid & KS_HAS_SCHED_SLEEP ? 1 : 0);
		found++;
	}
	g_assert_cmpuint(found, >=, NAPS * 3 / 5);
	g_assert_cmpuint(found, <=, slept);
	cast_next(c);
	work_wait(&w);
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_SCHED, "switches", KT_FEATURES, switches);
	kt_add(KS_PROBE_SCHED, "each-thread", KT_BEST | KT_FEATURES, each_thread);
	kt_add(KS_PROBE_SCHED, "sleeps", KT_PERF | KT_FEATURES, sleeps);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

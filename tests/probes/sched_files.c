/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `sched` without kernel programs agrees with /proc for threads that live through two
 * scans, that their times add up to elapsed time, and that it declares everything else unknown.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched_cast.h"
#include "support/ks_test.h"

#define LACKS                                                                \
	(KS_HAS_SCHED_WAKEUPS | KS_HAS_SCHED_BUCKETS | KS_HAS_SCHED_COUNTS | \
	 KS_HAS_SCHED_CULPRIT | KS_HAS_SCHED_SLEEP)
#define THREADS 3
#define HOUR_MS 3600000

static struct cast *cast; /* of the child */

static void *act(void *arg)
{
	unsigned part = (unsigned)(uintptr_t)arg, n = ks_test_volume(50, 10);
	volatile unsigned spin;

	__atomic_store_n(&cast->tid[part], (int32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	cast_wait(cast, 1);
	for (unsigned i = 0; part == 1 && i < n; i++)
		cast_nap(MS);
	for (unsigned i = 0; part == 2 && i < 20 * n; i++) {
		sched_yield();
		for (spin = 0; spin < 10000; spin++)
			;
	}
	if (__atomic_add_fetch(&cast->ready, 1, __ATOMIC_RELEASE))
		cast_wait(cast, 2);
	return NULL;
}

static void *nothing(void *arg)
{
	return arg;
}

static int act_all(void *page)
{
	pthread_t thread[THREADS], brief;

	cast = page;
	for (unsigned i = 1; i < THREADS; i++)
		pthread_create(&thread[i], NULL, act, (void *)(uintptr_t)i);
	__atomic_store_n(&cast->tid[0], getpid(), __ATOMIC_RELEASE);
	cast_wait(cast, 1);
	/* lives between two scans, so no scan sees it */
	pthread_create(&brief, NULL, nothing, NULL);
	pthread_join(brief, NULL);
	act(NULL);
	for (unsigned i = 1; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

static struct ks_stats_sched look(struct ks *ks, struct ks_reader *reader)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_stats_sched row;

	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	g_assert_cmpuint(stats.n_rows, ==, 1);
	g_assert_cmpuint(stats.source, ==, KS_SOURCE_FILES);
	memcpy(&row, ks_stats_row(&stats, 0), sizeof(row));
	return row;
}

static struct ks *watch(pid_t pid, struct ks_reader **ret_reader)
{
	/* long, so that only the reader causes scans */
	const struct ks_param interval = { .id = KS_PARAM_INTERVAL_MS, .value = HOUR_MS };
	const struct ks_enable_opts opts = {
		.size = sizeof(opts), .variant = "procfs", .params = &interval, .n_params = 1
	};
	const struct ks_scope scope = {
		.size = sizeof(scope), .kind = KS_SCOPE_PIDS, .pids = &pid, .n_pids = 1
	};
	struct ks *ks;

	ks_assert_rc(ks_open(NULL, &ks), 0);
	ks_assert_ok(ks, ks_set_scope(ks, &scope));
	ks_assert_rc(ks_enable_probe(ks, KS_PROBE_SCHED, &opts), 1);
	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_SCHED, NULL, ret_reader));
	return ks;
}

static void compare(const struct ks_stats_sched *first, const struct ks_stats_sched *last,
		    const struct cast_counts *sum)
{
	g_assert_cmpuint(last->voluntary - first->voluntary, ==, sum->voluntary);
	g_assert_cmpuint(last->preempted - first->preempted, ==, sum->preempted);
	g_assert_cmpuint(last->oncpu_ns.sum - first->oncpu_ns.sum, ==, sum->run_ns);
	g_assert_cmpuint(last->runq_ns.sum - first->runq_ns.sum, ==, sum->wait_ns);
	g_assert_cmpuint(last->row.valid & LACKS, ==, 0);
	g_assert_cmpuint(last->row.valid & KS_HAS_SCHED_SWITCHES, ==, KS_HAS_SCHED_SWITCHES);
	g_assert_cmpuint(last->wakeups, ==, 0);
	g_assert_cmpuint(last->oncpu_ns.count, ==, 0);
}

static uint64_t wall_of(const struct ks_stats_sched *row)
{
	return row->runq_ns.sum + row->oncpu_ns.sum + row->offcpu_ns.sum;
}

static void two_looks(void)
{
	struct ks_stats_sched first, last;
	struct cast_counts sum = { 0 };
	uint64_t a, b, c_ns, d, wall;
	struct ks_reader *reader;
	struct cast *c;
	struct work w;
	struct ks *ks;

	work_start(&w, act_all);
	c = w.page;
	work_go(&w);
	cast_all_asleep(&w, c, THREADS);
	ks = watch(w.pid, &reader);
	a = work_now();
	first = look(ks, reader);
	b = work_now();
	for (unsigned i = 0; i < THREADS; i++) {
		struct cast_counts now = cast_counts(w.pid, c->tid[i]);

		sum.voluntary -= now.voluntary, sum.preempted -= now.preempted;
		sum.run_ns -= now.run_ns, sum.wait_ns -= now.wait_ns;
	}
	cast_next(c);
	while (__atomic_load_n(&c->ready, __ATOMIC_ACQUIRE) < THREADS ||
	       cast_threads(w.pid) > THREADS)
		sched_yield();
	cast_all_asleep(&w, c, THREADS);
	c_ns = work_now();
	last = look(ks, reader);
	d = work_now();
	for (unsigned i = 0; i < THREADS; i++) {
		struct cast_counts now = cast_counts(w.pid, c->tid[i]);

		sum.voluntary += now.voluntary, sum.preempted += now.preempted;
		sum.run_ns += now.run_ns, sum.wait_ns += now.wait_ns;
	}
	compare(&first, &last, &sum);
	wall = wall_of(&last) - wall_of(&first);
	g_assert_cmpuint(wall, >=, THREADS * (c_ns - b) * 98 / 100);
	g_assert_cmpuint(wall, <=, THREADS * (d - a) * 102 / 100);
	cast_next(c);
	work_wait(&w);
	/* threads that ended keep their counts */
	first = look(ks, reader);
	g_assert_cmpuint(first.voluntary, ==, last.voluntary);
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_SCHED));
	ks_assert_ok(ks, ks_ledger_check(ks, KS_PROBE_SCHED));
	ks_reader_free(reader);
	ks_close(ks);
	work_free(&w);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/sched/procfs/two-looks", two_looks);
	return g_test_run();
}

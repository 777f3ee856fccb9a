/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a thread which waits for a CPU learns which thread held it; that intervals still open
 * are in the counts at once; that threads made and ended meanwhile have their whole time in the
 * counts; and that rows add up and never decrease.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched_cast.h"
#include "support/ks_test.h"

/* ---- open intervals ------------------------------------------------------------------------- */

static int sleeper(void *page)
{
	struct cast *cast = page;

	__atomic_store_n(&cast->tid[0], getpid(), __ATOMIC_RELEASE);
	cast_wait(cast, 1);
	return 0;
}

/* A thread that sleeps now has its time in the counts now, without an event. */
static void still_open(struct kt *t)
{
	struct ks_stats_sched first, last;
	struct ks_stats_self before, after;
	struct ks_reader *reader;
	uint64_t a, b, c_ns, d;
	struct cast *c;
	struct work w;

	work_start(&w, sleeper);
	c = w.page;
	work_go(&w);
	cast_all_asleep(&w, c, 1);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	reader = cast_reader(t, KS_BY_PROCESS | KS_BY_TOTAL);
	a = work_now();
	g_assert_true(cast_row(reader, KS_BY_PROCESS, (uint64_t)w.pid, &first));
	b = work_now();
	cast_nap(100 * MS);
	c_ns = work_now();
	g_assert_true(cast_row(reader, KS_BY_PROCESS, (uint64_t)w.pid, &last));
	d = work_now();
	g_assert_cmpuint(last.offcpu_ns.sum - first.offcpu_ns.sum, >=, c_ns - b);
	g_assert_cmpuint(last.offcpu_ns.sum - first.offcpu_ns.sum, <=, d - a);
	g_assert_cmpuint(last.offcpu_ns.count, ==, first.offcpu_ns.count);
	g_assert_cmpuint(last.voluntary, ==, first.voluntary);
	/* in the new scope, too, so its interval goes on and is stored no second time */
	kt_ledger(t, &before);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_ledger(t, &after);
	g_assert_cmpuint(after.opened, ==, before.opened);
	c_ns = work_now();
	g_assert_true(cast_row(reader, KS_BY_PROCESS, (uint64_t)w.pid, &last));
	d = work_now();
	g_assert_cmpuint(last.offcpu_ns.sum - first.offcpu_ns.sum, >=, c_ns - b);
	g_assert_cmpuint(last.offcpu_ns.sum - first.offcpu_ns.sum, <=, d - a);
	/* out of scope, so its interval has ended */
	kt_watch(t, KS_SCOPE_PIDS, getpid());
	g_assert_true(cast_row(reader, KS_BY_PROCESS, (uint64_t)w.pid, &first));
	cast_nap(20 * MS);
	g_assert_true(cast_row(reader, KS_BY_PROCESS, (uint64_t)w.pid, &last));
	g_assert_cmpuint(last.offcpu_ns.sum, ==, first.offcpu_ns.sum);
	ks_reader_free(reader);
	cast_next(c);
	work_wait(&w);
	work_free(&w);
}

/* ---- whole lives ---------------------------------------------------------------------------- */

#define LIVES 4
#define LIFE_NS (100 * MS)

static struct cast *lives; /* of the child */

static void *live(void *arg)
{
	uint64_t *life = arg;
	volatile unsigned spin;

	life[0] = work_now();
	while (work_now() - life[0] < LIFE_NS) {
		cast_nap(MS);
		for (spin = 0; spin < 1000000; spin++)
			;
		sched_yield();
	}
	life[1] = work_now();
	return NULL;
}

static int make_lives(void *page)
{
	pthread_t thread[LIVES];

	lives = page;
	__atomic_store_n(&lives->tid[0], getpid(), __ATOMIC_RELEASE);
	cast_wait(lives, 1);
	for (unsigned i = 0; i < LIVES; i++) {
		lives->made_ns[i] = work_now();
		pthread_create(&thread[i], NULL, live, lives->burst_ns[i]);
	}
	for (unsigned i = 0; i < LIVES; i++)
		pthread_join(thread[i], NULL);
	__atomic_store_n(&lives->ready, 1, __ATOMIC_RELEASE);
	cast_wait(lives, 2);
	return 0;
}

static uint64_t wall_of(struct ks_reader *reader, pid_t pid)
{
	struct ks_stats_sched row;

	g_assert_true(cast_row(reader, KS_BY_PROCESS, (uint64_t)pid, &row));
	return row.runq_ns.sum + row.oncpu_ns.sum + row.offcpu_ns.sum;
}

struct gone {
	struct ks_reader *reader;
	pid_t pid;
};

/*
 * No interval goes on after a thread has left its CPU for the last time, which is later than the
 * record of its end.
 */
static char *stands_still(void *user)
{
	const struct gone *g = user;
	uint64_t wall = wall_of(g->reader, g->pid);

	cast_nap(20 * MS);
	return ks_test_outside("time of who is gone", wall_of(g->reader, g->pid), wall, wall);
}

/*
 * The main thread counts from when the probe was enabled, the others from when they were made until
 * they ended.
 */
static void whole_lives(struct kt *t)
{
	uint64_t before_ns, on_ns, gone_ns, from_ns, to_ns, wall, least, most;
	struct ks_reader *reader;
	struct cast *c;
	struct work w;

	work_start(&w, make_lives);
	c = w.page;
	work_go(&w);
	cast_all_asleep(&w, c, 1);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	before_ns = work_now();
	kt_enable(t, NULL, 0);
	on_ns = work_now();
	reader = cast_reader(t, KS_BY_PROCESS);
	cast_next(c);
	while (!__atomic_load_n(&c->ready, __ATOMIC_ACQUIRE) || cast_threads(w.pid) > 1)
		sched_yield();
	gone_ns = work_now();
	cast_asleep(w.pid, w.pid);
	from_ns = work_now();
	wall = wall_of(reader, w.pid);
	to_ns = work_now();
	least = from_ns - on_ns;
	most = to_ns - before_ns;
	for (unsigned i = 0; i < LIVES; i++) {
		least += c->burst_ns[i][1] - c->burst_ns[i][0];
		most += gone_ns - c->made_ns[i];
	}
	g_test_message("%.3f ms of %.3f to %.3f", (double)wall / MS, (double)least / MS,
		       (double)most / MS);
	g_assert_cmpuint(wall, >=, least * 98 / 100);
	g_assert_cmpuint(wall, <=, most * 102 / 100);
	cast_next(c);
	work_wait(&w);
	ks_test_rounds(stands_still, &(struct gone){ reader, w.pid });
	ks_reader_free(reader);
	work_free(&w);
}

/* ---- waits ---------------------------------------------------------------------------------- */

#define BURSTS 5
#define ATTEMPTS 20
#define BURST_NS (50 * MS)

static int fifo(int priority)
{
	const struct sched_param param = { .sched_priority = priority };

	work_pin(0);
	return sched_setscheduler(0, SCHED_FIFO, &param);
}

/*
 * Runs whenever no thread with a higher priority runs: right after the hog, and before all others.
 */
static int victim(void *page)
{
	struct cast *c = page;
	uint64_t last, now;
	unsigned n = 0;

	if (fifo(1))
		return 1;
	__atomic_store_n(&c->tid[0], getpid(), __ATOMIC_RELEASE);
	cast_wait(c, 1);
	for (last = work_now(); __atomic_load_n(&c->step, __ATOMIC_RELAXED) < 2; last = now) {
		now = work_now();
		if (now - last < BURST_NS / 2 || n == G_N_ELEMENTS(c->gap_ns))
			continue;
		c->gap_ns[n][0] = last;
		c->gap_ns[n++][1] = now;
	}
	return 0;
}

/* The hog is a second thread, so that its tid differs from its pid. */
static void *hold(void *arg)
{
	struct cast *c = arg;

	__atomic_store_n(&c->tid[1], (int32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	cast_next(c);
	for (unsigned i = 0; i < BURSTS; i++) {
		cast_nap(20 * MS);
		c->burst_ns[i][0] = work_now();
		while (work_now() - c->burst_ns[i][0] < BURST_NS)
			;
		c->burst_ns[i][1] = work_now();
	}
	cast_nap(20 * MS); /* else the thread that joins this one would run before the victim */
	cast_next(c);
	return NULL;
}

static int hog(void *page)
{
	pthread_t thread;

	if (fifo(2) || pthread_create(&thread, NULL, hold, *(struct cast **)page))
		return 1;
	pthread_join(thread, NULL);
	return 0;
}

static int within(uint64_t is, uint64_t want, uint64_t slack)
{
	return is >= want - slack && is <= want + slack;
}

/*
 * Returns whether there is a record of this burst: it ends and lasts as the burst does, and names
 * the hog.
 */
static int is_recorded(const struct kt *t, const uint64_t burst_ns[2], pid_t victim, pid_t hog,
		       int32_t hog_tid)
{
	const struct ks_event_sched_wait *rec;
	size_t at = 0;

	while ((rec = kt_next(t, KS_EVENT_SCHED_WAIT, &at)))
		if (rec->ev.time_ns >= burst_ns[1] && rec->ev.time_ns <= burst_ns[1] + 10 * MS &&
		    within(rec->wait_ns, burst_ns[1] - burst_ns[0], 10 * MS) &&
		    rec->held_tid == hog_tid)
			break;
	if (!rec)
		return 0;
	g_assert_cmpuint(rec->valid, ==, KS_HAS_SCHED_RUNQ | KS_HAS_SCHED_CULPRIT);
	g_assert_cmpint(rec->ev.tid, ==, victim);
	g_assert_cmpuint(rec->ev.cpu, ==, 0);
	g_assert_cmpint(rec->held_pid, ==, hog);
	g_assert_cmpint(hog_tid, !=, hog);
	g_assert_cmpstr(rec->held_comm, ==, rec->ev.comm);
	g_assert_cmpuint(rec->held_cgroup, ==, rec->ev.cgroup);
	return 1;
}

/* No other thread ran in between: the victim saw a gap of the same length. */
static int is_undisturbed(const struct cast *c, const uint64_t burst_ns[2])
{
	for (size_t i = 0; i < G_N_ELEMENTS(c->gap_ns); i++)
		if (c->gap_ns[i][0] <= burst_ns[0] && c->gap_ns[i][1] >= burst_ns[1])
			return within(c->gap_ns[i][1] - c->gap_ns[i][0], burst_ns[1] - burst_ns[0],
				      10 * MS);
	return 0;
}

/*
 * Returns how many undisturbed bursts have a record, -1 if this machine does not allow higher
 * priorities.
 */
static int bursts_recorded(struct kt *t)
{
	const struct ks_param wait = { .id = KS_SCHED_PARAM_WAIT_NS, .value = BURST_NS * 9 / 10 };
	struct work v, h;
	struct cast *c;
	int recorded = 0;

	work_start(&v, victim);
	work_start(&h, hog);
	c = v.page;
	*(struct cast **)h.page = c;
	work_go(&v);
	while (!__atomic_load_n(&c->tid[0], __ATOMIC_ACQUIRE))
		if (waitpid(v.pid, NULL, WNOHANG))
			return -1;
	cast_asleep(v.pid, v.pid);
	kt_watch(t, KS_SCOPE_PIDS, v.pid);
	kt_enable(t, &wait, 1);
	work_run(&h);
	work_wait(&v);
	g_assert_cmpint(h.status, ==, 0);
	kt_disable(t);
	kt_drain(t);
	for (unsigned i = 0; i < BURSTS; i++) {
		if (!is_undisturbed(c, c->burst_ns[i]))
			continue;
		g_assert_true(is_recorded(t, c->burst_ns[i], v.pid, h.pid, c->tid[1]));
		recorded++;
	}
	kt_forget(t);
	work_free(&v);
	work_free(&h);
	return recorded;
}

/* Repeats the bursts: a hypervisor may take the CPU away in the middle of one. */
static void waits(struct kt *t)
{
	int recorded = 0, now = 0;

	for (unsigned i = 0; i < ATTEMPTS && now >= 0 && recorded < BURSTS; i++) {
		now = bursts_recorded(t);
		recorded += now;
	}
	if (now < 0)
		g_test_skip("SCHED_FIFO is not allowed here");
	else
		g_assert_cmpint(recorded, >=, BURSTS);
}

/* ---- adding up ------------------------------------------------------------------------------ */

static void add_row(struct ks_stats_sched *sum, const struct ks_stats_sched *row)
{
	sum->voluntary += row->voluntary;
	sum->preempted += row->preempted;
	sum->wakeups += row->wakeups;
	sum->runq_ns.sum += row->runq_ns.sum;
	sum->oncpu_ns.sum += row->oncpu_ns.sum;
	sum->offcpu_ns.sum += row->offcpu_ns.sum;
	sum->runq_ns.count += row->runq_ns.count;
	sum->oncpu_ns.count += row->oncpu_ns.count;
	sum->offcpu_ns.count += row->offcpu_ns.count;
}

static void none_less(const struct ks_stats_sched *a, const struct ks_stats_sched *b)
{
	g_assert_cmpuint(a->voluntary, <=, b->voluntary);
	g_assert_cmpuint(a->preempted, <=, b->preempted);
	g_assert_cmpuint(a->wakeups, <=, b->wakeups);
	g_assert_cmpuint(a->runq_ns.sum, <=, b->runq_ns.sum);
	g_assert_cmpuint(a->oncpu_ns.sum, <=, b->oncpu_ns.sum);
	g_assert_cmpuint(a->offcpu_ns.sum, <=, b->offcpu_ns.sum);
}

/*
 * With the whole machine at work, no count ever decreases, and each grouping adds up to the total.
 */
static void adds_up(struct kt *t)
{
	static const uint32_t by[] = { KS_BY_TOTAL, KS_BY_PROCESS, KS_BY_CGROUP, KS_BY_ROLE };
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_SYSTEM };
	struct ks_stats_sched last = { .voluntary = 0 };
	struct ks_reader *reader;
	struct work w;

	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
	kt_enable(t, NULL, 0);
	work_start(&w, proc_forks);
	work_go(&w);
	reader = cast_reader(t, KS_BY_TOTAL | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE);
	for (unsigned turn = 0; turn < ks_test_volume(1000, 100); turn++) {
		struct ks_stats stats = { .size = sizeof(stats) };
		struct ks_stats_sched sum[4];

		memset(sum, 0, sizeof(sum));
		ks_assert_rc(ks_read_stats(reader, &stats), 0);
		for (size_t i = 0; i < stats.n_rows; i++)
			for (unsigned k = 0; k < 4; k++) {
				const struct ks_stats_sched *row = ks_stats_row(&stats, i);

				if (row->row.by == by[k])
					add_row(&sum[k], row);
			}
		for (unsigned k = 1; k < 4; k++)
			g_assert_cmpmem(&sum[k], sizeof(sum[k]), &sum[0], sizeof(sum[0]));
		none_less(&last, &sum[0]);
		last = sum[0];
	}
	g_assert_cmpuint(last.voluntary, >, 0);
	ks_reader_free(reader);
	work_wait(&w);
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_SCHED, "still-open", KT_BEST | KT_FEATURES, still_open);
	kt_add(KS_PROBE_SCHED, "whole-lives", KT_BEST | KT_FEATURES, whole_lives);
	kt_add(KS_PROBE_SCHED, "waits", KT_PERF, waits);
	kt_add(KS_PROBE_SCHED, "adds-up", KT_BEST | KT_FEATURES, adds_up);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

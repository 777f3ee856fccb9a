/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows what `sched` makes of edges: waits and sleeps that last exactly as long as the limit;
 * members and counts that the host did not ask for; threads that run or switch while the probe is
 * enabled; and time in which the probe is off.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "sched_cast.h"
#include "support/counters.h"

#define TRIES 10

/* ---- two threads that take turns ------------------------------------------------------------- */

#define TURNS 2000

struct turns {
	int pipes[2][2];
	uint32_t n, stop; /* turns to make; 0: until `stop` is set */
};

static void *second(void *arg)
{
	struct turns *p = arg;
	char c;

	while (read(p->pipes[0][0], &c, 1) == 1 && c)
		if (write(p->pipes[1][1], &c, 1) != 1)
			break;
	return NULL;
}

/* On one CPU: whoever is woken waits until the other one sleeps. */
static int take_turns(void *page)
{
	struct turns *p = page;
	int bad = pipe(p->pipes[0]) || pipe(p->pipes[1]);
	pthread_t thread;
	char c = 1;

	work_pin(0);
	if (bad || pthread_create(&thread, NULL, second, p))
		return 1;
	for (uint32_t i = 0; !bad && (p->n ? i < p->n : !p->stop); i++) {
		bad = write(p->pipes[0][1], &c, 1) != 1 || read(p->pipes[1][0], &c, 1) != 1;
		__sync_synchronize();
	}
	c = 0;
	bad |= write(p->pipes[0][1], &c, 1) != 1;
	pthread_join(thread, NULL);
	return bad;
}

/* Watches a child that takes turns; `wait` and `block` are the limits, in ns. */
static void watch_turns(struct kt *t, uint64_t wait, uint64_t block, uint64_t identity,
			uint32_t flags)
{
	const struct ks_param params[] = { { .id = KS_SCHED_PARAM_WAIT_NS, .value = wait },
					   { .id = KS_SCHED_PARAM_BLOCK_NS, .value = block },
					   { .id = KS_PARAM_IDENTITY, .value = identity },
					   { .id = KS_PARAM_MAX_PER_SEC, .value = 0 } };
	const struct ks_enable_opts opts = { .size = sizeof(opts),
					     .flags = flags,
					     .n_params = G_N_ELEMENTS(params),
					     .params = params,
					     .variant = t->variant };
	struct work w;

	kt_forget(t);
	work_start(&w, take_turns);
	((struct turns *)w.page)->n = TURNS;
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	ks_assert_ok(t->ks, ks_enable_probe(t->ks, t->probe, &opts));
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_settle(t);
	work_free(&w);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static uint64_t length_of(const struct ks_event *ev)
{
	if (ev->id == KS_EVENT_SCHED_WAIT)
		return ((const struct ks_event_sched_wait *)(const void *)ev)->wait_ns;
	return ((const struct ks_event_sched_block *)(const void *)ev)->block_ns;
}

/* The most frequent length in the records of this kind. */
static uint64_t usual(const struct kt *t, uint16_t id)
{
	unsigned n[100000] = { 0 }, best = 1;
	const struct ks_event *ev;
	size_t at = 0;

	while ((ev = kt_next(t, id, &at)))
		if (length_of(ev) < G_N_ELEMENTS(n))
			n[length_of(ev)]++;
	for (unsigned i = 1; i < G_N_ELEMENTS(n); i++)
		if (n[i] > n[best])
			best = i;
	return best;
}

/* Returns how many records of this kind are exactly as long as the limit. No one is shorter. */
static unsigned as_long(const struct kt *t, uint16_t id, uint64_t limit)
{
	const struct ks_event *ev;
	unsigned n = 0;
	size_t at = 0;

	while ((ev = kt_next(t, id, &at))) {
		g_assert_cmpuint(length_of(ev), >=, limit);
		n += length_of(ev) == limit;
	}
	return n;
}

/* It takes a few tries to see a wait and a sleep of the same length again. */
static void at_limit(struct kt *t)
{
	unsigned waits = 0, blocks = 0;

	if (kt_emulated()) {
		g_test_skip("no two waits on an emulated machine last equally long");
		return;
	}
	for (int i = 0; i < 10 * TRIES && !(waits && blocks); i++) {
		uint64_t wait, block;

		watch_turns(t, 1, 1, 0, 0);
		wait = usual(t, KS_EVENT_SCHED_WAIT);
		block = usual(t, KS_EVENT_SCHED_BLOCK);
		watch_turns(t, wait, block, 0, 0);
		waits += as_long(t, KS_EVENT_SCHED_WAIT, wait);
		blocks += as_long(t, KS_EVENT_SCHED_BLOCK, block);
	}
	g_assert_cmpuint(waits, >, 0);
	g_assert_cmpuint(blocks, >, 0);
}

/* ---- what the host asks for ------------------------------------------------------------------ */

static void identity_is(struct kt *t, uint64_t identity)
{
	int comm = !!(identity & KS_IDENTITY_COMM), cgroup = !!(identity & KS_IDENTITY_CGROUP);
	const struct ks_event_sched_wait *rec;
	unsigned others = 0;
	size_t at = 0;

	watch_turns(t, 1, 0, identity, 0);
	g_assert_cmpuint(kt_count(t, KS_EVENT_SCHED_BLOCK), ==, 0);
	while ((rec = kt_next(t, KS_EVENT_SCHED_WAIT, &at))) {
		g_assert_cmpuint(rec->valid, ==, KS_HAS_SCHED_RUNQ | KS_HAS_SCHED_CULPRIT);
		g_assert_cmpint(rec->ev.comm[0] != 0, ==, comm);
		g_assert_cmpuint(rec->ev.cgroup, ==, cgroup ? counters_cgroup() : 0);
		g_assert_cmpint(rec->held_comm[0] != 0, ==, comm);
		g_assert_cmpint(!rec->held_pid, ==, !rec->held_tid);
		if (rec->held_pid != rec->ev.pid) { /* the idle task is in no cgroup */
			g_assert_cmpint(rec->held_cgroup != 0, ==, cgroup && rec->held_pid);
			continue;
		}
		g_assert_cmpuint(rec->held_cgroup, ==, rec->ev.cgroup);
		g_assert_cmpint(rec->held_tid, !=, rec->ev.tid);
		g_assert_cmpstr(rec->held_comm, ==, rec->ev.comm);
		others++;
	}
	g_assert_cmpuint(others, >, TURNS / 10);
}

static void identity(struct kt *t)
{
	identity_is(t, KS_IDENTITY_CGROUP | KS_IDENTITY_COMM);
	identity_is(t, 0);
	identity_is(t, KS_IDENTITY_COMM);
	identity_is(t, KS_IDENTITY_CGROUP);
}

/* Records without counters, and counters without records. */
static void halves(struct kt *t)
{
	static const struct ks_stats_sched none;
	const size_t head = sizeof(none.row), size = sizeof(none) - sizeof(none.row);
	struct ks_reader *reader = cast_reader(t, KS_BY_ROLE);
	struct ks_stats_sched row;

	watch_turns(t, 1, 1, 0, KS_ENABLE_NO_STATS);
	g_assert_cmpuint(kt_count(t, KS_EVENT_SCHED_WAIT), >, TURNS / 10);
	g_assert_cmpuint(kt_count(t, KS_EVENT_SCHED_BLOCK), >, TURNS / 10);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpmem((const char *)&row + head, size, (const char *)&none + head, size);
	g_assert_true(cast_row(reader, KS_BY_ROLE, 0, &row));
	g_assert_cmpmem((const char *)&row + head, size, (const char *)&none + head, size);
	watch_turns(t, 1, 1, 0, KS_ENABLE_NO_EVENTS);
	g_assert_cmpuint(t->n, ==, 0);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.voluntary, >, TURNS);
	g_assert_cmpuint(row.wakeups, >, TURNS);
	g_assert_true(cast_row(reader, KS_BY_ROLE, 0, &row));
	g_assert_cmpuint(row.voluntary, >, TURNS);
	ks_reader_free(reader);
}

/* ---- a thread that runs ---------------------------------------------------------------------- */

/*
 * Enables the probe for the thread itself and makes it switch. Returns 1 if each switch ended time
 * on the CPU and time in the queue; 0 also if the thread switched before the programs had looked at
 * it, as on a busy machine.
 */
static int switch_self(struct kt *t, struct ks_reader *reader)
{
	struct ks_stats_sched first = { .voluntary = 0 }, last;
	struct ks_stats_self before, after;
	uint64_t switches, runs;

	cast_row(reader, KS_BY_PROCESS, (uint64_t)getpid(), &first);
	kt_ledger(t, &before);
	kt_enable(t, NULL, 0);
	for (int i = 0; i < TRIES; i++)
		cast_nap(MS);
	g_assert_true(cast_row(reader, KS_BY_PROCESS, (uint64_t)getpid(), &last));
	kt_ledger(t, &after);
	kt_disable(t);
	if (after.opened == before.opened)
		return 0;
	g_assert_cmpuint(after.opened, ==, before.opened + 1);
	switches = last.voluntary - first.voluntary + last.preempted - first.preempted;
	runs = last.oncpu_ns.count - first.oncpu_ns.count;
	g_assert_cmpuint(switches, >=, TRIES);
	return runs == switches && last.runq_ns.count - first.runq_ns.count == runs;
}

/*
 * The thread that enables the probe is on a CPU, and counts as such at once: each switch away from
 * it ends time on the CPU, and each switch to it ends time in the queue.
 */
static void running(struct kt *t)
{
	struct ks_reader *reader = cast_reader(t, KS_BY_PROCESS);
	int seen = 0;

	kt_enable(t, NULL, 0); /* so that rows exist at the start */
	kt_disable(t);
	kt_watch(t, KS_SCOPE_PIDS, getpid());
	for (int i = 0; i < TRIES && !seen; i++)
		seen = switch_self(t, reader);
	g_assert_true(seen);
	ks_reader_free(reader);
}

/* ---- threads that switch --------------------------------------------------------------------- */

/* What passes while the probe is off does not count, though both threads go on. */
static void off_time(struct kt *t)
{
	struct ks_reader *reader = cast_reader(t, KS_BY_PROCESS);
	uint64_t most = 0, from, wall;
	struct ks_stats_sched row;
	struct work w;

	work_start(&w, take_turns);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	work_go(&w);
	for (int i = 0; i < TRIES; i++) {
		from = work_now();
		kt_enable(t, NULL, 0);
		cast_nap(MS);
		kt_disable(t);
		most += 2 * (work_now() - from);
		g_assert_true(cast_row(reader, KS_BY_PROCESS, (uint64_t)w.pid, &row));
		wall = row.runq_ns.sum + row.oncpu_ns.sum + row.offcpu_ns.sum;
		g_assert_cmpuint(wall, <=, most);
		cast_nap(2 * (long)(work_now() - from));
	}
	__atomic_store_n(&((struct turns *)w.page)->stop, 1, __ATOMIC_SEQ_CST);
	work_wait(&w);
	g_assert_cmpint(w.status, ==, 0);
	work_free(&w);
	ks_reader_free(reader);
}

static void add(void)
{
	kt_add(KS_PROBE_SCHED, "halves", KT_FEATURES, halves);
	kt_add(KS_PROBE_SCHED, "identity", 0, identity);
	kt_add(KS_PROBE_SCHED, "at-limit", KT_BEST, at_limit);
	kt_add(KS_PROBE_SCHED, "running", KT_BEST | KT_FEATURES, running);
	kt_add(KS_PROBE_SCHED, "off-time", KT_FEATURES, off_time);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

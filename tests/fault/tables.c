/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that rows by process, cgroup and role stay exact under load: with more threads than slots,
 * tens of thousands of short processes, millions of increments, rows emptied meanwhile, and several
 * handles.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kernelsight/identity.h>

#include "fault.h"
#include "probes/rawcall.h"
#include "support/sums.h"

static struct ks *open_tables(uint32_t max_threads)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .max_threads = max_threads };

	return fault_open(&opts);
}

static void set_scope(struct ks *ks, uint32_t kind, int32_t pid)
{
	struct ks_scope scope = {
		.size = sizeof(scope), .kind = kind, .n_pids = !!pid, .pids = &pid
	};

	ks_assert_ok(ks, ks_set_scope(ks, &scope));
}

static void close_tables(struct ks *ks)
{
	fault_settle(ks, BURST_PROBE);
	ks_close(ks);
}

/* ---- volume ---------------------------------------------------------------------------------- */

#define RUNS ks_test_volume(10000000, 1000)

static void *run_half(void *cpu)
{
	work_pin(GPOINTER_TO_UINT(cpu));
	sums_call(RUNS / 2);
	return NULL;
}

/* Ten million increments, on two CPUs at once. */
static void increments(void)
{
	uint64_t want = (uint64_t)(RUNS / 2) * 2;
	struct ks_reader *reader;
	struct ks_stats stats;
	pthread_t threads[2];
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = open_tables(0);
	sums_enable(ks, 1);
	for (size_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, run_half, GSIZE_TO_POINTER(i));
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	reader = sums_reader(ks, 0);
	g_assert_cmpuint(sums_read(reader, &stats), ==, want);
	g_assert_cmpuint(sums_of(&stats, KS_BY_PROCESS, (uint64_t)getpid()), ==, want);
	ks_reader_free(reader);
	close_tables(ks);
}

/* ---- more threads than rows ------------------------------------------------------------------ */

#define ROWS 1000
#define CROWD 1100

struct crowd {
	struct ks *ks;
	pthread_barrier_t all;
};

static void *be_one(void *user)
{
	struct crowd *c = user;

	ks_assert_rc(ks_thread_role(c->ks, 0, "crowd"), 1);
	sums_call(3);
	pthread_barrier_wait(&c->all);
	return NULL;
}

/*
 * Each thread has a role. The row of the role has the threads that got a slot, the rest row all
 * others.
 */
static void rest(void)
{
	pthread_t threads[CROWD];
	struct ks_reader *reader;
	struct ks_stats stats;
	struct crowd c;
	pthread_attr_t small;

	if (!ks_test_root())
		return;
	c.ks = open_tables(ROWS);
	sums_enable(c.ks, 1);
	pthread_barrier_init(&c.all, NULL, CROWD);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 << 10);
	for (size_t i = 0; i < CROWD; i++)
		g_assert_cmpint(pthread_create(&threads[i], &small, be_one, &c), ==, 0);
	for (size_t i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	reader = sums_reader(c.ks, 0);
	g_assert_cmpuint(sums_read(reader, &stats), ==, 3 * CROWD);
	g_assert_cmpuint(sums_of(&stats, KS_BY_ROLE, 1), ==, 3 * ROWS);
	g_assert_cmpuint(sums_of(&stats, KS_BY_ROLE, 0), ==, 3 * (CROWD - ROWS));
	g_assert_cmpuint(sums_of(&stats, KS_BY_PROCESS, 0), ==, 3 * (CROWD - ROWS));
	g_assert_cmpuint(sums_row(&stats, KS_BY_ROLE, 0)->flags, ==, KS_ROW_REST);
	ks_reader_free(reader);
	pthread_attr_destroy(&small);
	pthread_barrier_destroy(&c.all);
	close_tables(c.ks);
}

/* ---- slots of the dead ----------------------------------------------------------------------- */

#define FEW 64

static int nobody(const struct ks_event *ev, void *user)
{
	(void)ev, (void)user;
	g_assert_not_reached();
}

static void *sleep_in_poll(void *ks)
{
	g_assert_cmpint(ks_poll(ks, -1, 0, nobody, NULL), ==, 0);
	return NULL;
}

static void *call_once(void *user)
{
	(void)user;
	sums_call(1);
	return NULL;
}

static void live_and_die(unsigned n)
{
	while (n--) {
		pthread_t thread;

		g_assert_cmpint(pthread_create(&thread, NULL, call_once, NULL), ==, 0);
		pthread_join(thread, NULL);
	}
}

static uint64_t wakeups(struct ks_reader *self)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	ks_assert_rc(ks_read_stats(self, &stats), 0);
	return ((const struct ks_stats_self *)ks_stats_row(&stats, 0))->wakeups;
}

/* No record is there: the sleeping consumer wakes once for each half of the slots, to empty it. */
static void half_dead(void)
{
	uint64_t end = work_now() + 60 * UINT64_C(1000000000), base;
	struct ks_reader *self;
	pthread_t thread;
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = open_tables(FEW);
	sums_enable(ks, 1);
	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_SELF, NULL, &self));
	ks_assert_rc(ks_poll(ks, 0, 0, nobody, NULL), 0);
	base = wakeups(self);
	g_assert_cmpint(pthread_create(&thread, NULL, sleep_in_poll, ks), ==, 0);
	live_and_die(FEW / 2 - 1);
	g_assert_cmpuint(wakeups(self), ==, base);
	live_and_die(FEW / 8);
	while (wakeups(self) == base) {
		g_assert_cmpuint(work_now(), <, end);
		sched_yield();
	}
	live_and_die(FEW / 4); /* not the second half */
	g_assert_cmpuint(wakeups(self), ==, base + 1);
	ks_wakeup(ks);
	pthread_join(thread, NULL);
	g_assert_cmpuint(wakeups(self), ==, base + 2);
	ks_reader_free(self);
	close_tables(ks);
}

/* ---- processes ------------------------------------------------------------------------------- */

/* Runs n processes that live for microseconds. */
static void live_shortly(unsigned n)
{
	while (n--) {
		pid_t pid = (pid_t)raw_vfork_call(SYS_getppid, 0, 0, 0, 0, 0);

		g_assert_cmpint(waitpid(pid, NULL, __WALL), ==, pid);
	}
}

/* Reads ten thousand rows in one call, and in the next call into the same memory. */
static void many_rows(void)
{
	unsigned n = ks_test_volume(10000, 200), rows = 0;
	const struct ks_stats_burst *row;
	struct ks_reader *reader;
	struct ks_stats stats;
	const void *memory;
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = open_tables(65536);
	set_scope(ks, KS_SCOPE_TREE, getpid());
	sums_enable(ks, 1);
	reader = sums_reader(ks, 0);
	live_shortly(n);
	g_assert_cmpuint(sums_read(reader, &stats), ==, n);
	memory = stats.rows;
	for (size_t i = 0; (row = ks_stats_row(&stats, i)); i++) {
		if (row->row.by != KS_BY_PROCESS || row->row.flags & KS_ROW_REST)
			continue;
		g_assert_cmpuint(row->emitted, ==, 1);
		g_assert_cmpuint(row->row.start_ns, >, 0);
		rows++;
	}
	/* the first ones have no row any more after ten seconds */
	g_assert_cmpuint(rows + sums_of(&stats, KS_BY_PROCESS, 0), ==, n);
	g_assert_cmpuint(sums_read(reader, &stats), ==, n);
	g_assert_true(stats.rows == memory);
	ks_reader_free(reader);
	close_tables(ks);
}

/*
 * Rows of dead processes move to the rest row, except the latest ones. Their cgroup and the total
 * have all.
 */
static void short_lives(void)
{
	unsigned n = ks_test_volume(100000, 800), turns = 40;
	uint64_t cgroup = counters_cgroup();
	struct ks_reader *reader;
	struct ks_stats stats;
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = open_tables(4096);
	set_scope(ks, KS_SCOPE_TREE, getpid());
	sums_enable(ks, 1);
	reader = sums_reader(ks, 0);
	for (unsigned i = 1; i <= turns; i++) {
		live_shortly(n / turns);
		g_assert_cmpuint(sums_read(reader, &stats), ==, (uint64_t)i * (n / turns));
		g_assert_cmpuint(sums_of(&stats, KS_BY_CGROUP, cgroup), ==,
				 (uint64_t)i * (n / turns));
		g_assert_cmpuint(stats.n_rows, <=, 4096 + 8);
	}
	if (n > 4096)
		g_assert_cmpuint(sums_of(&stats, KS_BY_PROCESS, 0), >=, n - 4096);
	ks_reader_free(reader);
	close_tables(ks);
}

/* ---- all at once ----------------------------------------------------------------------------- */

#define SLOTS 64

struct storm {
	struct ks *ks;
	atomic_int done, ready;
	atomic_uint started;
	_Atomic uint64_t made; /* by threads that have ended */
	int gaps;              /* the probe is disabled at times, so not everything counts */
};

static void *produce(void *user)
{
	struct storm *s = user;
	uint64_t n = 0;

	for (; !atomic_load(&s->done); n += 10)
		sums_call(10);
	atomic_fetch_add(&s->made, n);
	return NULL;
}

static void *call_seven(void *user)
{
	struct storm *s = user;

	sums_call(7);
	atomic_fetch_add(&s->made, 7);
	return NULL;
}

/* Starts threads that end soon, so that slots run out and are emptied. */
static void *churn(void *user)
{
	struct storm *s = user;

	while (!atomic_load(&s->done)) {
		pthread_t thread;

		g_assert_cmpint(pthread_create(&thread, NULL, call_seven, s), ==, 0);
		pthread_join(thread, NULL);
		atomic_fetch_add(&s->started, 1);
	}
	return NULL;
}

/* Reads until the others are done, and once more. The deltas add up to the total. */
static void *read_deltas(void *user)
{
	struct storm *s = user;
	struct ks_reader *reader = sums_reader(s->ks, KS_READ_DELTA);
	struct ks_stats stats;
	uint64_t sum = 0;

	atomic_fetch_add(&s->ready, 1);
	while (!atomic_load(&s->done))
		sum += sums_read(reader, &stats);
	while (atomic_load(&s->done) < 2)
		sched_yield();
	sum += sums_read(reader, &stats);
	if (!s->gaps)
		fault_counted(s->ks, BURST_PROBE, sum, atomic_load(&s->made));
	ks_reader_free(reader);
	return NULL;
}

static void *administer(void *user)
{
	struct storm *s = user;

	for (unsigned turn = 0; !atomic_load(&s->done); turn++) {
		struct ks_param param = { .id = BURST_PARAM_RECORDS, .value = 1 + turn % 3 };

		set_scope(s->ks, turn % 2 ? KS_SCOPE_SELF : KS_SCOPE_PIDS, turn % 2 ? 0 : getpid());
		ks_assert_ok(s->ks, ks_configure_probe(s->ks, BURST_PROBE, &param, 1));
		if (turn % 4 == 3)
			ks_assert_ok(s->ks, ks_disable_probe(s->ks, BURST_PROBE));
		sums_enable(s->ks, 1);
	}
	return NULL;
}

/* True if slots have been reused: more threads had one than there are slots. */
static int given_again(struct storm *s, const struct ks_stats *stats)
{
	unsigned started = atomic_load(&s->started);

	return started > 300 && sums_of(stats, KS_BY_PROCESS, 0) < 7 * (started - SLOTS);
}

/* No read is below the one before, for the total and for this process. */
static void read_often(struct storm *s, unsigned turns)
{
	struct ks_reader *reader = sums_reader(s->ks, 0);
	uint64_t total = 0, ours = 0, now;
	uint64_t end = work_now() + 200 * UINT64_C(1000000000);
	int again = s->gaps;
	struct ks_stats stats;

	for (unsigned i = 0; i < turns || !again; i++) {
		now = sums_read(reader, &stats);
		g_assert_cmpuint(now, >=, total);
		total = now;
		again = again || given_again(s, &stats);
		g_assert_true(again || work_now() < end);
		now = sums_of(&stats, KS_BY_PROCESS, (uint64_t)getpid());
		if (now == UINT64_MAX)
			continue;
		g_assert_cmpuint(now, >=, ours);
		ours = now;
	}
	ks_reader_free(reader);
}

static void storm(gconstpointer gaps)
{
	static void *(*const parts[])(void *) = { read_deltas, read_deltas, produce,
						  produce,     churn,       administer };
	struct storm s = { .gaps = gaps != NULL };
	size_t n = G_N_ELEMENTS(parts) - !s.gaps;
	pthread_t threads[G_N_ELEMENTS(parts)];
	struct ks_reader *reader;
	struct ks_stats stats;

	if (!ks_test_root())
		return;
	s.ks = open_tables(SLOTS);
	sums_enable(s.ks, 1);
	for (size_t i = 0; i < n; i++) {
		g_assert_cmpint(pthread_create(&threads[i], NULL, parts[i], &s), ==, 0);
		while (i < 2 && atomic_load(&s.ready) <= (int)i)
			sched_yield(); /* deltas begin before anything is counted */
	}
	read_often(&s, ks_test_volume(1000, 50));
	atomic_store(&s.done, 1);
	for (size_t i = 2; i < n; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&s.done, 2);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	reader = sums_reader(s.ks, 0);
	if (!s.gaps)
		fault_counted(s.ks, BURST_PROBE, sums_read(reader, &stats), atomic_load(&s.made));
	ks_reader_free(reader);
	ks_assert_ok(s.ks, ks_disable_probe(s.ks, BURST_PROBE));
	close_tables(s.ks);
}

/* ---- handles --------------------------------------------------------------------------------- */

#define HANDLES 10

static int call_by_number(void *page)
{
	sums_call(100 * *(unsigned *)page);
	return 0;
}

static uint64_t map_bytes(struct ks *ks)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_reader *reader;
	uint64_t bytes;

	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_SELF, NULL, &reader));
	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	bytes = ((const struct ks_stats_self *)ks_stats_row(&stats, 0))->map_bytes;
	ks_reader_free(reader);
	return bytes;
}

/* Each handle watches another process, and one watches all. */
static void handles(void)
{
	struct work w[HANDLES];
	struct ks *ks[HANDLES + 1];
	uint64_t begin, ns = 0, bytes = 0, sum = 0;

	if (!ks_test_root())
		return;
	for (unsigned i = 0; i < HANDLES; i++) {
		work_start(&w[i], call_by_number);
		*(unsigned *)w[i].page = i + 1;
	}
	for (unsigned i = 0; i <= HANDLES; i++) {
		begin = work_now();
		ks[i] = open_tables(0);
		set_scope(ks[i], i < HANDLES ? KS_SCOPE_PIDS : KS_SCOPE_TREE,
			  i < HANDLES ? w[i].pid : getpid());
		sums_enable(ks[i], 1);
		ns += work_now() - begin;
		bytes += map_bytes(ks[i]);
	}
	for (unsigned i = 0; i < HANDLES; i++)
		work_go(&w[i]);
	for (unsigned i = 0; i < HANDLES; i++)
		work_wait(&w[i]);
	for (unsigned i = 0; i <= HANDLES; i++) {
		struct ks_reader *reader = sums_reader(ks[i], 0);
		struct ks_stats stats;
		uint64_t total = sums_read(reader, &stats);

		g_assert_cmpuint(total, ==, i < HANDLES ? 100 * (i + 1) : sum);
		if (i < HANDLES)
			g_assert_cmpuint(sums_of(&stats, KS_BY_PROCESS, (uint64_t)w[i].pid), ==,
					 total);
		sum += total;
		ks_reader_free(reader);
	}
	g_test_message("%d handles: %.1f MiB of maps and %.1f ms to start each", HANDLES + 1,
		       (double)bytes / (HANDLES + 1) / (1 << 20), (double)ns / (HANDLES + 1) / 1e6);
	for (unsigned i = 0; i <= HANDLES; i++)
		close_tables(ks[i]);
	for (unsigned i = 0; i < HANDLES; i++)
		work_free(&w[i]);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/tables/increments", increments);
	g_test_add_func("/tables/rest", rest);
	g_test_add_func("/tables/half-dead", half_dead);
	g_test_add_func("/tables/many-rows", many_rows);
	g_test_add_func("/tables/short-lives", short_lives);
	g_test_add_data_func("/tables/storm", NULL, storm);
	g_test_add_data_func("/tables/storm-with-gaps", GINT_TO_POINTER(1), storm);
	g_test_add_func("/tables/handles", handles);
	return g_test_run();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that handles leave no trace: closed while kernel programs fire, a thousand times one after
 * the other, two at a time. Readers outlive their handle. A refused scope leaves the old one in
 * force.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <stdio.h>
#include <sys/wait.h>

#include "fault.h"

#define CYCLES ks_test_volume(1000, 8)
#define WARM (CYCLES / 4)
/* A sanitizer keeps freed memory on purpose. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GROWTH UINT64_MAX
#else
#define GROWTH (1u << 20)
#endif

/* ---- producers without a handle -------------------------------------------------------------- */

struct producers {
	atomic_int stop;
	atomic_uint begun, running;
	pthread_t thread[2];
};

static void *produce(void *user)
{
	struct producers *p = user;
	unsigned cpu = atomic_fetch_add(&p->begun, 1);

	work_pin(cpu % (unsigned)g_get_num_processors()); /* opens a file for a moment */
	atomic_fetch_add(&p->running, 1);
	while (!atomic_load(&p->stop))
		syscall(SYS_getppid);
	return NULL;
}

static void start(struct producers *p)
{
	for (int i = 0; i < 2; i++)
		g_assert_cmpint(pthread_create(&p->thread[i], NULL, produce, p), ==, 0);
	while (atomic_load(&p->running) < 2)
		sched_yield();
}

static void stop(struct producers *p)
{
	atomic_store(&p->stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(p->thread[i], NULL);
}

/* ---- close under load ------------------------------------------------------------------- */

struct consumer {
	struct ks *ks;
	pthread_t thread;
	_Atomic uint64_t seen;
	atomic_int stop;
};

static int on_event(const struct ks_event *ev, void *user)
{
	struct consumer *c = user;

	(void)ev;
	atomic_fetch_add(&c->seen, 1);
	return 0;
}

static void *consume(void *user)
{
	struct consumer *c = user;

	while (!atomic_load(&c->stop))
		ks_assert_ok(c->ks, ks_poll(c->ks, -1, 0, on_event, c));
	return NULL;
}

/*
 * Programs run on both CPUs and fill the rings, with a consumer that was just woken by the close,
 * and without one.
 */
static void close_under_load(gconstpointer without)
{
	struct ks_open_opts opts = { .size = sizeof(opts),
				     .ring_bytes = 64 << 10,
				     .features_off = GPOINTER_TO_SIZE(without) };
	struct producers p = { .stop = 0 };
	struct fault_kernel since;
	unsigned before;

	if (!ks_test_root())
		return;
	start(&p);
	before = counters_descriptors();
	fault_kernel(&since);
	for (unsigned i = 0, n = ks_test_volume(20, 4); i < n; i++) {
		struct consumer c = { .ks = fault_open(&opts) };

		fault_burst(c.ks, 1 + i % 4);
		if (i % 2) {
			g_assert_cmpint(pthread_create(&c.thread, NULL, consume, &c), ==, 0);
			while (atomic_load(&c.seen) < 1000)
				sched_yield();
			atomic_store(&c.stop, 1);
			ks_wakeup(c.ks);
			pthread_join(c.thread, NULL);
		} else {
			while (!fault_ledger(c.ks, BURST_PROBE).lost_ring)
				sched_yield();
		}
		ks_close(c.ks);
	}
	stop(&p);
	fault_kernel_clean(&since);
	g_assert_cmpuint(counters_descriptors(), ==, before);
}

/* ---- cycles ----------------------------------------------------------------------------- */

static uint64_t resident(void)
{
	unsigned long long pages = 0;
	char *text;

	g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
	g_assert_cmpint(sscanf(text, "%*u %llu", &pages), ==, 1);
	g_free(text);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void cycle(unsigned i, const char *variant)
{
	uint32_t probe = i % 2 ? KS_PROBE_PROC : KS_PROBE_FADVISE;
	struct ks *ks = fault_open(NULL);

	fault_enable(ks, probe, strcmp(variant, "tp_btf") ? variant : fault_typed(probe));
	if (i % 2)
		fault_fork(1);
	else
		fault_advise(1);
	g_assert_cmpuint(i % 2 ? fault_forked(ks) : fault_advised(ks), ==, 1);
	if (i % 3)
		g_assert_cmpuint(fault_drain(ks), ==, 1);
	ks_close(ks);
}

static void cycles(gconstpointer variant)
{
	unsigned n = strcmp(variant, "tracepoint") ? CYCLES / 2 : ks_test_volume(10, 4), before;
	struct fault_kernel since;
	uint64_t rss = 0;

	if (!ks_test_root())
		return;
	before = counters_descriptors();
	fault_kernel(&since);
	for (unsigned i = 0; i < n; i++) {
		cycle(i, variant);
		g_assert_cmpuint(counters_descriptors(), ==, before);
		if (i == WARM)
			rss = resident();
	}
	if (rss)
		g_assert_cmpuint(resident(), <=, rss + MIN(GROWTH, UINT64_MAX - rss));
	fault_kernel_clean(&since);
}

static void cycles_tracepoint(const void *data)
{
	fault_private_mounts();
	cycles(data);
}

static void cycles_alone(gconstpointer variant)
{
	if (ks_test_root())
		fault_in_child(cycles_tracepoint, variant);
}

/* ---- readers ---------------------------------------------------------------------------- */

static void reader_survives(void)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_fadvise *row;
	struct ks_reader *reader, *unread;
	struct ks *ks;

	if (!ks_test_root())
		return;
	ks = fault_open(NULL);
	fault_enable(ks, KS_PROBE_FADVISE, NULL);
	fault_advise(3);
	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_FADVISE, NULL, &reader));
	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_FADVISE, NULL, &unread));
	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	ks_close(ks);
	row = ks_stats_row(&stats, 0);
	g_assert_cmpuint(row->calls[KS_ADVICE_NORMAL], ==, 3);
	ks_assert_rc(ks_read_stats(reader, &stats), -KS_ECLOSED);
	ks_assert_rc(ks_read_stats(unread, &stats), -KS_ECLOSED);
	g_assert_cmpuint(row->calls[KS_ADVICE_NORMAL], ==, 3);
	ks_reader_free(unread);
	ks_reader_free(reader);
	ks_close(NULL);
	ks_reader_free(NULL);
}

/* ---- two handles ------------------------------------------------------------------------ */

static void watch(struct ks *ks, uint32_t kind, int32_t pid, int want)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = kind, .n_pids = 1, .pids = &pid };

	ks_assert_rc(ks_set_scope(ks, &scope), want);
}

static uint64_t sequential(struct ks *ks)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_fadvise *row;
	struct ks_reader *reader;
	uint64_t n;

	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_FADVISE, NULL, &reader));
	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	row = ks_stats_row(&stats, 0);
	n = row->calls[KS_ADVICE_SEQUENTIAL];
	ks_reader_free(reader);
	return n;
}

static void two_handles(void)
{
	struct ks *mine, *theirs;
	struct work w;

	if (!ks_test_root())
		return;
	mine = fault_open(NULL);
	theirs = fault_open(NULL);
	work_start(&w, fad_many);
	watch(theirs, KS_SCOPE_PIDS, w.pid, 0);
	fault_enable(mine, KS_PROBE_FADVISE, fault_typed(KS_PROBE_FADVISE));
	ks_assert_ok(theirs, ks_enable_probe(theirs, KS_PROBE_FADVISE, NULL));
	fault_advise(100);
	work_run(&w);
	g_assert_cmpuint(fault_advised(mine), ==, 100);
	g_assert_cmpuint(sequential(mine), ==, 0);
	g_assert_cmpuint(fault_advised(theirs), ==, 0);
	g_assert_cmpuint(sequential(theirs), ==, FAD_MANY);
	fault_settle(theirs, KS_PROBE_FADVISE);
	ks_close(theirs);
	fault_advise(5); /* the other handle goes on */
	g_assert_cmpuint(fault_drain(mine), ==, 105);
	g_assert_cmpuint(fault_advised(mine), ==, 105);
	fault_settle(mine, KS_PROBE_FADVISE);
	ks_close(mine);
	work_free(&w);
}

/* ---- refused scopes -------------------------------------------------------------------------- */

static void still_self(struct ks *ks)
{
	uint64_t before = fault_advised(ks);

	fault_advise(7);
	g_assert_cmpuint(fault_advised(ks) - before, ==, 7);
}

static void refused_scopes(void)
{
	pid_t dead = fork();
	struct ks *ks;

	if (!dead)
		_exit(0);
	fault_reap(dead);
	if (!ks_test_root())
		return;
	ks = fault_open(NULL);
	watch(ks, KS_SCOPE_PIDS, dead, -ESRCH);
	watch(ks, KS_SCOPE_TREE, dead, -ESRCH);
	fault_enable(ks, KS_PROBE_FADVISE, NULL);
	watch(ks, KS_SCOPE_PIDS, dead, -ESRCH);
	still_self(ks);
	watch(ks, KS_SCOPE_TREE, dead, -ESRCH);
	still_self(ks);
	watch(ks, 99, getpid(), -EINVAL);
	watch(ks, KS_SCOPE_PIDS, -1, -EINVAL);
	watch(ks, KS_SCOPE_SELF, getpid(), -EINVAL);
	still_self(ks);
	fault_settle(ks, KS_PROBE_FADVISE);
	ks_close(ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/close/under-load/ring", NULL, close_under_load);
	g_test_add_data_func("/close/under-load/perf", GSIZE_TO_POINTER(KS_FEATURE_RINGBUF),
			     close_under_load);
	g_test_add_func("/close/readers", reader_survives);
	g_test_add_data_func("/cycles/tp_btf", "tp_btf", cycles);
	g_test_add_data_func("/cycles/raw_tp", "raw_tp", cycles);
	g_test_add_data_func("/cycles/tracepoint", "tracepoint", cycles_alone);
	g_test_add_func("/two-handles", two_handles);
	g_test_add_func("/refused-scopes", refused_scopes);
	return g_test_run();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a stopped or slow consumer costs records but never wrong counts. Two million records
 * go into small buffers: every loss is reported in its place, and ledger and stream agree to the
 * last record. Four million records with random pauses, as far as they come within a minute, lose
 * no wake-up.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "support/burst.h"
#include "support/harness.h"
#include "support/ks_test.h"

#define CPUS 1024
#define STUCK_US (60 * G_USEC_PER_SEC)
#define LEFT_OUT_US (G_USEC_PER_SEC / 2)

struct host {
	struct ks *ks;
	_Atomic uint64_t next[CPUS]; /* sequence of each CPU's next record */
	uint64_t delivered, lost;
	atomic_int stop;
	unsigned records; /* made by each getppid() */
	uint64_t want;    /* of each producer; fewer if time runs out, but at least a hundredth */
	int64_t end_us;
};

static int on_event(const struct ks_event *ev, void *user)
{
	const struct ks_event_lost *hole = (const struct ks_event_lost *)ev;
	const struct ks_event_burst_record *rec = (const struct ks_event_burst_record *)ev;
	struct host *h = user;
	uint64_t next = atomic_load(&h->next[ev->cpu]);

	if (ev->id == KS_EVENT_LOST) {
		g_assert_cmpuint(hole->reason, ==, KS_LOST_RING);
		g_assert_cmpuint(hole->probe, ==, BURST_PROBE);
		g_assert_cmpuint(hole->from_ns, <=, hole->to_ns);
		h->lost += hole->lost;
		atomic_store(&h->next[ev->cpu], next + hole->lost);
		return 0;
	}
	g_assert_cmpuint(ev->id, ==, BURST_EVENT);
	g_assert_cmpuint(rec->sequence, ==, next); /* lost records have numbers, too */
	h->delivered++;
	atomic_store(&h->next[ev->cpu], next + 1);
	return 0;
}

static void host_open(struct host *h, uint32_t batch_ms, uint64_t ring_bytes, uint64_t without)
{
	struct ks_open_opts opts = {
		.size = sizeof(opts),
		.batch_ms = batch_ms,
		.ring_bytes = ring_bytes,
		.features_off = without,
	};
	struct ks_param params[] = {
		{ .id = KS_PARAM_MAX_PER_SEC, .value = 0 },
		{ .id = BURST_PARAM_RECORDS, .value = h->records },
	};
	struct ks_enable_opts enable = {
		.size = sizeof(enable),
		.n_params = G_N_ELEMENTS(params),
		.params = params,
	};

	ks_assert_rc(ks_open(&opts, &h->ks), 0);
	ks_assert_ok(h->ks, ks_enable_probe(h->ks, BURST_PROBE, &enable));
}

static void drain(struct host *h)
{
	int n;

	while ((n = ks_poll(h->ks, 0, 0, on_event, h)) > 0)
		;
	ks_assert_ok(h->ks, n);
}

/* Reads the ledger of the probe, or the total one. */
static struct ks_stats_self read_ledger(struct host *h, uint32_t by)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by };
	struct ks_stats stats = { .size = sizeof(stats) };
	const struct ks_stats_self *row;
	struct ks_stats_self found = { .fired = 0 };
	struct ks_reader *reader;

	ks_assert_ok(h->ks, ks_reader_new(h->ks, KS_PROBE_SELF, &opts, &reader));
	ks_assert_ok(h->ks, ks_read_stats(reader, &stats));
	for (size_t i = 0; (row = ks_stats_row(&stats, i)); i++)
		if (by == KS_BY_TOTAL || row->row.key == BURST_PROBE)
			found = *row;
	ks_reader_free(reader);
	return found;
}

static void close_balanced(struct host *h, uint64_t tried)
{
	struct ks_stats_self ledger;

	ks_assert_ok(h->ks, ks_disable_probe(h->ks, BURST_PROBE));
	drain(h);
	ks_assert_ok(h->ks, ks_ledger_check(h->ks, BURST_PROBE));
	ledger = read_ledger(h, KS_BY_PROBE);
	g_assert_cmpuint(h->delivered + h->lost, ==, tried);
	g_assert_cmpuint(ledger.submitted, ==, h->delivered);
	g_assert_cmpuint(ledger.delivered, ==, h->delivered);
	g_assert_cmpuint(ledger.discarded, ==, 0);
	g_assert_cmpuint(ledger.in_flight, ==, 0);
	g_assert_cmpuint(ledger.lost_ring + ledger.lost_locked, ==, h->lost);
	ks_close(h->ks);
}

/* ---- overload -------------------------------------------------------------------------------- */

static void stopped(gconstpointer without)
{
	unsigned calls = ks_test_volume(500000, 50000);
	struct host *h;

	if (!ks_test_root())
		return;
	h = g_new0(struct host, 1);
	h->records = 4;
	host_open(h, 0, 1 << 20, GPOINTER_TO_SIZE(without));
	for (unsigned i = 0; i < calls; i++)
		syscall(SYS_getppid);
	drain(h);
	g_assert_cmpuint(h->lost, >, 4 * calls - 100000);
	for (unsigned i = 0; i < 100; i++) /* afterwards it works as before */
		syscall(SYS_getppid);
	close_balanced(h, 4 * calls + 400);
	g_free(h);
}

/* ---- wake-ups -------------------------------------------------------------------------------- */

static void *consume(void *user)
{
	struct host *h = user;

	while (!atomic_load(&h->stop))
		ks_assert_ok(h->ks, ks_poll(h->ks, -1, 0, on_event, h));
	return NULL;
}

struct producer {
	struct host *h;
	pthread_t thread;
	unsigned cpu;
	uint64_t made;
};

/*
 * True if the kernel has skipped runs, as it may where it preempts programs, and no record waits.
 */
static int left_out(struct host *h)
{
	struct ks_stats_self ledger = read_ledger(h, KS_BY_PROBE);

	return kt_preempts_events() && ledger.missed && !ledger.in_flight;
}

/*
 * Makes a few records, waits until the consumer has seen them all without help, pauses, and
 * repeats.
 */
static void *produce(void *user)
{
	struct producer *p = user;
	GRand *rand = g_rand_new_with_seed(p->cpu + 1);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(p->cpu, &set);
	g_assert_cmpint(pthread_setaffinity_np(pthread_self(), sizeof(set), &set), ==, 0);
	while (p->made < p->h->want &&
	       (p->made < p->h->want / 100 || g_get_monotonic_time() < p->h->end_us)) {
		unsigned calls = (unsigned)g_rand_int_range(rand, 1, 5);
		unsigned pause = (unsigned)g_rand_int_range(rand, 0, 320);
		int64_t end = g_get_monotonic_time() + STUCK_US;
		int64_t look = end - STUCK_US + LEFT_OUT_US;

		for (unsigned i = 0; i < calls; i++)
			syscall(SYS_getppid);
		p->made += calls * p->h->records;
		while (atomic_load(&p->h->next[p->cpu]) < p->made) {
			if (g_get_monotonic_time() > end)
				g_error("CPU %u: %lu made, %lu seen: a wake-up was lost", p->cpu,
					p->made, atomic_load(&p->h->next[p->cpu]));
			if (g_get_monotonic_time() > look && left_out(p->h))
				p->made = atomic_load(&p->h->next[p->cpu]);
			sched_yield();
		}
		for (volatile unsigned i = 0; i < pause; i++)
			;
	}
	g_rand_free(rand);
	return NULL;
}

static void storm(unsigned records, uint64_t want, uint32_t batch_ms)
{
	struct producer producers[2];
	struct host *h;
	uint64_t made = 0;
	pthread_t consumer;
	cpu_set_t all;
	unsigned n = 0;

	h = g_new0(struct host, 1);
	h->records = records;
	h->want = want;
	h->end_us = g_get_monotonic_time() + KS_TEST_LONG_US;
	host_open(h, batch_ms, 4 << 20, 0);
	g_assert_cmpint(sched_getaffinity(0, sizeof(all), &all), ==, 0);
	g_assert_cmpint(pthread_create(&consumer, NULL, consume, h), ==, 0);
	for (unsigned cpu = 0; cpu < CPUS && n < 2; cpu++)
		if (CPU_ISSET(cpu, &all))
			producers[n++] = (struct producer){ .h = h, .cpu = cpu };
	for (unsigned i = 0; i < n; i++)
		g_assert_cmpint(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
				==, 0);
	for (unsigned i = 0; i < n; i++) {
		pthread_join(producers[i].thread, NULL);
		made += producers[i].made;
	}
	atomic_store(&h->stop, 1);
	ks_wakeup(h->ks);
	pthread_join(consumer, NULL);
	g_assert_cmpuint(h->lost, ==, 0);
	close_balanced(h, made);
	g_free(h);
}

static void single(void)
{
	if (ks_test_root())
		storm(1, ks_test_volume(200000, 4000), KS_IMMEDIATE);
}

/* Ten million records. */
static void crowd(void)
{
	if (ks_test_root())
		storm(8, ks_test_volume(5000000, 10000), KS_IMMEDIATE);
}

/*
 * Wake-ups are mostly held back, and the timer looks. Between floods the ring must be armed again.
 */
static void batched(void)
{
	if (ks_test_root())
		storm(2, ks_test_volume(10000, 2000), 1);
}

/* ---- idle ------------------------------------------------------------------------------------ */

/* Runs once: the timer may be late on a busy machine. */
static char *idle_once(void *user)
{
	struct host *h = user;
	uint64_t before = read_ledger(h, KS_BY_TOTAL).wakeups;

	ks_assert_rc(ks_poll(h->ks, 2000, 0, on_event, h), 0);
	return ks_test_outside("number of wake-ups", read_ledger(h, KS_BY_TOTAL).wakeups, before,
			       before);
}

static void idle(void)
{
	struct host *h;
	int rc;

	if (!ks_test_root())
		return;
	h = g_new0(struct host, 1);
	h->records = 4;
	host_open(h, 0, 0, 0);
	for (unsigned i = 0; i < 100; i++)
		syscall(SYS_getppid);
	/* one look by the timer finds that the flood is over */
	do {
		rc = ks_poll(h->ks, 1000, 0, on_event, h);
		ks_assert_ok(h->ks, rc);
	} while (rc);
	ks_test_rounds(idle_once, h);
	close_balanced(h, 400);
	g_free(h);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/overload/ring", NULL, stopped);
	g_test_add_data_func("/overload/perf", GSIZE_TO_POINTER(KS_FEATURE_RINGBUF), stopped);
	g_test_add_func("/wakeup/single", single);
	g_test_add_func("/wakeup/crowd", crowd);
	g_test_add_func("/wakeup/batched", batched);
	g_test_add_func("/wakeup/idle", idle);
	return g_test_run();
}

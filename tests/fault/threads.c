/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a consumer, two readers, an administrator who enables, configures and sets scopes, and
 * a thread that wakes them up can share one handle, and that the ledger balances when they are
 * done.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "fault.h"

#define TURNS ks_test_volume(60, 20)

struct host {
	struct ks *ks;
	atomic_int done;
	uint64_t burst, advice;
};

static int on_event(const struct ks_event *ev, void *user)
{
	struct host *h = user;

	h->burst += ev->id >> 8 == BURST_PROBE;
	h->advice += ev->id >> 8 == KS_PROBE_FADVISE;
	return 0;
}

static void *consume(void *user)
{
	struct host *h = user;

	while (!atomic_load(&h->done))
		ks_assert_ok(h->ks, ks_poll(h->ks, -1, 64, on_event, h));
	return NULL;
}

/* Totals never decrease. */
static void *read_totals(void *user)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = KS_BY_TOTAL | KS_BY_CPU };
	struct host *h = user;
	struct ks_reader *reader;
	uint64_t last = 0;

	ks_assert_ok(h->ks, ks_reader_new(h->ks, BURST_PROBE, &opts, &reader));
	while (!atomic_load(&h->done)) {
		struct ks_stats stats = { .size = sizeof(stats) };
		const struct ks_stats_burst *row;

		ks_assert_ok(h->ks, ks_read_stats(reader, &stats));
		row = ks_stats_row(&stats, 0);
		g_assert_cmpuint(row->emitted, >=, last);
		last = row->emitted;
	}
	ks_reader_free(reader);
	return NULL;
}

/* Reads deltas, ledgers and all queries about the handle. */
static void *read_deltas(void *user)
{
	struct ks_reader_opts opts = { .size = sizeof(opts),
				       .by = KS_BY_TOTAL | KS_BY_PROBE,
				       .flags = KS_READ_DELTA };
	struct host *h = user;
	struct ks_reader *reader;

	ks_assert_ok(h->ks, ks_reader_new(h->ks, KS_PROBE_SELF, &opts, &reader));
	while (!atomic_load(&h->done)) {
		struct ks_probe_info info = { .size = sizeof(info) };
		struct ks_stats stats = { .size = sizeof(stats) };

		ks_assert_ok(h->ks, ks_read_stats(reader, &stats));
		ks_assert_ok(h->ks, ks_query_probe(h->ks, KS_PROBE_FADVISE, &info));
		ks_assert_rc(ks_query_probe(h->ks, 99, &info), -EINVAL);
		g_assert_cmpint(ks_explain(h->ks, KS_JSON, NULL, 0), >, 0);
	}
	ks_reader_free(reader);
	return NULL;
}

static void *wake(void *user)
{
	struct host *h = user;

	while (!atomic_load(&h->done)) {
		ks_assert_ok(h->ks, ks_wakeup(h->ks));
		syscall(SYS_getppid);
	}
	ks_wakeup(h->ks);
	return NULL;
}

static void set_scope(struct ks *ks, unsigned turn)
{
	int32_t self = getpid();
	struct ks_scope scope = { .size = sizeof(scope) };

	if (turn % 3) {
		scope.kind = KS_SCOPE_PIDS;
		scope.n_pids = 1;
		scope.pids = &self;
	}
	scope.exclude_comm = turn % 5 ? NULL : "nobody";
	ks_assert_ok(ks, ks_set_scope(ks, &scope));
}

/* One turn of the administrator: all of its calls, while the others are busy. */
static void administer(struct ks *ks, unsigned turn)
{
	const struct ks_param params[] = {
		{ .id = BURST_PARAM_RECORDS, .value = 1 + turn % 7 },
		{ .id = KS_PARAM_SAMPLE_EVERY, .value = turn % 4 },
		{ .id = KS_PARAM_MAX_PER_SEC, .value = turn % 2 ? 100000 : 0 },
	};

	ks_assert_ok(ks, ks_configure_probe(ks, BURST_PROBE, params, 3));
	set_scope(ks, turn);
	fault_advise(3);
	if (turn % 8 == 0) {
		ks_assert_ok(ks, ks_disable_probe(ks, BURST_PROBE));
		fault_enable(ks, BURST_PROBE, turn % 16 ? "raw_tp" : fault_typed(BURST_PROBE));
	}
	if (turn % 8 == 4) {
		ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_FADVISE));
		fault_enable(ks, KS_PROBE_FADVISE, turn % 16 == 4 ? "raw_tp" : NULL);
	}
	ks_assert_ok(ks, ks_ledger_check(ks, KS_PROBE_SELF));
}

static void drain(struct host *h)
{
	int n;

	do {
		n = ks_poll(h->ks, 0, 0, on_event, h);
		ks_assert_ok(h->ks, n);
	} while (n);
}

static void run(gconstpointer flags)
{
	static void *(*const roles[])(void *) = { consume, read_totals, read_deltas, wake };
	struct ks_open_opts opts = { .size = sizeof(opts),
				     .flags = GPOINTER_TO_UINT(flags),
				     .batch_ms = 1,
				     .ring_bytes = 64 << 10 };
	struct host h = { .ks = NULL };
	pthread_t threads[G_N_ELEMENTS(roles)];
	struct ks_stats_self ledger;

	if (!ks_test_root())
		return;
	h.ks = fault_open(&opts);
	fault_burst(h.ks, 1);
	fault_enable(h.ks, KS_PROBE_FADVISE, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(roles); i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, roles[i], &h), ==, 0);
	for (unsigned turn = 0; turn < TURNS; turn++)
		administer(h.ks, turn);
	atomic_store(&h.done, 1);
	ks_wakeup(h.ks);
	for (size_t i = 0; i < G_N_ELEMENTS(roles); i++)
		pthread_join(threads[i], NULL);

	ks_assert_ok(h.ks, ks_disable_probe(h.ks, BURST_PROBE));
	ks_assert_ok(h.ks, ks_disable_probe(h.ks, KS_PROBE_FADVISE));
	drain(&h);
	fault_settle(h.ks, BURST_PROBE);
	fault_settle(h.ks, KS_PROBE_FADVISE);
	ledger = fault_ledger(h.ks, BURST_PROBE);
	g_assert_cmpuint(ledger.delivered, ==, h.burst);
	g_assert_cmpuint(fault_ledger(h.ks, KS_PROBE_FADVISE).delivered, ==, h.advice);
	fault_counted(h.ks, KS_PROBE_FADVISE, fault_advised(h.ks), 3 * TURNS);
	ks_close(h.ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/threads/plain", NULL, run);
	g_test_add_data_func("/threads/ordered", GUINT_TO_POINTER(KS_OPEN_ORDERED), run);
	return g_test_run();
}

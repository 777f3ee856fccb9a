/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that every record is accounted for when there are far more than limits, sampling or buffers
 * let through: delivered and missing records add up to those made, and each loss is reported in its
 * place.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "support/burst.h"
#include "support/harness.h"
#include "support/ks_test.h"

#define RUNS 2500
#define EACH 8
#define ALL (RUNS * EACH)
#define FLOOD 10000 /* runs; their records take four times the room of the ring */

static int run_bursts(void *page)
{
	(void)page;
	work_pin(0);
	for (int i = 0; i < RUNS; i++)
		syscall(SYS_getppid);
	return 0;
}

static int run_flood(void *page)
{
	(void)page;
	work_pin(0);
	for (int i = 0; i < FLOOD; i++)
		syscall(SYS_getppid);
	return 0;
}

static void burst(struct kt *t, uint64_t sample_every, uint64_t max_per_sec, struct work *w)
{
	struct ks_param params[] = { { .id = BURST_PARAM_RECORDS, .value = EACH },
				     { .id = KS_PARAM_SAMPLE_EVERY, .value = sample_every },
				     { .id = KS_PARAM_MAX_PER_SEC, .value = max_per_sec },
				     { .id = KS_PARAM_BURST, .value = 5000 } };
	struct ks_stats_burst row;

	work_start(w, run_bursts);
	kt_watch(t, KS_SCOPE_PIDS, w->pid);
	kt_enable(t, params, 4);
	work_run(w);
	kt_disable(t);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.emitted, ==, ALL);
	work_free(w);
}

/* All records arrive, in order. */
static void whole(struct kt *t)
{
	const struct ks_event_burst_record *ev;
	uint64_t next = 0;
	struct work w;
	size_t at = 0;

	burst(t, 1, 0, &w);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, ALL);
	for (; (ev = kt_next(t, BURST_EVENT, &at)); next++) {
		g_assert_cmpuint(ev->sequence, ==, next);
		g_assert_cmpuint(ev->run, ==, next / EACH);
		g_assert_cmpuint(ev->ev.lost, ==, 0);
		g_assert_cmpint(ev->ev.pid, ==, w.pid);
	}
	g_assert_cmpuint(t->lost[KS_LOST_RING] + t->lost[KS_LOST_THROTTLED], ==, 0);
}

static void limited(struct kt *t)
{
	struct ks_stats_self ledger;
	uint64_t part = 5000;
	struct work w;

	burst(t, 1, 5000, &w);
	kt_settle(t);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.submitted + ledger.throttled, ==, ALL);
	g_assert_cmpuint(ledger.fired, ==, ledger.filtered + ALL);
	g_assert_cmpuint(t->n, ==, ledger.submitted);
	g_assert_cmpuint(t->lost[KS_LOST_THROTTLED], ==, ledger.throttled);
	if (t->features_off & KS_FEATURE_ATOMIC_FETCH)
		part /= (uint64_t)sysconf(_SC_NPROCESSORS_CONF);
	g_assert_cmpuint(t->n, >=, part);
	g_assert_cmpuint(t->n, <=, 5001 + (w.end_ns - w.begin_ns) * 5000 / 1000000000);
}

/* The weights of a sample of 1 in 10 add up to the number of records, to 5 standard deviations. */
static void sampled(struct kt *t)
{
	struct ks_stats_self ledger;
	uint64_t stands_for = 0;
	struct work w;
	size_t i;

	burst(t, 10, 0, &w);
	kt_settle(t);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.submitted + ledger.sampled_out, ==, ALL);
	g_assert_cmpuint(t->n, ==, ledger.submitted);
	for (i = 0; i < t->n; i++)
		stands_for += t->records[i]->weight;
	g_assert_cmpuint(stands_for, ==, 10 * t->n);
	g_assert_cmpuint(t->n, >=, ALL / 10 - 212);
	g_assert_cmpuint(t->n, <=, ALL / 10 + 212);
}

/* ---- more than fits -------------------------------------------------------------------------- */

struct holes {
	uint64_t next;    /* the next sequence number */
	uint64_t pending; /* reported missing since the last record */
	uint64_t lost, records;
};

static int walk(const struct ks_event *ev, void *user)
{
	struct holes *h = user;

	if (ev->id == KS_EVENT_LOST) {
		const struct ks_event_lost *hole = (const void *)ev;

		g_assert_cmpuint(hole->reason, ==, KS_LOST_RING);
		g_assert_cmpuint(hole->probe, ==, BURST_PROBE);
		h->pending += hole->lost;
		h->lost += hole->lost;
		return 0;
	}
	g_assert_cmpuint(((const struct ks_event_burst_record *)ev)->sequence, ==,
			 h->next + h->pending);
	h->next = ((const struct ks_event_burst_record *)ev)->sequence + 1;
	h->pending = 0;
	h->records++;
	return 0;
}

static void read_all(struct kt *t, struct holes *h)
{
	int n;

	do {
		n = ks_poll(t->ks, 0, 0, walk, h);
		g_assert_cmpint(n, >=, 0);
	} while (n > 0);
}

/*
 * The consumer reads only after the first half. So there are losses at the end of that half and, in
 * the second half, between records.
 */
static void overflow(struct kt *t)
{
	struct ks_param params[] = { { .id = BURST_PARAM_RECORDS, .value = EACH },
				     { .id = KS_PARAM_MAX_PER_SEC, .value = 0 } };
	struct holes h = { 0 };
	struct ks_stats_self ledger;
	struct work w[2];
	int i;

	for (i = 0; i < 2; i++) {
		work_start(&w[i], run_flood);
		kt_watch(t, KS_SCOPE_PIDS, w[i].pid);
		kt_enable(t, params, 2);
		work_run(&w[i]);
		kt_disable(t);
		read_all(t, &h);
		work_free(&w[i]);
	}
	kt_settle(t);
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.lost_ring, >, 0);
	g_assert_cmpuint(h.lost, ==, ledger.lost_ring + ledger.lost_locked);
	g_assert_cmpuint(h.records, ==, ledger.submitted);
	g_assert_cmpuint(h.records + h.lost, ==, 2 * FLOOD * EACH);
	g_assert_cmpuint(h.next + h.pending, ==, 2 * FLOOD * EACH);
}

static void add(void)
{
	kt_add(BURST_PROBE, "whole", KT_UNEVEN | KT_PERF, whole);
	kt_add(BURST_PROBE, "limited", KT_UNEVEN | KT_PERF | KT_FEATURES, limited);
	kt_add(BURST_PROBE, "sampled", KT_UNEVEN | KT_PERF, sampled);
	kt_add(BURST_PROBE, "overflow", KT_UNEVEN | KT_PERF, overflow);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that no record is torn or mixed from two. Four threads on two CPUs write, and preempt each
 * other in the middle of it where the kernel allows that; a consumer reads in place.
 * KS_TORN_SECONDS: runs once more, for this time. KS_GUEST_PREEMPTS: that run uses a variant whose
 * programs are preempted, and asserts that they were.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/burst.h"
#include "support/harness.h"
#include "support/ks_test.h"

#define THREADS 4
#define EACH 8

struct stress {
	int ended;
	uint64_t calls[THREADS];
};

static struct stress *stress; /* shared with the child */
static unsigned seconds;

static void *call(void *arg)
{
	uint64_t *calls = arg, end = work_now() + seconds * 1000000000ull;
	char name[16];

	snprintf(name, sizeof(name), "torn-%d", gettid());
	prctl(PR_SET_NAME, name);
	work_pin((unsigned)(calls - stress->calls) % 2);
	for (; work_now() < end; ++*calls)
		syscall(SYS_getppid);
	return NULL;
}

static int run_threads(void *page)
{
	pthread_t thread[THREADS];

	stress = page;
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, call, &stress->calls[i]))
			return 1;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	__atomic_store_n(&stress->ended, 1, __ATOMIC_RELEASE);
	return 0;
}

struct seen {
	pid_t pid;
	uint64_t records, lost;
};

static int check(const struct ks_event *ev, void *user)
{
	const struct ks_event_burst_record *rec = (const void *)ev;
	struct seen *seen = user;
	char name[16];

	if (ev->id == KS_EVENT_LOST) {
		seen->lost += ((const struct ks_event_lost *)ev)->lost;
		return 0;
	}
	snprintf(name, sizeof(name), "torn-%d", ev->tid);
	g_assert_cmphex(rec->run, ==, burst_sum(rec));
	g_assert_cmpstr(ev->comm, ==, name);
	g_assert_cmpint(ev->pid, ==, seen->pid);
	g_assert_cmpuint(ev->size, ==, sizeof(*rec));
	seen->records++;
	return 0;
}

/* Returns how many runs the kernel skipped, as far as it says. */
static uint64_t torn(struct kt *t)
{
	const struct ks_param params[] = { { .id = BURST_PARAM_RECORDS, .value = EACH },
					   { .id = BURST_PARAM_SUMMED, .value = 1 },
					   { .id = KS_PARAM_MAX_PER_SEC, .value = 0 } };
	struct ks_stats_self ledger;
	struct seen seen = { 0 };
	uint64_t calls = 0;
	struct work w;
	int n;

	work_start(&w, run_threads);
	seen.pid = w.pid;
	stress = w.page;
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, params, G_N_ELEMENTS(params));
	work_go(&w);
	do {
		n = ks_poll(t->ks, 10, 0, check, &seen);
		g_assert_cmpint(n, >=, 0);
	} while (n > 0 || !__atomic_load_n(&stress->ended, __ATOMIC_ACQUIRE));
	work_wait(&w);
	g_assert_cmpint(w.status, ==, 0);
	kt_disable(t);
	while ((n = ks_poll(t->ks, 0, 0, check, &seen)) > 0)
		;
	g_assert_cmpint(n, ==, 0);
	for (unsigned i = 0; i < THREADS; i++)
		calls += stress->calls[i];
	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.submitted, ==, seen.records);
	g_assert_cmpuint(ledger.lost_ring + ledger.lost_locked, ==, seen.lost);
	/*
	 * a run that found its program already running on this CPU made no record and counts as
	 * missed
	 */
	g_assert_cmpuint(seen.records + seen.lost, <=, calls * EACH);
	if (ledger.row.valid & KS_HAS_SELF_MISSED)
		g_assert_cmpuint(seen.records + seen.lost + ledger.missed * EACH, >=, calls * EACH);
	else
		g_assert_cmpuint(seen.records + seen.lost, >, calls * EACH / 2);
	g_assert_cmpuint(seen.records, >, 0);
	g_test_message("%lu records, %lu lost, %lu runs missed", (unsigned long)seen.records,
		       (unsigned long)seen.lost, (unsigned long)ledger.missed);
	work_free(&w);
	return ledger.row.valid & KS_HAS_SELF_MISSED ? ledger.missed : 0;
}

static void torn_shortly(struct kt *t)
{
	seconds = ks_test_volume(3, 1);
	torn(t);
}

/* fentry programs are preempted before 7.0, too; programs at tracepoints only from 7.0 on. */
static int is_preempted(const char *variant)
{
	g_assert_true(kt_preempts());
	return !strcmp(variant, kt_preempts_events() ? "tp_btf" : "fentry");
}

static void torn_as_asked(struct kt *t)
{
	int must = g_getenv("KS_GUEST_PREEMPTS") != NULL;
	uint64_t missed;

	if (must && !is_preempted(t->variant)) {
		g_test_skip("here another variant is preempted");
		return;
	}
	seconds = (unsigned)atoi(g_getenv("KS_TORN_SECONDS"));
	missed = torn(t);
	if (must)
		g_assert_cmpuint(missed, >, 0);
}

static void add(void)
{
	if (g_getenv("KS_TORN_SECONDS")) /* first, since the first test runs by each variant */
		kt_add(BURST_PROBE, "torn-as-asked", KT_UNEVEN, torn_as_asked);
	kt_add(BURST_PROBE, "torn", KT_UNEVEN | KT_PERF, torn_shortly);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

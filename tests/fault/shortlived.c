/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that twenty thousand processes that live for microseconds are counted exactly, with a live
 * consumer and default limits; that each wanted record was delivered, throttled or lost; and that
 * the stream reports how many.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "fault.h"

#define PROCESSES ks_test_volume(20000, 500)

struct host {
	struct ks *ks;
	uint64_t forks, exits, missing[4];
	atomic_int stop;
};

static int on_event(const struct ks_event *ev, void *user)
{
	const struct ks_event_lost *hole = (const void *)ev;
	struct host *h = user;

	switch (ev->id) {
	case KS_EVENT_LOST:
		g_assert_cmpuint(hole->reason, <, G_N_ELEMENTS(h->missing));
		h->missing[hole->reason] += hole->lost;
		break;
	case KS_EVENT_PROC_FORK:
		h->forks++;
		break;
	case KS_EVENT_PROC_EXIT:
		h->exits++;
		break;
	default:
		g_assert_not_reached();
	}
	return 0;
}

static void *consume(void *user)
{
	struct host *h = user;

	while (!atomic_load(&h->stop))
		ks_assert_ok(h->ks, ks_poll(h->ks, -1, 0, on_event, h));
	return NULL;
}

/* With vfork at most two run at a time, so they are short. */
static int many(void *page)
{
	volatile unsigned i, n = PROCESSES;

	(void)page;
	for (i = 0; i < n; i++) {
		pid_t pid = vfork();

		if (pid == 0)
			_exit(0);
		if (waitpid(pid, NULL, 0) != pid)
			return 1;
	}
	return 0;
}

static struct ks_stats_proc total(struct ks *ks)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_stats_proc row;
	struct ks_reader *reader;

	ks_assert_ok(ks, ks_reader_new(ks, KS_PROBE_PROC, NULL, &reader));
	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	row = *(const struct ks_stats_proc *)ks_stats_row(&stats, 0);
	ks_reader_free(reader);
	return row;
}

static void check(struct host *h)
{
	struct ks_stats_proc row = total(h->ks);
	struct ks_stats_self ledger;

	g_assert_cmpuint(row.processes, ==, PROCESSES);
	g_assert_cmpuint(row.process_exits, ==, PROCESSES + 1); /* the children and their parent */
	g_assert_cmpuint(row.lifetime_ns.count, ==, PROCESSES + 1);
	fault_settle(h->ks, KS_PROBE_PROC);
	ledger = fault_ledger(h->ks, KS_PROBE_PROC);
	g_assert_cmpuint(ledger.throttled + ledger.submitted + ledger.lost_ring +
				 ledger.lost_locked,
			 ==, 2 * PROCESSES + 1);
	g_assert_cmpuint(ledger.delivered, ==, h->forks + h->exits);
	g_assert_cmpuint(h->missing[KS_LOST_THROTTLED], ==, ledger.throttled);
	g_assert_cmpuint(h->missing[KS_LOST_RING], ==, ledger.lost_ring + ledger.lost_locked);
}

static void drain(struct host *h)
{
	int n;

	do {
		n = ks_poll(h->ks, 0, 0, on_event, h);
		ks_assert_ok(h->ks, n);
	} while (n);
}

static void run(gconstpointer variant)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_TREE, .n_pids = 1 };
	struct host h = { .ks = NULL };
	pthread_t consumer;
	struct work w;

	if (!ks_test_root())
		return;
	h.ks = fault_open(NULL);
	work_start(&w, many);
	scope.pids = &w.pid;
	ks_assert_ok(h.ks, ks_set_scope(h.ks, &scope));
	fault_enable(h.ks, KS_PROBE_PROC, variant);
	g_assert_cmpint(pthread_create(&consumer, NULL, consume, &h), ==, 0);
	work_run(&w);
	g_assert_cmpint(w.status, ==, 0);
	atomic_store(&h.stop, 1);
	ks_wakeup(h.ks);
	pthread_join(consumer, NULL);
	ks_assert_ok(h.ks, ks_disable_probe(h.ks, KS_PROBE_PROC));
	drain(&h);
	check(&h);
	ks_close(h.ks);
	work_free(&w);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/shortlived/tp_btf", "tp_btf", run);
	g_test_add_data_func("/shortlived/raw_tp", "raw_tp", run);
	return g_test_run();
}

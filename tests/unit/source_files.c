/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that events from files obey scope and settings as events from kernel programs do: filters,
 * sampling, limits, lost records in their place, and a ledger that balances.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "config.h"
#include "data/doc.h"
#include "files/scan.h"
#include "source/files.h"
#include "support/fake_proc.h"
#include "support/ks_test.h"

/* ---- scopes ---------------------------------------------------------------------------------- */

/* A fork belongs to the scope of the parent, an exit to that of the process itself. */
static void test_scope_self(void)
{
	struct bed *bed = bed_new(0);

	bed_enable(bed);
	show(bed, 200, 100, "child", 60, 11, 0);
	show(bed, 300, 1, "other", 60, 11, FORKNOEXEC);
	bed_found(bed, "fork 100 host > 200\n");
	vanish(bed, 200);
	vanish(bed, 300);
	bed_found(bed, NONE);
	g_assert_cmpuint(bed_count(bed, "processes"), ==, 1);
	g_assert_cmpuint(bed_count(bed, "process_exits"), ==, 0);
	bed_outcomes(bed, 4, 0, 1);
	bed_free(bed);
}

static void test_scope_pids(void)
{
	struct bed *bed = bed_new(0);

	show(bed, 200, 100, "a", 60, 11, FORKNOEXEC);
	show(bed, 300, 200, "b", 60, 11, FORKNOEXEC);
	bed_scope(bed, KS_SCOPE_PIDS, 300, 200);
	bed_enable(bed);
	show(bed, 200, 100, "a", 60, 11, 0);
	show(bed, 400, 100, "c", 60, 11, 0);
	show(bed, 500, 200, "d", 60, 11, FORKNOEXEC);
	bed_found(bed, "exec 200 a of 100 in 20 by -1 ?\nfork 200 a > 500\n");
	vanish(bed, 300);
	vanish(bed, 400);
	bed_found(bed, "exit 300 b of 200 in 30\n");
	bed_outcomes(bed, 3, 0, 3);
	bed_free(bed);
}

/* A later process that gets the pid is not in scope, also if it is there when the probe goes on. */
static void test_scope_reused(void)
{
	static const uint32_t kinds[] = { KS_SCOPE_PIDS, KS_SCOPE_TREE };

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		struct bed *bed = bed_new(0);

		show(bed, 200, 100, "a", 60, 11, FORKNOEXEC);
		bed_scope(bed, kinds[i], 200, 0);
		bed_enable(bed);
		show(bed, 200, 1, "stranger", 70, 11, 0); /* both between two looks */
		bed_found(bed, "exit 200 a of 100 in 20\n");
		show(bed, 300, 200, "strange", 71, 11, 0);
		bed_found(bed, NONE);
		bed->s->ops->disable(bed->s, KS_PROBE_PROC);
		bed_enable(bed);
		show(bed, 400, 200, "strange", 72, 11, 0);
		vanish(bed, 200);
		bed_found(bed, NONE);
		bed_scope(bed, kinds[i], 300, 0);
		show(bed, 500, 300, "named", 73, 11, FORKNOEXEC);
		bed_found(bed, "fork 300 strange > 500\n");
		bed_free(bed);
	}
}

static void test_scope_tree(void)
{
	struct bed *bed = bed_new(0);

	bed_scope(bed, KS_SCOPE_TREE, 100, 0);
	bed_enable(bed);
	/* a grandchild and its parent at once, and an unrelated process */
	show(bed, 90, 200, "grandchild", 61, 11, FORKNOEXEC);
	show(bed, 200, 100, "child", 60, 11, FORKNOEXEC);
	show(bed, 300, 1, "other", 60, 11, FORKNOEXEC);
	bed_found(bed, "fork 200 child > 90\nfork 100 host > 200\n");

	/* an orphan stays in the tree, and so do its children */
	vanish(bed, 200);
	show(bed, 90, 1, "grandchild", 61, 12, 0);
	show(bed, 400, 90, "late", 62, 11, FORKNOEXEC);
	bed_found(bed, "exec 90 grandchild of 1 in 9 by -1 ?\n"
		       "exit 200 child of 100 in 20\n"
		       "fork 90 grandchild > 400\n");

	/* another process has the root's pid now */
	show(bed, 100, 1, "stranger", 70, 11, FORKNOEXEC);
	show(bed, 500, 100, "strange", 71, 11, FORKNOEXEC);
	bed_found(bed, "exit 100 host of 1 in 10\n");
	bed_free(bed);
}

/* Events from before the change belong to the old scope. */
static void test_scope_change(void)
{
	struct bed *bed = bed_new(0);

	show(bed, 200, 100, "child", 60, 11, FORKNOEXEC);
	bed_enable(bed);
	show(bed, 400, 100, "self's", 60, 11, FORKNOEXEC);
	show(bed, 500, 1, "init's", 60, 11, FORKNOEXEC);
	bed_scope(bed, KS_SCOPE_TREE, 200, 0);
	show(bed, 300, 200, "grandchild", 60, 11, FORKNOEXEC);
	show(bed, 600, 300, "of the tree", 60, 11, FORKNOEXEC);
	vanish(bed, 400);
	bed_found(bed, "fork 100 host > 400\n"
		       "fork 200 child > 300\n"
		       "fork 300 grandchild > 600\n");
	bed_scope(bed, KS_SCOPE_SYSTEM, 0, 0);
	vanish(bed, 500);
	bed_found(bed, "exit 500 init's of 1 in 50\n");
	bed_free(bed);
}

/* If the root has descendants already, they and all that they start are in the tree. */
static void test_scope_late(void)
{
	struct bed *bed = bed_new(0);
	int32_t root = 200;
	struct ks__scope tree = { .kind = KS_SCOPE_TREE, .n_pids = 1, .pids = &root };

	show(bed, 200, 100, "child", 60, 11, FORKNOEXEC);
	show(bed, 300, 200, "grandchild", 60, 11, FORKNOEXEC);
	bed_enable(bed);
	ks_assert_rc(bed_set_scope(bed, &tree), 0);
	show(bed, 400, 100, "self's", 60, 11, FORKNOEXEC);
	show(bed, 500, 300, "of the tree", 60, 11, FORKNOEXEC);
	bed_found(bed, "fork 300 grandchild > 500\n");
	bed_free(bed);
}

static void test_scope_comm(void)
{
	struct bed *bed = bed_on();
	struct ks__scope scope = { .kind = KS_SCOPE_SYSTEM, .has_comm = 1, .comm = "host" };

	ks_assert_rc(bed_set_scope(bed, &scope), 0);
	show(bed, 200, 100, "new", 60, 11, 0);
	show(bed, 300, 1, "host", 60, 11, 0);
	bed_found(bed, "fork 100 host > 200\nexec 300 host of 1 in 30 by -1 ?\n");

	scope = (struct ks__scope){ .kind = KS_SCOPE_SYSTEM, .has_exclude = 1, .exclude = "host" };
	ks_assert_rc(bed_set_scope(bed, &scope), 0);
	vanish(bed, 200);
	vanish(bed, 300);
	bed_found(bed, "exit 200 new of 100 in 20\n");
	bed_free(bed);
}

/*
 * Each look asks again which processes are in the cgroup; one that is gone was where it was last.
 */
static void test_scope_cgroup(void)
{
	struct bed *bed = bed_new(0);
	struct ks__scope scope = { .kind = KS_SCOPE_CGROUP, .cgroup = 7, .cgroup_path = "/db" };

	ks_assert_rc(bed_set_scope(bed, &scope), 0);
	bed_write(bed, 100, "cgroup", "0::/db\n");
	bed_write(bed, 1, "cgroup", "0::/\n");
	bed_enable(bed);
	show(bed, 200, 100, "in", 60, 11, 0);
	bed_write(bed, 200, "cgroup", "0::/db/child\n");
	show(bed, 300, 1, "out", 60, 11, 0);
	bed_write(bed, 300, "cgroup", "0::/dbx\n");
	show(bed, 400, 100, "unknown", 60, 11, 0);
	bed_found(bed, "fork 100 host > 200\nexec 200 in of 100 in 20 by -1 ?\n"
		       "fork 100 host > 400\n");
	bed_write(bed, 200, "cgroup", "0::/\n");
	bed_write(bed, 300, "cgroup", "0::/db\n");
	bed_found(bed, NONE);
	vanish(bed, 200);
	vanish(bed, 300);
	vanish(bed, 400);
	bed_found(bed, "exit 300 out of 1 in 30\n");
	bed_outcomes(bed, 5, 0, 4);
	bed_free(bed);
}

/* A /proc with a circle of ancestors must not block the host. */
static void test_circle(void)
{
	struct bed *bed = bed_new(0);

	bed_scope(bed, KS_SCOPE_TREE, 100, 0);
	bed_enable(bed);
	show(bed, 200, 300, "a", 60, 11, FORKNOEXEC);
	show(bed, 300, 200, "b", 60, 11, FORKNOEXEC);
	show(bed, 400, 400, "c", 60, 11, FORKNOEXEC);
	bed_found(bed, NONE);
	bed_outcomes(bed, 3, 0, 0);
	bed_free(bed);
}

/* ---- settings -------------------------------------------------------------------------------- */

static void test_no_events(void)
{
	struct bed *bed = bed_on();

	bed->set.flags = KS_ENABLE_NO_EVENTS;
	bed_apply(bed);
	show_children(bed, 200, 3);
	bed_found(bed, NONE);
	g_assert_cmpuint(bed_count(bed, "processes"), ==, 3);

	bed->set.flags = 0;
	bed->set.sample_every = 0;
	bed_apply(bed);
	show_children(bed, 210, 2);
	bed_found(bed, NONE);
	bed_outcomes(bed, 0, 5, 0);

	bed->set.flags = KS_ENABLE_NO_STATS;
	bed->set.sample_every = 1;
	bed_apply(bed);
	show_children(bed, 220, 1);
	bed_found(bed, "fork 100 host > 220\n");
	g_assert_cmpuint(bed_count(bed, "processes"), ==, 5);
	bed_free(bed);
}

static int put_weight(const struct ks_event *ev, void *user)
{
	(void)user;
	g_assert_cmpuint(ev->weight, ==, 10);
	return 0;
}

static void test_sampling(void)
{
	struct bed *bed = bed_on();
	struct ks__sink sink = bed_sink(bed, put_weight, NULL);
	struct ks__ledger b;
	int n;

	bed->set.sample_every = 10;
	bed_apply(bed);
	show_children(bed, 1000, 1000);
	ks_assert_rc(bed_look(bed), 0);
	g_assert_cmpuint(bed_count(bed, "processes"), ==, 1000);
	n = bed->s->ops->drain(bed->s, &sink, 10000);
	g_assert_cmpint(n, >=, 50); /* expected 100; 50 is five standard deviations less */
	g_assert_cmpint(n, <=, 150);
	b = bed_ledger(bed);
	g_assert_cmpuint(b.outcome[KS_SUBMITTED], ==, (uint64_t)n);
	g_assert_cmpuint(b.outcome[KS_SAMPLED_OUT], ==, 1000 - (uint64_t)n);
	g_assert_cmpuint(b.delivered, ==, (uint64_t)n);
	bed_free(bed);
}

static void test_limit(void)
{
	struct bed *bed = bed_on();
	struct ks__ledger b;

	bed->set.max_per_sec = 1;
	bed->set.burst = 2;
	bed_apply(bed);
	show_children(bed, 200, 5);
	bed_found(bed, "fork 100 host > 200\nfork 100 host > 201\nlost 3 for 2 of 1\n");
	g_assert_cmpuint(bed_count(bed, "processes"), ==, 5);
	b = bed_ledger(bed);
	g_assert_cmpuint(b.outcome[KS_THROTTLED], ==, 3);
	g_assert_cmpuint(b.outcome[KS_SUBMITTED], ==, 2);

	/* the loss comes before the next record; a lower limit ends with the setting */
	show_children(bed, 210, 1);
	ks_assert_rc(bed_look(bed), 0);
	bed->set.max_per_sec = 1000000;
	bed_apply(bed);
	show_children(bed, 220, 1);
	ks_assert_rc(bed_look(bed), 0); /* the bucket is full from now on */
	show_children(bed, 230, 1);
	bed_found(bed, "lost 2 for 2 of 1\nfork 100 host > 230\n");
	bed_free(bed);
}

static void test_full(void)
{
	const uint64_t fits = 4096 / sizeof(struct ks_event_proc_fork);
	struct bed *bed = bed_new(4096);
	GString *want = g_string_new("");
	struct ks__ledger b;
	uint64_t i;

	bed_enable(bed);
	show_children(bed, 1000, 100);
	ks_assert_rc(bed_look(bed), 0);
	b = bed_ledger(bed);
	g_assert_cmpuint(b.in_flight, ==, fits);
	g_assert_cmpuint(b.outcome[KS_LOST_RING_FULL], ==, 100 - fits);
	for (i = 0; i < fits; i++)
		g_string_append_printf(want, "fork 100 host > %d\n", 1000 + (int)i);
	g_string_append_printf(want, "lost %d for 1 of 1\n", 100 - (int)fits);
	bed_drain(bed, 1000, want->str);

	/* the lost-records event is in its place, and the ring wraps */
	show_children(bed, 2000, 60);
	ks_assert_rc(bed_look(bed), 0);
	g_string_truncate(want, 0);
	for (i = 0; i < 10; i++)
		g_string_append_printf(want, "fork 100 host > %d\n", 2000 + (int)i);
	g_assert_cmpuint(bed_drain(bed, 10, want->str), ==, 10);
	show_children(bed, 3000, 1);
	ks_assert_rc(bed_look(bed), 0);
	g_string_truncate(want, 0);
	for (; i < fits; i++)
		g_string_append_printf(want, "fork 100 host > %d\n", 2000 + (int)i);
	g_string_append_printf(want, "lost %d for 1 of 1\nfork 100 host > 3000\n", 60 - (int)fits);
	bed_drain(bed, 1000, want->str);
	b = bed_ledger(bed);
	g_assert_cmpuint(b.delivered, ==, 2 * fits + 1);
	g_assert_cmpuint(ks__ledger_fired(&b), ==, 161);
	g_string_free(want, TRUE);
	bed_free(bed);
}

static void test_no_comm(void)
{
	struct bed *bed = bed_on();

	bed->set.identity = 0;
	bed_apply(bed);
	show_children(bed, 200, 1);
	bed_found(bed, "fork 100  > 200\n");
	bed_free(bed);
}

/* ---- when to scan ---------------------------------------------------------------------------- */

static void test_interval(void)
{
	struct bed *bed = bed_on();
	uint64_t deadline = 0, now = ks__now();

	ks_assert_rc(bed->s->ops->arm(bed->s, &deadline), 0);
	g_assert_cmpuint(deadline, >, now + 3590ull * 1000000000u);
	g_assert_cmpuint(deadline, <=, now + 3600ull * 1000000000u);
	show_children(bed, 200, 1);
	bed_drain(bed, 1000, NONE); /* too early for a scan */
	bed->set.interval_ms = 0;
	bed_apply(bed);
	bed_drain(bed, 1000, "fork 100 host > 200\n");

	bed->set.interval_ms = 3600000;
	bed_apply(bed);
	show_children(bed, 210, 2);
	ks_assert_rc(bed_look(bed), 0);
	ks_assert_rc(bed->s->ops->arm(bed->s, &deadline), 1); /* a reader's scan found some */
	g_assert_cmpuint(bed_drain(bed, 1, "fork 100 host > 210\n"), ==, 1);
	ks_assert_rc(bed->s->ops->arm(bed->s, &deadline), 1);
	bed_drain(bed, 1000, "fork 100 host > 211\n");
	ks_assert_rc(bed->s->ops->arm(bed->s, &deadline), 0);
	bed_free(bed);
}

/* Disabling scans a last time. Nothing is seen while the probe is disabled. Counts stay. */
static void test_off_and_on(void)
{
	struct bed *bed = bed_on();
	uint64_t deadline = 1;

	show_children(bed, 200, 1);
	bed->s->ops->disable(bed->s, KS_PROBE_PROC);
	bed_drain(bed, 1000, "fork 100 host > 200\n");
	ks_assert_rc(bed->s->ops->arm(bed->s, &deadline), 0);
	g_assert_cmpuint(deadline, ==, 0);
	show_children(bed, 210, 1);
	bed_found(bed, NONE);
	bed_enable(bed);
	show_children(bed, 220, 1);
	bed_found(bed, "fork 100 host > 220\n");
	g_assert_cmpuint(bed_count(bed, "processes"), ==, 2);
	bed_free(bed);
}

/* Cancels its own thread. Cancellation must wait until the thread holds no lock. */
static void *drain_cancelled(void *bed)
{
	pthread_cancel(pthread_self());
	bed_drain(bed, 1000, "fork 100 host > 200\n");
	return bed;
}

static void test_cancelled(void)
{
	struct bed *bed = bed_on();
	pthread_t consumer;
	void *got;

	bed->set.interval_ms = 0;
	bed_apply(bed);
	show_children(bed, 200, 1);
	g_assert_cmpint(pthread_create(&consumer, NULL, drain_cancelled, bed), ==, 0);
	g_assert_cmpint(pthread_join(consumer, &got), ==, 0);
	g_assert_true(got == bed);
	show_children(bed, 210, 1);
	bed_found(bed, "fork 100 host > 210\n");
	bed_free(bed);
}

struct logged {
	struct bed *bed;
	int times;
};

/* Calls the source, as another thread may during a log callback: a deadlock if a lock is held. */
static void on_log(int level, const char *text, void *user)
{
	struct logged *logged = user;
	struct ks__ledger ledger;

	g_assert_cmpint(level, ==, KS_LOG_WARNING);
	g_assert_true(g_str_has_prefix(text, logged->bed->dir));
	g_assert_true(g_str_has_suffix(
		text, " cannot be read now: too many open descriptors in this process"));
	logged->bed->s->ops->ledger(logged->bed->s, KS_PROBE_PROC, 0, &ledger);
	logged->times++;
}

/* Each failed scan logs a warning without holding the lock. The next scan finds what it missed. */
static void test_failed_look(void)
{
	struct rlimit normal, none;
	struct bed *bed = bed_on();
	struct logged logged = { bed, 0 };

	bed->ks->errors.log = on_log;
	bed->ks->errors.log_user = &logged;
	bed->set.interval_ms = 0;
	bed_apply(bed);
	show_children(bed, 200, 1);
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &normal), ==, 0);
	none = (struct rlimit){ 0, normal.rlim_max };
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	bed_drain(bed, 1000, NONE);
	bed_scope(bed, KS_SCOPE_SELF, 0, 0);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &normal), ==, 0);
	g_assert_cmpint(logged.times, ==, 2);
	bed_drain(bed, 1000, "fork 100 host > 200\n");
	g_assert_cmpint(logged.times, ==, 2);
	bed_free(bed);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		GTestFunc run;
	} tests[] = {
		{ "/source_files/scope/self", test_scope_self },
		{ "/source_files/scope/pids", test_scope_pids },
		{ "/source_files/scope/reused", test_scope_reused },
		{ "/source_files/scope/tree", test_scope_tree },
		{ "/source_files/scope/change", test_scope_change },
		{ "/source_files/scope/late", test_scope_late },
		{ "/source_files/scope/cgroup", test_scope_cgroup },
		{ "/source_files/scope/comm", test_scope_comm },
		{ "/source_files/scope/circle", test_circle },
		{ "/source_files/no events", test_no_events },
		{ "/source_files/sampling", test_sampling },
		{ "/source_files/limit", test_limit },
		{ "/source_files/full", test_full },
		{ "/source_files/no comm", test_no_comm },
		{ "/source_files/interval", test_interval },
		{ "/source_files/off and on", test_off_and_on },
		{ "/source_files/cancelled", test_cancelled },
		{ "/source_files/failed look", test_failed_look },
	};
	size_t i;

	ks_test_init(&argc, &argv);
	for (i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].name, tests[i].run);
	return g_test_run();
}

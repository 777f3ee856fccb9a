/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that settings take effect together and that each record names its generation; that a limit
 * on records loses no counts and reports how many records it held back; and that ordered delivery
 * is in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/counters.h"
#include "support/harness.h"
#include "support/ks_test.h"

static void watch_two(struct kt *t, const struct work *a, const struct work *b)
{
	const int32_t pids[] = { a->pid, b->pid };
	struct ks_scope scope = {
		.size = sizeof(scope), .kind = KS_SCOPE_PIDS, .n_pids = 2, .pids = pids
	};

	ks_assert_ok(t->ks, ks_set_scope(t->ks, &scope));
}

/* ---- settings -------------------------------------------------------------------------------- */

static uint32_t generation_now(struct kt *t)
{
	struct ks_probe_info info = { .size = sizeof(info) };

	ks_assert_ok(t->ks, ks_query_probe(t->ks, t->probe, &info));
	return info.generation;
}

/* All records of one process have this generation. */
static void made_under(const struct kt *t, pid_t pid, size_t n, uint32_t generation)
{
	const struct ks_event *ev;
	size_t at = 0, found = 0;

	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at))) {
		if (ev->pid != pid)
			continue;
		g_assert_cmpuint(ev->generation, ==, generation);
		found++;
	}
	g_assert_cmpuint(found, ==, n);
}

static void generation(struct kt *t)
{
	struct ks_param every[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 } };
	struct work a, b;
	int first, second;

	work_start(&a, fad_table);
	work_start(&b, fad_table);
	watch_two(t, &a, &b);
	kt_enable(t, every, 1);
	first = (int)generation_now(t);
	g_assert_cmpint(first, >=, 1);
	work_run(&a);
	every[0].value = 1; /* ns: every call is slower */
	second = ks_configure_probe(t->ks, t->probe, every, 1);
	g_assert_cmpint(second, ==, first + 1);
	g_assert_cmpuint(generation_now(t), ==, (uint32_t)second);
	work_run(&b);
	kt_settle(t);
	made_under(t, a.pid, FAD_CALLS, (uint32_t)first);
	made_under(t, b.pid, FAD_CALLS, (uint32_t)second);
	work_free(&a);
	work_free(&b);
}

static uint64_t value_of(struct kt *t, uint32_t id)
{
	uint64_t value = 0;

	ks_assert_ok(t->ks, ks_query_param(t->ks, t->probe, id, &value));
	return value;
}

static uint64_t default_of(uint32_t probe, uint32_t id, uint64_t *ret_highest)
{
	struct ks_param_desc desc = { .size = sizeof(desc) };
	uint32_t i;

	for (i = 0; ks_describe_param(probe, i, &desc) == 0; i++)
		if (desc.id == id)
			break;
	g_assert_cmpuint(desc.id, ==, id);
	*ret_highest = desc.highest;
	return desc.default_value;
}

/* If one setting is refused, none takes effect. */
static void all_or_none(struct kt *t)
{
	uint64_t highest, slow = default_of(t->probe, KS_FADVISE_PARAM_SLOW_NS, &highest);
	struct ks_param bad[] = { { .id = KS_PARAM_BURST, .value = 77 },
				  { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 5 },
				  { .id = 200, .value = 1 } };
	uint64_t burst;
	uint32_t was;

	kt_enable(t, NULL, 0);
	burst = value_of(t, KS_PARAM_BURST);
	was = generation_now(t);
	g_assert_cmpuint(value_of(t, KS_FADVISE_PARAM_SLOW_NS), ==, slow);
	g_assert_cmpint(ks_configure_probe(t->ks, t->probe, bad, 3), ==, -EINVAL);
	g_assert_cmpuint(value_of(t, KS_FADVISE_PARAM_SLOW_NS), ==, slow);
	g_assert_cmpuint(value_of(t, KS_PARAM_BURST), ==, burst);
	g_assert_cmpuint(generation_now(t), ==, was);
	if (highest < UINT64_MAX) {
		bad[1].value = highest + 1;
		g_assert_cmpint(ks_configure_probe(t->ks, t->probe, bad, 2), ==, -EINVAL);
		g_assert_cmpuint(value_of(t, KS_PARAM_BURST), ==, burst);
	}
	bad[1].value = 5;
	ks_assert_ok(t->ks, ks_configure_probe(t->ks, t->probe, bad, 2));
	g_assert_cmpuint(value_of(t, KS_FADVISE_PARAM_SLOW_NS), ==, 5);
	g_assert_cmpuint(value_of(t, KS_PARAM_BURST), ==, 77);
	ks_assert_ok(t->ks, ks_configure_probe(t->ks, t->probe, NULL, 0));
	g_assert_cmpuint(value_of(t, KS_FADVISE_PARAM_SLOW_NS), ==, slow);
	g_assert_cmpuint(value_of(t, KS_PARAM_BURST), ==, burst);
}

/* Records have exactly the members about their thread that were asked for. */
static void identity_is(struct kt *t, uint64_t identity)
{
	struct ks_param params[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 },
				     { .id = KS_PARAM_IDENTITY, .value = identity } };
	const char *comm = identity & KS_IDENTITY_COMM ? FAD_NAME : "";
	uint64_t cgroup = identity & KS_IDENTITY_CGROUP ? counters_cgroup() : 0;
	const struct ks_event *ev;
	size_t at = 0;
	struct work w;

	kt_forget(t);
	work_start(&w, fad_named);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, params, 2);
	work_run(&w);
	kt_settle(t);
	g_assert_cmpuint(kt_count(t, KS_EVENT_FADVISE_CALL), ==, FAD_CALLS);
	while ((ev = kt_next(t, KS_EVENT_FADVISE_CALL, &at))) {
		g_assert_cmpstr(ev->comm, ==, comm);
		g_assert_cmpuint(ev->cgroup, ==, cgroup);
		g_assert_cmpuint(ev->tag, ==, 0);
	}
	work_free(&w);
}

static void identity(struct kt *t)
{
	identity_is(t, 0);
	identity_is(t, KS_IDENTITY_COMM);
	identity_is(t, KS_IDENTITY_CGROUP);
	identity_is(t, KS_IDENTITY_CGROUP | KS_IDENTITY_COMM);
}

/* Records without counters, and counters without records. */
static void one_half(struct kt *t, uint32_t flag)
{
	struct ks_param every = { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 };
	struct ks_enable_opts opts = { .size = sizeof(opts),
				       .flags = flag,
				       .n_params = 1,
				       .params = &every,
				       .variant = t->variant };
	struct ks_stats_fadvise before = { 0 }, row;
	struct work w;

	kt_forget(t);
	if (flag == KS_ENABLE_NO_STATS)
		kt_total(t, &before, sizeof(before));
	work_start(&w, fad_table);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	ks_assert_ok(t->ks, ks_enable_probe(t->ks, t->probe, &opts));
	work_run(&w);
	kt_settle(t);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(t->n, ==, flag == KS_ENABLE_NO_STATS ? FAD_CALLS : 0);
	g_assert_cmpuint(row.calls[KS_ADVICE_NORMAL] - before.calls[KS_ADVICE_NORMAL], ==,
			 flag == KS_ENABLE_NO_STATS ? 0 : FAD_N + 5);
	work_free(&w);
}

static void halves(struct kt *t)
{
	one_half(t, KS_ENABLE_NO_EVENTS);
	one_half(t, KS_ENABLE_NO_STATS);
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* Without a limit no record is held back. */
static void no_limit(struct kt *t)
{
	struct ks_param params[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 },
				     { .id = KS_PARAM_MAX_PER_SEC, .value = 0 } };
	struct work w;

	work_start(&w, fad_many);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, params, 2);
	work_run(&w);
	kt_settle(t);
	g_assert_cmpuint(t->n, ==, FAD_MANY);
	g_assert_cmpuint(t->lost[KS_LOST_THROTTLED] + t->lost[KS_LOST_RING], ==, 0);
	work_free(&w);
}

/*
 * True if CPUs can share a token bucket. Before Linux 5.12 programs have no compare-and-exchange.
 */
static int shares_buckets(struct kt *t)
{
	int size = ks_check(t->ks, KS_JSON, NULL, 0) + 4096, shares;
	char *text = g_malloc((gsize)size);

	g_assert_cmpint(ks_check(t->ks, KS_JSON, text, (size_t)size), <, size);
	shares = !(t->features_off & KS_FEATURE_ATOMIC_FETCH) &&
		 !strstr(text, "compare-and-exchange (Linux 5.12)");
	g_free(text);
	return shares;
}

/*
 * At least the burst is delivered, and at most what the time allows. The others are reported as
 * throttled.
 */
static void within_limit(struct kt *t, const struct work *w, uint64_t per_sec, uint64_t burst,
			 uint64_t all)
{
	uint64_t cpus = (uint64_t)sysconf(_SC_NPROCESSORS_CONF);
	uint64_t ns = w->end_ns - w->begin_ns, most;
	struct ks_stats_self ledger;

	kt_ledger(t, &ledger);
	g_assert_cmpuint(ledger.submitted + ledger.throttled, ==, all);
	g_assert_cmpuint(ledger.submitted, ==, t->n);
	g_assert_cmpuint(t->lost[KS_LOST_THROTTLED], ==, ledger.throttled);
	g_assert_cmpuint(t->lost[KS_LOST_RING], ==, 0);
	/* if CPUs cannot share a bucket each has one, and one CPU may have done all the work */
	if (shares_buckets(t))
		cpus = 1;
	most = cpus * (burst + 1 + ns * per_sec / 1000000000);
	g_assert_cmpuint(t->n, >=, burst / cpus);
	g_assert_cmpuint(t->n, <=, most);
	if (most >= all)
		g_test_message("nothing had to be held back: it took %u ms",
			       (unsigned)(ns / 1000000));
}

static void limit(struct kt *t)
{
	struct ks_param params[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 },
				     { .id = KS_PARAM_MAX_PER_SEC, .value = 1000 },
				     { .id = KS_PARAM_BURST, .value = 100 } };
	struct ks_stats_fadvise row;
	struct work w;

	work_start(&w, fad_many);
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, params, 3);
	work_run(&w);
	kt_settle(t);
	within_limit(t, &w, 1000, 100, FAD_MANY);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.calls[KS_ADVICE_SEQUENTIAL], ==, FAD_MANY);
	g_assert_cmpuint(row.ok[KS_ADVICE_SEQUENTIAL], ==, FAD_MANY);
	work_free(&w);
}

static void limit_of_forks(struct kt *t)
{
	struct ks_param params[] = { { .id = KS_PARAM_MAX_PER_SEC, .value = 1 },
				     { .id = KS_PARAM_BURST, .value = 20 } };
	struct ks_stats_proc row;
	struct work w;

	work_start(&w, proc_forks);
	kt_watch(t, KS_SCOPE_TREE, w.pid);
	kt_enable(t, params, 2);
	work_run(&w);
	kt_settle(t);
	within_limit(t, &w, 1, 20, 2 * PROC_FORKS + 1);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.processes, ==, PROC_FORKS);
	g_assert_cmpuint(row.process_exits, ==, PROC_FORKS + 1);
	work_free(&w);
}

/* ---- order ----------------------------------------------------------------------------------- */

static int many_on(unsigned cpu, void *page)
{
	work_pin(cpu);
	return fad_many(page);
}

static int many_on_first(void *page)
{
	return many_on(0, page);
}

static int many_on_second(void *page)
{
	return many_on(1, page);
}

/* Returns the number of late records, after asserting that all others are in order. */
static unsigned late_ones(const struct kt *t)
{
	unsigned late = 0;
	uint64_t last = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (t->records[i]->flags & KS_FLAG_LATE) {
			g_assert_cmpuint(t->records[i]->time_ns, <, last);
			late++;
			continue;
		}
		g_assert_cmpuint(t->records[i]->time_ns, >=, last);
		last = t->records[i]->time_ns;
	}
	return late;
}

/*
 * Runs once: if a CPU is taken away from a program, its record arrives later than records are held
 * back.
 */
static char *order_once(void *user)
{
	struct ks_param params[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 },
				     { .id = KS_PARAM_MAX_PER_SEC, .value = 0 } };
	unsigned first = 0, late;
	struct kt *t = user;
	struct work a, b;

	work_start(&a, many_on_first);
	work_start(&b, many_on_second);
	watch_two(t, &a, &b);
	kt_enable(t, params, 2);
	work_go(&a);
	work_go(&b);
	do /* while they work */
		kt_drain(t);
	while (*(volatile uint32_t *)a.page < FAD_MANY || *(volatile uint32_t *)b.page < FAD_MANY);
	work_wait(&a);
	work_wait(&b);
	kt_disable(t);
	kt_drain(t);
	g_assert_cmpuint(t->n, ==, 2 * FAD_MANY);
	for (size_t i = 0; i < t->n; i++)
		first += t->records[i]->cpu == 0;
	g_assert_cmpuint(first, ==, FAD_MANY);
	late = late_ones(t);
	kt_forget(t);
	work_free(&a);
	work_free(&b);
	return ks_test_outside("number of late records", late, 0, 0);
}

/*
 * Two CPUs write at once. Their rings are read one after the other, and the records put in order.
 */
static void ordered(struct kt *t)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		g_test_skip("needs two CPUs");
	else
		ks_test_rounds(order_once, t);
}

/* ---- burst 1, and a call without its beginning ----------------------------------------------- */

/* Exactly one record, if all calls come within the second after which the next is allowed. */
static void burst_of_one(struct kt *t)
{
	const struct ks_param one[] = { { .id = KS_FADVISE_PARAM_SLOW_NS, .value = 0 },
					{ .id = KS_PARAM_MAX_PER_SEC, .value = 1 },
					{ .id = KS_PARAM_BURST, .value = 1 } };
	uint64_t begin_ns, took_ns;

	work_pin(0); /* if kernels cannot share a limit, each CPU has one */
	kt_enable(t, one, 3);
	begin_ns = work_now();
	for (int i = 0; i < 10; i++)
		syscall(SYS_fadvise64, -1, 0, 0, POSIX_FADV_NORMAL);
	took_ns = work_now() - begin_ns;
	kt_settle(t);
	work_unpin();
	g_assert_cmpuint(t->n, >=, 1);
	if (took_ns < 1000000000)
		g_assert_cmpuint(t->n, ==, 1);
	g_assert_cmpuint(t->n + t->lost[KS_LOST_THROTTLED], ==, 10);
}

#define CACHED (64u << 20)

/* Advice for which the kernel walks 16,384 pages: this process is nearly always inside a call. */
static int advise_on(void *page)
{
	uint32_t *stop = page;
	char *bytes = g_malloc0(1 << 20);
	int fd = work_file(), ok = fd >= 0;

	for (unsigned i = 0; ok && i < CACHED >> 20; i++)
		ok = write(fd, bytes, 1 << 20) == 1 << 20;
	__atomic_store_n(&stop[1], ok ? 1 : 2, __ATOMIC_RELEASE);
	while (ok && !__atomic_load_n(stop, __ATOMIC_RELAXED))
		syscall(SYS_fadvise64, fd, 0, CACHED, POSIX_FADV_WILLNEED);
	g_free(bytes);
	return !ok;
}

#define ENABLES 400

/*
 * If the probe is enabled during a call, it sees only the end. That does not count as a call and is
 * reported.
 */
static void no_beginning(struct kt *t)
{
	struct ks_stats_self ledger;
	uint32_t *page;
	struct work w;

	work_start(&w, advise_on);
	page = w.page;
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	work_go(&w);
	while (!__atomic_load_n(&page[1], __ATOMIC_ACQUIRE))
		sched_yield();
	memset(&ledger, 0, sizeof(ledger));
	for (int i = 0; i < ENABLES && page[1] == 1 && !ledger.unmatched; i++) {
		kt_enable(t, NULL, 0);
		do
			kt_ledger(t, &ledger);
		while (!ledger.aggregated && !ledger.submitted && !ledger.unmatched);
		kt_disable(t);
		kt_ledger(t, &ledger);
	}
	__atomic_store_n(page, 1, __ATOMIC_RELAXED);
	work_wait(&w);
	if (page[1] == 1)
		g_assert_cmpuint(ledger.unmatched, >=, 1);
	else
		g_test_skip("no file can be made on a disk");
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_FADVISE, "burst-of-one", 0, burst_of_one);
	kt_add(KS_PROBE_FADVISE, "no-beginning", 0, no_beginning);
	kt_add(KS_PROBE_FADVISE, "generation", KT_BEST, generation);
	kt_add(KS_PROBE_FADVISE, "all-or-none", KT_BEST, all_or_none);
	kt_add(KS_PROBE_FADVISE, "identity", KT_PERF, identity);
	kt_add(KS_PROBE_FADVISE, "halves", KT_BEST, halves);
	kt_add(KS_PROBE_FADVISE, "no-limit", KT_PERF, no_limit);
	kt_add(KS_PROBE_FADVISE, "limit", KT_PERF | KT_FEATURES, limit);
	kt_add(KS_PROBE_PROC, "limit", KT_PERF, limit_of_forks);
	kt_add(KS_PROBE_FADVISE, "ordered", KT_BEST | KT_PERF | KT_ORDERED, ordered);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that `valid` is right for each row: buckets are known exactly where they exist, and a field
 * that one variant did not know is unknown for any time in which that variant counted; that the
 * generation of settings is never 0; that a scope's cgroup created again is reported once; and that
 * the verdict of ks_check() is that of the weakest probe.
 */
#include <fcntl.h>
#include <math.h>
#include <string.h>

#include <kernelsight/identity.h>

#include "support/cgroup.h"
#include "support/ks_test.h"

static struct ks *open_handle(void)
{
	struct ks *ks;

	ks_assert_rc(ks_open(NULL, &ks), 0);
	return ks;
}

static struct ks_reader *reader_of(struct ks *ks, uint32_t probe, uint32_t by, uint32_t flags)
{
	const struct ks_reader_opts opts = { .size = sizeof(opts), .by = by, .flags = flags };
	struct ks_reader *reader;

	ks_assert_ok(ks, ks_reader_new(ks, probe, &opts, &reader));
	return reader;
}

static void enable_by(struct ks *ks, uint32_t probe, const char *variant)
{
	const struct ks_enable_opts opts = { .size = sizeof(opts), .variant = variant };

	ks_assert_ok(ks, ks_enable_probe(ks, probe, &opts));
}

/* ---- buckets --------------------------------------------------------------------------------- */

struct claim {
	uint32_t probe;
	uint64_t buckets;
	size_t offset; /* of a histogram that cannot be empty */
};

static void check_hist(const struct ks_stats *stats, const struct ks_row *row,
		       const struct claim *c, int has)
{
	const struct ks_hist *hist = (const void *)((const char *)row + c->offset);
	uint64_t sum = hist->zeros;

	for (unsigned i = 0; i < hist->n; i++)
		sum += stats->buckets[hist->at + i];
	g_assert_cmpint(!!(row->valid & c->buckets), ==, has);
	if (has) {
		g_assert_cmpuint(hist->count, ==, sum);
		g_assert_cmpint(!isnan(ks_hist_quantile(stats, hist, 0.99)), ==, hist->count > 0);
	} else {
		g_assert_cmpuint(hist->n, ==, 0);
		g_assert_true(isnan(ks_hist_quantile(stats, hist, 0.99)));
	}
}

static void check_rows(struct ks *ks, const struct claim *c, uint32_t by, int has)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	struct ks_reader *reader = reader_of(ks, c->probe, by, 0);
	const struct ks_row *row;
	uint64_t most = 0;

	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	for (size_t i = 0; (row = ks_stats_row(&stats, i)); i++) {
		check_hist(&stats, row, c, has);
		most = MAX(most,
			   ((const struct ks_hist *)(const void *)((const char *)row + c->offset))
				   ->count);
	}
	g_assert_cmpuint(most, >, 0);
	ks_reader_free(reader);
}

static void buckets(void)
{
	static const struct claim claims[] = {
		{ KS_PROBE_SCHED, KS_HAS_SCHED_BUCKETS, offsetof(struct ks_stats_sched, runq_ns) },
		{ KS_PROBE_PROC, KS_HAS_PROC_BUCKETS, offsetof(struct ks_stats_proc, lifetime_ns) },
	};
	const struct ks_scope tree = { .size = sizeof(tree), .kind = KS_SCOPE_TREE };
	struct ks *ks = open_handle();

	if (!ks_test_root())
		return;
	ks_assert_ok(ks, ks_set_scope(ks, &tree));
	for (size_t i = 0; i < G_N_ELEMENTS(claims); i++) {
		enable_by(ks, claims[i].probe, NULL);
		ks_thread_role(ks, 0, "tester");
	}
	for (int i = 0; i < 20; i++)
		g_spawn_command_line_sync("true", NULL, NULL, NULL, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(claims); i++) {
		const struct claim *c = &claims[i];

		check_rows(ks, c, KS_BY_TOTAL, 1);
		check_rows(ks, c, KS_BY_CPU, 1);
		check_rows(ks, c, KS_BY_TOTAL | KS_BY_CPU, 1);
		check_rows(ks, c, KS_BY_PROCESS, 0);
		check_rows(ks, c, KS_BY_CGROUP, 0);
		check_rows(ks, c, KS_BY_ROLE, 0);
		check_rows(ks, c, KS_BY_TOTAL | KS_BY_PROCESS, 0);
	}
	ks_close(ks);
}

/* ---- variants that know less ----------------------------------------------------------------- */

static uint64_t valid_of(struct ks_reader *reader)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	return ((const struct ks_row *)ks_stats_row(&stats, 0))->valid & KS_HAS_PROC_THREADS;
}

/*
 * A scan of /proc sees no threads. So neither the sum over both variants nor the delta knows them.
 */
static void switched(void)
{
	struct ks *ks = open_handle();
	struct ks_reader *sum, *delta;

	if (!ks_test_root())
		return;
	enable_by(ks, KS_PROBE_PROC, NULL);
	sum = reader_of(ks, KS_PROBE_PROC, KS_BY_TOTAL, 0);
	delta = reader_of(ks, KS_PROBE_PROC, KS_BY_TOTAL, KS_READ_DELTA);
	g_assert_cmphex(valid_of(sum), ==, KS_HAS_PROC_THREADS);
	g_assert_cmphex(valid_of(delta), ==, KS_HAS_PROC_THREADS);
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_PROC));
	enable_by(ks, KS_PROBE_PROC, "procfs");
	g_assert_cmphex(valid_of(sum), ==, 0);
	g_assert_cmphex(valid_of(delta), ==, 0);
	ks_assert_ok(ks, ks_disable_probe(ks, KS_PROBE_PROC));
	enable_by(ks, KS_PROBE_PROC, NULL);
	g_assert_cmphex(valid_of(sum), ==, 0);   /* unknown from then on */
	g_assert_cmphex(valid_of(delta), ==, 0); /* the interval began with the scan */
	g_assert_cmphex(valid_of(delta), ==, KS_HAS_PROC_THREADS);
	ks_reader_free(sum);
	ks_reader_free(delta);
	ks_close(ks);
}

/* ---- generations ----------------------------------------------------------------------------- */

/* A generation has 8 bits, and 0 means that the probe is off: 1 follows 255. */
static void generations(void)
{
	const struct ks_param burst = { .id = KS_PARAM_BURST, .value = 100 };
	struct ks *ks = open_handle();
	int last;

	enable_by(ks, KS_PROBE_PROC, "procfs");
	last = ks_configure_probe(ks, KS_PROBE_PROC, &burst, 1);
	g_assert_cmpint(last, ==, 2);
	for (int i = 0; i < 256; i++) {
		int rc = ks_configure_probe(ks, KS_PROBE_PROC, &burst, 1);

		g_assert_cmpint(rc, ==, last == 255 ? 1 : last + 1);
		last = rc;
	}
	g_assert_cmpint(last, ==, 3);
	ks_close(ks);
}

/* ---- a cgroup created again ------------------------------------------------------------------ */

static int count_state(const struct ks_event *ev, void *user)
{
	const struct ks_event_state *state = (const void *)ev;

	if (ev->id == KS_EVENT_STATE && state->cause == KS_CAUSE_SCOPE)
		++*(unsigned *)user;
	return 0;
}

/* The scope follows the cgroup and reports that once: two more looks find nothing new. */
static void made_again(void)
{
	struct ks_scope scope = { .size = sizeof(scope), .kind = KS_SCOPE_CGROUP };
	struct kt_cgroup cgroup;
	unsigned states = 0;
	struct ks *ks;
	gint64 end;

	if (!ks_test_root())
		return;
	if (!kt_cgroup_make(&cgroup, "ks-validity")) {
		g_test_skip("no cgroup of the memory controller can be made here");
		return;
	}
	ks = open_handle();
	scope.cgroup = cgroup.path;
	ks_assert_ok(ks, ks_set_scope(ks, &scope));
	enable_by(ks, KS_PROBE_PROC, NULL);
	kt_cgroup_remove(&cgroup);
	g_assert_true(kt_cgroup_make(&cgroup, "ks-validity"));
	while (!states)
		ks_assert_ok(ks, ks_poll(ks, 100, 0, count_state, &states));
	for (end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC / 2; g_get_monotonic_time() < end;)
		ks_assert_ok(ks, ks_poll(ks, 100, 0, count_state, &states));
	g_assert_cmpuint(states, ==, 1);
	ks_close(ks);
	kt_cgroup_remove(&cgroup);
}

/* ---- the verdict ----------------------------------------------------------------------------- */

static void expect_verdict(const char *want)
{
	char *text = g_malloc(1 << 20), *line = g_strdup_printf("\"verdict\":\"%s\"", want), *at;
	struct ks *ks;

	ks_assert_rc(ks_open(NULL, &ks), 0);
	g_assert_cmpint(ks_check(ks, KS_JSON, text, 1 << 20), <, 1 << 20);
	at = strstr(text, "\"verdict\"");
	g_assert_nonnull(at);
	if (!strstr(text, line))
		g_error("not %s but %.40s", line, at);
	ks_close(ks);
	g_free(line);
	g_free(text);
}

/*
 * Full: each probe uses kernel programs that know everything. One that knows less makes it partial.
 */
static void verdict(void)
{
	struct ks *ks = open_handle();
	const char *want = "full";
	struct ks_probe_info info = { .size = sizeof(info) };

	if (!ks_test_root())
		return;
	for (uint32_t p = KS_PROBE_PROC; p <= KS_PROBE_PAGECACHE; p++) {
		struct ks_enable_opts opts = { .size = sizeof(opts) };

		if (ks_enable_probe(ks, p, &opts))
			want = "partial";
		ks_assert_ok(ks, ks_query_probe(ks, p, &info));
		g_test_message("probe %u: %s", p, info.reason);
	}
	ks_close(ks);
	expect_verdict(want);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/validity/buckets", buckets);
	g_test_add_func("/validity/switched", switched);
	g_test_add_func("/validity/generations", generations);
	g_test_add_func("/validity/made-again", made_again);
	g_test_add_func("/validity/verdict", verdict);
	return g_test_run();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that statistics, ledgers and sizes add up both sources, per CPU and per process, since the
 * last read, without a source that never counted; and that a failed read loses no counts.
 */
#include <errno.h>
#include <unistd.h>

#include "../../bpf/shared.h"
#include "support/fake_source.h"
#include "support/ks_test.h"

/* ---- statistics ------------------------------------------------------------------------------ */

static struct ks_reader *reader(uint32_t probe, uint32_t by, uint32_t flags)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by, .flags = flags };
	struct ks_reader *r;

	ks_assert_ok(ks, ks_reader_new(ks, probe, &opts, &r));
	return r;
}

static struct ks_stats stats_of(struct ks_reader *r)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	ks_assert_rc(ks_read_stats(r, &stats), 0);
	return stats;
}

static const struct ks_stats_proc *row_of(const struct ks_stats *stats, uint32_t by, uint64_t key)
{
	const struct ks_stats_proc *row;

	for (size_t i = 0; (row = ks_stats_row(stats, i)); i++)
		if (row->row.by == by && row->row.key == key)
			return row;
	return NULL;
}

static void count(struct fake *f, uint64_t first, uint64_t second, uint64_t third)
{
	f->processes[0] += first;
	f->processes[1] += second;
	f->processes[2] += third;
}

static void test_totals(void)
{
	struct ks_reader *total, *delta;
	struct ks_stats stats, later;

	begin();
	count(&files, 1000, 0, 0); /* not asked for, since it was never enabled */
	total = reader(PROBE, 0, 0);
	ks_assert_rc(ks_read_stats(total, &(struct ks_stats){ .size = sizeof(stats) }), -KS_EOFF);
	sentence("proc was never enabled");
	ks_assert_rc(enable(NULL, 0), 0);
	count(&programs, 1, 20, 300);
	stats = stats_of(total);
	g_assert_cmpuint(stats.id, ==, KS_STATS_PROC);
	g_assert_cmpuint(stats.source, ==, KS_SOURCE_BPF);
	g_assert_cmpuint(stats.n_rows, ==, 1);
	g_assert_cmpuint(stats.row_size, ==, sizeof(struct ks_stats_proc));
	g_assert_cmpuint(row_of(&stats, KS_BY_TOTAL, 0)->processes, ==, 321);
	g_assert_cmphex(row_of(&stats, KS_BY_TOTAL, 0)->row.valid, ==, ALL);
	g_assert_cmpuint(query().last_ns, >, stats.since_ns);

	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	ks_assert_rc(enable("procfs", 0), 1);
	delta = reader(PROBE, 0, KS_READ_DELTA);
	count(&files, 0, 4000, 0);
	programs.execs = 7;
	later = stats_of(total);
	g_assert_cmpuint(later.source, ==, KS_SOURCE_FILES);
	g_assert_cmpuint(later.since_ns, ==, stats.since_ns);
	g_assert_cmpuint(row_of(&later, KS_BY_TOTAL, 0)->processes, ==, 5321);
	g_assert_cmpuint(row_of(&later, KS_BY_TOTAL, 0)->execs, ==, 7);
	/* the fields that both sources know */
	g_assert_cmphex(row_of(&later, KS_BY_TOTAL, 0)->row.valid, ==, files.valid);
	stats = stats_of(delta);
	g_assert_cmpuint(row_of(&stats, KS_BY_TOTAL, 0)->processes, ==, 4000);
	later = stats_of(delta);
	g_assert_cmpuint(row_of(&later, KS_BY_TOTAL, 0)->processes, ==, 0);
	g_assert_cmpuint(later.since_ns, ==, stats.time_ns);
	ks_reader_free(total);
	ks_reader_free(delta);
	end();
}

/* `last_ns` is the time of the read that first found another sum in any counter. */
static void test_last(void)
{
	struct ks_reader *total;
	uint64_t last;

	begin();
	ks_assert_rc(enable(NULL, 0), 0);
	total = reader(PROBE, 0, 0);
	stats_of(total);
	g_assert_cmpuint(query().last_ns, ==, 0);
	count(&programs, 1, 0, 0);
	stats_of(total);
	last = query().last_ns;
	g_assert_cmpuint(last, >, 0);
	stats_of(total);
	g_assert_cmpuint(query().last_ns, ==, last);
	programs.execs++;
	stats_of(total);
	g_assert_cmpuint(query().last_ns, >, last);
	ks_reader_free(total);
	end();
}

static void test_cpus(void)
{
	struct ks_reader *all, *delta;
	struct ks_stats stats;

	begin();
	enable_both();
	all = reader(PROBE, KS_BY_TOTAL | KS_BY_CPU, 0);
	count(&programs, 1, 20, 300);
	stats = stats_of(all);
	g_assert_cmpuint(stats.n_rows, ==, 1 + CPUS); /* no CPU where files counted nothing */
	g_assert_cmpuint(row_of(&stats, KS_BY_CPU, 0)->processes, ==, 1);
	g_assert_cmpuint(row_of(&stats, KS_BY_CPU, 2)->processes, ==, 300);
	delta = reader(PROBE, KS_BY_TOTAL | KS_BY_CPU, KS_READ_DELTA);
	count(&files, 4000, 0, 0);
	count(&programs, 0, 2, 0);
	stats = stats_of(all);
	g_assert_cmpuint(stats.n_rows, ==, 2 + CPUS);
	g_assert_cmpuint(row_of(&stats, KS_BY_TOTAL, 0)->processes, ==, 4323);
	g_assert_cmpuint(row_of(&stats, KS_BY_CPU, 1)->processes, ==, 22);
	g_assert_cmpuint(row_of(&stats, KS_BY_CPU, KS_NO_CPU)->processes, ==, 4000);
	stats = stats_of(delta);
	g_assert_cmpuint(row_of(&stats, KS_BY_TOTAL, 0)->processes, ==, 4002);
	g_assert_cmpuint(row_of(&stats, KS_BY_CPU, 0)->processes, ==, 0);
	g_assert_cmpuint(row_of(&stats, KS_BY_CPU, 1)->processes, ==, 2);
	g_assert_cmpuint(row_of(&stats, KS_BY_CPU, KS_NO_CPU)->processes, ==, 4000);
	stats = stats_of(delta);
	g_assert_cmpuint(row_of(&stats, KS_BY_TOTAL, 0)->processes, ==, 0);
	g_assert_cmpuint(row_of(&stats, KS_BY_CPU, KS_NO_CPU)->processes, ==, 0);
	ks_reader_free(all);
	ks_reader_free(delta);
	end();
}

/* Each grouping has its own key. Counts from files are in the rest row. */
static void test_whose(void)
{
	const uint32_t by = KS_BY_TOTAL | KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE;
	struct ks_reader *all, *delta, *cgroups;
	struct ks_stats stats;

	begin();
	enable_both();
	programs.whose = (struct ks__whose){ .pid = 17, .start_ns = 5, .cgroup = 23, .role = 2 };
	count(&programs, 1, 20, 300);
	count(&files, 4000, 0, 0);
	all = reader(PROBE, by, 0);
	delta = reader(PROBE, by, KS_READ_DELTA);
	cgroups = reader(PROBE, KS_BY_CGROUP, 0);
	stats = stats_of(all);
	g_assert_cmpuint(stats.n_rows, ==, 7);
	g_assert_cmpuint(row_of(&stats, KS_BY_TOTAL, 0)->processes, ==, 4321);
	g_assert_cmpuint(row_of(&stats, KS_BY_PROCESS, 17)->processes, ==, 321);
	g_assert_cmpuint(row_of(&stats, KS_BY_PROCESS, 17)->row.start_ns, ==, 5);
	g_assert_cmpuint(row_of(&stats, KS_BY_PROCESS, 0)->processes, ==, 4000);
	g_assert_cmpuint(row_of(&stats, KS_BY_PROCESS, 0)->row.flags, ==, KS_ROW_REST);
	g_assert_cmpuint(row_of(&stats, KS_BY_CGROUP, 23)->processes, ==, 321);
	g_assert_cmpuint(row_of(&stats, KS_BY_ROLE, 2)->processes, ==, 321);
	g_assert_cmpuint(row_of(&stats, KS_BY_ROLE, 0)->processes, ==, 4000);
	stats = stats_of(cgroups);
	g_assert_cmpuint(stats.n_rows, ==, 2);
	count(&programs, 0, 5, 0);
	count(&files, 0, 0, 60);
	stats = stats_of(delta);
	g_assert_cmpuint(row_of(&stats, KS_BY_TOTAL, 0)->processes, ==, 65);
	g_assert_cmpuint(row_of(&stats, KS_BY_PROCESS, 17)->processes, ==, 5);
	g_assert_cmpuint(row_of(&stats, KS_BY_CGROUP, 0)->processes, ==, 60);
	stats = stats_of(delta);
	g_assert_cmpuint(row_of(&stats, KS_BY_TOTAL, 0)->processes, ==, 0);
	g_assert_cmpuint(row_of(&stats, KS_BY_PROCESS, 17)->processes, ==, 0);
	ks_reader_free(all);
	ks_reader_free(delta);
	ks_reader_free(cgroups);
	end();
}

/* Refuses groupings that the probe lacks, and unknown flags and members. */
static void test_no_reader(void)
{
	const struct ks_reader_opts none[] = {
		{ .by = KS_BY_PROBE },
		{ .by = KS_BY_TOTAL | 1 << 7 },
		{ .by = KS_BY_CPU | KS_BY_PROCESS },
		{ .flags = KS_READ_DELTA << 1 },
		{ .reserved = 1 },
	};
	struct ks_reader *r = NULL;

	begin();
	for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
		struct ks_reader_opts opts = none[i];

		opts.size = sizeof(opts);
		ks_assert_rc(ks_reader_new(ks, PROBE, &opts, &r), -EINVAL);
		g_assert_null(r);
	}
	ks_assert_rc(ks_reader_new(ks, 14, NULL, &r), -EINVAL);
	ks_assert_rc(ks_reader_new(ks, PROBE, NULL, NULL), -EINVAL);
	end();
}

/*
 * A failed read loses nothing: the next read has it. For each grouping and for a failure of either
 * source.
 */
static void test_failed_read(void)
{
	static const uint32_t by[] = { KS_BY_TOTAL, KS_BY_TOTAL | KS_BY_CPU,
				       KS_BY_TOTAL | KS_BY_PROCESS };

	for (unsigned i = 0; i < 2 * G_N_ELEMENTS(by); i++) {
		struct ks_stats stats = { .size = sizeof(stats) };
		struct ks_reader *delta;

		begin();
		enable_both();
		delta = reader(PROBE, by[i / 2], KS_READ_DELTA);
		count(&programs, 1, 20, 300);
		stats = stats_of(delta);
		count(&programs, 0, 0, 4);
		count(&files, 0, 50, 0);
		*(i % 2 ? &files.read_rc : &programs.read_rc) = -EMFILE;
		ks_assert_rc(ks_read_stats(delta, &stats), -EMFILE);
		programs.read_rc = files.read_rc = 0;
		count(&files, 600, 0, 0);
		stats = stats_of(delta);
		g_assert_cmpuint(row_of(&stats, KS_BY_TOTAL, 0)->processes, ==, 654);
		ks_reader_free(delta);
		end();
	}
}

/* ---- the library itself ---------------------------------------------------------------------- */

static const struct ks_stats_self *self_of(const struct ks_stats *stats, uint32_t by, uint64_t key)
{
	return (const void *)row_of(stats, by, key);
}

static struct ks__ledger ledger_of(uint64_t first)
{
	struct ks__ledger ledger = { .missed_known = 1, .missed = first + 20, .programs = 3 };

	for (unsigned i = 0; i < KS__OUTCOMES; i++)
		ledger.outcome[i] = first + i;
	ledger.delivered = first;
	ledger.discarded = 2;
	ledger.kernel_ns = 1000 * first;
	return ledger;
}

static void test_self(void)
{
	struct ks_reader *both, *delta;
	const struct ks_stats_self *row;
	struct ks_stats stats;

	begin();
	enable_both();
	programs.kernel = 1000, programs.user = 20;
	files.kernel = 40000, files.user = 500;
	for (unsigned i = 0; i < 70; i++) /* more than one block of notes holds */
		g_assert_cmpint(ks__fd_keep(&ks->fds, dup(0)), >, 2);
	programs.ledger = ledger_of(100);
	both = reader(KS_PROBE_SELF, KS_BY_TOTAL | KS_BY_PROBE, 0);
	delta = reader(KS_PROBE_SELF, KS_BY_PROBE, KS_READ_DELTA);
	files.ledger = ledger_of(1000);
	files.ledger.missed_known = 0;
	stats = stats_of(both);
	g_assert_cmpuint(stats.id, ==, KS_STATS_SELF);
	row = self_of(&stats, KS_BY_TOTAL, 0);
	g_assert_cmpuint(row->map_bytes, ==, 41000);
	g_assert_cmpuint(row->user_bytes, ==, sizeof(*ks) + 520);
	g_assert_cmpuint(row->descriptors, ==, 6 + 70);
	g_assert_cmpuint(row->fired, ==, 12 * 1100 + 2 * 66);
	row = self_of(&stats, KS_BY_PROBE, PROBE);
	g_assert_cmpstr(row->row.name, ==, "proc");
	g_assert_cmpuint(row->filtered, ==, 1100);
	g_assert_cmpuint(row->submitted, ==, 1110);
	g_assert_cmpuint(row->malformed, ==, 1122);
	g_assert_cmpuint(row->delivered, ==, 1100);
	g_assert_cmpuint(row->discarded, ==, 4);
	g_assert_cmpuint(row->kernel_ns, ==, 1100000);
	g_assert_cmpuint(row->programs, ==, 6);
	g_assert_cmpuint(row->descriptors, ==, 0); /* only in the total */
	g_assert_cmphex(row->row.valid, ==,
			KS_HAS_SELF_COST); /* files cannot count what they miss */
	g_assert_cmpuint(row->missed, ==, 0);
	g_assert_cmpuint(self_of(&stats, KS_BY_PROBE, KS_PROBE_SCHED)->fired, ==, 0);

	stats = stats_of(delta);
	g_assert_null(self_of(&stats, KS_BY_TOTAL, 0));
	row = self_of(&stats, KS_BY_PROBE, PROBE);
	g_assert_cmpuint(row->filtered, ==, 1000);
	g_assert_cmpuint(row->delivered, ==, 1000);
	g_assert_cmpuint(row->programs, ==, 6); /* a gauge */
	stats = stats_of(delta);
	g_assert_cmpuint(self_of(&stats, KS_BY_PROBE, PROBE)->filtered, ==, 0);
	ks_reader_free(both);
	ks_reader_free(delta);
	end();
}

/*
 * `seen`: something was counted since the probe was enabled. `missed`: known only if each source
 * knows it.
 */
static void test_facts(void)
{
	begin();
	programs.ledger.missed_known = 1;
	programs.ledger.missed = 9;
	programs.ledger.outcome[KS_SUBMITTED] = 1;
	ks_assert_rc(enable(NULL, 0), 0);
	g_assert_cmpuint(query().facts, ==, KS_FACT_TRIED | KS_FACT_MISSED);
	g_assert_cmpuint(query().missed, ==, 9);
	programs.ledger.outcome[KS_FILTERED] = 5; /* filtered events are not counted as seen */
	g_assert_cmpuint(query().facts, ==, KS_FACT_TRIED | KS_FACT_MISSED);
	programs.ledger.outcome[KS_AGGREGATED] = 1;
	g_assert_cmpuint(query().facts, ==, KS_FACT_TRIED | KS_FACT_MISSED | KS_FACT_SEEN);
	programs.ledger.missed_known = 0;
	g_assert_cmpuint(query().facts, ==, KS_FACT_TRIED | KS_FACT_SEEN);
	end();
}

/*
 * Ledgers add up both sources, for one probe or for all. In a running probe a few records may be
 * between two counters.
 */
static void test_ledger(void)
{
	const int slack = 4 * CPUS;

	begin();
	enable_both();
	programs.ledger.outcome[KS_SUBMITTED] = 100;
	programs.ledger.delivered = 90;
	programs.ledger.in_flight = 10;
	files.ledger.outcome[KS_SUBMITTED] = 50;
	files.ledger.delivered = 30;
	files.ledger.discarded = 20;
	ks_assert_rc(ks_ledger_check(ks, PROBE), 0);
	files.ledger.discarded = 20 + slack;
	ks_assert_rc(ks_ledger_check(ks, PROBE), 0);
	files.ledger.discarded++;
	ks_assert_rc(ks_ledger_check(ks, PROBE), -KS_EBALANCE);
	ks_assert_rc(ks_ledger_check(ks, KS_PROBE_SELF), -KS_EBALANCE);
	sentence("proc: submitted (150) is not delivered (120) + discarded (33) + in_flight (10): "
		 "13 records too many");
	ks_assert_rc(ks_ledger_check(ks, KS_PROBE_SCHED), 0);
	ks_assert_rc(ks_disable_probe(ks, PROBE), 0);
	files.ledger.discarded = 19;
	ks_assert_rc(ks_ledger_check(ks, PROBE), -KS_EBALANCE);
	sentence("proc: submitted (150) is not delivered (120) + discarded (19) + in_flight (10): "
		 "1 record too few");
	files.ledger.discarded = 20;
	ks_assert_rc(ks_ledger_check(ks, PROBE), 0);
	ks_assert_rc(ks_ledger_check(ks, 14), -EINVAL);
	sentence("there is no probe 14 in this library");
	ks_assert_rc(ks_ledger_check(NULL, PROBE), -EINVAL);
	end();
}

/* All probes are checked, also the last one, except those that were never enabled. */
static void test_ledger_of_another(void)
{
	struct ks__slot *last;

	begin();
	enable_both();
	last = &ks->slots[KS_PROBE_PAGECACHE];
	programs.ledger_probe = files.ledger_probe = KS_PROBE_PAGECACHE;
	programs.ledger.outcome[KS_SUBMITTED] = 1000;
	atomic_store(&last->was_on, 1);
	ks_assert_rc(ks_ledger_check(ks, KS_PROBE_SELF), 0);
	atomic_store(&last->since_ns, 1);
	ks_assert_rc(ks_ledger_check(ks, KS_PROBE_PAGECACHE), -KS_EBALANCE);
	ks_assert_rc(ks_ledger_check(ks, PROBE), 0);
	ks_assert_rc(ks_ledger_check(ks, KS_PROBE_SELF), -KS_EBALANCE);
	sentence("pagecache: submitted (1000) is not delivered (0) + discarded (0) + in_flight "
		 "(0): 1000 records too few");
	end();
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/two_readers/stats/totals", test_totals);
	g_test_add_func("/two_readers/stats/last", test_last);
	g_test_add_func("/two_readers/stats/cpus", test_cpus);
	g_test_add_func("/two_readers/stats/whose", test_whose);
	g_test_add_func("/two_readers/stats/no reader", test_no_reader);
	g_test_add_func("/two_readers/stats/failed read", test_failed_read);
	g_test_add_func("/two_readers/self", test_self);
	g_test_add_func("/two_readers/facts", test_facts);
	g_test_add_func("/two_readers/ledger", test_ledger);
	g_test_add_func("/two_readers/ledger of another", test_ledger_of_another);
	return g_test_run();
}

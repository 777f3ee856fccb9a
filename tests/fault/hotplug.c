/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that possible CPUs which are offline cost nothing; that a CPU that comes online later is
 * counted from then on; that records on a CPU without a buffer are lost and reported; and that the
 * same holds for a CPU which the library does not know.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "fault.h"
#include "ks.h"
#include "support/shim.h"

#define POSSIBLE 8

/* Makes a sysfs in which only the list of CPUs is ours. */
static char *make_sysfs(void)
{
	static const char *const real[] = { "kernel", "bus", "fs" };
	char *root = g_dir_make_tmp("ks-sys-XXXXXX", NULL), *path, *target;

	for (size_t i = 0; i < G_N_ELEMENTS(real); i++) {
		path = g_build_filename(root, real[i], NULL);
		target = g_build_filename("/sys", real[i], NULL);
		g_assert_cmpint(symlink(target, path), ==, 0);
		g_free(target);
		g_free(path);
	}
	path = g_build_filename(root, "devices/system/cpu", NULL);
	g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
	g_free(path);
	path = g_build_filename(root, "devices/system/cpu/possible", NULL);
	g_assert_true(g_file_set_contents(path, "0-7\n", -1, NULL));
	g_free(path);
	return root;
}

static void remove_sysfs(char *root)
{
	static const char *const entries[] = { "devices/system/cpu/possible",
					       "devices/system/cpu",
					       "devices/system",
					       "devices",
					       "kernel",
					       "bus",
					       "fs" };

	for (size_t i = 0; i < G_N_ELEMENTS(entries); i++) {
		char *path = g_build_filename(root, entries[i], NULL);

		g_assert_cmpint(remove(path), ==, 0);
		g_free(path);
	}
	g_assert_cmpint(rmdir(root), ==, 0);
	g_free(root);
}

/* Makes n runs of the burst probe on one CPU. */
static void run_on(unsigned cpu, unsigned n)
{
	work_pin(cpu);
	while (n--)
		syscall(SYS_getppid);
	work_unpin();
}

static struct ks_reader *reader_by(struct ks *ks, uint32_t by)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by };
	struct ks_reader *reader;

	ks_assert_ok(ks, ks_reader_new(ks, BURST_PROBE, &opts, &reader));
	return reader;
}

/* Rows of all possible CPUs add up. Those of CPU 0 and 1 have these counts, the others none. */
static void rows_are(struct ks *ks, struct ks_reader *reader, uint64_t cpu0, uint64_t cpu1)
{
	struct ks_stats stats = { .size = sizeof(stats) };
	uint64_t seen[POSSIBLE] = { 0 }, total = 0;

	ks_assert_ok(ks, ks_read_stats(reader, &stats));
	g_assert_cmpuint(stats.n_rows, ==, 1 + POSSIBLE);
	for (size_t i = 0; i < stats.n_rows; i++) {
		const struct ks_stats_burst *row = ks_stats_row(&stats, i);

		if (row->row.by == KS_BY_TOTAL) {
			total = row->emitted;
			continue;
		}
		g_assert_cmpuint(row->row.key, <, POSSIBLE);
		seen[row->row.key] = row->emitted;
	}
	g_assert_cmpuint(total, ==, cpu0 + cpu1);
	g_assert_cmpuint(seen[0], ==, cpu0);
	g_assert_cmpuint(seen[1], ==, cpu1);
	for (unsigned cpu = 2; cpu < POSSIBLE; cpu++)
		g_assert_cmpuint(seen[cpu], ==, 0);
}

static int two_cpus(void)
{
	if (!ks_test_root())
		return 0;
	if (sysconf(_SC_NPROCESSORS_ONLN) >= 2 && sysconf(_SC_NPROCESSORS_ONLN) <= POSSIBLE)
		return 1;
	g_test_skip("needs 2 to 8 CPUs");
	return 0;
}

static void comes_between_reads(gconstpointer data)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .features_off = GPOINTER_TO_SIZE(data) };
	struct ks_reader *reader;
	struct ks *ks;
	char *sysfs;

	if (!two_cpus())
		return;
	sysfs = make_sysfs();
	opts.sys_path = sysfs;
	ks = fault_open(&opts);
	shim_offline = 2;
	fault_burst(ks, 3);
	shim_offline = 0;
	reader = reader_by(ks, KS_BY_TOTAL | KS_BY_CPU);
	run_on(0, 10);
	rows_are(ks, reader, 30, 0);
	g_assert_cmpuint(fault_drain(ks), ==, 30);
	run_on(1, 20);
	rows_are(ks, reader, 30, 60);
	g_assert_cmpuint(fault_drain(ks), ==, 60);
	run_on(0, 1);
	rows_are(ks, reader, 33, 60);
	fault_settle(ks, BURST_PROBE);
	ks_reader_free(reader);
	ks_close(ks);
	remove_sysfs(sysfs);
}

struct tally {
	uint64_t records, lost;
	unsigned cpu;
};

static int add(const struct ks_event *ev, void *user)
{
	struct tally *tally = user;

	if (ev->id != KS_EVENT_LOST) {
		g_assert_cmpuint(ev->cpu, ==, 0);
		tally->records++;
		return 0;
	}
	g_assert_cmpuint(ev->cpu, ==, 1);
	tally->lost += ((const struct ks_event_lost *)ev)->lost;
	return 0;
}

/* Perf buffers belong to CPUs that are online. A CPU that comes later has none. */
static void comes_without_buffer(void)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .features_off = KS_FEATURE_RINGBUF };
	struct tally tally = { 0 };
	struct ks_stats_self ledger;
	struct ks *ks;
	int rc;

	if (!two_cpus())
		return;
	ks = fault_open(&opts);
	shim_offline = 1;
	fault_burst(ks, 3);
	shim_offline = 0;
	run_on(0, 10);
	run_on(1, 20);
	run_on(0, 10);
	while ((rc = ks_poll(ks, 0, 0, add, &tally)) > 0)
		;
	ks_assert_ok(ks, rc);
	g_assert_cmpuint(tally.records, ==, 60);
	g_assert_cmpuint(tally.lost, ==, 60);
	ledger = fault_ledger(ks, BURST_PROBE);
	g_assert_cmpuint(ledger.delivered, ==, 60);
	g_assert_cmpuint(ledger.lost_ring + ledger.lost_locked, ==, 60);
	fault_settle(ks, BURST_PROBE);
	ks_close(ks);
}

/*
 * The library believes in one CPU. Events on a second CPU are in no row, and the ledger counts
 * them.
 */
static void beyond(gconstpointer data)
{
	struct ks_open_opts opts = { .size = sizeof(opts), .features_off = GPOINTER_TO_SIZE(data) };
	struct ks_stats_self ledger;
	struct ks *ks;

	if (!two_cpus())
		return;
	ks = fault_open(&opts);
	ks->n_cpus = 1;
	fault_burst(ks, 3);
	run_on(0, 10);
	run_on(1, 20);
	run_on(0, 10);
	g_assert_cmpuint(fault_drain(ks), ==, 60);
	ledger = fault_ledger(ks, BURST_PROBE);
	g_assert_cmpuint(ledger.delivered, ==, 60);
	g_assert_cmpuint(ledger.submitted, ==, 60);
	g_assert_cmpuint(ledger.lost_map, >=, 20); /* all syscalls on that CPU */
	fault_settle(ks, BURST_PROBE);
	ks_close(ks);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_data_func("/later/ring", NULL, comes_between_reads);
	g_test_add_data_func("/later/perf", GSIZE_TO_POINTER(KS_FEATURE_RINGBUF),
			     comes_between_reads);
	g_test_add_data_func("/beyond/ring", NULL, beyond);
	g_test_add_data_func("/beyond/perf", GSIZE_TO_POINTER(KS_FEATURE_RINGBUF), beyond);
	g_test_add_func("/later/no-buffer", comes_without_buffer);
	return g_test_run();
}

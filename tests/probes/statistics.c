/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that statistics add up: CPUs to the total, deltas to what was done meanwhile, each reader
 * for itself, and all of it while the probe is disabled and enabled and changes its variant.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/harness.h"
#include "support/ks_test.h"

#define OTHER_VARIANT(t) (strcmp((t)->variant, "raw_tp") ? "raw_tp" : "tracepoint")

static struct ks_reader *reader_of(struct kt *t, uint32_t by, uint32_t flags)
{
	struct ks_reader_opts opts = { .size = sizeof(opts), .by = by, .flags = flags };
	struct ks_reader *reader;

	ks_assert_ok(t->ks, ks_reader_new(t->ks, t->probe, &opts, &reader));
	return reader;
}

static struct ks_stats stats_of(struct ks_reader *reader)
{
	struct ks_stats stats = { .size = sizeof(stats) };

	ks_assert_rc(ks_read_stats(reader, &stats), 0);
	g_assert_cmpuint(stats.source, ==, KS_SOURCE_BPF);
	return stats;
}

/* Returns the calls in the only row of a reader. */
static uint64_t calls_of(struct ks_reader *reader, unsigned advice)
{
	struct ks_stats stats = stats_of(reader);
	const struct ks_stats_fadvise *row = ks_stats_row(&stats, 0);

	g_assert_cmpuint(stats.n_rows, ==, 1);
	g_assert_cmpuint(row->row.by, ==, KS_BY_TOTAL);
	return row->calls[advice];
}

static uint64_t random_of(struct ks_reader *reader)
{
	return calls_of(reader, KS_ADVICE_RANDOM);
}

static void call(unsigned n)
{
	while (n--)
		syscall(SYS_fadvise64, -1, 0, 0, POSIX_FADV_RANDOM);
}

/* ---- CPUs ------------------------------------------------------------------------------------ */

static void add_words(uint64_t *sum, const void *row, size_t size)
{
	const uint64_t *words = (const void *)((const char *)row + sizeof(struct ks_row));
	size_t i;

	for (i = 0; i < (size - sizeof(struct ks_row)) / 8; i++)
		sum[i] += words[i];
}

static void cpus(struct kt *t)
{
	long n = sysconf(_SC_NPROCESSORS_CONF), online = sysconf(_SC_NPROCESSORS_ONLN), cpu;
	uint64_t sum[(sizeof(struct ks_stats_fadvise) - sizeof(struct ks_row)) / 8] = { 0 };
	const struct ks_stats_fadvise *row;
	struct ks_stats_fadvise total;
	struct ks_reader *reader;
	struct ks_stats stats;
	size_t i;

	kt_enable(t, NULL, 0);
	for (cpu = 0; cpu < online; cpu++) {
		work_pin((unsigned)cpu);
		call(100 + (unsigned)cpu);
	}
	work_unpin();
	kt_settle(t);
	reader = reader_of(t, KS_BY_CPU, 0);
	stats = stats_of(reader);
	g_assert_cmpuint(stats.id, ==, KS_STATS_FADVISE);
	g_assert_cmpuint(stats.n_rows, ==, (size_t)n);
	for (i = 0; (row = ks_stats_row(&stats, i)); i++) {
		g_assert_cmpuint(row->row.by, ==, KS_BY_CPU);
		if (row->row.key < (uint64_t)online)
			g_assert_cmpuint(row->calls[KS_ADVICE_RANDOM], ==, 100 + row->row.key);
		add_words(sum, row, sizeof(*row));
	}
	kt_total(t, &total, sizeof(total));
	g_assert_cmpmem(&total.calls, sizeof(sum), sum, sizeof(sum));
	g_assert_cmpuint(total.calls[KS_ADVICE_RANDOM], ==,
			 (uint64_t)(100 * online + online * (online - 1) / 2));
	ks_reader_free(reader);
}

/* Histograms add up bucket by bucket. */
static void lifetimes(struct kt *t)
{
	uint64_t buckets[260] = { 0 }, count = 0, sum = 0;
	const struct ks_stats_proc *row;
	struct ks_reader *by_cpu, *total;
	struct ks_stats stats;
	struct work w;
	size_t i;
	uint16_t k;

	work_start(&w, proc_forks);
	kt_watch(t, KS_SCOPE_TREE, w.pid);
	kt_enable(t, NULL, 0);
	work_run(&w);
	kt_settle(t);
	by_cpu = reader_of(t, KS_BY_CPU, 0);
	stats = stats_of(by_cpu);
	for (i = 0; (row = ks_stats_row(&stats, i)); i++) {
		const struct ks_hist *h = &row->lifetime_ns;

		count += h->count;
		sum += h->sum;
		for (k = 0; k < h->n; k++)
			buckets[h->lowest + 1 + k] += stats.buckets[h->at + k];
	}
	g_assert_cmpuint(count, ==, PROC_FORKS + 1);
	total = reader_of(t, KS_BY_TOTAL, 0);
	stats = stats_of(total);
	row = ks_stats_row(&stats, 0);
	g_assert_cmpuint(row->lifetime_ns.count, ==, count);
	g_assert_cmpuint(row->lifetime_ns.sum, ==, sum);
	for (k = 0; k < row->lifetime_ns.n; k++) {
		count -= stats.buckets[row->lifetime_ns.at + k];
		g_assert_cmpuint(stats.buckets[row->lifetime_ns.at + k], ==,
				 buckets[row->lifetime_ns.lowest + 1 + k]);
	}
	g_assert_cmpuint(count, ==, 0);
	ks_reader_free(by_cpu);
	ks_reader_free(total);
	work_free(&w);
}

/* ---- readers --------------------------------------------------------------------------------- */

static void deltas(struct kt *t)
{
	struct ks_reader *total, *often, *seldom, *late;

	kt_enable(t, NULL, 0);
	total = reader_of(t, KS_BY_TOTAL, 0);
	often = reader_of(t, KS_BY_TOTAL, KS_READ_DELTA);
	seldom = reader_of(t, KS_BY_TOTAL, KS_READ_DELTA);
	call(3);
	g_assert_cmpuint(random_of(often), ==, 3);
	g_assert_cmpuint(random_of(often), ==, 0);
	call(4);
	late = reader_of(t, KS_BY_TOTAL, KS_READ_DELTA);
	call(5);
	g_assert_cmpuint(random_of(often), ==, 9);
	g_assert_cmpuint(random_of(seldom), ==, 12);
	g_assert_cmpuint(random_of(late), ==, 5); /* counts since it was made */
	g_assert_cmpuint(random_of(total), ==, 12);
	g_assert_cmpuint(random_of(total), ==, 12); /* reading resets nothing */
	ks_reader_free(total);
	ks_reader_free(often);
	ks_reader_free(seldom);
	ks_reader_free(late);
}

static void off_and_on(struct kt *t)
{
	struct ks_enable_opts other = { .size = sizeof(other), .variant = OTHER_VARIANT(t) };
	struct ks_reader *total, *delta;
	struct ks_stats first, last;

	kt_enable(t, NULL, 0);
	total = reader_of(t, KS_BY_TOTAL, 0);
	delta = reader_of(t, KS_BY_TOTAL, KS_READ_DELTA);
	call(3);
	first = stats_of(total);
	kt_disable(t);
	call(100); /* the probe is disabled */
	g_assert_cmpuint(random_of(total), ==, 3);
	g_assert_cmpuint(random_of(delta), ==, 3);
	kt_enable(t, NULL, 0);
	call(4);
	g_assert_cmpuint(random_of(total), ==, 7);
	g_assert_cmpuint(random_of(delta), ==, 4);
	kt_disable(t);
	ks_assert_ok(t->ks, ks_enable_probe(t->ks, t->probe, &other));
	call(5);
	kt_disable(t);
	g_assert_cmpuint(random_of(total), ==, 12);
	g_assert_cmpuint(random_of(delta), ==, 5);
	last = stats_of(total);
	g_assert_cmpuint(last.since_ns, ==, first.since_ns);
	g_assert_cmpuint(last.time_ns, >, first.time_ns);
	ks_reader_free(total);
	ks_reader_free(delta);
}

/* While another process makes calls, no read is below the one before, and the last one is exact. */
static void never_back(struct kt *t)
{
	const volatile uint32_t *done;
	struct ks_stats_fadvise row;
	struct ks_reader *reader;
	uint64_t now, last = 0;
	struct work w;

	work_start(&w, fad_many);
	done = &((struct fad_page *)w.page)->n;
	kt_watch(t, KS_SCOPE_PIDS, w.pid);
	kt_enable(t, NULL, 0);
	reader = reader_of(t, KS_BY_TOTAL, 0);
	work_go(&w);
	while (*done < FAD_MANY) {
		now = calls_of(reader, KS_ADVICE_SEQUENTIAL);
		g_assert_cmpuint(now, >=, last);
		g_assert_cmpuint(now, <=, FAD_MANY);
		last = now;
	}
	work_wait(&w);
	kt_settle(t);
	kt_total(t, &row, sizeof(row));
	g_assert_cmpuint(row.calls[KS_ADVICE_SEQUENTIAL], ==, FAD_MANY);
	g_assert_cmpuint(row.ok[KS_ADVICE_SEQUENTIAL], ==, FAD_MANY);
	ks_reader_free(reader);
	work_free(&w);
}

static void add(void)
{
	kt_add(KS_PROBE_FADVISE, "cpus", KT_ALIKE, cpus);
	kt_add(KS_PROBE_PROC, "lifetimes", KT_BEST, lifetimes);
	kt_add(KS_PROBE_FADVISE, "deltas", KT_BEST, deltas);
	kt_add(KS_PROBE_FADVISE, "off-and-on", KT_BEST, off_and_on);
	kt_add(KS_PROBE_FADVISE, "never-back", KT_BEST, never_back);
}

int main(int argc, char **argv)
{
	return kt_main(argc, argv, add);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that raw blocks become rows: sums and differences are exact, histograms have no empty
 * buckets at their ends, unknown values are zero, and a failed allocation is an error that changes
 * nothing.
 */
#include <errno.h>

#include "data/rows.h"
#include "support/ks_test.h"

struct sample {
	struct ks_row row;      /*   0 */
	uint64_t calls;         /*  64 */
	uint64_t by_kind[3];    /*  72 */
	uint32_t open;          /*  96 a gauge: not in a raw block */
	uint32_t reserved;      /* 100 */
	struct ks_hist wait_ns; /* 104 */
	uint64_t last;          /* 136 */
};                              /* 144 */

enum { HAS_KIND = 1, HAS_WAIT = 2 };

static const struct ks__field fields[] = {
	{ KS__AT(struct sample, calls), .count = 1, .kind = KS_KIND_COUNTER },
	{ .name = "by_kind",
	  .offset = offsetof(struct sample, by_kind),
	  .bytes = 8,
	  .count = 3,
	  .kind = KS_KIND_COUNTER,
	  .valid = HAS_KIND },
	{ KS__AT(struct sample, open), .count = 1, .kind = KS_KIND_GAUGE },
	{ KS__AT(struct sample, wait_ns), .count = 1, .kind = KS_KIND_HIST, .valid = HAS_WAIT },
	{ KS__AT(struct sample, last), .count = 1, .kind = KS_KIND_COUNTER },
	{ 0 },
};

static const struct ks__struct desc = {
	.name = "sample",
	.bytes = sizeof(struct sample),
	.fields = fields,
};

enum { CALLS = 0, KIND = 1, SUM = 4, ZEROS = 5, BUCKET = 6, LAST = 263, WORDS = 264 };

/* The n-th allocation of a table from now on fails; 0: none. */
static int fail_in;

void *reallocarray(void *old, size_t n, size_t size)
{
	if (fail_in && --fail_in == 0)
		return NULL;
	return realloc(old, n * size);
}

static const struct sample *row_at(const struct ks__table *table, size_t i)
{
	g_assert_cmpuint(i, <, table->n_rows);
	g_assert_cmpuint(table->row_size, ==, sizeof(struct sample));
	return (const struct sample *)(const void *)(table->rows + i * table->row_size);
}

static void test_words(void)
{
	g_assert_cmpuint(ks__rows_words(&desc), ==, WORDS);
	g_assert_cmpint(ks__rows_word(&desc, "calls"), ==, CALLS);
	g_assert_cmpint(ks__rows_word(&desc, "by_kind"), ==, KIND);
	g_assert_cmpint(ks__rows_word(&desc, "wait_ns"), ==, SUM);
	g_assert_cmpint(ks__rows_word(&desc, "last"), ==, LAST);
	g_assert_cmpint(ks__rows_word(&desc, "open"), ==, -1);
	g_assert_cmpint(ks__rows_word(&desc, "no_such"), ==, -1);
}

static void test_add(void)
{
	uint64_t block[WORDS];
	struct ks__rows rows;
	int i;

	for (i = 0; i < WORDS; i++)
		block[i] = (uint64_t)i + 1;
	ks_assert_rc(ks__rows_init(&rows, &desc, 2), 0);
	g_assert_cmpuint(rows.words, ==, WORDS);
	for (i = 0; i < 2 * WORDS; i++)
		g_assert_cmpuint(rows.raw[i], ==, 0);
	ks__rows_add(&rows, 1, block);
	ks__rows_add(&rows, 1, block);
	for (i = 0; i < WORDS; i++) {
		g_assert_cmpuint(rows.raw[i], ==, 0);
		g_assert_cmpuint(rows.raw[WORDS + i], ==, 2 * ((uint64_t)i + 1));
	}
	ks__rows_free(&rows);
	g_assert_null(rows.raw);
	ks__rows_free(&rows);
	ks__rows_free(NULL);
}

static void test_total(void)
{
	struct ks__table table = { 0 };
	const struct sample *row;
	struct ks__rows rows;

	ks_assert_rc(ks__rows_init(&rows, &desc, 1), 0);
	rows.raw[CALLS] = 10;
	rows.raw[KIND] = 1, rows.raw[KIND + 1] = 2, rows.raw[KIND + 2] = 3;
	rows.raw[SUM] = 12345, rows.raw[ZEROS] = 4;
	rows.raw[BUCKET + 40] = 5, rows.raw[BUCKET + 43] = 6;
	rows.raw[LAST] = UINT64_MAX;
	ks_assert_rc(ks__table_add(&table, &rows, NULL, KS_BY_TOTAL, HAS_KIND | HAS_WAIT), 0);

	g_assert_cmpuint(table.n_rows, ==, 1);
	row = row_at(&table, 0);
	g_assert_cmpuint(row->row.by, ==, KS_BY_TOTAL);
	g_assert_cmpuint(row->row.key, ==, 0);
	g_assert_cmpuint(row->row.valid, ==, HAS_KIND | HAS_WAIT);
	g_assert_cmpuint(row->row.start_ns, ==, 0);
	g_assert_cmpstr(row->row.name, ==, "");
	g_assert_cmpuint(row->calls, ==, 10);
	g_assert_cmpuint(row->by_kind[0], ==, 1);
	g_assert_cmpuint(row->by_kind[1], ==, 2);
	g_assert_cmpuint(row->by_kind[2], ==, 3);
	g_assert_cmpuint(row->open, ==, 0);
	g_assert_cmpuint(row->wait_ns.sum, ==, 12345);
	g_assert_cmpuint(row->wait_ns.zeros, ==, 4);
	g_assert_cmpuint(row->wait_ns.count, ==, 4 + 5 + 6);
	g_assert_cmpint(row->wait_ns.lowest, ==, 39);
	g_assert_cmpuint(row->wait_ns.n, ==, 4);
	g_assert_cmpuint(row->wait_ns.at, ==, 0);
	g_assert_cmpuint(row->last, ==, UINT64_MAX);
	g_assert_cmpuint(table.n_buckets, ==, 4);
	g_assert_cmpuint(table.buckets[0], ==, 5);
	g_assert_cmpuint(table.buckets[1], ==, 0);
	g_assert_cmpuint(table.buckets[3], ==, 6);
	ks__rows_free(&rows);
	ks__table_free(&table);
	ks__table_free(&table);
	ks__table_free(NULL);
}

static void test_delta(void)
{
	struct ks__rows now, base;
	struct ks__table table = { 0 };
	const struct sample *row;

	ks_assert_rc(ks__rows_init(&now, &desc, 1), 0);
	ks_assert_rc(ks__rows_init(&base, &desc, 1), 0);
	base.raw[CALLS] = 7, now.raw[CALLS] = 10;
	base.raw[SUM] = 100, now.raw[SUM] = 140;
	base.raw[ZEROS] = 1, now.raw[ZEROS] = 1;
	/* The difference has no buckets that did not grow. */
	base.raw[BUCKET] = 9, now.raw[BUCKET] = 9;
	base.raw[BUCKET + 5] = 1, now.raw[BUCKET + 5] = 3;
	base.raw[BUCKET + 256] = 8, now.raw[BUCKET + 256] = 8;
	ks_assert_rc(ks__table_add(&table, &now, &base, KS_BY_TOTAL, HAS_WAIT), 0);
	row = row_at(&table, 0);
	g_assert_cmpuint(row->calls, ==, 3);
	g_assert_cmpuint(row->wait_ns.sum, ==, 40);
	g_assert_cmpuint(row->wait_ns.zeros, ==, 0);
	g_assert_cmpuint(row->wait_ns.count, ==, 2);
	g_assert_cmpint(row->wait_ns.lowest, ==, 4);
	g_assert_cmpuint(row->wait_ns.n, ==, 1);
	g_assert_cmpuint(table.buckets[0], ==, 2);

	/* Nothing happened since: all is zero, and there are no buckets. */
	table.n_rows = table.n_buckets = 0;
	ks_assert_rc(ks__table_add(&table, &now, &now, KS_BY_TOTAL, HAS_WAIT), 0);
	row = row_at(&table, 0);
	g_assert_cmpuint(row->calls, ==, 0);
	g_assert_cmpuint(row->wait_ns.count, ==, 0);
	g_assert_cmpuint(row->wait_ns.n, ==, 0);
	g_assert_cmpuint(table.n_buckets, ==, 0);
	ks__rows_free(&now);
	ks__rows_free(&base);
	ks__table_free(&table);
}

static void test_histogram_ends(void)
{
	struct ks__table table = { 0 };
	const struct sample *row;
	struct ks__rows rows;

	ks_assert_rc(ks__rows_init(&rows, &desc, 1), 0);
	rows.raw[BUCKET] = 1, rows.raw[BUCKET + 256] = 2;
	ks_assert_rc(ks__table_add(&table, &rows, NULL, KS_BY_TOTAL, HAS_WAIT), 0);
	row = row_at(&table, 0);
	g_assert_cmpint(row->wait_ns.lowest, ==, -1);
	g_assert_cmpuint(row->wait_ns.n, ==, 257);
	g_assert_cmpuint(row->wait_ns.count, ==, 3);
	g_assert_cmpuint(table.buckets[0], ==, 1);
	g_assert_cmpuint(table.buckets[256], ==, 2);
	ks__rows_free(&rows);
	ks__table_free(&table);
}

static void test_unknown_is_zero(void)
{
	struct ks__table table = { 0 };
	const struct sample *row;
	struct ks__rows rows;
	int i;

	ks_assert_rc(ks__rows_init(&rows, &desc, 1), 0);
	for (i = 0; i < WORDS; i++)
		rows.raw[i] = 1;
	ks_assert_rc(ks__table_add(&table, &rows, NULL, KS_BY_TOTAL, 0), 0);
	row = row_at(&table, 0);
	g_assert_cmpuint(row->row.valid, ==, 0);
	g_assert_cmpuint(row->calls, ==, 1);
	g_assert_cmpuint(row->last, ==, 1);
	g_assert_cmpuint(row->by_kind[0] + row->by_kind[1] + row->by_kind[2], ==, 0);
	g_assert_cmpuint(row->wait_ns.count + row->wait_ns.sum + row->wait_ns.n, ==, 0);
	g_assert_cmpuint(table.n_buckets, ==, 0);
	ks__rows_free(&rows);
	ks__table_free(&table);
}

/* With a total and 500 CPUs, each with one more bucket, the table grows again and again. */
static void test_growth(void)
{
	enum { CPUS = 500 };
	struct ks__table table = { 0 };
	struct ks__rows total, cpus;
	uint64_t bucket = 0;
	unsigned i, j;

	ks_assert_rc(ks__rows_init(&total, &desc, 1), 0);
	ks_assert_rc(ks__rows_init(&cpus, &desc, CPUS), 0);
	for (i = 0; i < CPUS; i++) {
		cpus.raw[i * WORDS + CALLS] = i;
		for (j = 0; j <= i % 250; j++)
			cpus.raw[i * WORDS + BUCKET + 1 + j] = i + j + 1;
		ks__rows_add(&total, 0, cpus.raw + i * WORDS);
	}
	ks_assert_rc(ks__table_add(&table, &total, NULL, KS_BY_TOTAL, HAS_WAIT), 0);
	ks_assert_rc(ks__table_add(&table, &cpus, NULL, KS_BY_CPU, HAS_WAIT), 0);

	g_assert_cmpuint(table.n_rows, ==, CPUS + 1);
	g_assert_cmpuint(row_at(&table, 0)->row.by, ==, KS_BY_TOTAL);
	g_assert_cmpuint(row_at(&table, 0)->calls, ==, CPUS * (CPUS - 1) / 2);
	g_assert_cmpuint(row_at(&table, 0)->wait_ns.n, ==, 250);
	bucket = 250;
	for (i = 0; i < CPUS; i++) {
		const struct sample *row = row_at(&table, i + 1);

		g_assert_cmpuint(row->row.by, ==, KS_BY_CPU);
		g_assert_cmpuint(row->row.key, ==, i);
		g_assert_cmpuint(row->calls, ==, i);
		g_assert_cmpuint(row->wait_ns.at, ==, bucket);
		g_assert_cmpuint(row->wait_ns.n, ==, i % 250 + 1);
		for (j = 0; j < row->wait_ns.n; j++)
			g_assert_cmpuint(table.buckets[bucket + j], ==, i + j + 1);
		bucket += row->wait_ns.n;
	}
	g_assert_cmpuint(table.n_buckets, ==, bucket);
	ks__rows_free(&total);
	ks__rows_free(&cpus);
	ks__table_free(&table);
}

static void test_no_memory(void)
{
	struct ks__table table = { 0 }, before;
	struct ks__rows one, many;
	unsigned i;

	memset(&one, 0x55, sizeof(one)); /* random bytes of the stack: no rows to free */
#ifndef __SANITIZE_ADDRESS__             /* which ends who asks for so much */
	ks_assert_rc(ks__rows_init(&one, &desc, SIZE_MAX / 16 / WORDS), -ENOMEM);
	g_assert_cmpuint(one.n_rows, ==, 0);
	g_assert_null(one.raw);
	ks__rows_free(&one);
#endif
	ks_assert_rc(ks__rows_init(&one, &desc, 1), 0);
	ks_assert_rc(ks__rows_init(&many, &desc, 100), 0);
	one.raw[CALLS] = 42, one.raw[BUCKET + 9] = 43;
	for (i = 0; i < 100; i++)
		many.raw[i * WORDS + BUCKET] = many.raw[i * WORDS + BUCKET + 256] = 1;
	ks_assert_rc(ks__table_add(&table, &one, NULL, KS_BY_TOTAL, HAS_WAIT), 0);

	/*
	 * first the rows cannot grow, then the buckets of the first row, then those of a later row
	 */
	for (i = 1; i <= 4; i++) {
		before = table;
		fail_in = i < 4 ? (int)i : 0;
		if (i < 4)
			ks_assert_rc(ks__table_add(&table, &many, NULL, KS_BY_CPU, HAS_WAIT),
				     -ENOMEM);
		g_assert_cmpuint(table.n_rows, ==, before.n_rows);
		g_assert_cmpuint(table.n_buckets, ==, before.n_buckets);
		g_assert_cmpuint(row_at(&table, 0)->calls, ==, 42);
		g_assert_cmpuint(table.buckets[row_at(&table, 0)->wait_ns.at], ==, 43);
	}
	ks_assert_rc(ks__table_add(&table, &many, NULL, KS_BY_CPU, HAS_WAIT), 0);
	g_assert_cmpuint(table.n_rows, ==, 101);
	g_assert_cmpuint(table.n_buckets, ==, 1 + 100 * 257);
	ks__rows_free(&one);
	ks__rows_free(&many);
	ks__table_free(&table);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/rows/words", test_words);
	g_test_add_func("/rows/add", test_add);
	g_test_add_func("/rows/total", test_total);
	g_test_add_func("/rows/delta", test_delta);
	g_test_add_func("/rows/histogram-ends", test_histogram_ends);
	g_test_add_func("/rows/unknown-is-zero", test_unknown_is_zero);
	g_test_add_func("/rows/growth", test_growth);
	g_test_add_func("/rows/no-memory", test_no_memory);
	return g_test_run();
}

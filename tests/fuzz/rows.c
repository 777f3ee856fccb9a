/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that rows of statistics agree with any counts: counters are differences, a histogram's
 * count is the sum of its buckets, and buckets lie inside the table.
 */
#include <math.h>

#include <kernelsight/kernelsight.h>

#include "data/rows.h"
#include "fuzz.h"

#define ROWS_MAX 5

static const struct ks__struct *choose(struct input *in)
{
	unsigned n = 0, which;

	while (ks__probes[n])
		n++;
	which = below(in, n - 1) + 1; /* the library's own probe has no raw blocks */
	return ks__probes[which]->stats;
}

/* Adds to some words of some blocks. */
static void count(struct input *in, struct ks__rows *rows)
{
	uint64_t *block = calloc(rows->words + 1, sizeof(*block));

	must(block);
	for (unsigned n = below(in, 64); n; n--) {
		uint64_t word = take(in, 2) % rows->words;

		block[word] = take(in, 1 + below(in, 8));
		ks__rows_add(rows, below(in, (uint32_t)rows->n_rows), block);
		block[word] = 0;
	}
	free(block);
}

static void check_hist(const struct ks__table *table, const struct ks_hist *hist)
{
	struct ks_stats stats = { .size = sizeof(stats),
				  .buckets = table->buckets,
				  .n_buckets = table->n_buckets };
	uint64_t sum = hist->zeros;
	double last = 0;

	must(hist->at + (size_t)hist->n <= table->n_buckets);
	for (unsigned i = 0; i < hist->n; i++)
		sum += table->buckets[hist->at + i];
	must(sum == hist->count);
	if (hist->n) {
		must(table->buckets[hist->at] && table->buckets[hist->at + hist->n - 1]);
		must(hist->lowest >= -1 && hist->lowest + hist->n <= KS__HIST_WORDS - 2);
	}
	for (int i = 0; i <= 4; i++) {
		double q = ks_hist_quantile(&stats, hist, i / 4.0);

		must(isnan(q) || q >= last);
		last = isnan(q) ? last : q;
	}
}

static void check_field(const struct ks__table *table, const struct ks__field *f, const char *row,
			const uint64_t *now, const uint64_t *base)
{
	for (unsigned i = 0; i < f->count; i++) {
		const char *at = row + f->offset + i * f->bytes;
		struct ks_hist hist;
		uint64_t value;

		if (f->kind == KS_KIND_HIST) {
			memcpy(&hist, at, sizeof(hist));
			check_hist(table, &hist);
		} else if (f->kind == KS_KIND_COUNTER) {
			memcpy(&value, at, sizeof(value));
			must(value == (now ? now[i] - (base ? base[i] : 0) : 0));
		}
	}
}

static void check(const struct ks__table *table, size_t first, const struct ks__rows *now,
		  const struct ks__rows *base, uint64_t valid)
{
	must(table->n_rows == first + now->n_rows);
	for (size_t r = 0; r < now->n_rows; r++) {
		const char *row = table->rows + (first + r) * table->row_size;

		for (const struct ks__field *f = now->desc->fields; f->name; f++) {
			int word = ks__rows_word(now->desc, f->name);
			size_t at = r * now->words + (size_t)(word < 0 ? 0 : word);
			int known = word >= 0 && !(f->valid & ~valid);

			check_field(table, f, row, known ? now->raw + at : NULL,
				    base ? base->raw + at : NULL);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	const struct ks__struct *desc = choose(&in);
	struct ks__rows now, base;
	struct ks__table table = { 0 };
	size_t n = 1 + below(&in, ROWS_MAX);

	must(!ks__rows_init(&now, desc, n) && !ks__rows_init(&base, desc, n));
	for (unsigned turn = 0; turn < 3; turn++) {
		uint64_t valid = take(&in, 1);
		int delta = valid & 1;
		size_t first = table.n_rows;

		count(&in, &now);
		must(!ks__table_add(&table, &now, delta ? &base : NULL, KS_BY_CPU, valid));
		check(&table, first, &now, delta ? &base : NULL, valid);
		memcpy(base.raw, now.raw, n * now.words * sizeof(*now.raw));
	}
	ks__table_free(&table);
	ks__rows_free(&now);
	ks__rows_free(&base);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* others.c - adds up the rows that --top leaves out, so that the printed rows give the total */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static struct ks_hist *hist_in(void *row, const struct ks_field_desc *field)
{
	return (void *)((char *)row + field->offset);
}

static void add_numbers(const struct ks_stats *stats, const struct ks_field_desc *field, char *sum,
			const struct ks_row *row)
{
	uint64_t value;
	unsigned i;

	for (i = 0; i < field->count; i++) {
		value = value_get(field, sum, stats->row_size, i) +
			value_get(field, row, stats->row_size, i);
		memcpy(sum + field->offset + (size_t)i * field->bytes, &value, field->bytes);
	}
}

/* Adds counts and sums, and finds the range of buckets that the sum needs. */
static void add_hist(struct ks_hist *sum, const struct ks_hist *hist)
{
	int end = sum->lowest + sum->n, hist_end = hist->lowest + hist->n;

	sum->count += hist->count;
	sum->sum += hist->sum;
	sum->zeros += hist->zeros;
	if (!hist->n)
		return;
	if (!sum->n || hist->lowest < sum->lowest)
		sum->lowest = hist->lowest;
	sum->n = (uint16_t)((end > hist_end && sum->n ? end : hist_end) - sum->lowest);
}

static void add_row(const struct ks_stats *stats, struct ks_row *sum, const struct ks_row *row)
{
	struct ks_field_desc field;
	uint32_t i;

	sum->valid &= row->valid;
	for (i = 0; !field_describe(stats->id, i, &field); i++) {
		const void *hist = (const char *)row + field.offset;

		if (field.offset + (size_t)field.bytes * field.count > stats->row_size)
			continue;
		if (field.kind == KS_KIND_HIST)
			add_hist(hist_in(sum, &field), hist);
		else
			add_numbers(stats, &field, (char *)sum, row);
	}
}

static void add_buckets(const struct ks_stats *stats, const struct keyed *keyed,
			const struct ks_field_desc *field, struct ks_hist *sum, uint64_t *buckets)
{
	size_t i;
	int b;

	for (i = keyed->shown; i < keyed->n; i++) {
		const struct ks_hist *hist =
			(const void *)((const char *)keyed->rows[i] + field->offset);

		for (b = 0; b < hist->n; b++)
			buckets[hist->lowest + b - sum->lowest] += stats->buckets[hist->at + b];
	}
}

/* Adds up the buckets of all histograms, one histogram behind the other. Returns 0 or -1. */
static int sum_buckets(const struct ks_stats *stats, const struct keyed *keyed, struct ks_row *sum,
		       struct ks_stats *ret)
{
	struct ks_field_desc field;
	struct ks_hist *hist;
	uint64_t *buckets = NULL;
	int fill;
	uint32_t i;

	for (fill = 0; fill <= 1; fill++) {
		ret->n_buckets = 0;
		for (i = 0; !field_describe(stats->id, i, &field); i++) {
			if (field.kind != KS_KIND_HIST)
				continue;
			hist = hist_in(sum, &field);
			hist->at = (uint32_t)ret->n_buckets;
			ret->n_buckets += hist->n;
			if (fill)
				add_buckets(stats, keyed, &field, hist, buckets + hist->at);
		}
		if (!fill)
			buckets = calloc(ret->n_buckets + 1, sizeof(*buckets));
		if (!buckets)
			return -1;
	}
	ret->buckets = buckets;
	return 0;
}

int keyed_others(const struct ks_stats *stats, const struct keyed *keyed,
		 struct ks_stats *ret_stats)
{
	struct ks_row *sum = calloc(1, stats->row_size);
	struct ks_stats others = *stats;
	size_t i;

	if (!sum)
		return -1;
	sum->by = keyed->rows[keyed->shown]->by;
	sum->key = KEYED_OTHERS;
	sum->valid = UINT64_MAX;
	for (i = keyed->shown; i < keyed->n; i++)
		add_row(stats, sum, keyed->rows[i]);
	others.rows = sum;
	others.n_rows = 1;
	if (sum_buckets(stats, keyed, sum, &others)) {
		free(sum);
		return -1;
	}
	*ret_stats = others;
	return 0;
}

void keyed_free_others(struct ks_stats *stats)
{
	free((void *)stats->rows);
	free((void *)stats->buckets);
}

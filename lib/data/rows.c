/* SPDX-License-Identifier: BSD-2-Clause */
/* rows.c - turns raw per-CPU blocks into rows of statistics */
#include "rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS (KS__HIST_WORDS - 2)

static size_t field_words(const struct ks__field *field)
{
	switch (field->kind) {
	case KS_KIND_COUNTER:
		return field->count;
	case KS_KIND_HIST:
		return (size_t)field->count * KS__HIST_WORDS;
	default:
		return 0;
	}
}

size_t ks__rows_words(const struct ks__struct *desc)
{
	const struct ks__field *field;
	size_t words = 0;

	for (field = desc->fields; field->name; field++)
		words += field_words(field);
	return words;
}

int ks__rows_word(const struct ks__struct *desc, const char *name)
{
	const struct ks__field *field;
	size_t word = 0;

	for (field = desc->fields; field->name; field++) {
		if (strcmp(field->name, name) == 0)
			return field_words(field) ? (int)word : -1;
		word += field_words(field);
	}
	return -1;
}

int ks__rows_init(struct ks__rows *rows, const struct ks__struct *desc, size_t n_rows)
{
	size_t words = ks__rows_words(desc);
	uint64_t *raw = calloc(n_rows * words + 1, sizeof(*raw)); /* calloc(0) may give NULL */

	*rows = (struct ks__rows){ 0 }; /* so that ks__rows_free() is safe */
	if (!raw)
		return -ENOMEM;
	*rows = (struct ks__rows){ .desc = desc, .words = words, .n_rows = n_rows, .raw = raw };
	return 0;
}

void ks__rows_free(struct ks__rows *rows)
{
	if (!rows)
		return;
	free(rows->raw);
	*rows = (struct ks__rows){ 0 };
}

void ks__rows_add(struct ks__rows *rows, size_t row, const uint64_t *block)
{
	uint64_t *raw = rows->raw + row * rows->words;
	size_t i;

	for (i = 0; i < rows->words; i++)
		raw[i] += __atomic_load_n(&block[i], __ATOMIC_RELAXED);
}

/*
 * Makes room for `need` elements; doubles the size, so that appending stays cheap. NULL: no memory.
 */
static void *reserve(void *old, size_t *allocated, size_t need, size_t element)
{
	size_t more = *allocated * 2 > need ? *allocated * 2 : need;
	void *grown;

	if (old && need <= *allocated)
		return old;
	grown = reallocarray(old, more, element);
	if (grown)
		*allocated = more;
	return grown;
}

/* Fills a histogram, and appends its buckets to the table without the empty ones at both ends. */
static int add_hist(struct ks__table *table, const uint64_t *now, const uint64_t *base,
		    struct ks_hist *hist)
{
	uint64_t bucket[BUCKETS], *to;
	unsigned first = BUCKETS, end = 0, i;

	hist->sum = now[0] - (base ? base[0] : 0);
	hist->zeros = hist->count = now[1] - (base ? base[1] : 0);
	for (i = 0; i < BUCKETS; i++) {
		bucket[i] = now[2 + i] - (base ? base[2 + i] : 0);
		if (!bucket[i])
			continue;
		hist->count += bucket[i];
		first = first < i ? first : i;
		end = i + 1;
	}
	if (!end)
		return 0;

	to = reserve(table->buckets, &table->buckets_size, table->n_buckets + end - first,
		     sizeof(*to));
	if (!to)
		return -ENOMEM;
	table->buckets = to;
	memcpy(to + table->n_buckets, bucket + first, (end - first) * sizeof(*to));
	hist->at = (uint32_t)table->n_buckets;
	hist->lowest = (int16_t)((int)first - 1);
	hist->n = (uint16_t)(end - first);
	table->n_buckets += end - first;
	return 0;
}

static int add_field(struct ks__table *table, const struct ks__field *field, const uint64_t *now,
		     const uint64_t *base, char *row)
{
	char *member = row + field->offset;
	unsigned i;

	for (i = 0; i < field->count; i++, member += field->bytes) {
		if (field->kind == KS_KIND_HIST) {
			const size_t skip = (size_t)i * KS__HIST_WORDS;
			int rc = add_hist(table, now + skip, base ? base + skip : NULL,
					  (struct ks_hist *)(void *)member);

			if (rc < 0)
				return rc;
		} else {
			uint64_t value = now[i] - (base ? base[i] : 0);

			memcpy(member, &value, sizeof(value));
		}
	}
	return 0;
}

/* Writes row i into zeroed memory. */
static int add_row(struct ks__table *table, const struct ks__rows *now, const struct ks__rows *base,
		   size_t i, uint64_t valid, char *row)
{
	const struct ks__field *field;
	size_t word = i * now->words;

	for (field = now->desc->fields; field->name; field++) {
		int rc = 0;

		if (field_words(field) && !(field->valid & ~valid))
			rc = add_field(table, field, now->raw + word,
				       base ? base->raw + word : NULL, row);
		if (rc < 0)
			return rc;
		word += field_words(field);
	}
	return 0;
}

int ks__table_room(struct ks__table *table, const struct ks__struct *desc, size_t n)
{
	char *rows = reserve(table->rows, &table->rows_size, (table->n_rows + n) * desc->bytes, 1);

	if (!rows)
		return -ENOMEM;
	table->rows = rows;
	table->row_size = desc->bytes;
	return 0;
}

int ks__table_add(struct ks__table *table, const struct ks__rows *now, const struct ks__rows *base,
		  uint16_t by, uint64_t valid)
{
	const size_t size = now->desc->bytes, n_buckets = table->n_buckets;
	size_t i;
	int rc = ks__table_room(table, now->desc, now->n_rows);

	if (rc)
		return rc;
	for (i = 0; i < now->n_rows; i++) {
		char *row = table->rows + (table->n_rows + i) * size;
		struct ks_row head = {
			.key = by == KS_BY_TOTAL ? 0 : i,
			.valid = valid,
			.by = by,
		};

		memset(row, 0, size);
		memcpy(row, &head, sizeof(head));
		rc = add_row(table, now, base, i, valid, row);
		if (rc < 0) {
			table->n_buckets = n_buckets;
			return rc;
		}
	}
	table->n_rows += now->n_rows;
	return 0;
}

void ks__table_free(struct ks__table *table)
{
	if (!table)
		return;
	free(table->rows);
	free(table->buckets);
	*table = (struct ks__table){ 0 };
}

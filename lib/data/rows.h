/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rows.h - turns raw per-CPU blocks (bpf/shared.h) into rows of statistics (events.h)
 *
 * A raw block is an array of words in the order of the probe's fields: one word for each element of
 * a counter, KS__HIST_WORDS for each histogram. No I/O, no handle, no locks.
 */
#ifndef KS_ROWS_H
#define KS_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "../probes/probe.h"

#define KS__HIST_WORDS 259 /* sum, zeros, 257 buckets */

struct ks__rows {
	const struct ks__struct *desc;
	size_t words; /* in one raw block */
	size_t n_rows;
	uint64_t *raw; /* n_rows blocks */
};

/* Returns the words in a raw block of this struct. Only counters and histograms have words. */
size_t ks__rows_words(const struct ks__struct *desc);

/*
 * Allocates n_rows zeroed blocks. Returns 0 or -ENOMEM; ks__rows_free() is allowed in both cases.
 */
int ks__rows_init(struct ks__rows *rows, const struct ks__struct *desc, size_t n_rows);
void ks__rows_free(struct ks__rows *rows);

/* Adds a block that kernel programs may be updating: loads each word once, atomically. */
void ks__rows_add(struct ks__rows *rows, size_t row, const uint64_t *block);

/* Returns the index of a field's first word in a block; -1: the field has no words. */
int ks__rows_word(const struct ks__struct *desc, const char *field);

/* The result of a read: rows of row_size bytes each, and the buckets of their histograms. */
struct ks__table {
	char *rows;
	size_t n_rows, row_size, rows_size; /* rows_size: allocated bytes */
	uint64_t *buckets;
	size_t n_buckets, buckets_size; /* buckets_size: allocated elements */
};

/*
 * Appends the rows of `now` minus `base` (NULL: minus nothing) to `table`, whose memory grows when
 * needed and never shrinks. Each row's head holds `by`, `valid` and key = index of the row (0 for
 * KS_BY_TOTAL). Fields whose `valid` bit is missing hold 0. Set n_rows and n_buckets to 0 before
 * the first call. Returns 0, or -ENOMEM and leaves the table unchanged.
 */
int ks__table_add(struct ks__table *table, const struct ks__rows *now, const struct ks__rows *base,
		  uint16_t by, uint64_t valid);
/* Makes room for n more rows of this struct and sets row_size to its size. Returns 0 or -ENOMEM. */
int ks__table_room(struct ks__table *table, const struct ks__struct *desc, size_t n);
void ks__table_free(struct ks__table *table);

#endif

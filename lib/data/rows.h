/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rows.h - from raw per-CPU blocks (bpf/shared.h) to rows of statistics (events.h)
 *
 * A raw block is an array of words: one for each element of a counter and KS__HIST_WORDS for each
 * histogram, in the order of the probe's fields. No I/O, no handle, no locks.
 */
#ifndef KS_ROWS_H
#define KS_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "../probes/probe.h"

#define KS__HIST_WORDS 259 /* sum, zeros, 257 buckets */

struct ks__rows {
	const struct ks__struct *desc;
	size_t words; /* of one raw block */
	size_t n_rows;
	uint64_t *raw; /* n_rows blocks */
};

/* Words of a raw block of this struct. Gauges and fields of other kinds have none. */
size_t ks__rows_words(const struct ks__struct *desc);

/* Zeroed blocks; 0, or -ENOMEM: then there are none, and ks__rows_free() has nothing to do. */
int ks__rows_init(struct ks__rows *rows, const struct ks__struct *desc, size_t n_rows);
void ks__rows_free(struct ks__rows *rows);

/* Add a block that others may be counting in: each word is loaded once, atomically. */
void ks__rows_add(struct ks__rows *rows, size_t row, const uint64_t *block);

/* Word number of a counter (its first element) or histogram in a block, or -1. */
int ks__rows_word(const struct ks__struct *desc, const char *field);

/* What a read fills: rows at a stride and the buckets of their histograms. */
struct ks__table {
	char *rows;
	size_t n_rows, row_size, rows_size; /* rows_size: allocated bytes */
	uint64_t *buckets;
	size_t n_buckets, buckets_size; /* buckets_size: allocated elements */
};

/*
 * Rows of `now` minus `base` (NULL: minus nothing) into `table`, whose memory grows when needed and
 * never shrinks. Row heads hold `by`, `valid` and key = row number (0 for KS_BY_TOTAL); fields
 * whose `valid` bits are missing hold 0. Appends to the rows that are there: set n_rows and
 * n_buckets to 0 before the first call. 0 or -ENOMEM (the table is as before).
 */
int ks__table_add(struct ks__table *table, const struct ks__rows *now, const struct ks__rows *base,
		  uint16_t by, uint64_t valid);
/* Room for n more rows of a struct, whose bytes are then the row_size. 0 or -ENOMEM. */
int ks__table_room(struct ks__table *table, const struct ks__struct *desc, size_t n);
void ks__table_free(struct ks__table *table);

#endif

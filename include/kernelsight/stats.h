/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.h - read statistics: rows of counters and histograms
 *
 * Included by kernelsight.h, whose rules hold. The structs of the rows are in events.h.
 */
#ifndef KERNELSIGHT_STATS_H
#define KERNELSIGHT_STATS_H

#include <kernelsight/kernelsight.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ks_reader; /* reads the statistics of one probe, and owns the memory of the rows */

enum ks_reader_flag {
	KS_READ_DELTA = 1 << 0, /* counters and histograms since this reader's previous read */
};

struct ks_reader_opts {
	size_t size;         /*  0 */
	uint32_t by;         /*  8 ks_by bits: the groupings to read; 0: KS_BY_TOTAL */
	uint32_t flags;      /* 12 ks_reader_flag; 0: totals since the probe was first enabled */
	uint64_t reserved;   /* 16 */
};                           /* 24 */

/*
 * ks_reader_new - make a reader of a probe's statistics
 *
 * Readers do not affect each other: reading clears nothing. The first read with KS_READ_DELTA
 * returns what was counted since this call.
 * @probe: KS_PROBE_...; KS_PROBE_SELF for ledgers and cost
 * @opts: NULL: one row, the total
 * @ret_reader: the reader
 * Returns 0.
 * Errors: -EINVAL (no such probe; the probe does not have such a grouping; KS_BY_CPU together with
 *   process, cgroup or role: use two readers), -KS_EUNAVAIL (rows by process, cgroup or role, and
 *   only a fallback has served the probe), -ENOMEM, -E2BIG, -KS_EFORKED. With KS_READ_DELTA a
 *   fallback may also return -EMFILE, as it reads its files here for the first time.
 * Ownership: the reader is the caller's, until ks_reader_free(). It may be freed before or after
 *   ks_close().
 * Threads: one thread at a time uses a reader. Different readers run in parallel, also while
 *   another thread calls ks_close().
 * Cost: microseconds; with KS_READ_DELTA as much as ks_read_stats(). Since: 0.1
 */
KS_API int ks_reader_new(struct ks *ks, uint32_t probe, const struct ks_reader_opts *opts,
			 struct ks_reader **ret_reader);

/* The result of a read. All that it points to belongs to the reader. */
struct ks_stats {
	size_t size;             /*  0 */
	uint64_t time_ns;        /*  8 time of the read */
	uint64_t since_ns;       /* 16 start of the count: first enable, or previous read */
	const void *rows;        /* 24 n_rows structs ks_stats_..., row_size bytes apart */
	size_t n_rows;           /* 32 */
	size_t row_size;         /* 40 may be larger (newer library) or smaller than your struct */
	const uint64_t *buckets; /* 48 of all histograms in the rows: see struct ks_hist */
	size_t n_buckets;        /* 56 */
	uint16_t id;             /* 64 KS_STATS_... of the rows */
	uint16_t source;         /* 66 ks_source that serves the probe now, or served it last */
	uint32_t reserved;       /* 68 */
};                               /* 72 */

/*
 * ks_read_stats - read the statistics now
 *
 * The rows of one grouping add up to its total. Totals never go backwards. Rows have no order.
 * @ret_stats: set size first. Its pointers stay valid until the next read with this reader or
 *   ks_reader_free(), also after ks_close()
 * Returns 0.
 * Errors: -EINVAL (NULL, or size not set), -KS_EOFF (the probe was never on), -KS_EUNAVAIL (a
 *   fallback cannot serve this grouping or this scope), -ENOMEM, -EMFILE (a fallback opens files),
 *   -KS_ECLOSED, -KS_EFORKED. After a failed read, the next delta covers its time as well.
 * Threads: one thread at a time for each reader.
 * Cost: never waits for a kernel program or the consumer. 1 us for a total, 0.2 us for each other
 *   row. Now and then a read also frees slots of dead threads, 1 us each. A fallback reads files,
 *   11 us a process. KS_PROBE_SELF: 1 us for each attached program. Since: 0.1
 */
KS_API int ks_read_stats(struct ks_reader *reader, struct ks_stats *ret_stats);

/*
 * ks_stats_row - row i of a read
 * @i: from 0
 * Returns the row, to be cast to the probe's struct ks_stats_..., or NULL past the last row.
 * Ownership: the reader's. Threads: any; needs no handle. Since: 0.1
 */
KS_API const void *ks_stats_row(const struct ks_stats *stats, size_t i);

/*
 * ks_reader_error - why the reader's last failed read failed: ks_last_error() for a reader
 *
 * Needs no handle: it works after ks_close(), in a forked child, and from any thread that owns the
 * reader at the moment.
 * @buf: receives the text, cut to @size and ended with NUL; KS_ERROR_MAX bytes always suffice. May
 *   be NULL if @size is 0
 * Returns the length of the whole text, without NUL; 0 if no read has failed.
 * Errors: -EINVAL. Since: 0.1
 */
KS_API int ks_reader_error(struct ks_reader *reader, char *buf, size_t size);

/*
 * ks_reader_free - free a reader and the rows that it has read
 * @reader: may be NULL
 * In a forked child, a reader that another thread was using at the fork is left alone. Since: 0.1
 */
KS_API void ks_reader_free(struct ks_reader *reader);

/*
 * ks_hist_bound - upper bound of a histogram's bucket i, inclusive: 2^((i + 1) / 4)
 * @i: number of the bucket, as in ks_hist.lowest; may be negative
 * Returns the bound, in the histogram's unit. Threads: any; needs no handle. Since: 0.1
 */
KS_API double ks_hist_bound(int i);

/*
 * ks_hist_quantile - the value below which a share @q of the observations lies, within 9 %
 * @stats, @hist: a read, and a histogram of one of its rows
 * @q: 0 to 1; 0.5 is the median
 * Returns the value in the histogram's unit, or NaN if @q is out of range or the histogram has no
 *   observations or no buckets (rows by process, cgroup and role).
 * Threads: any; needs no handle. Since: 0.1
 */
KS_API double ks_hist_quantile(const struct ks_stats *stats, const struct ks_hist *hist, double q);

#ifdef __cplusplus
}
#endif
#endif

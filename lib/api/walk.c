/* SPDX-License-Identifier: BSD-2-Clause */
/* walk.c - access to data already read, without a handle: batches, rows, histograms */
#include <math.h>

#include "../data/hist.h"
#include "../ks.h"

const struct ks_event *ks_next_event(const void *buf, size_t size, const struct ks_event *ev)
{
	const char *begin = buf;
	size_t at = ev ? (size_t)((const char *)ev - begin) + ev->size : 0;
	const struct ks_event *next;

	if (!buf || at > size || size - at < sizeof(*next))
		return NULL;
	next = (const void *)(begin + at);
	/* The batch may come from a file or another host: a wrong size ends the walk. */
	if (next->size < sizeof(*next) || next->size % 8 || next->size > size - at)
		return NULL;
	return next;
}

const void *ks_stats_row(const struct ks_stats *stats, size_t i)
{
	return stats && stats->rows && i < stats->n_rows ?
		       (const char *)stats->rows + i * stats->row_size :
		       NULL;
}

double ks_hist_bound(int i)
{
	/* Outside these limits exp2() would set errno. */
	if (i > 4000)
		return INFINITY;
	return i < -4000 ? 0 : exp2((i + 1) / 4.0);
}

double ks_hist_quantile(const struct ks_stats *stats, const struct ks_hist *hist, double q)
{
	if (!stats || !hist)
		return NAN;
	if (hist->at > stats->n_buckets || hist->n > stats->n_buckets - hist->at)
		return NAN;
	return ks__hist_quantile(hist->n ? stats->buckets + hist->at : NULL, hist->lowest, hist->n,
				 hist->zeros, q);
}

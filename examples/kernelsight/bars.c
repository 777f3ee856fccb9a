/* SPDX-License-Identifier: BSD-2-Clause */
/* bars.c - prints histograms for people: those of one unit side by side, with the same bounds */
#include <string.h>

#include "cli.h"

#define BARS 12  /* maximum of lines */
#define WIDTH 80 /* columns of the terminal */
#define LEFT 28  /* columns of the bounds */

/* Layout of n histograms side by side: the columns of one, and of its counts. */
#define COLUMNS(n) ((n) > 1 ? (WIDTH - LEFT) / (int)(n) : 46)
#define DIGITS(n) ((n) > 1 ? 5 : 10)

struct bars {
	const struct ks_stats *stats;
	const struct ks_hist *const *hists;
	unsigned n, unit;
	int width; /* buckets per bar: a power of two, so that bounds are round numbers */
	int first, last;
};

static int floor_div(int a, int b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static uint64_t bar_count(const struct bars *bars, const struct ks_hist *hist, int bar)
{
	const uint64_t *buckets = bars->stats->buckets + hist->at;
	uint64_t count = 0;
	int i;

	for (i = bar * bars->width; i < (bar + 1) * bars->width; i++)
		if (i >= hist->lowest && i < hist->lowest + hist->n)
			count += buckets[i - hist->lowest];
	return count;
}

static uint64_t most_of(const struct bars *bars, const struct ks_hist *hist)
{
	uint64_t most = hist->zeros;
	int bar;

	for (bar = bars->first; bar <= bars->last; bar++)
		if (bar_count(bars, hist, bar) > most)
			most = bar_count(bars, hist, bar);
	return most;
}

/* " 12,345 |*****    |" */
static void print_bar(const struct bars *bars, uint64_t count, uint64_t most)
{
	int digits = DIGITS(bars->n), columns = COLUMNS(bars->n) - digits - 4;
	int length = most ? (int)((double)count / (double)most * columns) : 0;
	char number[32], bar[WIDTH + 1];

	if (count && !length)
		length = 1;
	memset(bar, '*', (size_t)length);
	bar[length] = 0;
	if (bars->n > 1)
		value_short(number, sizeof(number), (double)count, KS_UNIT_COUNT);
	else
		value_grouped(number, sizeof(number), count);
	printf(" %*s |%-*s|", digits, number, columns, bar);
}

static void print_line(const struct bars *bars, int bar, int zeros)
{
	const struct ks_hist *hist;
	unsigned i;

	for (i = 0; i < bars->n; i++) {
		hist = bars->hists[i];
		print_bar(bars, zeros ? hist->zeros : bar_count(bars, hist, bar),
			  most_of(bars, hist));
	}
	putchar('\n');
}

static void print_bounds(const struct bars *bars, int bar)
{
	char low[32], high[32], range[80];

	value_human(low, sizeof(low), ks_hist_bound(bar * bars->width - 1), bars->unit, " ");
	value_human(high, sizeof(high), ks_hist_bound((bar + 1) * bars->width - 1), bars->unit,
		    " ");
	snprintf(range, sizeof(range), "%10s -> %s", low, high);
	printf("  %-24s :", range);
}

/* Covers all buckets in use, from the lowest to the highest, in at most BARS bars. */
static void find_bounds(struct bars *bars)
{
	int lowest = 0, highest = -1, end;
	unsigned i;

	for (i = 0; i < bars->n; i++) {
		const struct ks_hist *hist = bars->hists[i];

		if (!hist->n)
			continue;
		end = hist->lowest + hist->n - 1;
		if (highest < lowest || hist->lowest < lowest)
			lowest = hist->lowest;
		if (highest < end)
			highest = end;
	}
	for (bars->width = 1;; bars->width *= 2) {
		bars->first = floor_div(lowest, bars->width);
		bars->last = floor_div(highest, bars->width);
		if (bars->last - bars->first < BARS)
			return;
	}
}

void bars_print(const struct ks_stats *stats, const struct ks_hist *const *hists,
		const char *const *names, unsigned n, unsigned unit)
{
	struct bars bars = { .stats = stats, .hists = hists, .n = n, .unit = unit };
	uint64_t zeros = 0;
	unsigned i;
	int bar;

	find_bounds(&bars);
	if (n > 1) {
		printf("%*s", LEFT, "");
		for (i = 0; i < n; i++)
			printf(" %*s", COLUMNS(n) - 1, names[i]);
		putchar('\n');
	}
	for (i = 0; i < n; i++)
		zeros |= hists[i]->zeros;
	if (zeros) {
		printf("  %-24s :", "                 0");
		print_line(&bars, 0, 1);
	}
	for (bar = bars.first; bar <= bars.last; bar++) {
		print_bounds(&bars, bar);
		print_line(&bars, bar, 0);
	}
}

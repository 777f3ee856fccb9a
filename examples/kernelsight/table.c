/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c - prints statistics and ledger for people: 80 columns, at most 24 lines for a probe */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cli.h"

#define COLUMNS 4 /* arrays or histograms side by side */

/* ---- histograms ----------------------------------------------------------------------------- */

/*
 * Prints the mean. The sum may include open intervals. If that makes the mean larger than all
 * values, it prints the sum instead.
 */
static void print_mean(const struct ks_hist *hist, unsigned unit)
{
	double mean = (double)hist->sum / (double)hist->count;
	char text[32];

	if (hist->n && mean > ks_hist_bound(hist->lowest + hist->n - 1))
		printf(", in all %s",
		       value_human(text, sizeof(text), (double)hist->sum, unit, " "));
	else
		printf(", mean %s", value_human(text, sizeof(text), mean, unit, " "));
}

static void print_summary(const struct ks_stats *stats, const struct ks_field_desc *field,
			  const struct ks_hist *hist)
{
	char name[64], count[32], sum[32], p50[32], p99[32];

	printf("  %-18s ", value_name(name, sizeof(name), field));
	if (!hist->count && hist->sum) { /* from files, or only open intervals */
		printf("%s in all\n",
		       value_human(sum, sizeof(sum), (double)hist->sum, field->unit, " "));
		return;
	}
	printf("%s value%s", value_grouped(count, sizeof(count), hist->count),
	       hist->count == 1 ? "" : "s");
	if (hist->count)
		print_mean(hist, field->unit);
	if (hist->n)
		printf(", p50 %s, p99 %s",
		       value_human(p50, sizeof(p50), ks_hist_quantile(stats, hist, 0.5),
				   field->unit, " "),
		       value_human(p99, sizeof(p99), ks_hist_quantile(stats, hist, 0.99),
				   field->unit, " "));
	putchar('\n');
}

/* Prints histograms of one unit with the same bounds. Returns the number of fields printed. */
static uint32_t print_hists(const struct ks_stats *stats, const char *row, uint32_t index)
{
	const struct ks_hist *hists[COLUMNS];
	char names[COLUMNS][64];
	const char *shown[COLUMNS];
	struct ks_field_desc field;
	uint64_t valid = ((const struct ks_row *)(const void *)row)->valid;
	unsigned n = 0, unit = KS_UNIT_NONE;
	uint32_t i;

	for (i = index; n < COLUMNS - 1 && !field_describe(stats->id, i, &field); i++) {
		const struct ks_hist *hist = (const void *)(row + field.offset);

		if (field.kind != KS_KIND_HIST || (i > index && field.unit != unit))
			break;
		unit = field.unit;
		if (!value_known(&field, valid))
			continue;
		print_summary(stats, &field, hist);
		if (!hist->n && !hist->zeros)
			continue;
		hists[n] = hist;
		shown[n] = value_name(names[n], sizeof(names[n]), &field);
		n++;
	}
	if (n)
		bars_print(stats, hists, shown, n, unit);
	return i - index;
}

/* ---- counters ------------------------------------------------------------------------------- */

static const char *counter_text(char *buf, size_t size, const struct ks_field_desc *field,
				uint64_t value)
{
	if (field->unit == KS_UNIT_NS || field->unit == KS_UNIT_BYTES)
		return value_human(buf, size, (double)value, field->unit, " ");
	return value_grouped(buf, size, value);
}

struct columns {
	struct ks_field_desc fields[COLUMNS];
	uint32_t n;
};

static void print_elements(const struct columns *columns, const char *name, const uint64_t *values)
{
	char buf[32];
	uint32_t c;

	printf("    %-16s", name);
	for (c = 0; c < columns->n; c++)
		printf(" %14s", counter_text(buf, sizeof(buf), &columns->fields[c], values[c]));
	putchar('\n');
}

/* Finds the arrays with the index of the first one: they are printed side by side. */
static void find_columns(struct columns *columns, uint32_t id, uint32_t index)
{
	const struct ks_field_desc *first = &columns->fields[0];
	struct ks_field_desc field;

	for (columns->n = 0; columns->n < COLUMNS; columns->n++) {
		if (field_describe(id, index + columns->n, &field) || field.count == 1)
			return;
		if (columns->n && (field.count != first->count || !field.label || !first->label ||
				   strcmp(field.label, first->label)))
			return;
		columns->fields[columns->n] = field;
	}
}

/* Leaves out elements that are 0 in all arrays. Returns the number of fields printed. */
static uint32_t print_arrays(const struct ks_stats *stats, const char *row, uint32_t index)
{
	uint64_t values[COLUMNS] = { 0 }, any, all = 0;
	struct columns columns;
	char name[64];
	uint32_t i, c;

	find_columns(&columns, stats->id, index);
	printf("  %-18s", columns.fields[0].label ? columns.fields[0].label : "");
	for (c = 0; c < columns.n; c++)
		printf(" %14s", value_name(name, sizeof(name), &columns.fields[c]));
	putchar('\n');
	for (i = 0; i < columns.fields[0].count; i++, all |= any) {
		for (c = 0, any = 0; c < columns.n; c++) {
			values[c] = value_get(&columns.fields[c], row, stats->row_size, i);
			any |= values[c];
		}
		if (any)
			print_elements(&columns,
				       element_name(name, sizeof(name), stats->id, index, i),
				       values);
	}
	if (!all)
		print_elements(&columns, "any", values);
	return columns.n;
}

/* Prints a counter, two on a line. Returns the column of the next one. */
static int print_counter(const struct ks_stats *stats, const char *row,
			 const struct ks_field_desc *field, int column)
{
	uint64_t value = value_get(field, row, stats->row_size, 0);
	char name[64], buf[32];

	printf("%s  %-18s %14s", column ? "   " : "", value_name(name, sizeof(name), field),
	       counter_text(buf, sizeof(buf), field, value));
	if (column)
		putchar('\n');
	return !column;
}

/* Prints "hit_ratio  93.1 %" if both fields are known. Returns the column of the next one. */
static int print_ratio(const struct ks_stats *stats, const char *row, int column)
{
	const struct ks_row *head = (const void *)row;
	uint64_t part = 0, whole = 0;
	char value[16];

	if (!ratio_known(stats->id, head->valid))
		return column;
	ratio_add(stats, head, &part, &whole);
	printf("%s  %-18s %14s", column ? "   " : "", ratio_name(stats->id),
	       ratio_text(value, sizeof(value), part, whole));
	if (column)
		putchar('\n');
	return !column;
}

static void print_row(const struct ks_stats *stats, const char *row)
{
	const struct ks_row *head = (const void *)row;
	struct ks_field_desc field;
	int column = 0, plain;
	uint32_t i, step;

	for (i = 0; !field_describe(stats->id, i, &field); i += step) {
		step = 1;
		if (!value_known(&field, head->valid))
			continue;
		plain = field.count == 1 && field.kind != KS_KIND_HIST;
		if (column && !plain) {
			putchar('\n');
			column = 0;
		}
		if (plain)
			column = print_counter(stats, row, &field, column);
		else if (field.count > 1)
			step = print_arrays(stats, row, i);
		else
			step = print_hists(stats, row, i);
	}
	column = print_ratio(stats, row, column);
	if (column)
		putchar('\n');
}

void table_stats(struct ks *ks, const struct probe *probe, const struct ks_stats *stats)
{
	char clock[32], span[32];
	const char *row;
	size_t i;

	value_clock(clock, sizeof(clock), ks, stats->time_ns);
	value_human(span, sizeof(span), (double)(stats->time_ns - stats->since_ns), KS_UNIT_NS,
		    " ");
	printf("%s by %s%s, %s until %.8s\n", probe->desc.name, probe->info.variant_name,
	       stats->source == KS_SOURCE_FILES ? " (reads files)" : "", span, clock);
	for (i = 0; (row = ks_stats_row(stats, i)); i++)
		print_row(stats, row);
	text_unavailable(ks, probe, 0);
}

/* ---- ledger --------------------------------------------------------------------------------- */

/* Prints "fired 12 = filtered 10 + submitted 2", without outcomes that are 0. */
static void add_sum(char *line, size_t size, const struct ks_stats_self *row, size_t total,
		    size_t first, size_t last)
{
	struct ks_field_desc field;
	const char *sign = " = ";
	size_t at = 0;
	uint64_t value;
	char number[32];
	uint32_t i;

	for (i = 0; !field_describe(KS_STATS_SELF, i, &field); i++) {
		if (field.offset != total && (field.offset < first || field.offset > last))
			continue;
		value = value_get(&field, row, sizeof(*row), 0);
		if (!value && field.offset != total)
			continue;
		at += (size_t)snprintf(line + at, size - at, "%s%s %s",
				       field.offset == total ? "" : sign, field.name,
				       value_grouped(number, sizeof(number), value));
		if (field.offset != total)
			sign = " + ";
	}
}

void table_ledger(struct ks *ks, uint32_t probe, const struct ks_stats_self *row)
{
	char line[512], why[REASON_MAX];
	int ret = ks_ledger_check(ks, probe);

	add_sum(line, sizeof(line) - 32, row, offsetof(struct ks_stats_self, fired),
		offsetof(struct ks_stats_self, filtered),
		offsetof(struct ks_stats_self, malformed));
	if (!ret)
		strcat(line, "; balanced");
	printf("  ledger       ");
	text_wrapped(stdout, 15, 15, line);
	if (row->submitted) {
		add_sum(line, sizeof(line), row, offsetof(struct ks_stats_self, submitted),
			offsetof(struct ks_stats_self, delivered),
			offsetof(struct ks_stats_self, in_flight));
		printf("               ");
		text_wrapped(stdout, 15, 15, line);
	}
	if (row->row.valid & KS_HAS_SELF_MISSED && row->missed)
		printf("               missed %" PRIu64 ", which never reached a program\n",
		       row->missed);
	if (ret) {
		ks_last_error(ks, why, sizeof(why));
		printf("  NOT BALANCED ");
		text_wrapped(stdout, 15, 15, why);
	}
	/* One run in 256 is measured. If there were few runs, perhaps none was. */
	if (row->row.valid & KS_HAS_SELF_COST && row->kernel_ns)
		printf("  cost         %" PRIu64 " ns a run in the kernel\n",
		       row->kernel_ns / row->fired);
}

void table_own(const struct ks_stats *own)
{
	const struct ks_stats_self *row = ks_stats_row(own, 0);
	double spent = (double)(row->kernel_ns + row->user_ns);
	char kernel[32], user[32], memory[32];

	printf("own cost       kernel %s, user %s: %.2f %% of a CPU; memory %s\n",
	       value_human(kernel, sizeof(kernel), (double)row->kernel_ns, KS_UNIT_NS, " "),
	       value_human(user, sizeof(user), (double)row->user_ns, KS_UNIT_NS, " "),
	       100 * spent / (double)(own->time_ns - own->since_ns + 1),
	       value_human(memory, sizeof(memory), (double)(row->map_bytes + row->user_bytes),
			   KS_UNIT_BYTES, " "));
}

void text_ledger(struct ks *ks, uint32_t probe, const struct ks_stats_self *row)
{
	uint64_t lost = row->lost_ring + row->lost_locked + row->discarded;
	char shown[32], gone[32], held[32];
	int balanced = !ks_ledger_check(ks, probe);

	fprintf(stderr, "%s: %s records, %s lost, %s throttled; ledger %s\n", probe_name(probe),
		value_grouped(shown, sizeof(shown), row->delivered),
		value_grouped(gone, sizeof(gone), lost),
		value_grouped(held, sizeof(held), row->throttled),
		balanced ? "balanced" : "NOT BALANCED");
}

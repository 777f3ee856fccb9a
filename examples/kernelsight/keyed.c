/* SPDX-License-Identifier: BSD-2-Clause */
/* keyed.c - sorts rows by process, cgroup, role or CPU, and prints them as a table for people */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define WIDTH 80
#define CELLS 12

/* ---- order ---------------------------------------------------------------------------------- */

struct place {
	uint64_t weight;
	const struct ks_row *row;
};

static int by_weight(const void *a, const void *b)
{
	const struct place *p = a, *q = b;

	if (p->weight != q->weight)
		return p->weight < q->weight ? 1 : -1;
	return p->row->key < q->row->key ? -1 : p->row->key > q->row->key;
}

static int by_key(const void *a, const void *b)
{
	const struct place *p = a, *q = b;

	return p->row->key < q->row->key ? -1 : p->row->key > q->row->key;
}

static int is_hist(const struct ks_field_desc *field)
{
	return field->kind == KS_KIND_HIST;
}

static const struct ks_hist *hist_of(const struct ks_field_desc *field, const struct ks_row *row)
{
	return (const void *)((const char *)row + field->offset);
}

/* Returns the amount of a field: the sum of an array's elements or of a histogram's values. */
static uint64_t amount_of(const struct ks_stats *stats, const struct ks_field_desc *field,
			  const struct ks_row *row)
{
	uint64_t amount = 0;
	unsigned i;

	if (is_hist(field))
		return hist_of(field, row)->sum;
	for (i = 0; i < field->count; i++)
		amount += value_get(field, row, stats->row_size, i);
	return amount;
}

/*
 * Finds the field that gives the order: the first known field that is a time, or else the first
 * known field. Returns 0, or -1 if no field is known.
 */
static int find_main(const struct ks_stats *stats, uint64_t valid, struct ks_field_desc *ret_main)
{
	struct ks_field_desc field;
	int found = -1;
	uint32_t i;

	for (i = 0; !field_describe(stats->id, i, &field); i++) {
		if (!value_known(&field, valid) || (!found && field.unit != KS_UNIT_NS))
			continue;
		*ret_main = field;
		found = 0;
		if (field.unit == KS_UNIT_NS)
			break;
	}
	return found;
}

/* Is everything in the row 0? Then it is not printed, except that of a CPU. */
static int is_idle(const struct ks_stats *stats, const struct ks_row *row)
{
	struct ks_field_desc field;
	uint64_t any = 0;
	uint32_t i;

	for (i = 0; !field_describe(stats->id, i, &field); i++)
		any |= amount_of(stats, &field, row) |
		       (is_hist(&field) ? hist_of(&field, row)->count : 0);
	return !any && row->by != KS_BY_CPU;
}

/* Fills `places` and keyed->rest. */
static void gather(const struct ks_stats *stats, int busy_only, struct place *places,
		   struct keyed *keyed)
{
	const struct ks_row *row = ks_stats_row(stats, 0);
	size_t i;

	keyed->known = row && !find_main(stats, row->valid, &keyed->main);
	for (i = 0; (row = ks_stats_row(stats, i)); i++) {
		if (busy_only && is_idle(stats, row))
			continue;
		if (row->flags & KS_ROW_REST) {
			keyed->rest = row;
			continue;
		}
		places[keyed->n].row = row;
		places[keyed->n++].weight = keyed->known ? amount_of(stats, &keyed->main, row) : 0;
	}
}

int keyed_sort(const struct ks_stats *stats, uint64_t top, int busy_only, struct keyed *ret_keyed)
{
	struct keyed keyed = { .n = 0 };
	struct place *places = calloc(stats->n_rows + 1, sizeof(*places));
	size_t i;

	keyed.rows = calloc(stats->n_rows + 1, sizeof(*keyed.rows));
	if (!places || !keyed.rows) {
		free(places);
		keyed_free(&keyed);
		return -1;
	}
	gather(stats, busy_only, places, &keyed);
	qsort(places, keyed.n, sizeof(*places), by_weight);
	keyed.shown = top && top < keyed.n ? (size_t)top : keyed.n;
	if (keyed.n && places[0].row->by == KS_BY_CPU)
		qsort(places, keyed.shown, sizeof(*places), by_key);
	for (i = 0; i < keyed.n; i++)
		keyed.rows[i] = places[i].row;
	free(places);
	*ret_keyed = keyed;
	return 0;
}

/* ---- table ---------------------------------------------------------------------------------- */

enum show { SHOW_AMOUNT, SHOW_MEAN, SHOW_RATIO };

struct cell {
	enum show show;
	struct ks_field_desc field;
	char name[32];
	int width;
};

struct table {
	const struct ks_stats *stats;
	const struct keyed *keyed;
	struct cell cells[CELLS];
	unsigned n;
	int name_width, left; /* columns of the name; columns left for cells */
	char more[256];       /* names of fields that found no room */
};

/* Value of a cell, of one row or summed over several rows. */
struct tally {
	uint64_t amount, of;
};

static void add_to(struct tally *tally, const struct table *table, const struct cell *cell,
		   const struct ks_row *row)
{
	switch (cell->show) {
	case SHOW_AMOUNT:
		tally->amount += amount_of(table->stats, &cell->field, row);
		return;
	case SHOW_MEAN:
		tally->amount += hist_of(&cell->field, row)->sum;
		tally->of += hist_of(&cell->field, row)->count;
		return;
	case SHOW_RATIO:
		ratio_add(table->stats, row, &tally->amount, &tally->of);
		return;
	}
}

static void print_tally(const struct cell *cell, const struct tally *tally)
{
	char text[32] = "-";

	if (cell->show == SHOW_AMOUNT)
		value_short(text, sizeof(text), (double)tally->amount, cell->field.unit);
	else if (cell->show == SHOW_RATIO)
		ratio_text(text, sizeof(text), tally->amount, tally->of);
	else if (tally->of)
		value_short(text, sizeof(text), (double)tally->amount / (double)tally->of,
			    cell->field.unit);
	printf(" %*s", cell->width, text);
}

/* Does any row have a value other than 0 in this column? */
static int is_used(const struct table *table, const struct cell *cell)
{
	struct tally all = { 0, 0 };
	size_t i;

	for (i = 0; i < table->keyed->n; i++)
		add_to(&all, table, cell, table->keyed->rows[i]);
	if (table->keyed->rest)
		add_to(&all, table, cell, table->keyed->rest);
	return cell->show == SHOW_AMOUNT ? all.amount != 0 : all.of != 0;
}

static void add_cell(struct table *table, enum show show, const struct ks_field_desc *field,
		     const char *name)
{
	struct cell cell = { .show = show };
	size_t length = strlen(table->more);

	if (field)
		cell.field = *field;
	snprintf(cell.name, sizeof(cell.name), "%s", name);
	cell.width = (int)strlen(cell.name) > 7 ? (int)strlen(cell.name) : 7;
	if (!is_used(table, &cell))
		return;
	if (table->n < CELLS && cell.width < table->left) {
		table->left -= cell.width + 1;
		table->cells[table->n++] = cell;
	} else if (show == SHOW_AMOUNT) {
		snprintf(table->more + length, sizeof(table->more) - length, "%s%s",
			 length ? ", " : "", cell.name);
	}
}

/* Heading of a column: "requested" for "requested_pages". The total above shows the unit. */
static void add_field(struct table *table, const struct ks_field_desc *field)
{
	char name[64];
	size_t length;

	value_name(name, sizeof(name), field);
	length = strlen(name);
	if (field->unit == KS_UNIT_PAGES && length > 6 && !strcmp(name + length - 6, "_pages"))
		name[length - 6] = 0;
	add_cell(table, SHOW_AMOUNT, field, name);
	if (is_hist(field))
		add_cell(table, SHOW_MEAN, field, "mean");
}

/*
 * Chooses columns: first the field that gives the order, then ratios, then times, then the others.
 */
static void choose_cells(struct table *table, uint64_t valid)
{
	const struct ks_field_desc *first = &table->keyed->main;
	const char *ratio = ratio_name(table->stats->id);
	struct ks_field_desc field;
	int times;
	uint32_t i;

	if (table->keyed->known)
		add_field(table, first);
	if (ratio && ratio_known(table->stats->id, valid))
		add_cell(table, SHOW_RATIO, NULL, ratio);
	for (times = 1; times >= 0; times--)
		for (i = 0; !field_describe(table->stats->id, i, &field); i++)
			if (value_known(&field, valid) && field.offset != first->offset &&
			    (field.unit == KS_UNIT_NS) == times)
				add_field(table, &field);
}

static const char *row_name(char *buf, size_t size, const struct ks_row *row)
{
	if (*row->name)
		return value_escaped(buf, size, row->name, sizeof(row->name));
	if (row->by == KS_BY_CPU && row->key == KS_NO_CPU)
		snprintf(buf, size, "none");
	else
		snprintf(buf, size, row->by == KS_BY_PROCESS ? "?" : "%llu",
			 (unsigned long long)row->key);
	return buf;
}

static void print_cells(const struct table *table, const struct ks_row *const *rows, size_t n)
{
	unsigned c;
	size_t i;

	for (c = 0; c < table->n; c++) {
		struct tally tally = { 0, 0 };

		for (i = 0; i < n; i++)
			add_to(&tally, table, &table->cells[c], rows[i]);
		print_tally(&table->cells[c], &tally);
	}
	putchar('\n');
}

/* Prints a row's name in its column, and the pid of a process beside it. */
static void print_key(const struct table *table, const char *name, const char *pid, uint32_t by)
{
	char fitted[160];

	value_fitted(fitted, sizeof(fitted), name, (size_t)table->name_width);
	printf("  %s", fitted);
	if (by == KS_BY_PROCESS)
		printf(" %7s", pid);
}

static void measure(struct table *table, uint32_t by)
{
	int width = 12, length;
	char name[160];
	size_t i;

	for (i = 0; i < table->keyed->shown; i++) {
		length = (int)strlen(row_name(name, sizeof(name), table->keyed->rows[i]));
		width = length > width ? length : width;
	}
	table->name_width = width > 31 ? 31 : width;
	table->left = WIDTH - 2 - table->name_width - (by == KS_BY_PROCESS ? 8 : 0);
}

static void print_rows(const struct table *table, uint32_t by)
{
	const struct keyed *keyed = table->keyed;
	char name[160], pid[24];
	size_t i;
	unsigned c;

	print_key(table, by_name(by), "pid", by);
	for (c = 0; c < table->n; c++)
		printf(" %*s", table->cells[c].width, table->cells[c].name);
	putchar('\n');
	for (i = 0; i < keyed->shown; i++) {
		snprintf(pid, sizeof(pid), "%llu", (unsigned long long)keyed->rows[i]->key);
		print_key(table, row_name(name, sizeof(name), keyed->rows[i]), pid, by);
		print_cells(table, &keyed->rows[i], 1);
	}
	if (keyed->n > keyed->shown) {
		snprintf(name, sizeof(name), "%zu more", keyed->n - keyed->shown);
		print_key(table, name, "", by);
		print_cells(table, keyed->rows + keyed->shown, keyed->n - keyed->shown);
	}
	if (keyed->rest) {
		print_key(table, "rest", "", by);
		print_cells(table, &keyed->rest, 1);
	}
}

void keyed_table(const struct ks_stats *stats, uint32_t by, uint64_t top)
{
	struct table table = { .stats = stats };
	struct keyed keyed;
	const struct ks_row *row;

	if (keyed_sort(stats, top, 1, &keyed))
		return;
	table.keyed = &keyed;
	row = keyed.n ? keyed.rows[0] : keyed.rest;
	if (row) {
		measure(&table, by);
		choose_cells(&table, row->valid);
	}
	if (table.n)
		print_rows(&table, by);
	else
		printf("  no %s has counted anything\n", by_name(by));
	if (*table.more) {
		printf("  --json has   ");
		text_wrapped(stdout, 15, 15, table.more);
	}
	keyed_free(&keyed);
}

void keyed_free(struct keyed *keyed)
{
	free(keyed->rows);
	keyed->rows = NULL;
}

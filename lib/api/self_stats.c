/* SPDX-License-Identifier: BSD-2-Clause */
/* self_stats.c - the library's own statistics (KS_PROBE_SELF): each probe's ledger, and its cost */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../data/ledger.h"
#include "../data/rows.h"
#include "api.h"

static void fill_total(struct ks *ks, struct ks_stats_self *row)
{
	row->user_ns = atomic_load(&ks->user_ns);
	row->wakeups = atomic_load(&ks->wakeups);
	row->user_bytes = sizeof(*ks);
	row->descriptors = ks__fds_count(&ks->fds);
	for (unsigned i = 0; i < KS__SOURCES_MAX && ks->sources[i]; i++) {
		uint64_t kernel = 0, user = 0;

		ks->sources[i]->ops->size(ks->sources[i], &kernel, &user);
		row->map_bytes += kernel;
		row->user_bytes += user;
	}
}

size_t ks__self_read(struct ks *ks, int idle, struct ks_stats_self *rows)
{
	struct ks__ledger total;
	size_t n = 1;

	ks__read_ledger(ks, KS_PROBE_SELF, idle, &total);
	memset(&rows[0], 0, sizeof(rows[0]));
	for (const struct ks__probe *const *p = ks__probes; *p; p++) {
		struct ks__ledger ledger;
		struct ks_stats_self *row = &rows[n];

		if ((*p)->id == KS_PROBE_SELF)
			continue;
		ks__read_ledger(ks, (*p)->id, idle, &ledger);
		memset(row, 0, sizeof(*row));
		ks__ledger_row(&ledger, row);
		row->row.by = KS_BY_PROBE;
		row->row.key = (*p)->id;
		strncpy(row->row.name, (*p)->name, sizeof(row->row.name) - 1);
		ks__ledger_add(&total, &ledger);
		n++;
	}
	ks__ledger_row(&total, &rows[0]);
	rows[0].row.by = KS_BY_TOTAL;
	fill_total(ks, &rows[0]);
	return n;
}

/* Subtracts base's counters from the row; gauges stay. */
static void subtract(struct ks_stats_self *row, const struct ks_stats_self *base,
		     const struct ks__struct *desc)
{
	for (const struct ks__field *f = desc->fields; f->name; f++) {
		uint64_t now, then;

		if (f->kind != KS_KIND_COUNTER || f->valid & ~(row->row.valid & base->row.valid))
			continue;
		memcpy(&now, (char *)row + f->offset, sizeof(now));
		memcpy(&then, (const char *)base + f->offset, sizeof(then));
		now -= then;
		memcpy((char *)row + f->offset, &now, sizeof(now));
	}
}

size_t ks__self_rows(void)
{
	size_t n = 0;

	while (ks__probes[n])
		n++;
	return n + 1;
}

int ks__self_table(struct ks *ks, uint32_t by, struct ks_stats_self *base, struct ks__table *table)
{
	const struct ks__struct *desc = ks->slots[KS_PROBE_SELF].probe->stats;
	size_t bytes = ks__self_rows() * sizeof(struct ks_stats_self), n = 0;
	struct ks_stats_self *rows = malloc(bytes), *out;
	int idle = ks__consumer_try(ks);

	if (rows)
		n = ks__self_read(ks, idle != 0, rows);
	if (idle)
		ks__consumer_done(ks, idle);
	if (!rows)
		return -ENOMEM;
	if (table->rows_size < bytes) {
		char *grown = realloc(table->rows, bytes);

		if (!grown) {
			free(rows);
			return -ENOMEM;
		}
		table->rows = grown;
		table->rows_size = bytes;
	}
	out = (struct ks_stats_self *)(void *)table->rows;
	table->n_rows = 0;
	for (size_t i = 0; i < n; i++) {
		if (!(by & rows[i].row.by))
			continue;
		out[table->n_rows] = rows[i];
		if (base)
			subtract(&out[table->n_rows], &base[i], desc);
		table->n_rows++;
	}
	table->row_size = sizeof(*rows);
	if (base)
		memcpy(base, rows, n * sizeof(*rows));
	free(rows);
	return 0;
}

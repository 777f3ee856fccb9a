/* SPDX-License-Identifier: BSD-2-Clause */
/* groups.c - sums of counters, grouped by process, cgroup or role */
#include "groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- layout ---------------------------------------------------------------------------------- */

static size_t field_words(const struct ks__field *field)
{
	switch (field->kind) {
	case KS_KIND_COUNTER:
		return field->count;
	case KS_KIND_HIST:
		return (size_t)field->count * 2;
	default:
		return 0;
	}
}

size_t ks__groups_words(const struct ks__struct *desc)
{
	size_t words = 0;

	for (const struct ks__field *f = desc->fields; f->name; f++)
		words += field_words(f);
	return words;
}

int ks__groups_sum_word(const struct ks__struct *desc, const char *name)
{
	size_t word = 0;

	for (const struct ks__field *f = desc->fields; f->name; f++) {
		if (f->kind == KS_KIND_HIST && !strcmp(f->name, name))
			return (int)word;
		word += field_words(f);
	}
	return -1;
}

struct ks__whose ks__whose_by(const struct ks__whose *whose, uint32_t by)
{
	switch (by) {
	case KS_BY_PROCESS:
		return (struct ks__whose){ .pid = whose->pid, .start_ns = whose->start_ns };
	case KS_BY_CGROUP:
		return (struct ks__whose){ .cgroup = whose->cgroup };
	case KS_BY_ROLE:
		return (struct ks__whose){ .role = whose->role };
	case 0:
		return *whose;
	default:
		return (struct ks__whose){ 0 };
	}
}

/* ---- the set --------------------------------------------------------------------------------- */

void ks__groups_init(struct ks__groups *g, size_t words)
{
	*g = (struct ks__groups){ .words = words };
}

void ks__groups_empty(struct ks__groups *g)
{
	g->n = 0;
	if (g->index)
		memset(g->index, 0, g->index_size * sizeof(*g->index));
}

void ks__groups_free(struct ks__groups *g)
{
	free(g->group);
	free(g->raw);
	free(g->index);
	ks__groups_init(g, g->words);
}

/* Returns the group's place in the index, or the free place for it. The index is never full. */
static uint32_t *find(const struct ks__groups *g, const struct ks__whose *whose)
{
	uint64_t mixed = (whose->start_ns ^ whose->cgroup << 1) * 0x9e3779b97f4a7c15ULL +
			 (whose->pid | (uint64_t)whose->role << 32);
	size_t at;

	mixed *= 0xd6e8feb86659fd93ULL;
	for (at = mixed >> 32;; at++) {
		uint32_t *place = &g->index[at & (g->index_size - 1)];

		if (!*place || !memcmp(&g->group[*place - 1].whose, whose, sizeof(*whose)))
			return place;
	}
}

static int grow(struct ks__groups *g)
{
	size_t room = g->room ? g->room * 2 : 64;
	uint32_t *index = calloc(room * 2, sizeof(*index));
	struct ks__group *group;
	uint64_t *raw;

	if (!index)
		return -ENOMEM;
	group = reallocarray(g->group, room, sizeof(*group));
	if (group)
		g->group = group;
	raw = reallocarray(g->raw, room * (g->words ? g->words : 1), sizeof(*raw));
	if (raw)
		g->raw = raw;
	if (!group || !raw) {
		free(index);
		return -ENOMEM;
	}
	free(g->index);
	g->index = index;
	g->index_size = room * 2;
	g->room = room;
	for (size_t i = 0; i < g->n; i++)
		*find(g, &g->group[i].whose) = (uint32_t)i + 1;
	return 0;
}

uint64_t *ks__groups_block(struct ks__groups *g, const struct ks__whose *whose)
{
	uint32_t *place;

	if (g->n == g->room && grow(g))
		return NULL;
	place = find(g, whose);
	if (!*place) {
		g->group[g->n] = (struct ks__group){ .whose = *whose };
		memset(g->raw + g->n * g->words, 0, g->words * sizeof(*g->raw));
		*place = (uint32_t)++g->n;
	}
	return g->raw + (*place - 1) * g->words;
}

const uint64_t *ks__groups_find(const struct ks__groups *g, const struct ks__whose *whose)
{
	uint32_t place = g->index ? *find(g, whose) : 0;

	return place ? g->raw + (place - 1) * g->words : NULL;
}

struct ks__group *ks__groups_group(struct ks__groups *g, const struct ks__whose *whose)
{
	uint32_t place = g->index ? *find(g, whose) : 0;

	return place ? &g->group[place - 1] : NULL;
}

void ks__groups_name(struct ks__group *group, const char name[16], unsigned first)
{
	if (name[0] && (first > group->first || !group->name[0]))
		memcpy(group->name, name, sizeof(group->name));
	if (first > group->first)
		group->first = (uint8_t)first;
}

int ks__groups_add(struct ks__groups *g, const struct ks__whose *whose, const uint64_t *block)
{
	uint64_t *to = ks__groups_block(g, whose);

	for (size_t w = 0; to && w < g->words; w++)
		to[w] += block[w];
	return to ? 0 : -ENOMEM;
}

int ks__groups_fold(struct ks__groups *g, const struct ks__groups *fine, uint32_t by)
{
	for (size_t i = 0; i < fine->n; i++) {
		const struct ks__group *from = &fine->group[i];
		struct ks__whose whose = ks__whose_by(&from->whose, by);
		struct ks__group *to;

		if (ks__groups_add(g, &whose, fine->raw + i * fine->words))
			return -ENOMEM;
		to = ks__groups_group(g, &whose);
		ks__groups_name(to, from->name, from->first);
		to->ended |= from->ended;
		to->lives |= from->lives;
	}
	return 0;
}

int ks__groups_add_rest(struct ks__groups *g, const struct ks__rows *rows)
{
	static const struct ks__whose rest;
	uint64_t *to = ks__groups_block(g, &rest);
	const uint64_t *from = rows->raw;

	if (!to)
		return -ENOMEM;
	for (const struct ks__field *f = rows->desc->fields; f->name; f++) {
		for (unsigned i = 0; i < f->count; i++) {
			if (f->kind == KS_KIND_COUNTER) {
				*to++ += *from++;
			} else if (f->kind == KS_KIND_HIST) {
				*to++ += *from;
				for (unsigned b = 1; b < KS__HIST_WORDS; b++)
					*to += from[b];
				to++;
				from += KS__HIST_WORDS;
			}
		}
	}
	return 0;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void fill_row(const struct ks__struct *desc, const uint64_t *words, uint64_t valid,
		     char *row)
{
	for (const struct ks__field *f = desc->fields; f->name; words += field_words(f), f++) {
		if (f->valid & ~valid)
			continue;
		for (unsigned i = 0; i < f->count; i++) {
			char *member = row + f->offset + (size_t)i * f->bytes;

			if (f->kind == KS_KIND_COUNTER) {
				memcpy(member, &words[i], sizeof(words[i]));
			} else if (f->kind == KS_KIND_HIST) {
				struct ks_hist hist = { .sum = words[2 * i],
							.count = words[2 * i + 1] };

				memcpy(member, &hist, sizeof(hist));
			}
		}
	}
}

static struct ks_row head_of(const struct ks__group *group, uint16_t by, uint64_t valid)
{
	const struct ks__whose *w = &group->whose;
	struct ks_row row = { .valid = valid, .by = by };

	row.key = by == KS_BY_PROCESS ? w->pid : by == KS_BY_CGROUP ? w->cgroup : w->role;
	row.start_ns = w->start_ns;
	if (by == KS_BY_PROCESS)
		memcpy(row.name, group->name, sizeof(group->name));
	if (by == KS_BY_PROCESS && group->ended && !group->lives)
		row.flags |= KS_ROW_GONE;
	if (by != KS_BY_TOTAL && !row.key)
		row.flags = KS_ROW_REST;
	return row;
}

/*
 * Subtracts the group's words in `base`. From the rest it also subtracts the groups that are in
 * `base` but not in `now`: their counts have moved into the rest.
 */
static void subtract(const struct ks__groups *now, const struct ks__groups *base,
		     const struct ks__whose *whose, uint64_t *words)
{
	static const struct ks__whose rest;
	const uint64_t *old = ks__groups_find(base, whose);
	size_t w;

	for (w = 0; old && w < now->words; w++)
		words[w] -= old[w];
	if (memcmp(whose, &rest, sizeof(rest)))
		return;
	for (size_t i = 0; i < base->n; i++)
		if (!ks__groups_find(now, &base->group[i].whose))
			for (w = 0; w < now->words; w++)
				words[w] -= base->raw[i * base->words + w];
}

int ks__table_add_groups(struct ks__table *table, const struct ks__struct *desc,
			 const struct ks__groups *now, const struct ks__groups *base, uint16_t by,
			 uint64_t valid)
{
	uint64_t *words = malloc((now->words + 1) * sizeof(*words));
	int rc = words ? ks__table_room(table, desc, now->n) : -ENOMEM;

	for (size_t i = 0; i < now->n && !rc; i++) {
		char *row = table->rows + (table->n_rows + i) * desc->bytes;
		struct ks_row head = head_of(&now->group[i], by, valid);

		memcpy(words, now->raw + i * now->words, now->words * sizeof(*words));
		if (base)
			subtract(now, base, &now->group[i].whose, words);
		memset(row, 0, desc->bytes);
		memcpy(row, &head, sizeof(head));
		fill_row(desc, words, valid, row);
	}
	free(words);
	if (!rc)
		table->n_rows += now->n;
	return rc;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* json.c - prints the lines of docs/cli-json.md, except events: json_event.c */
#include <stddef.h>
#include <string.h>

#include <json-c/json.h>

#include "cli.h"

#define TEXT_MAX (4 * KS_RECORD_MAX)

/* Keys are constants, and each is added once, so json-c need not copy or search them. */
#define KEY_FLAGS (JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY)

static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add_ex(object, key, value, KEY_FLAGS);
}

static void add_u64(struct json_object *object, const char *key, uint64_t value)
{
	add(object, key, json_object_new_uint64(value));
}

/*
 * JSON is UTF-8, names in the kernel are bytes. A byte that is not UTF-8 becomes \xNN, and \ is \\.
 */
static struct json_object *new_text(const char *text, size_t size)
{
	char buf[TEXT_MAX];
	size_t i, n, at = 0;

	for (i = 0; i < size && text[i] && at + 5 < sizeof(buf); i += n) {
		n = value_utf8(text + i, size - i);
		if (text[i] == '\\')
			buf[at++] = '\\';
		if (n) {
			memcpy(buf + at, text + i, n);
			at += n;
			continue;
		}
		n = 1;
		at += (size_t)snprintf(buf + at, sizeof(buf) - at, "\\x%02x",
				       (unsigned char)text[i]);
	}
	return json_object_new_string_len(buf, (int)at);
}

/* Writes null for NULL and "". */
static void add_text(struct json_object *object, const char *key, const char *text)
{
	add(object, key, text && *text ? new_text(text, strlen(text)) : NULL);
}

static struct json_object *new_line(const char *type, uint64_t time_ns)
{
	struct json_object *line = json_object_new_object();

	add(line, "v", json_object_new_int(1));
	add(line, "type", json_object_new_string(type));
	add_u64(line, "t_ns", time_ns);
	return line;
}

/* Escapes U+2028, which some programs take for the end of a line, and C1, which terminals obey. */
static void put_visible(const char *text, size_t size)
{
	size_t at = 0, from = 0, n, length;
	char buf[16];

	while (at < size) {
		n = value_utf8(text + at, size - at);
		length = n > 1 || text[at] == 0x7f ? value_json(buf, text + at, n) : 0;
		n = n ? n : 1;
		if (length) {
			fwrite(text + from, 1, at - from, stdout);
			fwrite(buf, 1, length, stdout);
			from = at + n;
		}
		at += n;
	}
	fwrite(text + from, 1, size - from, stdout);
}

static void end_line(struct json_object *line)
{
	size_t length;
	const char *text = json_object_to_json_string_length(
		line, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);

	put_visible(text, length);
	putchar('\n');
	json_object_put(line);
}

/* ---- numbers -------------------------------------------------------------------------------- */

static struct json_object *new_number(const struct ks_field_desc *field, uint64_t value)
{
	return field->is_signed ? json_object_new_int64((int64_t)value) :
				  json_object_new_uint64(value);
}

static struct json_object *new_array(const struct ks_field_desc *field, const void *record,
				     size_t size, uint32_t id, uint32_t index)
{
	struct json_object *array = json_object_new_object();
	char name[64];
	unsigned i;

	for (i = 0; i < field->count; i++)
		json_object_object_add(array, element_name(name, sizeof(name), id, index, i),
				       new_number(field, value_get(field, record, size, i)));
	return array;
}

/* ---- statistics ----------------------------------------------------------------------------- */

/* In rows of these groupings, histograms have no buckets. */
#define BY_WHOSE (KS_BY_PROCESS | KS_BY_CGROUP | KS_BY_ROLE)

static struct json_object *new_hist(const struct ks_stats *stats, const struct ks_hist *hist,
				    unsigned by)
{
	struct json_object *object = json_object_new_object();
	struct json_object *buckets, *pair;
	unsigned i;

	/* A histogram from files has only a sum: its counts of 0 are unknown. */
	if (hist->count || stats->source != KS_SOURCE_FILES)
		add_u64(object, "count", hist->count);
	add_u64(object, "sum", hist->sum);
	if (by & BY_WHOSE || stats->source == KS_SOURCE_FILES)
		return object;
	buckets = json_object_new_array();
	add_u64(object, "zeros", hist->zeros);
	for (i = 0; i < hist->n; i++) {
		if (!stats->buckets[hist->at + i])
			continue;
		pair = json_object_new_array_ext(2);
		json_object_array_add(pair,
				      json_object_new_double(ks_hist_bound(hist->lowest + (int)i)));
		json_object_array_add(pair, json_object_new_uint64(stats->buckets[hist->at + i]));
		json_object_array_add(buckets, pair);
	}
	add(object, "buckets", buckets);
	return object;
}

static struct json_object *new_stat(const struct ks_stats *stats, const void *row, uint32_t index,
				    const struct ks_field_desc *field)
{
	if (field->kind == KS_KIND_HIST)
		return new_hist(stats, (const void *)((const char *)row + field->offset),
				((const struct ks_row *)row)->by);
	if (field->count > 1)
		return new_array(field, row, stats->row_size, stats->id, index);
	return new_number(field, value_get(field, row, stats->row_size, 0));
}

/*
 * Prints "fields" and "unavailable" of a row. skip: tells which fields do not belong to this row.
 */
static void add_row(struct json_object *line, struct ks *ks, const struct ks_stats *stats,
		    const void *row, int (*skip)(const struct ks_field_desc *field))
{
	struct json_object *fields = json_object_new_object();
	struct json_object *unavailable = json_object_new_object();
	const struct ks_row *head = row;
	struct ks_field_desc field;
	char why[REASON_MAX];
	uint32_t i;

	for (i = 0; !field_describe(stats->id, i, &field); i++) {
		if (skip && skip(&field))
			continue;
		if (value_known(&field, head->valid)) {
			add(fields, field.name, new_stat(stats, row, i, &field));
			continue;
		}
		if (!field_missing(ks, stats->id, &field, why, sizeof(why)) || !*why)
			snprintf(why, sizeof(why), "not known of this row");
		add(unavailable, field.name, new_text(why, strlen(why)));
	}
	add(line, "fields", fields);
	add(line, "unavailable", unavailable);
}

/*
 * Prints to what a row's key belongs. The rest row, the sum of other rows and the row KS_NO_CPU
 * have no key.
 */
static void add_key(struct json_object *line, const struct ks_row *row)
{
	int rest = row->flags & KS_ROW_REST;

	add(line, "by", json_object_new_string(by_name(row->by)));
	if (rest || row->key == KEYED_OTHERS || (row->by == KS_BY_CPU && row->key == KS_NO_CPU))
		add(line, "key", NULL);
	else
		add_u64(line, "key", row->key);
	add(line, "name", *row->name ? new_text(row->name, sizeof(row->name)) : NULL);
	if (row->start_ns)
		add_u64(line, "start_ns", row->start_ns);
	else
		add(line, "start_ns", NULL);
	add(line, "rest", json_object_new_boolean(rest));
	add(line, "gone", json_object_new_boolean(row->flags & KS_ROW_GONE));
}

/* Prints the path and container of a cgroup, as far as they are known. */
static void add_cgroup(struct json_object *line, struct ks *ks, uint64_t id)
{
	struct ks_cgroup_info info = { .size = sizeof(info) };
	int known = id && id != KEYED_OTHERS && !ks_describe_cgroup(ks, id, &info);

	add_text(line, "path", known ? info.path : NULL);
	add_text(line, "container", known ? info.container : NULL);
	add_text(line, "runtime", known ? info.runtime : NULL);
	add_text(line, "pod_uid", known ? info.pod_uid : NULL);
}

static struct json_object *new_stats(const char *probe, const char *variant,
				     const struct ks_stats *stats, const struct ks_row *row)
{
	struct json_object *line = new_line("stats", stats->time_ns);

	add_u64(line, "since_ns", stats->since_ns);
	add(line, "probe", json_object_new_string(probe));
	add(line, "source", json_object_new_string(source_name(stats->source)));
	add_text(line, "variant", variant);
	if (row->by == KS_BY_TOTAL) {
		add(line, "by", json_object_new_string("total"));
		add(line, "key", NULL);
	} else {
		add_key(line, row);
	}
	return line;
}

void json_stats(struct ks *ks, const struct probe *probe, const struct ks_stats *stats)
{
	struct json_object *line;
	const void *row;
	size_t i;

	for (i = 0; (row = ks_stats_row(stats, i)); i++) {
		line = new_stats(probe->desc.name, probe->info.variant_name, stats, row);
		add_row(line, ks, stats, row, NULL);
		end_line(line);
	}
}

/* others: number of rows whose sum this row is; 0: it is an ordinary row. */
static void keyed_line(struct ks *ks, const struct probe *probe, const struct ks_stats *stats,
		       const struct ks_row *row, size_t others)
{
	struct json_object *line =
		new_stats(probe->desc.name, probe->info.variant_name, stats, row);

	add_u64(line, "others", others);
	if (row->by == KS_BY_CGROUP)
		add_cgroup(line, ks, row->key);
	add_row(line, ks, stats, row, NULL);
	end_line(line);
}

void json_keyed(struct ks *ks, const struct probe *probe, const struct ks_stats *stats,
		uint64_t top, int busy_only)
{
	struct ks_stats others;
	struct keyed keyed;
	size_t i;

	if (keyed_sort(stats, top, busy_only, &keyed))
		return;
	for (i = 0; i < keyed.shown; i++)
		keyed_line(ks, probe, stats, keyed.rows[i], 0);
	if (keyed.n > keyed.shown && !keyed_others(stats, &keyed, &others)) {
		keyed_line(ks, probe, &others, ks_stats_row(&others, 0), keyed.n - keyed.shown);
		keyed_free_others(&others);
	}
	if (keyed.rest)
		keyed_line(ks, probe, stats, keyed.rest, 0);
	keyed_free(&keyed);
}

void json_own(struct ks *ks, const struct ks_stats *stats)
{
	const struct ks_row *row = ks_stats_row(stats, 0);
	struct json_object *line = new_stats(probe_name(KS_PROBE_SELF), NULL, stats, row);

	add_row(line, ks, stats, row, NULL);
	end_line(line);
}

/* Fields that are counted for the whole library, so that their 0 in a probe's row means nothing. */
static int only_in_total(const struct ks_field_desc *field)
{
	return field->offset == offsetof(struct ks_stats_self, user_ns) ||
	       field->offset == offsetof(struct ks_stats_self, wakeups) ||
	       field->offset == offsetof(struct ks_stats_self, map_bytes) ||
	       field->offset == offsetof(struct ks_stats_self, user_bytes) ||
	       field->offset == offsetof(struct ks_stats_self, descriptors);
}

void json_ledger(struct ks *ks, uint32_t probe, const struct ks_stats *stats,
		 const struct ks_stats_self *row)
{
	struct json_object *line = new_line("ledger", stats->time_ns);
	int ret = ks_ledger_check(ks, probe);
	char why[REASON_MAX] = "";

	if (ret)
		ks_last_error(ks, why, sizeof(why));
	add_u64(line, "since_ns", stats->since_ns);
	add(line, "probe", json_object_new_string(probe_name(probe)));
	add(line, "balanced", json_object_new_boolean(!ret));
	add_text(line, "reason", why);
	add_row(line, ks, stats, row, only_in_total);
	end_line(line);
}

/* ---- probes --------------------------------------------------------------------------------- */

static struct json_object *new_variants(struct ks *ks, uint32_t probe)
{
	struct json_object *variants = json_object_new_array(), *object;
	struct ks_variant_info info;
	uint32_t i;

	for (i = 0; !variant_query(ks, probe, i, &info); i++) {
		object = json_object_new_object();
		add_text(object, "name", info.name);
		add(object, "source", json_object_new_string(source_name(info.source)));
		add(object, "usable", json_object_new_boolean(!info.error));
		add_text(object, "error", info.error ? ks_error_name(info.error) : NULL);
		add_text(object, "reason", info.error ? info.reason : NULL);
		json_object_array_add(variants, object);
	}
	return variants;
}

static struct json_object *new_settings(uint32_t probe)
{
	struct json_object *settings = json_object_new_object(), *object;
	struct ks_param_desc desc;
	uint32_t i;

	for (i = 0; !param_describe(probe, i, &desc); i++) {
		object = json_object_new_object();
		add_u64(object, "default", desc.default_value);
		add_u64(object, "lowest", desc.lowest);
		add_u64(object, "highest", desc.highest);
		add(object, "help", json_object_new_string(desc.help));
		add(settings, desc.name, object);
	}
	return settings;
}

static struct json_object *new_unavailable(struct ks *ks, const struct probe *probe)
{
	struct json_object *unavailable = json_object_new_object();
	uint32_t first = probe->desc.probe << 8, id, i;
	struct ks_field_desc field;
	char why[REASON_MAX];

	for (id = first; id <= first + probe->desc.n_events; id++)
		for (i = 0; !field_describe(id, i, &field); i++)
			if (field_missing(ks, id, &field, why, sizeof(why)))
				json_object_object_add(unavailable, field.name,
						       new_text(why, strlen(why)));
	return unavailable;
}

void json_probe(struct ks *ks, const struct probe *probe)
{
	const struct ks_probe_info *info = &probe->info;
	struct json_object *line = new_line("probe", session_now());

	add(line, "probe", json_object_new_string(probe->desc.name));
	add(line, "summary", json_object_new_string(probe->desc.summary));
	add(line, "state", json_object_new_string(state_name(info->state)));
	add(line, "source",
	    json_object_new_string(source_name(probe->error ? KS_SOURCE_NONE : info->source)));
	add_text(line, "variant", probe->error ? NULL : info->variant_name);
	add_text(line, "reason", probe->error ? probe->why : info->reason);
	add(line, "variants", new_variants(ks, probe->desc.probe));
	add(line, "unavailable", new_unavailable(ks, probe));
	add(line, "settings", new_settings(probe->desc.probe));
	end_line(line);
}

/* ---- other commands ------------------------------------------------------------------------- */

void json_selftest(const struct probe *probe, int seen)
{
	struct json_object *line = new_line("selftest", session_now());

	add(line, "probe", json_object_new_string(probe->desc.name));
	add_text(line, "variant", probe->info.variant_name);
	add(line, "seen", json_object_new_int(seen > 0 ? seen : 0));
	add_text(line, "error", seen < 0 ? ks_error_name(seen) : NULL);
	add_text(line, "reason", seen < 0 ? probe->why : NULL);
	end_line(line);
}

void json_document(const char *type, const char *key, const char *text, int exit_status)
{
	struct json_object *line = new_line(type, session_now());

	if (exit_status >= 0)
		add(line, "exit", json_object_new_int(exit_status));
	add(line, key, json_tokener_parse(text));
	end_line(line);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that a host can walk probes, structs, fields, values and settings without knowing them,
 * into structs of any size, and that walks of batches and rows stay within their bounds.
 */
#include <errno.h>
#include <linux/capability.h>

#include <kernelsight/schema.h>

#include "api/schema.h"
#include "support/burst.h"
#include "support/ks_test.h"

static struct ks_probe_desc probe_at(uint32_t index)
{
	struct ks_probe_desc probe = { .size = sizeof(probe) };

	ks_assert_rc(ks_describe_probe(index, &probe), 0);
	g_assert_cmpuint(probe.size, ==, sizeof(probe));
	return probe;
}

static uint32_t n_probes(void)
{
	struct ks_probe_desc probe = { .size = sizeof(probe) };
	uint32_t n = 0;

	while (ks_describe_probe(n, &probe) == 0)
		n++;
	ks_assert_rc(ks_describe_probe(n, &probe), -ENOENT);
	ks_assert_rc(ks_describe_probe(UINT32_MAX, &probe), -ENOENT);
	return n;
}

/* Asserts that the field is the member of this name in the header's struct. */
static void check_member(uint32_t id, const struct ks_field_desc *field, uint32_t in_headers)
{
	struct ks_field_desc member = { .size = sizeof(member) };
	int index = ks_field_index(in_headers, field->name);

	g_assert_cmpint(index, >=, 0);
	ks_assert_rc(ks_describe_field(in_headers, (uint32_t)index, &member), 0);
	g_assert_cmpuint(field->offset, ==, member.offset);
	g_assert_cmpuint(field->bytes, ==, member.bytes);
	g_assert_cmpuint(field->count, ==, member.count);
	g_assert_cmpuint(field->is_signed, ==, member.is_signed);
	g_assert_cmpstr(field->c_type, ==, member.c_type);
	g_assert_cmpint(ks_field_index(id, field->name), >=, 0);
}

/* "ks_stats_sched" or "ks_event_sched_wait" */
static uint32_t in_headers(uint32_t id, const char *name)
{
	char *c_name = g_strconcat(id & 0xff ? "ks_event_" : "ks_stats_", name, NULL);
	int found = ks_struct_id(c_name);

	g_free(c_name);
	return (uint32_t)found;
}

/* Asserts that each member is a field, except the head, `valid` and reserved members. */
static void check_all_members(uint32_t id, uint32_t of_headers)
{
	struct ks_field_desc member = { .size = sizeof(member) };
	uint32_t i;

	for (i = 0; ks_describe_field(of_headers, i, &member) == 0; i++) {
		int is_field = ks_field_index(id, member.name) >= 0;

		if (member.kind == KS_KIND_STRUCT || !strcmp(member.name, "reserved") ||
		    !strcmp(member.name, "valid"))
			g_assert_false(is_field);
		else
			g_assert_true(is_field);
	}
	g_assert_cmpuint(i, >, 1);
}

static void check_field(uint32_t id, uint32_t index, const struct ks_struct_desc *in)
{
	struct ks_field_desc field = { .size = sizeof(field) };

	ks_assert_rc(ks_describe_field(id, index, &field), 0);
	g_assert_cmpint(ks_field_index(id, field.name), ==, (int)index);
	g_assert_null(field.codes);
	if (id >> 8 != BURST_PROBE)
		check_member(id, &field, in_headers(id, in->name));
	g_assert_cmpuint(field.offset, >=, (id & 0xff) ? 72 : 64);
	g_assert_cmpuint(field.offset + field.bytes * field.count, <=, in->bytes);
	g_assert_cmpuint(field.kind, >=, KS_KIND_COUNTER);
	g_assert_cmpuint(field.kind, <=, KS_KIND_TIME);
	g_assert_cmpuint(field.unit, <=, KS_UNIT_PAGES);
	g_assert_nonnull(field.name);
	g_assert_nonnull(field.help);
	g_assert_null(ks_describe_value(id, index, UINT64_MAX));
	if (field.kind == KS_KIND_FLAGS || field.label)
		g_assert_nonnull(ks_describe_value(id, index, 0));
}

static void check_struct(uint32_t id)
{
	struct ks_struct_desc desc = { .size = sizeof(desc) };
	struct ks_field_desc field = { .size = sizeof(field) };
	uint32_t i;

	ks_assert_rc(ks_describe_struct(id, &desc), 0);
	g_assert_cmpuint(desc.id, ==, id);
	g_assert_cmpuint(desc.bytes % 8, ==, 0);
	g_assert_cmpuint(desc.bytes, <=, KS_RECORD_MAX);
	g_assert_nonnull(desc.name);
	g_assert_nonnull(desc.help);
	for (i = 0; i < desc.n_fields; i++)
		check_field(id, i, &desc);
	g_assert_cmpint(ks_struct_id(desc.name), ==, (int)id);
	if (id >> 8 != BURST_PROBE)
		check_all_members(id, in_headers(id, desc.name));
	ks_assert_rc(ks_describe_field(id, desc.n_fields, &field), -ENOENT);
	g_assert_null(ks_describe_value(id, desc.n_fields, 0));
}

static void check_params(const struct ks_probe_desc *probe)
{
	struct ks_param_desc param = { .size = sizeof(param) };
	uint32_t i;

	for (i = 0; i < probe->n_params; i++) {
		ks_assert_rc(ks_describe_param(probe->probe, i, &param), 0);
		g_assert_cmpuint(param.size, ==, sizeof(param));
		g_assert_nonnull(param.name);
		g_assert_nonnull(param.help);
		g_assert_cmpuint(param.lowest, <=, param.default_value);
		g_assert_cmpuint(param.default_value, <=, param.highest);
	}
	ks_assert_rc(ks_describe_param(probe->probe, probe->n_params, &param), -ENOENT);
}

static void test_probe(const void *index)
{
	struct ks_probe_desc probe = probe_at(GPOINTER_TO_UINT(index));
	struct ks_struct_desc desc = { .size = sizeof(desc) };
	uint32_t i;

	g_assert_cmpint(ks_probe_id(probe.name), ==, (int)probe.probe);
	if (probe.by)
		check_struct(probe.probe << 8);
	for (i = 1; i <= probe.n_events; i++)
		check_struct(probe.probe << 8 | i);
	ks_assert_rc(ks_describe_struct(probe.probe << 8 | i, &desc), -ENOENT);
	check_params(&probe);
}

static void test_self(void)
{
	struct ks_probe_desc probe = probe_at(0);

	g_assert_cmpuint(probe.probe, ==, KS_PROBE_SELF);
	g_assert_cmpuint(probe.by, ==, KS_BY_TOTAL | KS_BY_PROBE);
	g_assert_cmpuint(probe.n_params, ==, 0);
	g_assert_cmpuint(probe.n_events, ==, 2);
}

/* The numbers are pinned, and each belongs to its struct. */
static void test_numbers(void)
{
	static const struct {
		uint32_t id, pinned;
		const char *name;
		size_t bytes;
	} structs[] = {
		{ KS_STATS_SELF, 0x0000, "self", sizeof(struct ks_stats_self) },
		{ KS_EVENT_LOST, 0x0001, "lost", sizeof(struct ks_event_lost) },
		{ KS_EVENT_STATE, 0x0002, "state", sizeof(struct ks_event_state) },
		{ KS_STATS_PROC, 0x0100, "proc", sizeof(struct ks_stats_proc) },
		{ KS_EVENT_PROC_FORK, 0x0101, "proc_fork", sizeof(struct ks_event_proc_fork) },
		{ KS_EVENT_PROC_EXEC, 0x0102, "proc_exec", sizeof(struct ks_event_proc_exec) },
		{ KS_EVENT_PROC_EXIT, 0x0103, "proc_exit", sizeof(struct ks_event_proc_exit) },
		{ KS_STATS_SCHED, 0x0200, "sched", sizeof(struct ks_stats_sched) },
		{ KS_EVENT_SCHED_WAIT, 0x0201, "sched_wait", sizeof(struct ks_event_sched_wait) },
		{ KS_EVENT_SCHED_BLOCK, 0x0202, "sched_block",
		  sizeof(struct ks_event_sched_block) },
		{ KS_STATS_FADVISE, 0x0300, "fadvise", sizeof(struct ks_stats_fadvise) },
		{ KS_EVENT_FADVISE_CALL, 0x0301, "fadvise_call",
		  sizeof(struct ks_event_fadvise_call) },
		{ KS_STATS_PAGECACHE, 0x0400, "pagecache", sizeof(struct ks_stats_pagecache) },
		{ KS_EVENT_PAGECACHE_MISS, 0x0401, "pagecache_miss",
		  sizeof(struct ks_event_pagecache_miss) },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(structs); i++) {
		struct ks_struct_desc desc = { .size = sizeof(desc) };

		g_assert_cmphex(structs[i].id, ==, structs[i].pinned);
		ks_assert_rc(ks_describe_struct(structs[i].id, &desc), 0);
		g_assert_cmpstr(desc.name, ==, structs[i].name);
		g_assert_cmpuint(desc.bytes, ==, structs[i].bytes);
	}
}

static struct ks_field_desc field_of(uint32_t id, const char *name, uint32_t *ret_index)
{
	struct ks_field_desc field = { .size = sizeof(field) };
	uint32_t i;

	for (i = 0; ks_describe_field(id, i, &field) == 0; i++) {
		if (strcmp(field.name, name) == 0) {
			*ret_index = i;
			return field;
		}
	}
	g_error("no field %s in 0x%x", name, id);
}

/* One field of each kind and unit: signed or not, single or array, always known or not. */
static void test_kinds(void)
{
	static const struct {
		uint32_t id;
		const char *name;
		uint8_t kind, unit, is_signed;
		uint16_t offset, bytes, count;
		uint64_t valid;
	} want[] = {
		{ KS_STATS_PROC, "threads", KS_KIND_COUNTER, KS_UNIT_COUNT, 0, 72, 8, 1,
		  KS_HAS_PROC_THREADS },
		{ KS_STATS_SELF, "descriptors", KS_KIND_GAUGE, KS_UNIT_COUNT, 0, 244, 4, 1, 0 },
		{ KS_STATS_SELF, "map_bytes", KS_KIND_GAUGE, KS_UNIT_BYTES, 0, 224, 8, 1, 0 },
		{ KS_STATS_SCHED, "oncpu_ns", KS_KIND_HIST, KS_UNIT_NS, 0, 120, 32, 1,
		  KS_HAS_SCHED_ONCPU },
		{ KS_STATS_FADVISE, "ok", KS_KIND_COUNTER, KS_UNIT_COUNT, 0, 120, 8, 7,
		  KS_HAS_FADVISE_RESULT },
		{ KS_STATS_PAGECACHE, "write_pages", KS_KIND_COUNTER, KS_UNIT_PAGES, 0, 88, 8, 1,
		  KS_HAS_PAGECACHE_WRITES },
		{ KS_EVENT_SCHED_WAIT, "wait_ns", KS_KIND_VALUE, KS_UNIT_NS, 0, 72, 8, 1,
		  KS_HAS_SCHED_RUNQ },
		{ KS_EVENT_PROC_FORK, "child_tid", KS_KIND_ID, KS_UNIT_NONE, 1, 84, 4, 1, 0 },
		{ KS_EVENT_PROC_EXEC, "uid", KS_KIND_ID, KS_UNIT_NONE, 0, 92, 4, 1,
		  KS_HAS_PROC_UID },
		{ KS_EVENT_LOST, "reason", KS_KIND_CODE, KS_UNIT_NONE, 0, 96, 4, 1, 0 },
		{ KS_EVENT_PROC_EXEC, "path", KS_KIND_TEXT, KS_UNIT_NONE, 0, 96, 160, 1,
		  KS_HAS_PROC_PATH },
		{ KS_EVENT_PROC_EXIT, "start_ns", KS_KIND_TIME, KS_UNIT_NS, 0, 72, 8, 1,
		  KS_HAS_PROC_START },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
		uint32_t index;
		struct ks_field_desc field = field_of(want[i].id, want[i].name, &index);

		g_test_message("%s", want[i].name);
		g_assert_cmpuint(field.kind, ==, want[i].kind);
		g_assert_cmpuint(field.unit, ==, want[i].unit);
		g_assert_cmpuint(field.is_signed, ==, want[i].is_signed);
		g_assert_cmpuint(field.offset, ==, want[i].offset);
		g_assert_cmpuint(field.bytes, ==, want[i].bytes);
		g_assert_cmpuint(field.count, ==, want[i].count);
		g_assert_cmphex(field.valid, ==, want[i].valid);
	}
}

/* The indices of an array have the names of the constants that stand for them. */
static void test_labels(void)
{
	static const char *const names[] = {
		[KS_ADVICE_NORMAL] = "normal",         [KS_ADVICE_RANDOM] = "random",
		[KS_ADVICE_SEQUENTIAL] = "sequential", [KS_ADVICE_WILLNEED] = "willneed",
		[KS_ADVICE_DONTNEED] = "dontneed",     [KS_ADVICE_NOREUSE] = "noreuse",
		[KS_ADVICE_OTHER] = "other",
	};
	uint32_t index;
	struct ks_field_desc field = field_of(KS_STATS_FADVISE, "calls", &index);

	g_assert_cmpstr(field.label, ==, "advice");
	g_assert_cmpuint(field.count, ==, G_N_ELEMENTS(names));
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_cmpstr(ks_describe_value(KS_STATS_FADVISE, index, i), ==, names[i]);
	g_assert_null(ks_describe_value(KS_STATS_FADVISE, index, G_N_ELEMENTS(names)));
}

/*
 * What the best variant of each probe requires; and no setting requires the probe to be disabled.
 */
static void test_needs(void)
{
	for (uint32_t i = 0; i < n_probes(); i++) {
		struct ks_probe_desc probe = probe_at(i);
		struct ks_param_desc param = { .size = sizeof(param) };

		g_assert_cmphex(
			probe.caps, ==,
			probe.probe == KS_PROBE_SELF ? 0 : 1ull << CAP_BPF | 1ull << CAP_PERFMON);
		for (uint32_t k = 0; ks_describe_param(probe.probe, k, &param) == 0; k++)
			g_assert_cmpuint(param.only_enable, ==, 0);
	}
}

/* A value's name is at its number. A number without a name has none. */
static void test_values(void)
{
	struct ks_field_desc field = { .size = sizeof(field) };
	uint32_t i = 0;

	while (ks_describe_field(KS_EVENT_LOST, i, &field) == 0 &&
	       strcmp(field.name, "reason") != 0)
		i++;
	g_assert_cmpstr(field.name, ==, "reason");
	g_assert_cmpuint(field.kind, ==, KS_KIND_CODE);
	g_assert_null(ks_describe_value(KS_EVENT_LOST, i, 0));
	g_assert_nonnull(ks_describe_value(KS_EVENT_LOST, i, KS_LOST_RING));
	g_assert_nonnull(ks_describe_value(KS_EVENT_LOST, i, KS_LOST_THROTTLED));
	g_assert_null(ks_describe_value(KS_EVENT_LOST, i, KS_LOST_THROTTLED + 1));
}

static void test_no_such_thing(void)
{
	struct ks_struct_desc desc = { .size = sizeof(desc) };
	struct ks_field_desc field = { .size = sizeof(field) };
	struct ks_param_desc param = { .size = sizeof(param) };

	ks_assert_rc(ks_describe_struct(0xffff00, &desc), -ENOENT);
	ks_assert_rc(ks_describe_struct(UINT32_MAX, &desc), -ENOENT);
	ks_assert_rc(ks_describe_field(UINT32_MAX, 0, &field), -ENOENT);
	ks_assert_rc(ks_describe_param(UINT32_MAX, 0, &param), -ENOENT);
	g_assert_null(ks_describe_value(UINT32_MAX, 0, 0));
	ks_assert_rc(ks_probe_id("no such probe"), -ENOENT);
	ks_assert_rc(ks_probe_id(""), -ENOENT);
	ks_assert_rc(ks_probe_id(NULL), -ENOENT);
}

/* For callers built with older and newer headers, only the smaller of the two sizes is written. */
static void test_sizes(void)
{
	struct {
		struct ks_probe_desc probe;
		char newer[16];
	} big = { .probe.size = sizeof(big) };
	struct ks_probe_desc probe = { .size = offsetof(struct ks_probe_desc, by), .by = 4711 };

	ks_assert_rc(ks_describe_probe(0, &probe), 0);
	g_assert_cmpuint(probe.size, ==, offsetof(struct ks_probe_desc, by));
	g_assert_cmpuint(probe.by, ==, 4711);
	memset(big.newer, 'x', sizeof(big.newer));
	ks_assert_rc(ks_describe_probe(0, &big.probe), 0);
	g_assert_cmpuint(big.probe.size, ==, sizeof(big.probe));
	g_assert_nonnull(big.probe.summary);
	g_assert_cmpint(big.newer[0], ==, 'x');

	probe.size = 0;
	ks_assert_rc(ks_describe_probe(0, &probe), -EINVAL);
}

static const struct ks__variant some_variants[] = { { .name = "tp_btf" }, { 0 } };
static const struct ks__fallback some_fallback = { .name = "files" };
static const struct ks__param own_params[] = {
	{ .name = "slow_ns",
	  .id = KS__PARAM_OWN,
	  .kind = KS_KIND_VALUE,
	  .unit = KS_UNIT_NS,
	  .lowest = 1,
	  .highest = 9,
	  .default_value = 5,
	  .help = "slower than this" },
	{ .name = "which",
	  .id = KS__PARAM_OWN + 1,
	  .kind = KS_KIND_FLAGS,
	  .highest = 3,
	  .help = "of" },
	{ 0 },
};

static struct ks__probe fake(const struct ks__fallback *fallback, const struct ks__param *params)
{
	return (struct ks__probe){
		.id = 9,
		.name = "fake",
		.variants = some_variants,
		.fallback = fallback,
		.params = params,
		.defaults = { .sample_every = 10,
			      .max_per_sec = 20,
			      .burst = 30,
			      .identity = 1,
			      .interval_ms = 40 },
	};
}

static void check_param(const struct ks__probe *probe, uint32_t index, const char *name,
			uint32_t id, uint64_t lowest, uint64_t highest, uint64_t value)
{
	struct ks_param_desc param;

	ks_assert_rc(ks__schema_param(probe, index, &param), 0);
	g_assert_cmpuint(param.size, ==, sizeof(param));
	g_assert_cmpstr(param.name, ==, name);
	g_assert_cmpuint(param.id, ==, id);
	g_assert_cmpuint(param.lowest, ==, lowest);
	g_assert_cmpuint(param.highest, ==, highest);
	g_assert_cmpuint(param.default_value, ==, value);
}

static void check_common(const struct ks__probe *probe)
{
	check_param(probe, 0, "sample_every", KS_PARAM_SAMPLE_EVERY, 0, 1u << 31, 10);
	check_param(probe, 1, "max_per_sec", KS_PARAM_MAX_PER_SEC, 0, 1000000000, 20);
	check_param(probe, 2, "burst", KS_PARAM_BURST, 1, 10000000, 30);
	check_param(probe, 3, "identity", KS_PARAM_IDENTITY, 0, 3, 1);
}

static void test_params(void)
{
	struct ks__probe probe = fake(&some_fallback, own_params);
	struct ks_param_desc param;

	check_common(&probe);
	check_param(&probe, 4, "interval_ms", KS_PARAM_INTERVAL_MS, 10, 3600000, 40);
	check_param(&probe, 5, "slow_ns", KS__PARAM_OWN, 1, 9, 5);
	check_param(&probe, 6, "which", KS__PARAM_OWN + 1, 0, 3, 0);
	ks_assert_rc(ks__schema_param(&probe, 7, &param), -ENOENT);
	ks_assert_rc(ks__schema_param(&probe, UINT32_MAX, &param), -ENOENT);
	ks_assert_rc(ks__schema_param(&probe, 6, &param), 0);
	g_assert_cmpuint(param.kind, ==, KS_KIND_FLAGS);
}

static void test_params_without_fallback(void)
{
	struct ks__probe probe = fake(NULL, own_params);

	check_common(&probe);
	check_param(&probe, 4, "slow_ns", KS__PARAM_OWN, 1, 9, 5);
}

static void test_params_none_of_its_own(void)
{
	struct ks__probe probe = fake(NULL, NULL);
	struct ks_param_desc param;

	check_common(&probe);
	ks_assert_rc(ks__schema_param(&probe, 4, &param), -ENOENT);
	probe.variants = NULL;
	ks_assert_rc(ks__schema_param(&probe, 0, &param), -ENOENT);
}

static void test_next_event(void)
{
	struct ks_event batch[6] = { 0 };
	const struct ks_event *first, *second;

	batch[0].size = 2 * sizeof(batch[0]);
	batch[2].size = 3 * sizeof(batch[0]);
	g_assert_null(ks_next_event(NULL, 0, NULL));
	g_assert_null(ks_next_event(batch, 0, NULL));
	first = ks_next_event(batch, 5 * sizeof(batch[0]), NULL);
	g_assert_true(first == batch);
	second = ks_next_event(batch, 5 * sizeof(batch[0]), first);
	g_assert_true(second == batch + 2);
	g_assert_null(ks_next_event(batch, 5 * sizeof(batch[0]), second));

	/* cut off, of size zero, shorter than a head, not a multiple of 8 */
	g_assert_null(ks_next_event(batch, 5 * sizeof(batch[0]) - 8, first));
	g_assert_null(ks_next_event(batch, 2 * sizeof(batch[0]) + 63, first));
	g_assert_null(ks_next_event(batch, sizeof(batch), second));
	batch[5].size = 56;
	g_assert_null(ks_next_event(batch, sizeof(batch), second));
	batch[0].size = 76;
	g_assert_null(ks_next_event(batch, sizeof(batch), NULL));
}

static void test_stats_row(void)
{
	const char rows[3][80] = { "a", "b", "c" };
	struct ks_stats stats = { .rows = rows, .n_rows = 3, .row_size = sizeof(rows[0]) };

	g_assert_true(ks_stats_row(&stats, 0) == rows[0]);
	g_assert_true(ks_stats_row(&stats, 2) == rows[2]);
	g_assert_null(ks_stats_row(&stats, 3));
	g_assert_null(ks_stats_row(&stats, SIZE_MAX));
}

static void test_version(void)
{
	g_assert_cmpuint(ks_version(), ==, KS_VERSION);
	g_assert_cmpuint(KS_VERSION, ==,
			 KS_VERSION_MAJOR << 16 | KS_VERSION_MINOR << 8 | KS_VERSION_PATCH);
}

int main(int argc, char **argv)
{
	uint32_t i;

	ks_test_init(&argc, &argv);
	for (i = 0; i < n_probes(); i++) {
		char *path = g_strdup_printf("/schema/walk/%s", probe_at(i).name);

		g_test_add_data_func(path, GUINT_TO_POINTER(i), test_probe);
		g_free(path);
	}
	g_test_add_func("/schema/self", test_self);
	g_test_add_func("/schema/numbers", test_numbers);
	g_test_add_func("/schema/kinds", test_kinds);
	g_test_add_func("/schema/labels", test_labels);
	g_test_add_func("/schema/needs", test_needs);
	g_test_add_func("/schema/values", test_values);
	g_test_add_func("/schema/no-such-thing", test_no_such_thing);
	g_test_add_func("/schema/sizes", test_sizes);
	g_test_add_func("/schema/params/all", test_params);
	g_test_add_func("/schema/params/without-fallback", test_params_without_fallback);
	g_test_add_func("/schema/params/none-of-its-own", test_params_none_of_its_own);
	g_test_add_func("/schema/next-event", test_next_event);
	g_test_add_func("/schema/stats-row", test_stats_row);
	g_test_add_func("/schema/version", test_version);
	return g_test_run();
}

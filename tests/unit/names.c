/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that probes, structs, fields, settings, values and constants are found by their names and
 * by no other name, and that ks_schema() agrees with the separate descriptions.
 */
#include <errno.h>
#include <inttypes.h>

#include <kernelsight/identity.h>
#include <kernelsight/schema.h>

#include "support/ks_test.h"

static struct ks_field_desc field_of(uint32_t id, const char *name)
{
	struct ks_field_desc field = { .size = sizeof(field) };
	int index = ks_field_index(id, name);

	g_assert_cmpint(index, >=, 0);
	ks_assert_rc(ks_describe_field(id, (uint32_t)index, &field), 0);
	g_assert_cmpstr(field.name, ==, name);
	return field;
}

static uint32_t struct_of(const char *name, size_t bytes)
{
	struct ks_struct_desc desc = { .size = sizeof(desc) };
	int id = ks_struct_id(name);

	g_assert_cmpint(id, >=, KS_INTERFACE_STRUCTS);
	ks_assert_rc(ks_describe_struct((uint32_t)id, &desc), 0);
	g_assert_cmpuint(desc.id, ==, (uint32_t)id);
	g_assert_cmpuint(desc.bytes, ==, bytes);
	g_assert_cmpstr(desc.name, ==, name);
	return (uint32_t)id;
}

static void test_structs(void)
{
	g_assert_cmpint(ks_struct_id("self"), ==, KS_STATS_SELF);
	g_assert_cmpint(ks_struct_id("lost"), ==, KS_EVENT_LOST);
	g_assert_cmpint(ks_struct_id("sched"), ==, KS_STATS_SCHED);
	g_assert_cmpint(ks_struct_id("proc_exit"), ==, KS_EVENT_PROC_EXIT);
	g_assert_cmpint(ks_struct_id("pagecache_miss"), ==, KS_EVENT_PAGECACHE_MISS);
	struct_of("ks_event", sizeof(struct ks_event));
	struct_of("ks_row", sizeof(struct ks_row));
	struct_of("ks_event_proc_exit", sizeof(struct ks_event_proc_exit));
	struct_of("ks_cgroup_info", sizeof(struct ks_cgroup_info));
	ks_assert_rc(ks_struct_id("proc_"), -ENOENT);
	ks_assert_rc(ks_struct_id("ks_scop"), -ENOENT);
	ks_assert_rc(ks_struct_id(""), -ENOENT);
	ks_assert_rc(ks_struct_id(NULL), -ENOENT);
}

/* One member of each kind. */
static void test_interface_fields(void)
{
	uint32_t scope = struct_of("ks_scope", sizeof(struct ks_scope));
	struct ks_field_desc field = field_of(scope, "kind");

	g_assert_cmpuint(field.offset, ==, offsetof(struct ks_scope, kind));
	g_assert_cmpuint(field.bytes, ==, 4);
	g_assert_cmpuint(field.count, ==, 1);
	g_assert_cmpuint(field.kind, ==, KS_KIND_CODE);
	g_assert_cmpuint(field.is_signed, ==, 0);
	g_assert_cmpuint(field.valid, ==, 0);
	g_assert_cmpstr(field.c_type, ==, "uint32_t");
	g_assert_cmpstr(field.codes, ==, "ks_scope_kind");
	field = field_of(scope, "pids");
	g_assert_cmpuint(field.kind, ==, KS_KIND_POINTER);
	g_assert_cmpuint(field.bytes, ==, sizeof(void *));
	g_assert_cmpstr(field.c_type, ==, "const int32_t *");
	g_assert_null(field.codes);
	field = field_of(struct_of("ks_event", 64), "flags");
	g_assert_cmpuint(field.kind, ==, KS_KIND_FLAGS);
	g_assert_cmpstr(field.codes, ==, "ks_event_flag");
	field = field_of(struct_of("ks_event", 64), "tid");
	g_assert_cmpuint(field.is_signed, ==, 1);
	g_assert_cmpuint(field.kind, ==, KS_KIND_VALUE);
	field = field_of(struct_of("ks_event", 64), "time_ns");
	g_assert_cmpuint(field.unit, ==, KS_UNIT_NS);
	field = field_of(struct_of("ks_event", 64), "comm");
	g_assert_cmpuint(field.kind, ==, KS_KIND_TEXT);
	g_assert_cmpuint(field.bytes, ==, 16);
	g_assert_cmpstr(field.c_type, ==, "char");
	field = field_of(struct_of("ks_stats_fadvise", sizeof(struct ks_stats_fadvise)), "calls");
	g_assert_cmpuint(field.bytes, ==, 8);
	g_assert_cmpuint(field.count, ==, 7);
	/* Their comments only refer to an enum: by ks_advice, see ks_by. */
	g_assert_null(field.codes);
	field = field_of(struct_of("ks_row", sizeof(struct ks_row)), "key");
	g_assert_null(field.codes);
	g_assert_cmpuint(field.kind, ==, KS_KIND_VALUE);
	field = field_of(struct_of("ks_row", sizeof(struct ks_row)), "by");
	g_assert_cmpstr(field.codes, ==, "ks_by");
	field = field_of(struct_of("ks_stats_proc", sizeof(struct ks_stats_proc)), "row");
	g_assert_cmpuint(field.kind, ==, KS_KIND_STRUCT);
	g_assert_cmpstr(field.c_type, ==, "struct ks_row");
	g_assert_cmpstr(field_of(KS_STATS_PROC, "lifetime_ns").c_type, ==, "struct ks_hist");
	g_assert_cmpstr(field_of(KS_EVENT_PROC_EXIT, "signal").c_type, ==, "uint16_t");
	g_assert_cmpstr(field_of(KS_EVENT_PROC_EXIT, "status").c_type, ==, "int32_t");
	g_assert_cmpstr(field_of(KS_EVENT_FADVISE_CALL, "offset").c_type, ==, "int64_t");
}

static void test_fields(void)
{
	g_assert_cmpint(ks_field_index(KS_EVENT_LOST, "lost"), ==, 0);
	g_assert_cmpint(ks_field_index(KS_EVENT_LOST, "reason"), ==, 3);
	ks_assert_rc(ks_field_index(KS_EVENT_LOST, "reaso"), -ENOENT);
	ks_assert_rc(ks_field_index(KS_EVENT_LOST, NULL), -ENOENT);
	ks_assert_rc(ks_field_index(UINT32_MAX, "reason"), -ENOENT);
}

static void test_values(void)
{
	uint32_t reason = (uint32_t)ks_field_index(KS_EVENT_LOST, "reason");
	uint32_t advice = (uint32_t)ks_field_index(KS_EVENT_FADVISE_CALL, "advice");
	uint32_t cause = (uint32_t)ks_field_index(KS_EVENT_STATE, "cause");

	g_assert_cmpint(ks_value(KS_EVENT_LOST, reason, "ring"), ==, KS_LOST_RING);
	g_assert_cmpint(ks_value(KS_EVENT_FADVISE_CALL, advice, "dontneed"), ==,
			KS_ADVICE_DONTNEED);
	g_assert_cmpint(ks_value(KS_EVENT_STATE, cause, "scope"), ==, KS_CAUSE_SCOPE);
	ks_assert_rc(ks_value(KS_EVENT_STATE, cause, "hook_gone"), -ENOENT);
	ks_assert_rc(ks_value(KS_EVENT_LOST, reason, ""), -ENOENT);
	ks_assert_rc(ks_value(KS_EVENT_LOST, reason, "rin"), -ENOENT);
	ks_assert_rc(ks_value(KS_EVENT_LOST, reason, NULL), -ENOENT);
	ks_assert_rc(ks_value(KS_EVENT_LOST, 0, "ring"), -ENOENT);
	ks_assert_rc(ks_value(UINT32_MAX, 0, "ring"), -ENOENT);
}

static void test_params(void)
{
	g_assert_cmpint(ks_param_id(KS_PROBE_PROC, "burst"), ==, KS_PARAM_BURST);
	g_assert_cmpint(ks_param_id(KS_PROBE_FADVISE, "slow_ns"), ==, KS_FADVISE_PARAM_SLOW_NS);
	g_assert_cmpint(ks_param_id(KS_PROBE_SCHED, "block_ns"), ==, KS_SCHED_PARAM_BLOCK_NS);
	ks_assert_rc(ks_param_id(KS_PROBE_PROC, "slow_ns"), -ENOENT);
	ks_assert_rc(ks_param_id(KS_PROBE_SELF, "burst"), -ENOENT);
	ks_assert_rc(ks_param_id(UINT32_MAX, "burst"), -ENOENT);
	ks_assert_rc(ks_param_id(KS_PROBE_PROC, NULL), -ENOENT);
}

static void assert_constant(const char *name, int64_t want)
{
	int64_t value = -1;

	ks_assert_rc(ks_constant(name, &value), 0);
	g_assert_cmpint(value, ==, want);
}

static void test_constants(void)
{
	int64_t value = 4711;

	assert_constant("KS_EUNAVAIL", KS_EUNAVAIL);
	assert_constant("KS_SCOPE_SELF", 0);
	assert_constant("KS_FEATURE_ITER_NUM", 256);
	assert_constant("KS_RECORD_MAX", 4096);
	assert_constant("KS_IMMEDIATE", 0xffffffff);
	assert_constant("KS_VERSION", KS_VERSION);
	ks_assert_rc(ks_constant("KS_SCOPE", &value), -ENOENT);
	ks_assert_rc(ks_constant("", &value), -ENOENT);
	ks_assert_rc(ks_constant(NULL, &value), -ENOENT);
	g_assert_cmpint(value, ==, 4711);
	ks_assert_rc(ks_constant("KS_SCOPE_SELF", NULL), -EINVAL);
}

static uint32_t enum_of(const char *name, struct ks_enum_desc *ret)
{
	uint32_t i;

	*ret = (struct ks_enum_desc){ .size = sizeof(*ret) };
	for (i = 0; ks_describe_enum(i, ret) == 0; i++)
		if (!strcmp(ret->name, name))
			return i;
	g_assert_not_reached();
}

static void test_enums(void)
{
	struct ks_constant_desc constant = { .size = sizeof(constant) };
	struct ks_enum_desc desc;
	uint32_t index = enum_of("ks_scope_kind", &desc);

	g_assert_cmpuint(desc.size, ==, sizeof(desc));
	g_assert_cmpuint(desc.n_constants, ==, 5);
	g_assert_cmpuint(desc.is_flags, ==, 0);
	ks_assert_rc(ks_describe_constant(index, 1, &constant), 0);
	g_assert_cmpuint(constant.size, ==, sizeof(constant));
	g_assert_cmpstr(constant.name, ==, "KS_SCOPE_TREE");
	g_assert_cmpint(constant.value, ==, KS_SCOPE_TREE);
	g_assert_nonnull(strstr(constant.help, "descendants"));
	ks_assert_rc(ks_describe_constant(index, 5, &constant), -ENOENT);
	ks_assert_rc(ks_describe_constant(UINT32_MAX, 0, &constant), -ENOENT);
	enum_of("ks_event_flag", &desc);
	g_assert_cmpuint(desc.is_flags, ==, 1);
	enum_of("defines", &desc);
	ks_assert_rc(ks_describe_enum(UINT32_MAX, &desc), -ENOENT);
}

/* Every named value of every field is found by its name. */
static void test_all_values(void)
{
	struct ks_struct_desc at = { .size = sizeof(at) };
	unsigned n = 0;

	for (uint32_t id = 0; id < KS_INTERFACE_STRUCTS + 1000; id++)
		for (uint32_t i = 0; !ks_describe_struct(id, &at) && i < 100; i++)
			for (uint64_t value = 0; value < 64; value++) {
				const char *name = ks_describe_value(id, i, value);

				if (!name)
					continue;
				n++;
				g_assert_cmpint(ks_value(id, i, name), ==, (int)value);
			}
	g_assert_cmpuint(n, >, 10);
}

static void add_text(GString *doc, const char *key, const char *value)
{
	if (!value) {
		g_string_append_printf(doc, "\"%s\":null", key);
		return;
	}
	g_string_append_printf(doc, "\"%s\":\"", key);
	for (; *value; value++)
		g_string_append_printf(doc, *value == '"' || *value == '\\' ? "\\%c" : "%c",
				       *value);
	g_string_append_c(doc, '"');
}

/* Asserts that the schema has this part once more; *at moves behind it. */
static void assert_next(const char **at, GString *part)
{
	const char *found = strstr(*at, part->str);

	if (!found)
		g_error("not in the schema: %s", part->str);
	*at = found + part->len;
	g_string_free(part, TRUE);
}

static void assert_fields(const char **at, uint32_t id)
{
	struct ks_field_desc f = { .size = sizeof(f) };

	for (uint32_t i = 0; !ks_describe_field(id, i, &f); i++) {
		GString *part = g_string_new("{");

		add_text(part, "name", f.name);
		g_string_append_printf(part,
				       ",\"offset\":%u,\"bytes\":%u,\"count\":%u,\"kind\":%u,"
				       "\"unit\":%u,\"is_signed\":%s,\"valid\":%" PRIu64 ",",
				       f.offset, f.bytes, f.count, f.kind, f.unit,
				       f.is_signed ? "true" : "false", f.valid);
		add_text(part, "label", f.label);
		g_string_append_c(part, ',');
		add_text(part, "help", f.help);
		g_string_append_c(part, ',');
		add_text(part, "c_type", f.c_type);
		g_string_append_c(part, ',');
		add_text(part, "codes", f.codes);
		assert_next(at, part);
		f.size = sizeof(f);
	}
}

/* The structs of all probes and of the interface, with each member of each description. */
static void test_schema_structs(void)
{
	int length = ks_schema(NULL, 0);
	char *text = g_malloc0((size_t)length + 1);
	struct ks_struct_desc s = { .size = sizeof(s) };
	const char *at;
	unsigned n = 0;

	ks_schema(text, (size_t)length + 1);
	at = strstr(text, "\"structs\":[");
	g_assert_nonnull(at);
	for (uint32_t id = 0; id < KS_INTERFACE_STRUCTS + 1000; id++) {
		GString *part;

		if (ks_describe_struct(id, &s))
			continue;
		part = g_string_new("{");
		g_string_append_printf(part, "\"id\":%u,", id);
		add_text(part, "name", s.name);
		g_string_append_printf(part, ",\"bytes\":%u,", s.bytes);
		add_text(part, "help", s.help);
		g_string_append(part, ",\"fields\":[");
		assert_next(&at, part);
		assert_fields(&at, id);
		n++;
	}
	g_assert_cmpuint(n, >, 30);
	g_assert_null(strstr(at, "\"offset\":")); /* no other struct */
	g_free(text);
}

/*
 * A short buffer cuts the text as in ks_check(). The whole text ends with the name of the last
 * constant.
 */
static void test_schema(void)
{
	int length = ks_schema(NULL, 0);
	char *text = g_malloc0((size_t)length + 1), cut[8];

	g_assert_cmpint(length, >, 10000);
	g_assert_cmpint(ks_schema(text, (size_t)length + 1), ==, length);
	g_assert_cmpuint(strlen(text), ==, (size_t)length);
	g_assert_true(g_str_has_prefix(text, "{\"version\":\""));
	g_assert_nonnull(strstr(text, "\"KS_VERSION\":"));
	g_assert_cmpint(ks_schema(cut, sizeof(cut)), ==, length);
	g_assert_cmpstr(cut, ==, "{\"versi");
	ks_assert_rc(ks_schema(NULL, 1), -EINVAL);
	g_free(text);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/names/structs", test_structs);
	g_test_add_func("/names/interface-fields", test_interface_fields);
	g_test_add_func("/names/fields", test_fields);
	g_test_add_func("/names/values", test_values);
	g_test_add_func("/names/params", test_params);
	g_test_add_func("/names/constants", test_constants);
	g_test_add_func("/names/enums", test_enums);
	g_test_add_func("/names/values/all", test_all_values);
	g_test_add_func("/names/schema", test_schema);
	g_test_add_func("/names/schema/structs", test_schema_structs);
	return g_test_run();
}

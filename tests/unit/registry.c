/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that each probe's descriptor is right: its structs agree with the header member by member,
 * its ids and names are unique, its settings have their defaults, its files exist, and its page in
 * the manual says the same.
 */
#include <sys/stat.h>

#include "../../bpf/shared.h"
#include "api/schema.h"
#include "bpf/threads.h"
#include "data/rows.h"
#include "files/queue.h"
#include "support/ks_test.h"

#define HEAD_OF_EVENT 72 /* struct ks_event and valid */

static char *path_of(const char *format, const char *name)
{
	char *file = g_strdup_printf(format, name);
	char *path = g_test_build_filename(G_TEST_DIST, file, NULL);

	g_free(file);
	return path;
}

static int exists(const char *format, const char *name)
{
	char *path = path_of(format, name);
	int found = g_file_test(path, G_FILE_TEST_IS_REGULAR);

	g_free(path);
	return found;
}

static char *contents(const char *format, const char *name)
{
	char *path = path_of(format, name), *text = NULL;
	GError *error = NULL;

	g_file_get_contents(path, &text, NULL, &error);
	g_assert_no_error(error);
	g_free(path);
	return text;
}

/* A probe that only the tests have: it has no page in the manual and no test of its own. */
static int is_test_only(const struct ks__probe *probe)
{
	return exists("tests/support/%s.c", probe->name);
}

static uint32_t count_events(const struct ks__probe *probe)
{
	uint32_t n = 0;

	while (probe->events && probe->events[n].name)
		n++;
	return n;
}

static void test_unique(void)
{
	const struct ks__probe *const *a, *const *b;

	g_assert_nonnull(ks__probes[0]);
	g_assert_cmpuint(ks__probes[0]->id, ==, KS_PROBE_SELF);
	for (a = ks__probes; *a; a++) {
		g_assert_cmpuint((*a)->id, <, KS__PROBES_MAX);
		g_assert_true(ks__probe_by_id((*a)->id) == *a);
		g_assert_true(ks__probe_by_name((*a)->name) == *a);
		for (b = ks__probes; b < a; b++) {
			g_assert_cmpuint((*b)->id, !=, (*a)->id);
			g_assert_cmpstr((*b)->name, !=, (*a)->name);
		}
	}
	g_assert_null(ks__probe_by_id(KS__PROBES_MAX));
	g_assert_null(ks__probe_by_id(UINT32_MAX));
	g_assert_null(ks__probe_by_name("no such probe"));
}

/* The summary is one sentence and equals the one in the manual. */
static void test_page(const void *data)
{
	const struct ks__probe *probe = data;
	char *manual, **lines;
	int i, found = 0;

	g_assert_true(g_regex_match_simple("^[a-z][a-z0-9_]*$", probe->name, 0, 0));
	g_assert_true(g_regex_match_simple("^[^.\n]+\\.?$", probe->summary, 0, 0));
	if (is_test_only(probe))
		return;
	manual = contents("docs/%s.md", "probes");
	lines = g_strsplit(manual, "\n", -1);
	for (i = 0; lines[i]; i++)
		found |= lines[i][0] == '|' && strstr(lines[i], probe->name) &&
			 strstr(lines[i], probe->summary);
	if (!found)
		g_error("docs/probes.md has no row | %s | %s |", probe->name, probe->summary);
	g_strfreev(lines);
	g_free(manual);
}

static void test_files(const void *data)
{
	const struct ks__probe *probe = data;
	const char *home = is_test_only(probe) ? "tests/support/%s.c" : "lib/probes/%s.c";

	g_assert_true(exists(home, probe->name));
	if (!probe->variants)
		return;
	g_assert_true(exists(is_test_only(probe) ? "tests/support/%s.bpf.c" : "bpf/%s.bpf.c",
			     probe->name));
	g_assert_true(is_test_only(probe) || exists("tests/probes/%s.c", probe->name));
}

struct member {
	char type[32], name[64];
	uint32_t bytes, at;
};

static uint32_t bytes_of(const char *type)
{
	static const struct {
		const char *name;
		uint32_t bytes;
	} types[] = {
		{ "uint64_t", 8 },
		{ "int64_t", 8 },
		{ "uint32_t", 4 },
		{ "int32_t", 4 },
		{ "uint16_t", 2 },
		{ "int16_t", 2 },
		{ "uint8_t", 1 },
		{ "char", 1 },
		{ "ks_event", sizeof(struct ks_event) },
		{ "ks_row", sizeof(struct ks_row) },
		{ "ks_hist", sizeof(struct ks_hist) },
		{ "ks_bpf_hist", sizeof(struct ks_bpf_hist) },
	};
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(types); i++)
		if (!strcmp(types[i].name, type))
			return types[i].bytes;
	g_error("members of records cannot have the type %s", type);
}

static GArray *members_of(const char *body)
{
	GRegex *line = g_regex_new("^\t(?:struct )?(\\w+) (\\w+)(?:\\[(\\d+)\\])?;",
				   G_REGEX_MULTILINE, 0, NULL);
	GArray *members = g_array_new(FALSE, FALSE, sizeof(struct member));
	struct member m = { .at = 0 };
	GMatchInfo *match;

	for (g_regex_match(line, body, 0, &match); g_match_info_matches(match);
	     g_match_info_next(match, NULL)) {
		char *type = g_match_info_fetch(match, 1), *name = g_match_info_fetch(match, 2);
		char *count = g_match_info_fetch(match, 3);

		g_strlcpy(m.type, type, sizeof(m.type));
		g_strlcpy(m.name, name, sizeof(m.name));
		m.at += m.bytes;
		m.bytes = bytes_of(type) * (count && count[0] ? (uint32_t)atoi(count) : 1);
		g_array_append_val(members, m);
		g_free(type);
		g_free(name);
		g_free(count);
	}
	g_match_info_free(match);
	g_regex_unref(line);
	return members;
}

/* Returns the members of a struct, from the library's header or from that of a test probe. */
static GArray *declared(const struct ks__probe *probe, const char *header, const char *what,
			const char *name)
{
	char *text = is_test_only(probe) ? contents("tests/support/%s.h", probe->name) :
					   contents("%s", header);
	char *first = g_strdup_printf("struct ks_%s_%s {", what, name);
	char *body = strstr(text, first), *end = body ? strstr(body, "\n}") : NULL;
	GArray *members;

	if (!end)
		g_error("no %s", first);
	*end = 0;
	members = members_of(body);
	g_free(first);
	g_free(text);
	return members;
}

/* The table has all members except those of the head and padding. */
static void check_members(const GArray *members, const struct ks__struct *desc, uint32_t head)
{
	const struct ks__field *f = desc->fields;
	uint32_t end = 0;
	guint i;

	for (i = 0; i < members->len; i++) {
		const struct member *m = &g_array_index(members, struct member, i);

		end = m->at + m->bytes;
		if (m->at < head || !strcmp(m->name, "reserved"))
			continue;
		g_assert_cmpstr(f->name, ==, m->name);
		g_assert_cmpuint(f->offset, ==, m->at);
		g_assert_cmpuint((uint32_t)f->bytes * f->count, ==, m->bytes);
		g_assert_cmpint(f->is_signed, ==, m->type[0] == 'i');
		g_assert_cmpint(f->kind == KS_KIND_TEXT, ==, !strcmp(m->type, "char"));
		f++;
	}
	g_assert_null(f->name);
	g_assert_cmpuint(end, ==, desc->bytes);
}

static void check_field(const struct ks__probe *probe, const struct ks__field *f, int in_row)
{
	uint32_t n = 0;

	g_assert_cmpuint(f->count, >=, 1);
	g_assert_cmpuint(f->kind, >=, KS_KIND_COUNTER);
	g_assert_cmpuint(f->kind, <=, KS_KIND_TIME);
	g_assert_cmpuint(f->unit, <=, KS_UNIT_PAGES);
	g_assert_cmpuint(f->valid & ~probe->valid, ==, 0);
	g_assert_nonnull(f->help);
	g_assert_cmpint(f->kind == KS_KIND_HIST, ==, f->bytes == sizeof(struct ks_hist));
	if (f->kind == KS_KIND_COUNTER)
		g_assert_true(in_row && f->bytes == 8);

	g_assert_cmpint(g_str_has_suffix(f->name, "_ns"), ==, f->unit == KS_UNIT_NS);
	if (g_str_has_suffix(f->name, "_bytes"))
		g_assert_cmpuint(f->unit, ==, KS_UNIT_BYTES);
	if (g_str_has_suffix(f->name, "_pages"))
		g_assert_cmpuint(f->unit, ==, KS_UNIT_PAGES);

	g_assert_cmpint(f->count > 1, ==, f->label != NULL);
	while (f->values && f->values[n])
		n++;
	if (f->label)
		g_assert_cmpuint(n, ==, f->count);
	if (f->kind == KS_KIND_FLAGS)
		g_assert_cmpuint(n, >, 0);
}

/* The kernel programs count in the same order, each word where the library expects it. */
static void check_raw(const GArray *members, const struct ks__struct *desc)
{
	size_t words = 0;
	guint i;

	for (i = 0; i < members->len; i++) {
		const struct member *m = &g_array_index(members, struct member, i);

		g_assert_cmpint(ks__rows_word(desc, m->name), ==, (int)(m->at / 8));
		words += m->bytes / 8;
	}
	g_assert_cmpuint(words, ==, ks__rows_words(desc));
}

static void check_struct(const struct ks__probe *probe, const struct ks__struct *desc, uint32_t n)
{
	GArray *members =
		declared(probe, "include/kernelsight/events.h", n ? "event" : "stats", desc->name);
	const struct ks__field *f;

	g_assert_cmpuint(desc->id, ==, (uint32_t)probe->id << 8 | n);
	g_assert_nonnull(desc->help);
	check_members(members, desc, n ? HEAD_OF_EVENT : sizeof(struct ks_row));
	for (f = desc->fields; f->name; f++)
		check_field(probe, f, n == 0);
	g_array_unref(members);
}

/* A bit of the row's `valid` says whether its histograms have buckets. */
static void check_buckets(const struct ks__probe *probe)
{
	int has_hist = 0;

	for (const struct ks__field *f = probe->stats->fields; f->name; f++)
		has_hist |= f->kind == KS_KIND_HIST;
	g_assert_cmphex(probe->buckets & ~probe->valid, ==, 0);
	g_assert_cmpint(probe->buckets != 0, ==, has_hist);
}

static void test_structs(const void *data)
{
	const struct ks__probe *probe = data;
	uint32_t i;

	if (probe->stats) {
		check_struct(probe, probe->stats, 0);
		g_assert_cmpstr(probe->stats->name, ==, probe->name);
		check_buckets(probe);
	}
	if (probe->stats && probe->variants) {
		GArray *members = declared(probe, "bpf/shared.h", "bpf_stats", probe->name);

		check_raw(members, probe->stats);
		g_array_unref(members);
	}
	for (i = 0; i < count_events(probe); i++) {
		check_struct(probe, &probe->events[i], i + 1);
		g_assert_cmpuint(probe->events[i].bytes, <=, KS_RECORD_MAX);
		if (probe->id != KS_PROBE_SELF)
			g_assert_true(g_str_has_prefix(probe->events[i].name, probe->name));
	}
}

/* No limit of the library is below what a descriptor or the linked object needs. */
static void test_limits(const void *data)
{
	const struct ks__probe *probe = data;
	unsigned n = 0;

	g_assert_cmpuint(probe->id, <, KS_BPF_PROBES);
	for (uint32_t i = 0; probe->fallback && probe->fallback->scan && i < count_events(probe);
	     i++)
		g_assert_cmpuint(probe->events[i].bytes, <=, KS__QUEUE_RECORD_MAX);
	while (probe->open && probe->open[n])
		n++;
	g_assert_cmpuint(n, <=, KS__OPEN_STATES);
	for (const struct ks__variant *v = probe->variants; v && v->name; v++)
		for (n = 0; n < KS__PROGS_MAX; n++)
			if (!v->progs[n]) /* the list ends with NULL, so no name was cut off */
				g_assert_true(n + 1 == KS__PROGS_MAX || !v->progs[n + 1]);
	/* a whole row is mapped, however many words it has: its size must only equal the map's */
	if (probe->stats)
		g_assert_cmpuint(ks__rows_words(probe->stats) * 8, <, UINT32_MAX);
}

static void test_params(const void *data)
{
	const struct ks__probe *probe = data;
	struct ks_param_desc a, b;
	uint32_t i, j, own = 0;

	for (i = 0; ks__schema_param(probe, i, &a) == 0; i++) {
		g_assert_cmpuint(a.lowest, <=, a.default_value);
		g_assert_cmpuint(a.default_value, <=, a.highest);
		g_assert_nonnull(a.help);
		g_assert_cmpint(g_str_has_suffix(a.name, "_ns"), ==, a.unit == KS_UNIT_NS);
		if (a.id >= KS__PARAM_OWN)
			g_assert_cmpuint(a.id, ==, KS__PARAM_OWN + own++);
		for (j = 0; j < i; j++) {
			ks__schema_param(probe, j, &b);
			g_assert_cmpuint(a.id, !=, b.id);
			g_assert_cmpstr(a.name, !=, b.name);
		}
	}
	g_assert_cmpuint(own, <=, KS__PARAMS_OWN);
}

/* A host gets "NAME: WHY", which must fit into the reason of struct ks_probe_info. */
static void check_lacks(const struct ks__probe *probe, const char *name, uint64_t lacks,
			const char *why)
{
	g_assert_cmpuint(lacks & ~probe->valid, ==, 0);
	g_assert_cmpint(lacks != 0, ==, why != NULL);
	g_assert_cmpuint(strlen(name) + 2 + (why ? strlen(why) : 0), <,
			 sizeof(((struct ks_probe_info *)0)->reason));
}

static void test_variants(const void *data)
{
	const struct ks__probe *probe = data;
	const struct ks__variant *v, *other;

	for (v = probe->variants; v && v->name; v++) {
		g_assert_cmpint(v - probe->variants, <, KS__VARIANTS_MAX);
		g_assert_nonnull(v->progs[0]);
		check_lacks(probe, v->name, v->lacks, v->lacks_why);
		for (other = probe->variants; other < v; other++)
			g_assert_cmpstr(other->name, !=, v->name);
	}
	if (probe->fallback) {
		g_assert_nonnull(probe->fallback->name);
		check_lacks(probe, probe->fallback->name, probe->fallback->lacks,
			    probe->fallback->lacks_why);
	}
	if (probe->variants) {
		g_assert_cmpuint(probe->caps, !=, 0);
		g_assert_cmpint(probe->fallback == NULL, ==, probe->no_fallback != NULL);
	}
}

/* The kernel programs count every field that the self-test looks at. */
static void test_provocations(const void *data)
{
	const struct ks__probe *probe = data;
	const struct ks__provocation *p;

	for (p = probe->provocations; p && p->kind; p++)
		g_assert_cmpint(ks__rows_word(probe->stats, p->field), >=, 0);
}

static void add(const char *what, const struct ks__probe *probe, GTestDataFunc test)
{
	char *path = g_strdup_printf("/registry/%s/%s", probe->name, what);

	g_test_add_data_func(path, probe, test);
	g_free(path);
}

int main(int argc, char **argv)
{
	const struct ks__probe *const *probe;

	ks_test_init(&argc, &argv);
	g_test_add_func("/registry/unique", test_unique);
	for (probe = ks__probes; *probe; probe++) {
		add("files", *probe, test_files);
		add("page", *probe, test_page);
		add("structs", *probe, test_structs);
		add("limits", *probe, test_limits);
		add("params", *probe, test_params);
		add("variants", *probe, test_variants);
		add("provocations", *probe, test_provocations);
	}
	return g_test_run();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that each probe describes itself as descriptions.tsv says: groupings, capabilities,
 * settings, every member of every struct, and what each variant and the fallback lack. A change of
 * a descriptor is a change of that table. To write it anew:
 *	build/gcc/tests/unit/unit-descriptions --print >tests/unit/descriptions.tsv
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <kernelsight/schema.h>

#include "files/scan.h"
#include "probes/probe.h"
#include "support/burst.h"
#include "support/ks_test.h"

static void add_structs(GString *out, uint32_t probe)
{
	struct ks_struct_desc s = { .size = sizeof(s) };
	struct ks_field_desc f = { .size = sizeof(f) };

	for (uint32_t id = probe << 8; id < (probe + 1) << 8; id++) {
		if (ks_describe_struct(id, &s))
			continue;
		g_string_append_printf(out, "struct\t%#x\t%s\t%u\n", id, s.name, s.bytes);
		for (uint32_t i = 0; !ks_describe_field(id, i, &f); i++)
			g_string_append_printf(
				out,
				"field\t%s\t%s\t%u\t%u*%u\tkind %u\tunit %u\t%c\t%#" PRIx64
				"\t%s\t%s\n",
				s.name, f.name, f.offset, f.bytes, f.count, f.kind, f.unit,
				f.is_signed ? 's' : 'u', f.valid, f.label ? f.label : "-",
				f.codes ? f.codes : "-");
	}
}

static void add_params(GString *out, uint32_t probe, const char *name)
{
	struct ks_param_desc p = { .size = sizeof(p) };

	for (uint32_t i = 0; !ks_describe_param(probe, i, &p); i++)
		g_string_append_printf(out,
				       "param\t%s\t%u\t%s\tkind %u\tunit %u\t%" PRIu64
				       " to %" PRIu64 "\t%" PRIu64 "\n",
				       name, p.id, p.name, p.kind, p.unit, p.lowest, p.highest,
				       p.default_value);
}

static void add_variants(GString *out, const struct ks__probe *probe)
{
	for (const struct ks__variant *v = probe->variants; v && v->name; v++) {
		g_string_append_printf(out, "variant\t%s\t%s\tlacks %#" PRIx64 "\t%d%d",
				       probe->name, v->name, v->lacks, v->by_pointer,
				       v->initial_pidns);
		for (int i = 0; i < KS__PROGS_MAX && v->progs[i]; i++)
			g_string_append_printf(out, "\t%s", v->progs[i]);
		g_string_append_c(out, '\n');
	}
	if (probe->fallback)
		g_string_append_printf(out, "fallback\t%s\t%s\t%s\tlacks %#" PRIx64 "\n",
				       probe->name, probe->fallback->name, probe->fallback->needs,
				       probe->fallback->lacks);
	for (const struct ks__provocation *p = probe->provocations; p && p->kind; p++)
		g_string_append_printf(out, "provocation\t%s\t%s\t%s\n", probe->name, p->kind,
				       p->field);
}

/* has: the table so far; a probe that it does not know is new, and may come without a row here. */
static GString *table(const char *has)
{
	GString *out = g_string_new("");

	for (const struct ks__probe *const *p = ks__probes; *p; p++) {
		const struct ks__probe *probe = *p;

		char *row = g_strdup_printf("probe\t%u\t%s\t", probe->id, probe->name);
		int is_known = !has || strstr(has, row);

		g_free(row);
		if (probe->id == BURST_PROBE || !is_known)
			continue;
		g_string_append_printf(
			out, "probe\t%u\t%s\tby %#x\tcaps %#" PRIx64 "\tvalid %#" PRIx64 "\n",
			probe->id, probe->name, probe->by, probe->caps, probe->valid);
		for (const char *const *map = probe->maps; map && *map; map++)
			g_string_append_printf(out, "map\t%s\t%s\n", probe->name, *map);
		for (const char *const *open = probe->open; open && *open; open++)
			g_string_append_printf(out, "open\t%s\t%s\n", probe->name, *open);
		add_params(out, probe->id, probe->name);
		add_structs(out, probe->id);
		add_variants(out, probe);
	}
	return out;
}

static void test_table(void)
{
	char *path = g_test_build_filename(G_TEST_DIST, "tests", "unit", "descriptions.tsv", NULL);
	char *want = NULL, **wants, **lines;
	GString *is;

	g_assert_true(g_file_get_contents(path, &want, NULL, NULL));
	is = table(want);
	wants = g_strsplit(want, "\n", -1);
	lines = g_strsplit(is->str, "\n", -1);
	for (size_t i = 0; wants[i] && lines[i]; i++)
		g_assert_cmpstr(lines[i], ==, wants[i]);
	g_assert_cmpuint(g_strv_length(lines), ==, g_strv_length(wants));
	g_strfreev(wants);
	g_strfreev(lines);
	g_string_free(is, TRUE);
	g_free(want);
	g_free(path);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--print")) {
		GString *out = table(NULL);

		fputs(out->str, stdout);
		g_string_free(out, TRUE);
		return 0;
	}
	ks_test_init(&argc, &argv);
	g_test_add_func("/descriptions/table", test_table);
	return g_test_run();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows that the embedded kernel programs are exactly those that the probes' descriptors name; that
 * each one's section says where it attaches and that none is loaded unless asked for; and that both
 * sides of each map agree. Opening an object needs no privilege.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/wait.h>

#include "../../bpf/shared.h"
#include "bpf/hooks.h"
#include "bpf/unit.h"
#include "data/rows.h"
#include "support/ks_test.h"

extern const unsigned char ks__bpf_object[];
extern const size_t ks__bpf_object_size;

static struct bpf_object *object;

static struct bpf_object *open_object(void)
{
	return bpf_object__open_mem(ks__bpf_object, ks__bpf_object_size, NULL);
}

/* Returns the number of variants of the probe that use this program. */
static int uses(const struct ks__probe *probe, const char *program)
{
	const struct ks__variant *v;
	int i, n = 0;

	for (v = probe->variants; v && v->name; v++)
		for (i = 0; i < KS__PROGS_MAX && v->progs[i]; i++)
			n += !strcmp(v->progs[i], program);
	return n;
}

/*
 * Each program has one owner: a probe, named by the prefix, or the library itself (tree_...,
 * thread_..., ks_...).
 */
static void test_programs_are_used(void)
{
	const struct ks__probe *const *probe;
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
	{
		const char *name = bpf_program__name(program);
		int owners = g_str_has_prefix(name, "tree_") || g_str_has_prefix(name, "thread_") ||
			     g_str_has_prefix(name, "ks_");

		for (probe = ks__probes; *probe; probe++)
			owners += uses(*probe, name) > 0;
		if (owners != 1)
			g_error("%s: has %d owners, not 1", name, owners);
	}
}

static void test_sections(void)
{
	struct bpf_program *program;
	struct ks__hook hook;

	bpf_object__for_each_program(program, object)
	{
		g_assert_false(bpf_program__autoload(program));
		if (g_str_has_prefix(bpf_program__name(program), "ks_"))
			continue; /* the library runs it directly; it is never attached */
		if (ks__hook_parse(bpf_program__section_name(program), &hook) != 0)
			g_error("%s: the library cannot attach to %s", bpf_program__name(program),
				bpf_program__section_name(program));
	}
}

static void test_names_fit(void)
{
	struct bpf_program *program;
	struct bpf_map *map;

	bpf_object__for_each_program(program, object)
	{
		const char *name = bpf_program__name(program);

		g_assert_true(bpf_object__find_program_by_name(object, name) == program);
	}
	/*
	 * The kernel cuts map names to 15 bytes. Two maps that then have the same name would
	 * mislead.
	 */
	bpf_object__for_each_map(map, object) g_assert_cmpuint(strlen(bpf_map__name(map)), <, 32);
}

static const struct bpf_map *map_of(const char *name)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	if (!map)
		g_error("no map %s", name);
	return map;
}

static void check_map(const char *name, enum bpf_map_type type, uint32_t key, uint32_t value)
{
	const struct bpf_map *map = map_of(name);

	g_assert_cmpint(bpf_map__type(map), ==, type);
	g_assert_cmpuint(bpf_map__key_size(map), ==, key);
	g_assert_cmpuint(bpf_map__value_size(map), ==, value);
}

static void test_shared_maps(void)
{
	check_map("ks_control", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ks_bpf_control));
	check_map("ks_cpus", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct ks_bpf_cpu));
	check_map("ks_rings", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4);
	check_map("ks_perf", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4);
	check_map("ks_pids", BPF_MAP_TYPE_HASH, 4, 8);
	g_assert_cmpuint(bpf_map__map_flags(map_of("ks_control")) & BPF_F_MMAPABLE, !=, 0);
	g_assert_cmpuint(bpf_map__map_flags(map_of("ks_cpus")) & BPF_F_MMAPABLE, !=, 0);
}

static void test_programs(const void *data)
{
	const struct ks__probe *probe = data;
	char *prefix = g_strdup_printf("%s_", probe->name);
	const struct ks__variant *v;
	int i;

	for (v = probe->variants; v->name; v++)
		for (i = 0; i < KS__PROGS_MAX && v->progs[i]; i++) {
			if (!bpf_object__find_program_by_name(object, v->progs[i]))
				g_error("%s: no program %s", v->name, v->progs[i]);
			g_assert_true(g_str_has_prefix(v->progs[i], prefix));
		}
	g_free(prefix);
}

static void test_stats(const void *data)
{
	const struct ks__probe *probe = data;
	char *name = g_strdup_printf("%s_stats", probe->name);
	size_t bytes = ks__rows_words(probe->stats) * sizeof(uint64_t);
	const struct bpf_map *map;

	g_assert_cmpstr(probe->maps[0], ==, name);
	check_map(name, BPF_MAP_TYPE_ARRAY, 4, (uint32_t)((bytes + 63) / 64 * 64));
	map = map_of(name);
	g_assert_cmpuint(bpf_map__map_flags(map) & BPF_F_MMAPABLE, !=, 0);
	g_free(name);
}

static void test_maps(const void *data)
{
	const struct ks__probe *probe = data;
	struct bpf_map *map;
	int i;

	for (i = 0; probe->maps[i]; i++)
		map_of(probe->maps[i]);
	/* No other map has this name. */
	bpf_object__for_each_map(map, object)
	{
		const char *name = bpf_map__name(map);
		size_t length = strlen(probe->name);

		if (strncmp(name, probe->name, length) || name[length] != '_')
			continue;
		g_assert_true(g_strv_contains(probe->maps, name));
	}
}

/* ---- fitting programs to a kernel ------------------------------------------------------------ */

static int is_fetch(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_STX && BPF_MODE(insn->code) == 0xc0 /* BPF_ATOMIC */ &&
	       insn->imm != BPF_ADD;
}

/*
 * Where the kernel has no fetching atomic instructions, each of these is replaced and nothing else.
 * Loads nothing.
 */
static void test_fit(void)
{
	static struct ks__features features = { .types.scanned = 1 };
	struct bpf_object *before = open_object(), *after = open_object();
	struct ks_bpf_const consts = { 0 };
	struct bpf_program *program;
	unsigned n = 0, fetches = 0;
	struct ks__program *programs[200], all[200];
	struct ks__unit unit = { .features = &features, .consts = &consts, .progs = programs };
	void *scratch;

	bpf_object__for_each_program(program, before)
	{
		all[n] = (struct ks__program){ .name = bpf_program__name(program),
					       .hook.kind = KS__HOOK_NONE };
		programs[n] = &all[n];
		g_assert_cmpuint(++n, <, 200);
	}
	unit.n_progs = n;
	for (int atomic_fetch = 0; atomic_fetch <= 1; atomic_fetch++) {
		consts.atomic_fetch = (uint32_t)atomic_fetch;
		bpf_object__close(after);
		after = open_object();
		scratch = g_malloc0(ks__programs_scratch_size(&unit));
		ks_assert_rc(ks__programs_prepare(&unit, after, KS__TYPED_BY_US, scratch), 0);
		for (unsigned i = 0; i < n; i++) {
			const struct bpf_program *a =
				bpf_object__find_program_by_name(before, all[i].name);
			const struct bpf_program *b =
				bpf_object__find_program_by_name(after, all[i].name);
			const struct bpf_insn *was = bpf_program__insns(a);
			const struct bpf_insn *is = bpf_program__insns(b);

			g_assert_cmpuint(bpf_program__insn_cnt(a), ==, bpf_program__insn_cnt(b));
			for (size_t k = 0; k < bpf_program__insn_cnt(a); k++) {
				struct bpf_insn want = was[k];

				if (is_fetch(&was[k])) {
					fetches++;
					if (!atomic_fetch)
						want = (struct bpf_insn){ .code = BPF_ALU64 |
										  BPF_MOV | BPF_K };
				}
				g_assert_cmpmem(&is[k], sizeof(want), &want, sizeof(want));
			}
		}
		g_free(scratch);
	}
	g_assert_cmpuint(fetches, >, 0);
	bpf_object__close(before);
	bpf_object__close(after);
}

static void test_unprivileged(void)
{
	int status;
	pid_t child = fork();

	g_assert_cmpint(child, >=, 0);
	if (child == 0) {
		if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
			_exit(2);
		_exit(open_object() ? 0 : 1);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFEXITED(status));
	g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static void add(const char *what, const struct ks__probe *probe, GTestDataFunc test)
{
	char *path = g_strdup_printf("/object/%s/%s", probe->name, what);

	g_test_add_data_func(path, probe, test);
	g_free(path);
}

int main(int argc, char **argv)
{
	const struct ks__probe *const *probe;
	int rc;

	ks_test_init(&argc, &argv);
	object = open_object();
	g_assert_nonnull(object);
	g_test_add_func("/object/unprivileged", test_unprivileged);
	g_test_add_func("/object/programs-are-used", test_programs_are_used);
	g_test_add_func("/object/sections", test_sections);
	g_test_add_func("/object/fit", test_fit);
	g_test_add_func("/object/names-fit", test_names_fit);
	g_test_add_func("/object/shared-maps", test_shared_maps);
	for (probe = ks__probes; *probe; probe++) {
		if (!(*probe)->variants)
			continue;
		add("programs", *probe, test_programs);
		add("stats", *probe, test_stats);
		add("maps", *probe, test_maps);
	}
	rc = g_test_run();
	bpf_object__close(object);
	return rc;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shows what the source with kernel programs decides before any program is loaded: the words of
 * scope and settings, and the constants of a load. The tests set the facts of the kernel
 * themselves.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bpf/ring.h"
#include "data/doc.h"
#include "files/columns.h"
#include "support/bpf_bed.h"
#include "support/ks_test.h"

/* ---- settings -------------------------------------------------------------------------------- */

static const struct ks_bpf_settings *apply(struct bed *bed, const struct ks__settings *set)
{
	struct ks__source *s = &bed->b->base;

	ks_assert_rc(s->ops->apply(s, KS_PROBE_SCHED, set), 0);
	return &bed->b->control.settings[KS_PROBE_SCHED];
}

/* Each setting sets its own word or bit. */
static void test_settings(void)
{
	static const struct {
		uint32_t flags;
		uint64_t identity;
		uint32_t want;
	} all[] = {
		{ 0, 0, KS_WANT_EVENTS | KS_WANT_STATS },
		{ KS_ENABLE_NO_EVENTS, 0, KS_WANT_STATS },
		{ KS_ENABLE_NO_STATS, 0, KS_WANT_EVENTS },
		{ KS_ENABLE_NO_EVENTS | KS_ENABLE_NO_STATS, 0, 0 },
		{ KS_ENABLE_NO_FALLBACK, KS_IDENTITY_CGROUP,
		  KS_WANT_EVENTS | KS_WANT_STATS | KS_WANT_CGROUP },
		{ 0, KS_IDENTITY_COMM, KS_WANT_EVENTS | KS_WANT_STATS | KS_WANT_COMM },
	};
	struct bed *bed = bed_new(0);
	struct ks__settings set = { .generation = 7, .sample_every = 5 };
	const struct ks_bpf_settings *out;

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		set.flags = all[i].flags;
		set.identity = all[i].identity;
		out = apply(bed, &set);
		g_assert_cmpuint(out->flags, ==, all[i].want);
		g_assert_cmpuint(out->generation, ==, 7);
		g_assert_cmpuint(out->sample_every, ==, 5);
		g_assert_cmpuint(out->record_ns, ==, 0);
		g_assert_cmpuint(out->burst_ns, ==, 0);
	}
	set.max_per_sec = 400;
	set.burst = 30;
	for (unsigned i = 0; i < KS_BPF_PARAMS; i++)
		set.own[i] = 100 + i;
	out = apply(bed, &set);
	g_assert_cmpuint(out->record_ns, ==, 2500000);
	g_assert_cmpuint(out->burst_ns, ==, 75000000);
	for (unsigned i = 0; i < KS_BPF_PARAMS; i++)
		g_assert_cmpuint(out->param[i], ==, 100 + i);
	g_assert_cmpuint(bed->b->control.settings[KS_PROBE_PROC].generation, !=, 7);
	bed_free(bed);
}

/* ---- scope ----------------------------------------------------------------------------------- */

static void set_scope(struct bed *bed, const struct ks__scope *scope, int rc)
{
	struct ks__source *s = &bed->b->base;

	ks_assert_rc(s->ops->set_scope(s, scope), rc);
}

static void test_scope(void)
{
	struct bed *bed = bed_new(0);
	const struct ks_bpf_scope *next = &bed->b->control.scope;
	struct ks__scope scope = { .kind = KS_SCOPE_SYSTEM };
	char name[17] = "";

	bed->b->base.ops->admit(&bed->b->base, 77);
	for (int i = 0; i < 4; i++) {
		scope = (struct ks__scope){ .kind = KS_SCOPE_SYSTEM,
					    .has_comm = i & 1,
					    .has_exclude = i >> 1,
					    .comm = "123456789012345",
					    .exclude = "backup" };
		set_scope(bed, &scope, 0);
		g_assert_cmpuint(next->kind, ==, KS_BPF_SCOPE_SYSTEM);
		g_assert_cmpuint(next->flags, ==,
				 (i & 1 ? KS_SCOPE_HAS_COMM : 0) |
					 (i >> 1 ? KS_SCOPE_HAS_EXCLUDE : 0));
		g_assert_cmpuint(next->self, ==, (uint32_t)getpid());
		g_assert_cmpuint(next->also, ==, 77);
		g_assert_cmpuint(next->cgroup, ==, 0);
		g_assert_cmpuint(next->level, ==, 0);
		memcpy(name, next->comm, 16);
		g_assert_cmpstr(name, ==, "123456789012345");
		memcpy(name, next->exclude, 16);
		g_assert_cmpstr(name, ==, "backup");
		g_assert_cmpuint(next->exclude[1], ==, 0);
	}
	scope = (struct ks__scope){ .kind = KS_SCOPE_CGROUP, .cgroup = 99, .cgroup_path = "/a" };
	set_scope(bed, &scope, 0);
	g_assert_cmpuint(next->kind, ==, KS_BPF_SCOPE_CGROUP);
	g_assert_cmpuint(next->cgroup, ==, 99);
	bed_free(bed);
}

/*
 * A process of a list is known by its start time, so that a later process with its pid is another
 * one. In the /proc of another pid namespace the numbers mean other processes.
 */
static void test_starts(void)
{
	int32_t pids[] = { 1, 2, 3, 4, 5 };
	uint64_t starts[] = { 17, 0, KS__START_UNKNOWN, KS__START_HIDDEN, KS__START_ENDED };
	const uint64_t want[] = { KS_PID_TICK | 17 * ks__columns_tick_ns(), KS_PID_TICK, 0, 0,
				  KS_PID_TICK - 1 };
	struct ks__scope scope = {
		.kind = KS_SCOPE_PIDS, .n_pids = 5, .pids = pids, .starts = starts
	};

	for (uint32_t i = 0; i < 5; i++)
		g_assert_cmphex(ks__bpf_start(&scope, i), ==, want[i]);
	scope.foreign = 1;
	for (uint32_t i = 0; i < 5; i++)
		g_assert_cmphex(ks__bpf_start(&scope, i), ==, 0);
	scope.foreign = 0;
	scope.kind = KS_SCOPE_TREE;
	for (uint32_t i = 0; i < 5; i++)
		g_assert_cmphex(ks__bpf_start(&scope, i), ==, 0);
	scope.kind = KS_SCOPE_PIDS;
	scope.starts = NULL;
	for (uint32_t i = 0; i < 5; i++)
		g_assert_cmphex(ks__bpf_start(&scope, i), ==, 0);
}

/* A tree by the numbers of another pid namespace would be a tree of other processes. */
static void test_foreign_tree(void)
{
	struct bed *bed = bed_new(getpid() + 1);
	int32_t pid = getpid();
	struct ks_scope scope = {
		.size = sizeof(scope), .kind = KS_SCOPE_PIDS, .pids = &pid, .n_pids = 1
	};
	char text[256], *want;

	ks_assert_rc(ks_set_scope(bed->ks, &scope), 0);
	scope.kind = KS_SCOPE_TREE;
	ks_assert_rc(ks_set_scope(bed->ks, &scope), -KS_EUNAVAIL);
	ks_last_error(bed->ks, text, sizeof(text));
	want = g_strdup_printf("%s is of another pid namespace than this process: a tree needs one "
			       "of its own",
			       bed->dir);
	g_assert_cmpstr(text, ==, want);
	g_assert_cmpuint(bed->b->control.scope.kind, ==, KS_BPF_SCOPE_PIDS);
	g_assert_cmpuint(bed->ks->scope.kind, ==, KS_SCOPE_PIDS);
	g_free(want);
	bed_free(bed);
}

/* ---- constants of a load --------------------------------------------------------------------- */

/* The answers about this kernel: no feature works, and there are no types. */
static void know_nothing(struct bed *bed)
{
	struct ks__features *f = &bed->b->features;
	struct ks__types *t = &f->types;

	for (unsigned i = 0; i < KS__FEATURES; i++)
		f->by_id[i] = (struct ks__feature){ .tried = 1, .error = -EOPNOTSUPP };
	free(t->own.asks);
	t->n = t->room = 7;
	t->own.asks = calloc(t->n, sizeof(*t->own.asks));
	t->own.asks[0] = (struct ks__btf_ask){ .name = "sched_switch", .kind = KS__BTF_EVENT };
	t->own.asks[1] =
		(struct ks__btf_ask){ .name = "sched_process_exit", .kind = KS__BTF_EVENT };
	t->own.asks[2] = (struct ks__btf_ask){ .name = "task_struct", .kind = KS__BTF_TYPE };
	t->own.asks[3] = (struct ks__btf_ask){ .name = "inode", .kind = KS__BTF_TYPE };
	t->own.asks[4] = (struct ks__btf_ask){ .name = "folio", .kind = KS__BTF_TYPE };
	t->own.asks[5] = (struct ks__btf_ask){ .name = "cgroup", .kind = KS__BTF_TYPE };
	t->own.asks[6] = (struct ks__btf_ask){ .name = "folio", .kind = KS__BTF_FUNC, .id = 9 };
	t->scanned = 1;
	bed->b->have_consts = bed->b->nested = bed->b->shifted = 0;
	memset(&bed->b->consts, 0, sizeof(bed->b->consts));
}

static const struct ks_bpf_const *consts(struct bed *bed, int by_pointer)
{
	char why[200] = "";

	bed->b->have_consts = 0;
	ks_assert_rc(ks__bpf_consts(bed->b, by_pointer, why, sizeof(why)), 0);
	g_assert_cmpstr(why, ==, "");
	g_assert_cmpint(bed->b->have_consts, ==, 1);
	return &bed->b->consts;
}

/* One feature sets one constant; task storage needs typed programs, too. */
static void test_features(void)
{
	struct bed *bed = bed_new(0);
	struct ks__feature *by_id = bed->b->features.by_id;

	know_nothing(bed);
	for (unsigned i = 0; i < KS__FEATURES; i++) {
		const struct ks_bpf_const *c;

		by_id[i].error = 0;
		c = consts(bed, 0);
		g_assert_cmpuint(c->ring, ==, i == KS__FEATURE_RINGBUF);
		g_assert_cmpuint(c->task_storage, ==, 0);
		g_assert_cmpuint(c->atomic_fetch, ==, i == KS__FEATURE_ATOMIC_FETCH);
		g_assert_cmpuint(c->rdonly_cast, ==, i == KS__FEATURE_RDONLY_CAST);
		g_assert_cmpuint(c->iter_num, ==, i == KS__FEATURE_ITER_NUM);
		g_assert_cmpuint(c->kernel_reads, ==, i == KS__FEATURE_KERNEL_READS);
		g_assert_cmpuint(c->own_guard, ==, i == KS__FEATURE_OWN_GUARD);
		by_id[i].error = -EOPNOTSUPP;
	}
	by_id[KS__FEATURE_TASK_STORAGE].error = by_id[KS__FEATURE_TP_BTF].error = 0;
	g_assert_cmpuint(consts(bed, 0)->task_storage, ==, 1);
	g_assert_cmpuint(consts(bed, 1)->task_storage, ==, 0);
	bed_free(bed);
}

/* Numbers of this machine and of the handle, and those that hold for every load. */
static void test_numbers(void)
{
	struct bed *bed = bed_new(0);
	const struct ks_bpf_const *c;

	know_nothing(bed);
	c = consts(bed, 0);
	g_assert_cmpuint(c->n_cpus, ==, bed->ks->n_cpus);
	g_assert_cmpuint(c->n_rings, ==, MIN(bed->ks->n_cpus, KS_BPF_RINGS));
	g_assert_cmpuint(c->n_threads, ==, 1234);
	g_assert_cmpuint(c->nr_fadvise64, ==, SYS_fadvise64);
	g_assert_cmpuint(c->page_bytes, ==, sysconf(_SC_PAGESIZE));
	g_assert_cmpuint(c->tick_ns, ==, 1000000000 / sysconf(_SC_CLK_TCK));
	g_assert_cmpuint(c->pid_level, ==, 0);
	g_assert_cmpuint(c->mono_ns, ==, 0);
	g_assert_cmpuint(c->boot_ns, ==, 0);
	for (unsigned i = 0; i < 8; i++)
		g_assert_cmpuint(c->nobody[i], ==, 0);
	g_assert_cmpuint(c->memcg_v1, ==, 0);
	put(bed, "memory\t4\t16\t1\n", "cgroups");
	g_assert_cmpuint(consts(bed, 0)->memcg_v1, ==, 1);
	put(bed, "memory\t0\t16\t1\n", "cgroups");
	g_assert_cmpuint(consts(bed, 0)->memcg_v1, ==, 0);
	/* set once: all programs of a handle are loaded with the same */
	put(bed, "memory\t4\t16\t1\n", "cgroups");
	bed->b->have_consts = 1;
	ks_assert_rc(ks__bpf_consts(bed->b, 0, NULL, 0), 0);
	g_assert_cmpuint(bed->b->consts.memcg_v1, ==, 0);
	bed_free(bed);
}

static void test_types(void)
{
	static const struct {
		int args;
		uint32_t pointers, want;
	} all[] = {
		{ 3, 6, KS_PREV_STATE_NONE },    { 4, 6, KS_PREV_STATE_LAST },
		{ 4, 12, KS_PREV_STATE_SECOND }, { 5, 6, KS_PREV_STATE_NONE },
		{ -1, 6, KS_PREV_STATE_NONE },
	};
	struct bed *bed = bed_new(0);
	struct ks__btf_ask *asks;
	const struct ks_bpf_const *c;

	know_nothing(bed);
	c = consts(bed, 0);
	g_assert_cmpuint(c->prev_state, ==, KS_PREV_STATE_NONE);
	g_assert_cmpuint(c->exit_has_group_dead, ==, 0);
	g_assert_cmpuint(c->task_type | c->inode_type | c->folio_type | c->cgroup_type, ==, 0);
	asks = bed->b->features.types.own.asks;
	for (unsigned i = 0; i < 6; i++)
		asks[i].id = 40 + i;
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		asks[0].args = all[i].args;
		asks[0].pointers = all[i].pointers;
		g_assert_cmpuint(consts(bed, 0)->prev_state, ==, all[i].want);
	}
	for (int args = 1; args <= 3; args++) {
		asks[1].args = args;
		g_assert_cmpuint(consts(bed, 0)->exit_has_group_dead, ==, args == 2);
	}
	g_assert_cmpuint(c->task_type, ==, 42);
	g_assert_cmpuint(c->inode_type, ==, 43);
	g_assert_cmpuint(c->folio_type, ==, 44);
	g_assert_cmpuint(c->cgroup_type, ==, 45);
	bed_free(bed);
}

/*
 * Locked memory: the raised limit stays only where it counts (no charge to cgroups) and kernel
 * programs work; -ENOMEM as an answer is none, so the limit goes back.
 */
static void test_memlock(void)
{
	static const struct {
		uint32_t flags;
		int memcg, bpf, setup, stays;
	} cases[] = {
		{ KS_OPEN_RAISE_MEMLOCK, 0, 0, 0, 0 },
		{ KS_OPEN_RAISE_MEMLOCK, -EOPNOTSUPP, 0, 0, 1 },
		{ KS_OPEN_RAISE_MEMLOCK, -EOPNOTSUPP, -EPERM, 0, 0 },
		{ KS_OPEN_RAISE_MEMLOCK, -EOPNOTSUPP, -EMFILE, -EMFILE, 0 },
		{ KS_OPEN_RAISE_MEMLOCK, -ENOMEM, 0, 0, 0 },
		{ 0, -EOPNOTSUPP, 0, 0, 0 },
	};
	struct rlimit old, now;

	g_assert_cmpint(getrlimit(RLIMIT_MEMLOCK, &old), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct rlimit before = { 4096, old.rlim_max };
		struct bed *bed = bed_new(0);
		struct ks__feature *by_id = bed->b->features.by_id;

		for (unsigned f = 0; f < KS__FEATURES; f++)
			by_id[f] = (struct ks__feature){ .tried = 1, .error = -EOPNOTSUPP };
		by_id[KS__FEATURE_MMAP].error = by_id[KS__FEATURE_BTF].error = 0;
		by_id[KS__FEATURE_MEMCG].error = cases[i].memcg;
		by_id[KS__FEATURE_BPF].error = cases[i].bpf;
		bed->ks->opts.flags = cases[i].flags;
		g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &before), ==, 0);
		ks_assert_rc(ks__bpf_setup(bed->b), cases[i].setup);
		g_assert_cmpint(getrlimit(RLIMIT_MEMLOCK, &now), ==, 0);
		g_assert_cmpuint(now.rlim_cur, ==, cases[i].stays ? now.rlim_max : 4096);
		if (!cases[i].stays) /* otherwise a process that may do so raises this one, too */
			g_assert_cmpuint(now.rlim_max, ==, old.rlim_max);
		g_assert_cmpint(bed->b->error, ==, cases[i].bpf);
		g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &old), ==, 0);
		bed_free(bed);
	}
}

/* ---- variants -------------------------------------------------------------------------------- */

/* Only variants that were closed for a passing error open again, and only those asked for. */
static void test_reopen(void)
{
	struct bed *bed = bed_new(0);
	struct ks__bpf *b = bed->b;
	struct ks__bpf_variant variants[KS__BPF_CLIENTS][2];

	for (int again = 0; again <= 1; again++) {
		b->again = again;
		b->ready = 1;
		for (unsigned u = 0; u < KS__BPF_CLIENTS; u++) {
			memset(variants[u], 0, sizeof(variants[u]));
			variants[u][0].note.error = variants[u][1].note.error = -EMFILE;
			variants[u][1].again = 1;
			b->clients[u].state = variants[u];
			b->clients[u].n_variants = 2;
		}
		ks__bpf_reopen(b, 1u << 3 | 1u << KS__BPF_TREE);
		for (unsigned u = 0; u < KS__BPF_CLIENTS; u++) {
			int opened = again || u == 3 || u == KS__BPF_TREE;

			ks_assert_rc(variants[u][0].note.error, -EMFILE);
			ks_assert_rc(variants[u][1].note.error, opened ? 0 : -EMFILE);
			g_assert_cmpint(variants[u][1].again, ==, !opened);
			b->clients[u].state = NULL;
			b->clients[u].n_variants = 0;
		}
		g_assert_cmpint(b->again, ==, 0);
		g_assert_cmpint(b->ready, ==, !again);
	}
	b->ready = 0;
	bed_free(bed);
}

int main(int argc, char **argv)
{
	ks_test_init(&argc, &argv);
	g_test_add_func("/bpf_source/settings", test_settings);
	g_test_add_func("/bpf_source/scope", test_scope);
	g_test_add_func("/bpf_source/scope/starts", test_starts);
	g_test_add_func("/bpf_source/scope/foreign tree", test_foreign_tree);
	g_test_add_func("/bpf_source/constants/features", test_features);
	g_test_add_func("/bpf_source/constants/numbers", test_numbers);
	g_test_add_func("/bpf_source/constants/types", test_types);
	g_test_add_func("/bpf_source/memlock", test_memlock);
	g_test_add_func("/bpf_source/reopen", test_reopen);
	return g_test_run();
}
